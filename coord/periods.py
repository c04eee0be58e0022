"""Periods of the calendar: which one an instant belongs to, what it is called, when it ends.

A period's label is part of a public key and sorts by time: ``2026``, ``2026-11``, ``2026-W47`` (ISO week
of the ISO year), ``2026-11-21``, ``2026-11-21T13``, ``2026-11-21T1305``. Days and longer begin at local
midnight in the calendar's time zone, so that a day on which the clocks change has 23 or 25 hours.
Hours and minutes are 60 minutes and 60 seconds always; outside UTC their labels end in the offset
(``2026-10-25T02+0100``), or the hour that a clock change repeats would have one name for two hours.
A week that begins on another day than Monday is no ISO week, and is called after its first day.

What is read is chosen first (``choose``, which refuses nonsense before anything is sent) and resolved
later, by one "now" (``resolve``). A long range need not be read period by period: ``grouped`` says which of
its periods make up a longer one that is over, and may be rolled up into one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from coord._engine.checks import integer, one_of, seconds

if TYPE_CHECKING:
    from coord._engine.checks import Seconds
    from coord._engine.clock import ServerClock

__all__ = ["KINDS", "MOST", "Calendar", "Choice", "Group", "Instant", "Period", "PeriodKind", "Weekday"]

Instant = datetime | date | float
"""A point in time: an aware ``datetime``, epoch seconds, or a ``date`` for the day it names."""

PeriodKind = Literal["minute", "hour", "day", "week", "month", "year"]
"""A kind of period of the calendar."""

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
"""A day on which a week may begin."""

KINDS: tuple[PeriodKind, ...] = get_args(PeriodKind)
"""The kinds of period, short to long."""

WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
LONGER: dict[PeriodKind, PeriodKind] = {"minute": "hour", "hour": "day", "day": "month", "month": "year"}
"""What each kind of period makes up. A week may lie in two months and in two years, and makes up none."""

MOST = 1000
"""Periods in one read: two and a half years of days, and few enough keys for one step of a server."""

FIRST_YEAR, LAST_YEAR = 1900, 9000
"""Years of an instant: four digits, so that labels sort by time, and room for a period before and after."""

_DAY = 86_400.0
"""Seconds."""

_RETAIN: dict[PeriodKind, float] = {
    "minute": _DAY,
    "hour": 31 * _DAY,
    "day": 400 * _DAY,
    "week": 800 * _DAY,
    "month": 5 * 366 * _DAY,
    "year": 10 * 366 * _DAY,
}
"""Seconds that a period is kept after its end: so long that the same one of a period before may be compared,
yesterday's hour or last year's day, and so short that what nobody reads is not kept for ever."""


@dataclass(frozen=True, slots=True)
class Period:
    """One period of the calendar.

    Attributes:
        kind: ``minute``, ``hour``, ``day``, ``week``, ``month`` or ``year``.
        label: Its name within a key.
        start: Its first moment, in UTC.
        end: The first moment after it, in UTC.
    """

    kind: PeriodKind
    label: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Choice:
    """Which periods to read. "The current one" is the one current when the choice is resolved.

    Attributes:
        kind: The kind of period.
        at: The periods of these instants, if any; otherwise
        last: so many periods, the current one included; otherwise
        since: from the period of this instant
        until: to the period of this one, or to the current one; otherwise the current one.
    """

    kind: PeriodKind
    at: tuple[Instant, ...] = ()
    last: int | None = None
    since: Instant | None = None
    until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Periods of one choice that follow each other.

    Attributes:
        parts: The periods.
        whole: The longer period that they make up completely, if they do and it is over.
    """

    parts: tuple[Period, ...]
    whole: Period | None = None


