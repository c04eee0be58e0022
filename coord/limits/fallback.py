"""For when the server cannot be asked: when to stop asking, and a limiter inside the process.

Theory
------
A server that hangs makes each caller wait for its whole time budget. The *breaker* ends that: after a few
failures in a row nobody asks for a while, and then one caller at a time tries. There is one for each node
and time budget: to have asked in vain with little patience says nothing of those who have more.

A *local* limiter decides with the same numbers, or its share of them, on what this process alone has
admitted. A bucket refills evenly. A window counts admissions in 64 slices of its length and dates each at
the end of its slice: it never admits more than the exact window would, in a small fixed amount of memory.
A share that is less than one is one, in a longer time: it is a share of the rate.
What is admitted locally is not charged to the server afterwards.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coord.limits.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from coord._engine.port import Port
    from coord.limits.policy import Item, Policy

__all__ = ["MOST_POLICIES", "REST", "Breaker", "LocalLimits"]

TRIES = 3
"""Failures in a row until the breaker opens: one or two may be a connection that was closed."""

REST = 1.0
"""Seconds between attempts while it is open: how late a server that is back is noticed."""

SLICES = 64
"""Slices of a local window: room comes free a 64th of its length late, for 7 KB a key."""

MOST_KEYS = 10_000
"""Keys that one local limiter keeps: 65 MB, were all of them windows full of slices."""

MOST_POLICIES = 1000
"""Policies of which anything is kept: more than a program has, unless it makes them up."""

NOTHING = 1e-9
"""Tokens that may be missing from a cost: what adding up doubles leaves."""


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


class LocalLimit:
    """One policy's limit, of this process alone. Its callers keep threads apart.

    Args:
        policy: The limit.
        share: The part of it that is this process's.

    Attributes:
        limit: The most that may be charged at once, at least 1.
        window: Seconds in which that comes back: longer than the policy's, where less than one is its share.
    """

    def __init__(self, policy: Policy, share: float) -> None:
        part = policy.limit * share
        self.limit = max(1, int(part))
        self.window = policy.window * (self.limit / part if policy.gradual else max(1.0, 1 / part))
        self._policy = policy
        self._states: OrderedDict[str, _Bucket | _Window] = OrderedDict()

    def _state(self, key: str, now: float) -> _Bucket | _Window:
        state = self._states.get(key)
        if state is None:
            state = _Bucket(self.limit, now) if self._policy.gradual else _Window()
            while len(self._states) >= MOST_KEYS:
                self._states.popitem(last=False)
            self._states[key] = state
        self._states.move_to_end(key)
        if isinstance(state, _Bucket):
            state.tokens = min(self.limit, state.tokens + (now - state.at) * self.limit / self.window)
            state.at = now
        else:
            while state.slices and state.slices[0][0] + self.window <= now:
                state.used -= state.slices.popleft()[1]
        return state

    def wait(self, key: str, cost: int, now: float) -> float:
        """Say how many seconds it takes until a cost fits; infinitely many if it is beyond this share."""
        state = self._state(key, now)
        if cost > self.limit:
            return math.inf
        if isinstance(state, _Bucket):
            lacking = cost - state.tokens
            return lacking * self.window / self.limit if lacking > NOTHING else 0.0
        freed = 0
        for end, charged in state.slices if state.used + cost > self.limit else ():
            freed += charged
            if state.used - freed + cost <= self.limit:
                return end + self.window - now
        return 0.0

    def charge(self, key: str, cost: int, now: float) -> None:
        """Charge what fits."""
        state = self._state(key, now)
        if isinstance(state, _Bucket):
            state.tokens -= cost
            return
        state.used += cost
        if state.slices and now <= state.slices[-1][0]:
            end, charged = state.slices.pop()
            state.slices.append((end, charged + cost))
        else:
            state.slices.append((now + self.window / SLICES, cost))

    def told(self, key: str, wait: float, now: float, *, allowed: bool) -> Decision:
        """Say how things stand."""
        state = self._state(key, now)
        if isinstance(state, _Bucket):
            remaining = int(state.tokens + NOTHING)
            reset = (self.limit - state.tokens) * self.window / self.limit
        else:
            remaining = self.limit - state.used
            reset = state.slices[-1][0] + self.window - now if state.slices else 0.0
        again = 0.0 if allowed else wait if wait < math.inf else REST
        return Decision(
            allowed, self.limit, remaining, again, reset, self._policy.name, self.window, "fallback"
        )


class LocalLimits:
    """The limits of this process alone, of all limiters of one Coord: one for each policy and share.

    Args:
        port: For its clock.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._mutex = port.mutex()
        self._limits: dict[tuple[Policy, float], LocalLimit] = {}

    def can_ever(self, items: Sequence[Item], share: float) -> bool:
        """Say whether no cost is beyond this process's share of its limit."""
        with self._mutex:
            return all(item.cost <= self._limit(item.policy, share).limit for item in items)

    def decide(self, items: Sequence[Item], share: float, *, charge: bool) -> list[Decision]:
        """Charge all of several limits, or none of them.

        Args:
            items: What is asked of which.
            share: The part of each limit that is this process's.
            charge: Whether to charge at all, and not only to look.

        Returns:
            How each stands.
        """
        with self._mutex:
            now = self._port.now()
            limits = [self._limit(item.policy, share) for item in items]
            waits = [limit.wait(item.key, item.cost, now) for limit, item in zip(limits, items, strict=True)]
            allowed = not any(waits)
            told: list[Decision] = []
            for limit, item, wait in zip(limits, items, waits, strict=True):
                if allowed and charge and item.cost:
                    limit.charge(item.key, item.cost, now)
                told.append(limit.told(item.key, wait, now, allowed=not wait))
            return told

    def _limit(self, policy: Policy, share: float) -> LocalLimit:
        found = self._limits.get((policy, share))
        if found is None:
            while len(self._limits) >= MOST_POLICIES:
                del self._limits[next(iter(self._limits))]
            found = self._limits[policy, share] = LocalLimit(policy, share)
        return found
