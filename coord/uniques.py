"""How many different visitors: a HyperLogLog a period, counted with its error bounds.

A HyperLogLog is a 12 KiB sketch from which the number of different ids can be estimated with a standard
error of 0.81 %, and which can be united with others without counting anyone twice.

Source: P. Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation
algorithm" (2007), as implemented by the ``PFADD`` and ``PFCOUNT`` commands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.checks import id_bytes
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord._engine.replies import as_int, nothing
from coord._engine.script import Command, Script

if TYPE_CHECKING:
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord.periods import Calendar, Instant, Period

__all__ = ["AsyncUniqueCounter", "Estimate", "UniqueCounter"]

SLICE = 1000
_STANDARD_ERROR = 1.04 / math.sqrt(16384)
_TWO_SIDED_95 = 1.96

_ADD = Script("unique_add", parse=nothing, repeatable=True)
_COUNT = Command("PFCOUNT", parse=as_int, repeatable=True)


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many, and how sure.

    Attributes:
        value: The most likely number.
        low: With ``high``, the bounds within which the true number lies 95 times in 100.
        high: See ``low``.
        exact: Whether ``value`` is the true number itself.
    """

    value: int
    low: int
    high: int
    exact: bool

    def __int__(self) -> int:
        return self.value


def _of_sketch(value: int) -> Estimate:
    """Put the error bounds of a HyperLogLog around what it estimates."""
    spread = _TWO_SIDED_95 * _STANDARD_ERROR
    return Estimate(
        value, math.floor(value / (1 + spread)), math.ceil(value / (1 - spread)), exact=value == 0
    )


class AsyncUniqueCounter:
    """Counts different ids by period.

    Made by ``unique_counter()`` of a ``Coord`` or ``AsyncCoord``. Every id is counted once a period,
    however often it is added, by however many processes.

    Guarantees: adding is idempotent, so it is safe to repeat, and safe to retry. Not guaranteed: the
    exact number (see ``Estimate``), or an answer to "was this id seen?", which a sketch cannot give.
    """

    def __init__(self, port: Port, keys: Keys, name: str, calendar: Calendar) -> None:
        self._port = port
        self._keys = keys
        self._calendar = calendar
        self.name = name
        keys("unique", name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _key(self, period: Period) -> str:
        return self._keys("unique", self.name, period.kind, period.label)

    async def add(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        """Count ids as seen, in every period kept.

        ``1``, ``"1"`` and ``b"1"`` are the same id.

        Args:
            *ids: Any number of them; they travel in slices of 1,000.
            at: When they were seen; ``None`` for now, by the server's clock.

        Raises:
            TypeError: An id is not a ``str``, ``int`` or ``bytes``, or ``at`` is no instant.
            ValueError: ``at`` is a naive ``datetime``.

        Complexity: O(1) an id and period.
        """
        words = [id_bytes(one) for one in ids]
        self._calendar.check(at)
        if not words:
            return
        periods = self._calendar.around(await self._calendar.moment(at))
        keys = [self._key(period) for period in periods]
        lifetimes = self._calendar.lifetimes(periods)
        for start in range(0, len(words), SLICE):
            await self._port.run(_ADD(keys, *lifetimes, *words[start : start + SLICE]))

    async def count(
        self,
        *,
        period: str | None = None,
        at: Instant | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Estimate:
        """Estimate how many different ids were seen, in one period or over several together.

        Without arguments: in the current period.

        Args:
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant.
            last: In the last so many periods, the current one included.
            since: From the period of this instant ...
            until: ... to the period of this one, both included; ``None`` for the current one.

        Returns:
            The estimate with its 95 % bounds. Someone seen in several of the periods counts once.

        Raises:
            ValueError: The ways to choose are mixed, or the range is empty or over 1,000 periods.

        Complexity: O(periods). See https://redis.io/commands/pfcount.
        """
        periods = await self._calendar.select(period, at=at, last=last, since=since, until=until)
        value = await self._port.run(_COUNT([self._key(one) for one in periods]))
        return _of_sketch(value)


@twin_of(AsyncUniqueCounter)
class UniqueCounter:
    def __init__(self, port: Port, keys: Keys, name: str, calendar: Calendar) -> None:
        self._flow = AsyncUniqueCounter(port, keys, name, calendar)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def add(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        return step(self._flow.add(*ids, at=at))

    def count(
        self,
        *,
        period: str | None = None,
        at: Instant | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Estimate:
        return step(self._flow.count(period=period, at=at, last=last, since=since, until=until))
