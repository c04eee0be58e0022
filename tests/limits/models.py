"""Limits as plain Python: what the script must equal, decision for decision.

Each model says how much counts at a moment; when a call fits is then found by trying, not by a formula.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Protocol

__all__ = ["BucketModel", "CounterModel", "FixedModel", "LogModel", "Model", "fits_at"]


class Model(Protocol):
    """A limit. Times are whole microseconds."""

    limit: int
    horizon: int

    def opens(self, now: int) -> int:
        """The first moment from ``now`` on that is not before anything booked."""
        ...

    def used(self, at: int) -> Fraction:
        """How much counts at a moment; from ``opens()`` on it never grows by itself."""
        ...

    def charge(self, now: int, at: int, cost: int) -> None:
        """Let ``cost`` be charged now, for that moment."""
        ...

    def give(self, now: int, amount: int) -> None:
        """Take back the newest."""
        ...

    def empty_at(self, now: int) -> int:
        """When nothing will count any more."""
        ...


def fits_at(model: Model, now: int, cost: int) -> int:
    """Find the first moment at which ``cost`` fits, by bisection."""
    soonest = model.opens(now)
    if model.used(soonest) + cost <= model.limit:
        return soonest
    low, high = soonest, soonest + model.horizon
    assert model.used(high) + cost <= model.limit
    while high - low > 1:
        middle = (low + high) // 2
        if model.used(middle) + cost <= model.limit:
            high = middle
        else:
            low = middle
    return high


class BucketModel:
    """A token bucket in exact fractions."""

    def __init__(self, rate: Fraction, limit: int) -> None:
        self.rate, self.limit = rate, limit
        self.missing, self.at = Fraction(0), 0
        self.horizon = 1_000 * math.ceil(limit / rate)

    def opens(self, now: int) -> int:
        return now

    def used(self, at: int) -> Fraction:
        return max(Fraction(0), self.missing - (at - self.at) * self.rate)

    def charge(self, now: int, at: int, cost: int) -> None:
        missing = self.missing - (at - self.at) * self.rate
        # A booking waits for whole microseconds, and what flows in over a part of one is not lost.
        if missing <= -self.rate or at == now:
            missing = max(Fraction(0), missing)
        self.missing, self.at = missing + cost, at

    def give(self, now: int, amount: int) -> None:
        if self.at > now:
            self.missing += (self.at - now) * self.rate
        else:
            self.missing = self.used(now)
        self.at = now
        self.missing = max(Fraction(0), self.missing - amount)

    def empty_at(self, now: int) -> int:
        return max(now, self.at + math.ceil(self.missing / self.rate)) if self.missing else now


class LogModel:
    """A sliding window that remembers everything."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window, self.horizon = limit, window, window
        self.log: list[tuple[int, int]] = []

    def opens(self, now: int) -> int:
        return max([now, *(at for at, _ in self.log)])

    def used(self, at: int) -> Fraction:
        return Fraction(sum(cost for when, cost in self.log if at - self.window < when))

    def charge(self, now: int, at: int, cost: int) -> None:
        self.log.append((at, cost))

    def give(self, now: int, amount: int) -> None:
        alive = [one for one in self.log if now - self.window < one[0]]
        self.log = []
        for at, cost in reversed(alive):
            part = min(amount, cost)
            amount -= part
            if cost > part:
                self.log.insert(0, (at, cost - part))

    def empty_at(self, now: int) -> int:
        return max([now, *(at + self.window for at, _ in self.log)])


class FixedModel:
    """A window that begins with the first admission after the last has ended."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window, self.horizon = limit, window, window
        self.begin, self.count = -window, 0

    def opens(self, now: int) -> int:
        return max(now, self.begin)

    def used(self, at: int) -> Fraction:
        return Fraction(self.count if at < self.begin + self.window else 0)

    def charge(self, now: int, at: int, cost: int) -> None:
        if at >= self.begin + self.window or not self.count:
            self.begin, self.count = max(at, self.begin), 0
        self.count += cost

    def give(self, now: int, amount: int) -> None:
        if now < self.begin + self.window:
            self.count = max(0, self.count - amount)

    def empty_at(self, now: int) -> int:
        return max(now, self.begin + self.window if self.count else self.begin)


class CounterModel:
    """Two counters: the window before counts for the part of it that a window ending now still covers."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window, self.horizon = limit, window, 3 * window
        self.begin, self.counts = 0, [0, 0]

    def opens(self, now: int) -> int:
        return max(now, self.begin)

    def at(self, at: int) -> tuple[int, int, int]:
        begin, (previous, current) = self.begin, self.counts
        for _ in range(min(2, (at - begin) // self.window)):
            begin, previous, current = begin + self.window, current, 0
        if not previous + current:
            begin = max(begin, at)  # nothing is remembered of a window in which nothing counts
        return begin, previous, current

    def used(self, at: int) -> Fraction:
        begin, previous, current = self.at(at)
        return current + previous * Fraction(self.window - max(0, at - begin), self.window)

    def charge(self, now: int, at: int, cost: int) -> None:
        begin, previous, current = self.at(at)
        self.begin, self.counts = begin, [previous, current + cost]

    def give(self, now: int, amount: int) -> None:
        begin, previous, current = self.at(now)
        part = min(amount, current)
        self.begin, self.counts = begin, [max(0, previous - (amount - part)), current - part]

    def empty_at(self, now: int) -> int:
        begin, previous, current = self.at(now)
        return begin + 2 * self.window if current else begin + self.window if previous else max(now, begin)
