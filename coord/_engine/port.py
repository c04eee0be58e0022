"""What an algorithm may ask of the world, and the driver that runs it without an event loop.

Theory
------
Every algorithm is written once, as ``async def`` on a flow class. A flow awaits only other flows and
the methods of its ``Port``. The async face of a primitive *is* the flow, over a port that suspends
properly. The sync face runs the same coroutine over a port whose methods block instead of suspending:
such a coroutine never yields, so a single ``send(None)`` runs it from the first line to its return.

Rules
-----
1. A flow imports no clock, thread, loop or client. What it needs of them is here, or it goes without.
2. No async generators in flows: they cannot be stepped, and their cleanup has no owner.
3. Cleanup re-raises. A flow never swallows ``BaseException``, or a cancelled task would live on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AbstractContextManager

    from coord._engine.script import Call

__all__ = ["Port", "step"]

T = TypeVar("T")

CLEANUPS = 10


class Port(Protocol):
    """All that a flow may ask of the world."""

    async def run(self, call: Call[T], *, timeout: float | None = None) -> T:
        """Send ``call`` and return its parsed answer.

        Args:
            call: The operation.
            timeout: Seconds until it must have been answered; ``None`` for the port's own deadline.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause for ``seconds``."""
        ...

    def now(self) -> float:
        """Seconds on a clock that only moves forward. Differences mean something, values do not."""
        ...

    def whoami(self) -> int:
        """Tell the calling task or thread from every other one alive."""
        ...

    def shield(self) -> AbstractContextManager[object]:
        """Make a block in which awaits complete although the surrounding task is being cancelled."""
        ...

    async def close(self) -> None:
        """Close what the port owns. Closing twice is harmless."""
        ...


def step(flow: Coroutine[object, None, T]) -> T:
    """Run a flow to its end over a blocking port, and return what it returns.

    Args:
        flow: A coroutine of a flow whose port never suspends.

    Raises:
        RuntimeError: Something in the flow suspended. That is a bug in coord.
    """
    try:
        flow.send(None)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]  # StopIteration is not generic
    for _ in range(CLEANUPS):
        try:
            flow.close()
            break
        except RuntimeError:
            # Its cleanup awaited too, and so "ignored" the close; the next one ends that as well.
            continue
    raise RuntimeError(
        f"{flow!r} suspended where it had to block: a sync coord object was given an async port"
    )
