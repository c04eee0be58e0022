"""Moved to ``tests.support.together``."""

from tests.support.together import *  # noqa: F403
