"""Waits for what no event tells."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 20.0
"""Seconds that only what hangs, takes."""


async def until(question: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Let the loop run until something is so; fail if it does not come to that."""
    deadline = time.monotonic() + within
    while not question():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        await asyncio.sleep(0.005)
