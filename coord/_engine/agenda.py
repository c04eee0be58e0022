"""What is to be done at which time, and who sleeps until the next of it.

A heap, from which nothing is taken out of the middle: what is no longer to be done is only marked, and stays
until it comes first, or until half of the heap is like that. So a step costs about the same whatever else is
to be done, and a sleeper is woken by nothing but an earlier time.

Not safe among threads: whoever shares one keeps them apart. Only ``cancel`` may come amidst of another
method, as when the garbage collector closes a generator.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from coord._engine.port import Signal

__all__ = ["Agenda", "Item"]

T = TypeVar("T")

FEW = 64
"""Items that may stay in any case once they are not to be done any more: to clear them away costs more."""


class Item(Generic[T]):
    """Something that is to be done; ``None`` once it is not any more."""

    __slots__ = ("what",)

    def __init__(self, what: T) -> None:
        self.what: T | None = what


class Agenda(Generic[T]):
    """What is to be done at which time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item[T]]] = []
        self._last = 0
        self._idle = 0
        self._until = -math.inf
        self._poke: Signal | None = None

    def put(self, at: float, what: T) -> Item[T]:
        """Have something done at a time, and wake who would sleep for longer."""
        if self._idle > FEW + len(self._heap) // 2:
            self._heap = [one for one in self._heap if one[2].what is not None]
            heapify(self._heap)
            self._idle = 0
        self._last += 1
        item = Item(what)
        heappush(self._heap, (at, self._last, item))
        if at < self._until:
            self.wake()
        return item

    def cancel(self, item: Item[T] | None) -> None:
        """Have something done no longer; nothing happens if it is being done."""
        if item is not None and item.what is not None:
            item.what = None
            self._idle += 1

    def first(self) -> tuple[float, T] | None:
        """Look at what is to be done next, and when."""
        while self._heap:
            at, _, item = self._heap[0]
            what = item.what
            if what is not None:
                return at, what
            heappop(self._heap)
            self._idle -= 1
        return None

    def pop(self) -> None:
        """Take out what ``first()`` has found."""
        heappop(self._heap)[2].what = None

    def sleep(self, until: float, poke: Signal) -> None:
        """Have ``poke`` set as soon as there is anything to do earlier than at a time."""
        self._until, self._poke = until, poke

    def wake(self) -> None:
        """Let who sleeps look again."""
        self._until = -math.inf
        if self._poke is not None:
            self._poke.set()
