"""Moved to ``tests.support.flavours``."""

from tests.support.flavours import *  # noqa: F403
