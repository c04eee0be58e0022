"""What a contestant does: how it is made ready, what one call is, and how it is put away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Run = Callable[[int], Mapping[str, float] | None]
    """Makes so many calls, and may tell figures of its own."""

__all__ = ["BLOCK", "Operation", "Place", "each", "tasks"]

BLOCK = 60
"""Calls of a block: some tens of milliseconds of those that go to a server."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation runs.

    Attributes:
        urls: The servers.
        pids: Their processes.
        loop: What runs the tasks of the asynchronous ones.
        stack: What is to be undone at the end, in reverse order.
        prefix: What coord's keys begin with.
    """

    urls: Sequence[str]
    pids: Sequence[int]
    loop: asyncio.Runner
    stack: contextlib.ExitStack
    prefix: str = "coord"

    @property
    def url(self) -> str:
        """The first server."""
        return self.urls[0]

    def close_with(self, close: Callable[[], Any]) -> None:
        """Note what is to be called, or called and awaited, at the end."""
        self.stack.callback(lambda: self.wait(close()))

    def wait(self, awaited: Any) -> Any:
        """Await what can be awaited."""
        if not hasattr(awaited, "__await__"):
            return awaited

        async def awaiting() -> Any:
            return await awaited

        return self.loop.run(awaiting())


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do.

    Attributes:
        name: What it is called.
        open: Makes it ready, and gives what makes so many calls.
        size: Calls of a block.
    """

    name: str
    open: Callable[[Place], Run]
    size: int = BLOCK


def each(call: Callable[[], object]) -> Run:
    """Make one call after the other."""

    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run


def tasks(place: Place, callers: int, call: Callable[[], Awaitable[object]]) -> Run:
    """Have so many tasks of one loop make the calls, each one after the other."""

    async def turns(count: int) -> None:
        for _ in range(count):
            await call()

    async def all_of_them(count: int) -> None:
        await asyncio.gather(*(turns(max(1, count // callers)) for _ in range(callers)))

    return lambda count: place.loop.run(all_of_them(count))