class Calendar:
    """The periods that one counter keeps.

    Args:
        kinds: One kind of period, or several; the first is the one that reads count in by default.
        tz: An IANA time zone name or a ``tzinfo``.
        retain: How long a period is kept after its end; ``None`` for each kind's usual time.
        clock: The server's clock, for "now".
        week_start: On which day a week begins; ``"monday"`` for ISO weeks.
    """

    def __init__(
        self,
        kinds: PeriodKind | Sequence[PeriodKind],
        tz: str | tzinfo,
        retain: Seconds | None,
        clock: ServerClock,
        week_start: Weekday = "monday",
    ) -> None:
        self.kinds: tuple[PeriodKind, ...] = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if not self.kinds or len(set(self.kinds)) < len(self.kinds) or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"period must be one or several of {', '.join(KINDS)}, not {kinds!r}")
        self._tz = _zone(tz)
        self._week_start = WEEKDAYS.index(one_of(week_start, "week_start", WEEKDAYS))
        self._retain = None if retain is None else seconds(retain, "retain", at_least=0)
        self._clock = clock

    def differs(self, other: Calendar, kind: str) -> str:
        """Say why periods of ``kind`` are not the same ones in another calendar; nothing if they are."""
        if kind not in other.kinds:
            return f"the other keeps no {kind} but {', '.join(other.kinds)}"
        if str(self._tz) != str(other._tz):
            return f"their time zones are {self._tz} and {other._tz}"
        if kind == "week" and self._week_start != other._week_start:
            return f"their weeks begin on {WEEKDAYS[self._week_start]} and {WEEKDAYS[other._week_start]}"
        return ""

    async def moment(self, at: Instant | None) -> datetime:
        """Return ``at`` as a ``datetime`` in the calendar's zone; the server's now for ``None``.

        Raises:
            TypeError: It is no instant.
            ValueError: It is a naive ``datetime``: whose midnight would that be?
        """
        if at is None:
            return datetime.fromtimestamp(await self._clock.now(), self._tz)
        return self._local(at)

    def check(self, at: Instant | None) -> None:
        """Refuse what is no instant, before anything is sent."""
        if at is not None:
            self._local(at)

    def _local(self, at: Instant) -> datetime:
        if isinstance(at, bool) or not isinstance(at, datetime | date | int | float):
            raise _no_instant(at)
        if isinstance(at, datetime) and at.tzinfo is None:
            raise ValueError(f"a naive datetime is ambiguous: give {at!r} a tzinfo")
        try:
            if isinstance(at, datetime):
                local = at.astimezone(self._tz)
            elif isinstance(at, date):
                local = datetime.combine(at, time(), self._tz)
            else:
                local = datetime.fromtimestamp(at, self._tz)
            # By way of UTC: a midnight that a clock change skips becomes the moment at which the day began.
            local = local.astimezone(UTC).astimezone(self._tz)
        except (ValueError, OverflowError, OSError):
            local = None
        if local is None or not FIRST_YEAR <= local.year <= LAST_YEAR:
            raise ValueError(f"an instant must lie in the years {FIRST_YEAR} to {LAST_YEAR}, not {at!r}")
        return local

    def period(self, kind: PeriodKind, moment: datetime) -> Period:
        """Return the period of ``kind`` that ``moment`` belongs to."""
        if kind in ("minute", "hour"):
            return _clock_period(kind, moment)
        first = moment.date()
        if kind == "week":
            first -= timedelta(days=(first.weekday() - self._week_start) % 7)
            after = first + timedelta(days=7)
            iso = first.isocalendar()
            label = first.isoformat() if self._week_start else f"{iso.year}-W{iso.week:02}"
        elif kind == "day":
            after, label = first + timedelta(days=1), first.isoformat()
        elif kind == "month":
            first = first.replace(day=1)
            after, label = (first + timedelta(days=31)).replace(day=1), f"{first:%Y-%m}"
        else:
            first = first.replace(month=1, day=1)
            after, label = first.replace(year=first.year + 1), f"{first:%Y}"
        start, end = (datetime.combine(day, time(), self._tz).astimezone(UTC) for day in (first, after))
        return Period(kind, label, start, end)

    def around(self, moment: datetime) -> list[Period]:
        """Return the period of each kept kind that ``moment`` belongs to."""
        return [self.period(kind, moment) for kind in self.kinds]

    def lifetimes(self, periods: Sequence[Period]) -> list[int]:
        """Return what the scripts need to set TTLs, in milliseconds.

        Returns:
            When each period ends, since the epoch; then how long each is kept after that.
        """
        keeps = [_RETAIN[one.kind] if self._retain is None else self._retain for one in periods]
        return [math.ceil(one.end.timestamp() * 1000) for one in periods] + [
            math.ceil(keep * 1000) for keep in keeps
        ]

    def kind(self, wanted: PeriodKind | None) -> PeriodKind:
        """Return the kind of period to read: the one ``wanted``, or the first kept."""
        if wanted is None:
            return self.kinds[0]
        if wanted not in self.kinds:
            raise ValueError(f"period must be one that is kept ({', '.join(self.kinds)}), not {wanted!r}")
        return wanted

    def choose(
        self,
        kind: PeriodKind | None = None,
        *,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Choice:
        """Name the periods that a read is about, and refuse what makes no sense.

        Args:
            kind: Which kind of period; ``None`` for the first kept.
            at: The one period that this instant belongs to, or those of several instants.
            last: So many periods, the current one included.
            since: All from the period of this instant ...
            until: ... to the period of this one, both included; ``None`` for the current one.

        Raises:
            TypeError: Something is no instant, or ``last`` no ``int``.
            ValueError: The ways to choose are mixed, ``at`` is empty, or ``last`` is out of bounds.
        """
        kind = self.kind(kind)
        if sum(chosen is not None for chosen in (at, last, since)) > 1 or (
            until is not None and since is None
        ):
            raise ValueError("give at=, or last=, or since= with an optional until=; not a mixture")
        if last is not None:
            integer(last, "last", at_least=1, at_most=MOST)
        instants = () if at is None else _instants(at)
        for instant in (*instants, since, until):
            self.check(instant)
        return Choice(kind, instants, last, since, until)

    async def resolve(self, choice: Choice, now: datetime | None = None) -> list[Period]:
        """Return the periods of a choice, each once, oldest first.

        Args:
            choice: From ``choose``.
            now: The moment that is "now"; ``None`` for the server's.

        Raises:
            ValueError: The range is empty, or has more than 1,000 periods.
        """
        kind = choice.kind
        if choice.at:
            chosen = {self.period(kind, self._local(instant)) for instant in choice.at}
            _limit(len(chosen), kind)
            return sorted(chosen, key=lambda period: period.start)
        to = choice.until
        newest = self.period(kind, (now or await self.moment(None)) if to is None else self._local(to))
        if choice.since is None:
            return self._back_from(newest, choice.last or 1)
        oldest = self.period(kind, self._local(choice.since))
        if oldest.start > newest.start:
            raise ValueError(f"since={choice.since!r} is later than until={to!r}")
        periods = self._back_from(newest, MOST + 1, oldest)
        _limit(len(periods), kind)
        return periods

    def _back_from(self, newest: Period, most: int, oldest: Period | None = None) -> list[Period]:
        periods = [newest]
        while len(periods) < most and (oldest is None or periods[-1].start > oldest.start):
            before = periods[-1].start - timedelta(seconds=1)
            periods.append(self.period(newest.kind, before.astimezone(self._tz)))
        return periods[::-1]

    async def select(
        self,
        kind: PeriodKind | None = None,
        *,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> list[Period]:
        """Choose periods and resolve the choice at once; see both."""
        return await self.resolve(self.choose(kind, at=at, last=last, since=since, until=until))

    def enclosing(self, period: Period) -> Period | None:
        """Return the longer period that ``period`` is a part of; ``None`` for weeks and years."""
        longer = LONGER.get(period.kind)
        return None if longer is None else self.period(longer, period.start.astimezone(self._tz))

    def grouped(self, periods: Sequence[Period], now: datetime) -> list[Group]:
        """Put together those periods that make up a longer one which is over.

        Args:
            periods: What ``resolve`` returned: of one kind, oldest first.
            now: The moment that is "now".
        """
        groups: list[Group] = []
        parts: list[Period] = []
        whole: Period | None = None
        for period in periods:
            if not parts or (whole is not None and period.start >= whole.end):
                groups += _group(parts, whole, now)
                whole, parts = self.enclosing(period), []
            parts.append(period)
        return groups + _group(parts, whole, now)


def _group(parts: Sequence[Period], whole: Period | None, now: datetime) -> list[Group]:
    complete = (
        whole is not None
        and len(parts) > 1
        and parts[0].start <= whole.start
        and parts[-1].end >= whole.end
        and whole.end <= now
        and all(later.start <= earlier.end for earlier, later in pairwise(parts))
    )
    return [Group(tuple(parts), whole if complete else None)] if parts else []


def _instants(at: Instant | Sequence[Instant]) -> tuple[Instant, ...]:
    if isinstance(at, date | int | float):
        return (at,)
    if isinstance(at, str | bytes) or not isinstance(at, Sequence):
        raise _no_instant(at)
    if not at:
        raise ValueError("at must name at least one instant, not none")
    return tuple(at)


def _no_instant(at: object) -> TypeError:
    return TypeError(
        f"an instant is an aware datetime, a date or epoch seconds, not {type(at).__name__} {at!r}"
    )


def _limit(count: int, kind: str) -> None:
    if count > MOST:
        raise ValueError(f"more than {MOST} periods of kind {kind!r}: choose a longer kind")


def _zone(tz: str | tzinfo) -> tzinfo:
    if isinstance(tz, tzinfo):
        return tz
    try:
        return UTC if tz == "UTC" else ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"tz must be an IANA time zone or a tzinfo, not {tz!r}") from None


def _clock_period(kind: Literal["minute", "hour"], moment: datetime) -> Period:
    # At the offset of this moment: where the clocks change by half an hour, the hour has seen another.
    offset = moment.utcoffset() or timedelta()
    first = moment.replace(second=0, microsecond=0, tzinfo=timezone(offset), fold=0)
    if kind == "hour":
        first = first.replace(minute=0)
    length = timedelta(hours=1) if kind == "hour" else timedelta(minutes=1)
    label = f"{first:%Y-%m-%dT%H}" if kind == "hour" else f"{first:%Y-%m-%dT%H%M}"
    start = first.astimezone(UTC)
    return Period(kind, f"{label}{first:%z}" if offset else label, start, start + length)
