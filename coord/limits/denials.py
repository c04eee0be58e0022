"""Denials, remembered so that a key that is asked about again and again costs no round trip.

Rules
-----
1. Told apart by policy, key and cost: a cost that is denied says nothing about a smaller one.
2. Repeated only while they certainly hold: until ``retry_after`` from *before* the request was sent, on a
   clock that only moves forward, and never for longer than a bound. Another process may have refunded.
3. Bounded: the oldest go first.
4. The wait that is told counts from when the answer was received, so that it is sufficient. It is worked
   out anew each millisecond, and the same object is handed out in between: to make one takes longer than
   to find it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coord._engine.port import Port
    from coord.limits.decision import Decision

__all__ = ["Denials"]

MOST_KEYS = 10_000
"""Keys remembered for one policy: 6 MB, and more than one process denies at a time."""

MOST_COSTS = 8
"""Costs remembered for one key: callers use a few, and who uses many evicts only his own."""

SHOWN = 0.001
"""Seconds until the wait is worked out anew: nobody sleeps more exactly than that."""


@dataclass(slots=True)
class _Denial:
    """One denial.

    Attributes:
        shown: What is handed out.
        shown_until: Until when, at most a millisecond after it was worked out.
        until: When the server must be asked again.
        free_at: When the call will have become possible.
        reset_at: When nothing will be charged any more.
    """

    shown: Decision
    shown_until: float
    until: float
    free_at: float
    reset_at: float


class Denials:
    """The denials of one policy.

    Args:
        port: For its clock.
    """

    def __init__(self, port: Port) -> None:
        self._now = port.now
        self._mutex = port.mutex()
        self._denials: dict[str, dict[int, _Denial]] = {}

    def find(self, key: str, cost: int) -> Decision | None:
        """Return the denial of this very call, if it certainly still holds."""
        costs = self._denials.get(key)
        if costs is None:
            return None
        denial = costs.get(cost)
        if denial is None or cost.__class__ is not int:  # True equals 1, and is refused later
            return None
        now = self._now()
        return denial.shown if now < denial.shown_until else self._anew(denial, now)

    def _anew(self, denial: _Denial, now: float) -> Decision | None:
        if now >= denial.until:
            return None
        denial.shown = replace(
            denial.shown, retry_after=denial.free_at - now, reset_after=denial.reset_at - now, source="cache"
        )
        denial.shown_until = min(denial.until, now + SHOWN)
        return denial.shown

    def remember(self, key: str, cost: int, decision: Decision, *, asked: float, longest: float) -> None:
        """Remember a denial.

        Args:
            key: Of what key.
            cost: Of what cost.
            decision: What the server said.
            asked: The time before it was asked.
            longest: Seconds from then after which it is asked again in any case.
        """
        now = self._now()
        until = asked + min(decision.retry_after, longest)
        denial = _Denial(decision, 0.0, until, now + decision.retry_after, now + decision.reset_after)
        with self._mutex:
            costs = self._denials.pop(key, {})
            costs.pop(cost, None)
            while len(costs) >= MOST_COSTS:
                del costs[next(iter(costs))]
            costs[cost] = denial
            while len(self._denials) >= MOST_KEYS:
                del self._denials[next(iter(self._denials))]
            self._denials[key] = costs

    def forget(self, key: str) -> None:
        """Forget all denials of a key."""
        with self._mutex:
            self._denials.pop(key, None)
