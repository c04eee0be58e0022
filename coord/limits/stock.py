"""Tokens taken in advance, to be served without a round trip.

Rules
-----
1. What is served was charged before: never is more admitted than was charged.
2. It is kept for a second, or a window if that is shorter, and then lapses: that is the most that is
   wasted, ``prefetch`` for each key and each call that was on its way at once. A stretch of time may hold
   as much more than the limit's bound, as it was charged before and is served in it.
3. When the Coord is closed, what is left is given back.
4. A forked child has nothing of it: what its parent has taken, its parent serves.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coord.limits.decision import Decision
    from coord.limits.policy import Policy
    from coord.limits.room import LimitRoom

__all__ = ["Stock"]

KEPT = 1.0
"""Seconds for which a stock is kept: what a process that dies, or falls silent, withholds from the others."""

MOST_KEYS = 1000
"""Keys that a stock is kept of: one that is worth taking in advance for is busy, and few are at once."""

GIVE_BACK_TIME = 0.5
"""Seconds that each attempt to give some back may take, when a Coord is closed."""


@dataclass(slots=True)
class _Lot:
    """What is left of what was taken at one moment.

    Attributes:
        left: How much.
        until: When it lapses.
        moment: When the server dated its charge.
        told: What the server said with it.
    """

    left: int
    until: float
    moment: int
    told: Decision


class Stock:
    """What one limiter has taken in advance.

    Args:
        room: Where it is given back.
        policy: The limit.
    """

    def __init__(self, room: LimitRoom, policy: Policy) -> None:
        self._room = room
        self._policy = policy
        self._kept = min(KEPT, policy.window)
        self._mutex = room.port.mutex(self._begin)
        self._begin()

    def _begin(self) -> None:
        self._lots: dict[str, list[_Lot]] = {}

    def serve(self, key: str, cost: int) -> Decision | None:
        """Take from the stock; ``None`` if there is not enough."""
        if cost.__class__ is not int or cost < 1 or key not in self._lots:
            return None  # what is wrong with it is found out later
        now = self._room.port.now()
        with self._mutex:
            lots = [lot for lot in self._lots.pop(key, ()) if now < lot.until and lot.left]
            if lots:
                self._lots[key] = lots
            if sum(lot.left for lot in lots) < cost:
                return None
            told, wanted = lots[-1].told, cost
            for lot in lots:
                part = min(wanted, lot.left)
                lot.left -= part
                wanted -= part
            left = sum(lot.left for lot in lots)
        reset = max(0.0, told.reset_after - (now - (lots[-1].until - self._kept)))
        return replace(told, remaining=told.remaining + left, reset_after=reset, source="lease")

    def put(self, key: str, amount: int, moment: int, told: Decision, asked: float) -> None:
        """Keep what was taken beyond a call's own cost."""
        with self._mutex:
            lots = self._lots.pop(key, [])
            while len(self._lots) >= MOST_KEYS:
                del self._lots[next(iter(self._lots))]
            self._lots[key] = [*lots, _Lot(amount, asked + self._kept, moment, told)]

    def forget(self, key: str) -> None:
        """Drop what was taken for a key whose limit was reset."""
        with self._mutex:
            self._lots.pop(key, None)

    async def give_back(self) -> None:
        """Give all of it back."""
        with self._mutex:
            lots, self._lots = self._lots, {}
        room = self._room
        for key, taken in lots.items():
            for lot in taken:
                if not lot.left or room.port.now() >= lot.until:
                    continue
                item = self._policy.item(room.keys, key, -lot.left)
                with contextlib.suppress(Exception):  # a courtesy: what is not given back refills in time
                    await room.port.run(room.call("settle", lot.moment, [item]), timeout=GIVE_BACK_TIME)
