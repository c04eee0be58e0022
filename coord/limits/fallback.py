"""For when the server cannot be asked: when to stop asking, and a limiter inside the process.

Theory
------
A server that hangs makes each caller wait for its whole time budget. The *breaker* ends that: after a few
failures in a row nobody asks for a while, and then one caller at a time tries.

A *local* limiter decides with the same numbers, or its share of them, on what this process alone has
admitted. A bucket refills evenly. A window counts admissions in 64 slices of its length and dates each at
the end of its slice: it never admits more than the exact window would, in a small fixed amount of memory.
What is admitted locally is not charged to the server afterwards.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coord.limits.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from coord._engine.port import Port
    from coord.limits.policy import Item, Policy

__all__ = ["Breaker", "LocalLimits"]

TRIES = 3
"""Failures in a row until the breaker opens: one or two may be a connection that was closed."""

REST = 1.0
"""Seconds between attempts while it is open: how late a server that is back is noticed."""

SLICES = 64
"""Slices of a local window: room comes free a 64th of its length late, for 7 KB a key."""

MOST_KEYS = 10_000
"""Keys that one local limiter keeps: 65 MB, were all of them windows full of slices."""


class Breaker:
    """Says whether it is worth while to ask the server. Closed at first, as an electric one.

    Args:
        mutex: Keeps threads apart.
    """

    def __init__(self, mutex: AbstractContextManager[object]) -> None:
        self._mutex = mutex
        self._failures = 0
        self._open_until = 0.0

    def lets_through(self, now: float) -> bool:
        """Say whether to ask now; while it is open, one caller each second may."""
        if self._failures < TRIES:
            return True
        with self._mutex:
            if now < self._open_until:
                return False
            self._open_until = now + REST
            return True

    def failed(self, now: float) -> None:
        """Note that the server could not be asked."""
        with self._mutex:
            self._failures += 1
            self._open_until = now + REST

    def worked(self) -> None:
        """Note that the server answered."""
        self._failures = 0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class _Window:
    used: int = 0
    slices: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])


class LocalLimits:
    """The limits of this process alone.

    Args:
        port: For its clock.
        share: The part of each limit that is this process's.
    """

    def __init__(self, port: Port, share: float) -> None:
        self._now = port.now
        self._mutex = port.mutex()
        self._share = share
        self._states: OrderedDict[str, _Bucket | _Window] = OrderedDict()

    def take(self, items: Sequence[Item]) -> list[Decision]:
        """Charge all of several limits, or none of them, and say how each stands."""
        with self._mutex:
            now = self._now()
            waits = [self._wait(item, now) for item in items]
            allowed = not any(waits)
            if allowed:
                for item in items:
                    self._charge(item, now)
            return [
                self._told(item, wait, now, allowed=allowed) for item, wait in zip(items, waits, strict=True)
            ]

    def _limit(self, policy: Policy) -> int:
        return max(1, int(policy.limit * self._share))

    def _state(self, item: Item, now: float) -> _Bucket | _Window:
        limit = self._limit(item.policy)
        state = self._states.get(item.key)
        if state is None:
            state = _Bucket(limit, now) if item.policy.gradual else _Window()
            while len(self._states) >= MOST_KEYS:
                self._states.popitem(last=False)
            self._states[item.key] = state
        self._states.move_to_end(item.key)
        if isinstance(state, _Bucket):
            state.tokens = min(limit, state.tokens + (now - state.at) * limit / item.policy.window)
            state.at = now
        else:
            while state.slices and state.slices[0][0] + item.policy.window <= now:
                state.used -= state.slices.popleft()[1]
        return state

    def _wait(self, item: Item, now: float) -> float:
        state, limit = self._state(item, now), self._limit(item.policy)
        if isinstance(state, _Bucket):
            return max(0.0, item.cost - state.tokens) * item.policy.window / limit
        freed = 0
        if state.used + item.cost <= limit:
            return 0.0
        for end, cost in state.slices:
            freed += cost
            if state.used - freed + item.cost <= limit:
                return end + item.policy.window - now
        return item.policy.window  # more than this process's share

    def _charge(self, item: Item, now: float) -> None:
        state = self._state(item, now)
        if isinstance(state, _Bucket):
            state.tokens -= item.cost
            return
        state.used += item.cost
        if state.slices and now <= state.slices[-1][0]:
            end, cost = state.slices.pop()
            state.slices.append((end, cost + item.cost))
        else:
            state.slices.append((now + item.policy.window / SLICES, item.cost))

    def _told(self, item: Item, wait: float, now: float, *, allowed: bool) -> Decision:
        state, limit = self._state(item, now), self._limit(item.policy)
        if isinstance(state, _Bucket):
            remaining = int(state.tokens)
            reset = (limit - state.tokens) * item.policy.window / limit
        else:
            remaining = limit - state.used
            reset = state.slices[-1][0] + item.policy.window - now if state.slices else 0.0
        return Decision(
            allowed,
            limit,
            remaining,
            0.0 if allowed else wait,
            reset,
            item.policy.name,
            item.policy.window,
            "fallback",
        )
