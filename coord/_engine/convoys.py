"""Calls that travel together: written to one connection before the first reply is read.

What a bulk costs its caller is mostly the way to the server and back, once a call. In a convoy it is paid
once for several, and they are executed in their order. Only what is safe to repeat goes that way: of the
calls that were not answered as they should, each is sent again alone, by the rules of ``courier``.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

from coord._engine.retry import silence_allowed
from coord._engine.uptime import uptime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord._engine.courier import Courier
    from coord._engine.faults import Faults, Node
    from coord._engine.script import Call, Reply, Word

__all__ = ["deliver_together"]

T = TypeVar("T")
Line = TypeVar("Line")


class Road(Protocol[Line]):
    """A wire whose connections take several commands at once."""

    faults: Faults

    async def take(self, key: str | None, node: Node | None, *, within: float = inf) -> Line:
        """See ``Wire``."""
        ...

    async def ask_together(
        self, line: Line, several: Sequence[tuple[Word, ...]], seconds: float
    ) -> list[Reply]:
        """Send commands and read their replies, undecoded; hang up if that fails midway.

        Returns:
            The replies; refusals as the exceptions that they are.
        """
        ...

    async def give(self, line: Line) -> None:
        """See ``Wire``."""
        ...


async def deliver_together(
    courier: Courier, road: Road[Line], calls: Sequence[Call[T]], seconds: float
) -> list[T]:
    """Deliver calls of one slot within so many seconds in all, and return their parsed answers.

    Raises:
        Exception: What one of those that failed raised. All of them were sent.
    """
    until = uptime() + seconds
    replies: list[Reply] = []
    if calls and all(call.repeatable and call.on_repeat is None and call.then is None for call in calls):
        with suppress(*road.faults.broken, *road.faults.not_now):
            line = await road.take(calls[0].keys[0], None, within=seconds)
            try:
                left = until - uptime()
                limit = silence_allowed(left, repeatable=True, once=False, lost=False)
                replies = await road.ask_together(line, [call.words() for call in calls], limit)
            finally:
                await road.give(line)
    missing = [ConnectionError()] * (len(calls) - len(replies))
    return [
        await courier.deliver(call, until - uptime()) if isinstance(reply, Exception) else call.parse(reply)
        for call, reply in zip(calls, [*replies, *missing], strict=True)
    ]
