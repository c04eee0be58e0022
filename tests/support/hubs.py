"""Reaches inside a ``Coord`` for tests, so that they need not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine import wakeups

if TYPE_CHECKING:
    import pytest

NEVER = 600.0
"""Seconds that no test lasts."""


def no_second_looks(patch: pytest.MonkeyPatch) -> None:
    """Let no waiter look again unasked: who gets what it waits for has been woken."""
    patch.setattr(wakeups, "FALLBACK", NEVER)
