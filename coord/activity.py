"""Who was active when: a bitmap a period, one bit an id.

Where a unique counter only counts, a bitmap remembers: it can say whether one id was active, and who was
active in each of several periods. The price is memory: a bitmap is as long as its highest id, one bit
each. Numbers up to ``MAX_ID`` may be used as they are (16 MiB at most); text ids, and large or scattered
numbers, are numbered densely in order of appearance (``ids="text"``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from coord._engine.checks import id_bytes, integer, one_of
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord._engine.replies import as_bool, as_int, as_rows, nothing
from coord._engine.script import Command, Script

if TYPE_CHECKING:
    from coord._engine.keys import Keys
    from coord._engine.port import Port
    from coord._engine.script import Reply
    from coord.periods import Calendar, Instant, Period

__all__ = ["MAX_ID", "Activity", "AsyncActivity", "AsyncCohort", "Cohort"]

MAX_ID = 2**27 - 1
"""The highest number that may be marked as it is: its bitmap takes 16 MiB."""

SLICE = 1000
_DAY_MILLIS = 86_400_000


def _numbers(reply: Reply) -> list[int | None]:
    return [None if one is None else int(one) for one in as_rows(reply)]


_MARK = Script("activity_mark", parse=nothing, repeatable=True)
_NUMBER = Script("activity_number", parse=_numbers, repeatable=True)
_COMMON = Script("activity_common", parse=as_int, repeatable=True)
_KNOWN = Command("HMGET", parse=_numbers, repeatable=True)
_COUNT = Command("BITCOUNT", parse=as_int, repeatable=True)
_BIT = Command("GETBIT", parse=as_bool, repeatable=True)


class AsyncActivity:
    """Remembers which ids were active in which period.

    Made by ``activity()`` of a ``Coord`` or ``AsyncCoord``.

    Guarantees: marking is idempotent and exact, and a text id keeps its number for as long as any
    period that may hold its mark. Not guaranteed: that a bitmap survives eviction.
    """

    def __init__(self, port: Port, keys: Keys, name: str, calendar: Calendar, ids: str) -> None:
        self._port = port
        self._keys = keys
        self._calendar = calendar
        self._by_text = one_of(ids, "ids", ("int", "text")) == "text"
        self._numbers_key = keys("activity", name, "numbers")
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _key(self, period: Period) -> str:
        return self._keys("activity", self.name, period.kind, period.label)

    def _check_id(self, one: str | int | bytes) -> bytes | int:
        if self._by_text:
            return id_bytes(one)
        return integer(cast("int", one), 'an id (with ids="int")', at_least=0, at_most=MAX_ID)

    async def mark(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        """Mark ids as active, in every period kept.

        Args:
            *ids: Numbers from 0 to ``MAX_ID``; with ``ids="text"``, any ``str``, ``int`` or ``bytes``.
                They travel in slices of 1,000.
            at: When they were active; ``None`` for now, by the server's clock.

        Raises:
            TypeError: An id is of the wrong type, or ``at`` is no instant.
            ValueError: An id is out of range, or ``at`` is a naive ``datetime``.

        Complexity: O(1) an id and period, and O(highest id) the first time that a bitmap grows.
        """
        checked = [self._check_id(one) for one in ids]
        self._calendar.check(at)
        if not checked:
            return
        periods = self._calendar.around(await self._calendar.moment(at))
        keys = [self._key(period) for period in periods]
        lifetimes = self._calendar.lifetimes(periods)
        for start in range(0, len(checked), SLICE):
            words = checked[start : start + SLICE]
            numbers = await self._number(words, lifetimes) if self._by_text else words
            await self._port.run(_MARK(keys, *lifetimes, *numbers))

    async def _number(self, words: list[bytes | int], lifetimes: list[int]) -> list[bytes | int]:
        """Return the bits of text ids, giving new ones their number.

        The numbers outlive every bitmap that uses them: by a day more than the longest period and its
        retention together.
        """
        count = len(lifetimes) // 2
        now = await self._calendar.moment(None)
        longest = max(
            max(0, end - int(now.timestamp() * 1000)) + keep
            for end, keep in zip(lifetimes[:count], lifetimes[count:], strict=True)
        )
        numbers = await self._port.run(_NUMBER([self._numbers_key], longest + _DAY_MILLIS, *words))
        return cast("list[bytes | int]", numbers)

    async def is_active(
        self, one: str | int | bytes, *, period: str | None = None, at: Instant | None = None
    ) -> bool:
        """Say whether an id was active in one period.

        Args:
            one: The id.
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant; ``None`` for the current one.

        Complexity: O(1).
        """
        return await self.cohort(period=period, at=at).is_active(one)

    async def count(self, *, period: str | None = None, at: Instant | None = None) -> int:
        """Count the ids that were active in one period. Exact.

        Args:
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant; ``None`` for the current one.

        Complexity: O(highest id / 8) bytes read on the server.
        """
        return await self.cohort(period=period, at=at).count()

    def cohort(self, *, period: str | None = None, at: Instant | None = None) -> AsyncCohort:
        """Name those who were active in one period, to be combined with others by ``&``.

        Nothing is read until the cohort is asked something.

        Args:
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant; ``None`` for the current one.
        """
        self._calendar.check(at)
        return AsyncCohort(self, ((self._calendar.kind(period), at),))

    async def _resolve(self, chosen: tuple[tuple[str, Instant | None], ...]) -> list[str]:
        moments = [(kind, await self._calendar.moment(at)) for kind, at in chosen]
        return list(dict.fromkeys(self._key(self._calendar.period(kind, moment)) for kind, moment in moments))

    async def _count_common(self, chosen: tuple[tuple[str, Instant | None], ...]) -> int:
        keys = await self._resolve(chosen)
        if len(keys) == 1:
            return await self._port.run(_COUNT(keys))
        return await self._port.run(_COMMON([self._keys("activity", self.name, "scratch"), *keys]))

    async def _in_all(self, one: str | int | bytes, chosen: tuple[tuple[str, Instant | None], ...]) -> bool:
        number = self._check_id(one)
        if self._by_text:
            known = (await self._port.run(_KNOWN([self._numbers_key], number)))[0]
            if known is None:
                return False
            number = known
        for key in await self._resolve(chosen):
            if not await self._port.run(_BIT([key], number)):
                return False
        return True


class AsyncCohort:
    """Those who were active in each of one or more periods of one activity.

    ``activity.cohort(at=monday) & activity.cohort(at=tuesday)`` are those active on both days. A cohort
    is a question, not an answer: it is evaluated anew, on the server, each time it is asked.
    """

    def __init__(self, activity: AsyncActivity, chosen: tuple[tuple[str, Instant | None], ...]) -> None:
        self._activity = activity
        self._chosen = chosen

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._activity.name!r} in {len(self._chosen)} periods>"

    def __and__(self, other: AsyncCohort) -> AsyncCohort:
        """Name those who are in both."""
        if not isinstance(other, AsyncCohort):
            return NotImplemented
        if other._activity is not self._activity:
            raise ValueError(
                "cohorts combine within one activity object: "
                f"these are of {self._activity!r} and {other._activity!r}"
            )
        return AsyncCohort(self._activity, self._chosen + other._chosen)

    async def count(self) -> int:
        """Count them. Exact.

        Complexity: O(highest id / 8 * periods) bytes read on the server, in one step.
        """
        return await self._activity._count_common(self._chosen)

    async def is_active(self, one: str | int | bytes) -> bool:
        """Say whether an id is one of them.

        Complexity: O(periods).
        """
        return await self._activity._in_all(one, self._chosen)


@twin_of(AsyncActivity)
class Activity:
    def __init__(self, port: Port, keys: Keys, name: str, calendar: Calendar, ids: str) -> None:
        self._flow = AsyncActivity(port, keys, name, calendar, ids)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def mark(self, *ids: str | int | bytes, at: Instant | None = None) -> None:
        return step(self._flow.mark(*ids, at=at))

    def is_active(
        self, one: str | int | bytes, *, period: str | None = None, at: Instant | None = None
    ) -> bool:
        return step(self._flow.is_active(one, period=period, at=at))

    def count(self, *, period: str | None = None, at: Instant | None = None) -> int:
        return step(self._flow.count(period=period, at=at))

    def cohort(self, *, period: str | None = None, at: Instant | None = None) -> Cohort:
        return Cohort(self._flow.cohort(period=period, at=at))


@twin_of(AsyncCohort)
class Cohort:
    def __init__(self, flow: AsyncCohort) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        return repr(self._flow).replace("AsyncCohort", "Cohort", 1)

    def __and__(self, other: Cohort) -> Cohort:
        return Cohort(self._flow & other._flow) if isinstance(other, Cohort) else NotImplemented

    def count(self) -> int:
        return step(self._flow.count())

    def is_active(self, one: str | int | bytes) -> bool:
        return step(self._flow.is_active(one))
