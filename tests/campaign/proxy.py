"""Moved to ``tests.support.proxy``."""

from tests.support.proxy import *  # noqa: F403
