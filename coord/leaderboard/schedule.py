"""Which boards a submission goes to, and which one a read is about, when a board has periods.

One submission feeds the current hour, day, week, month, year, season and all time, as far as they are kept,
in one script, from one instant. A period's board has its own keys, which go some time after it is over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

from coord._engine.checks import integer, one_of, seconds
from coord._engine.keys import escape
from coord._engine.port import step
from coord.leaderboard.scores import KEEPS
from coord.periods import KINDS, MOST, Calendar, PeriodKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

    from coord._engine.checks import Seconds
    from coord._engine.clock import ServerClock
    from coord.leaderboard.scores import Keep
    from coord.periods import Instant, Weekday

__all__ = ["ALL", "ALL_TIME", "BoardPeriod", "Schedule", "Season", "Slot", "Window"]

BoardPeriod = PeriodKind | Literal["season", "all"]
"""A kind of period that a board may keep."""

ALL: Final = "all"
SEASON: Final = "season"
PERIODS: tuple[BoardPeriod, ...] = (*KINDS, SEASON, ALL)
SEASON_RETAIN = 5 * 366 * 86_400.0
"""Seconds that a season is kept after its end: as long as a month, which may be about as long."""

MOST_AGO = MOST - 1
"""Periods before the current one: with that, as many as any read reaches over."""


@dataclass(frozen=True, slots=True)
class Season:
    """A period of one's own making.

    Attributes:
        name: What it is called; a part of its board's keys.
        start: Its first moment: an aware ``datetime``, epoch seconds, or a ``date`` for the beginning of
            that day in the board's time zone.
        end: The first moment after it.
    """

    name: str
    start: Instant
    end: Instant


@dataclass(frozen=True, slots=True)
class Window:
    """Which period of a board to read.

    Attributes:
        kind: The kind of period.
        at: The one that this instant belongs to; ``None`` for
        ago: so many before the current one.
    """

    kind: BoardPeriod
    at: Instant | None = None
    ago: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One period of a board.

    Attributes:
        kind: Its kind.
        within: Its parts of the board's keys; none for all time.
        ends: When it ends, milliseconds since the epoch; empty if it never does.
        retain: How long it is kept after that, milliseconds.
    """

    kind: BoardPeriod
    within: tuple[str, ...]
    ends: int | str
    retain: int


ALL_TIME = Slot(ALL, (), "", 0)


class Schedule:
    """The periods that a board keeps.

    Args:
        period: One kind, several, or a rule for each: ``{"day": "best", "all": "sum"}``.
        tz: As for a ``Calendar``.
        week_start: As for a ``Calendar``.
        retain: As for a ``Calendar``; ``None`` keeps a season for five years.
        seasons: Those that there are, if ``"season"`` is kept.
        clock: The server's clock.

    Raises:
        ValueError: A kind or a rule is unknown, seasons overlap, or there are none but should be.
    """

    def __init__(
        self,
        period: BoardPeriod | Sequence[BoardPeriod] | Mapping[BoardPeriod, Keep],
        *,
        tz: str | tzinfo,
        week_start: Weekday,
        retain: Seconds | None,
        seasons: Sequence[Season],
        clock: ServerClock,
    ) -> None:
        self.kinds: tuple[BoardPeriod, ...] = (period,) if isinstance(period, str) else tuple(period)
        if not self.kinds or len(set(self.kinds)) < len(self.kinds) or not set(self.kinds) <= set(PERIODS):
            raise ValueError(f"period must be one or several of {', '.join(PERIODS)}, not {period!r}")
        self.keeps: dict[BoardPeriod, Keep] = {}
        if isinstance(period, Mapping):
            self.keeps = {kind: one_of(keep, "keep", KEEPS) for kind, keep in period.items()}
        kept: list[PeriodKind] = [kind for kind in KINDS if kind in self.kinds]
        self._calendar = Calendar(kept or KINDS, tz, retain, clock, week_start)
        self._season_retain = SEASON_RETAIN if retain is None else seconds(retain, "retain", at_least=0)
        self._seasons = self._ordered(seasons)
        if (SEASON in self.kinds) != bool(seasons):
            raise ValueError('period="season" and seasons= go together; give both or none')

    @classmethod
    def of(
        cls,
        period: BoardPeriod | Sequence[BoardPeriod] | Mapping[BoardPeriod, Keep] | None,
        *,
        tz: str | tzinfo,
        week_start: Weekday,
        retain: Seconds | None,
        seasons: Sequence[Season],
        clock: ServerClock,
    ) -> Schedule | None:
        """Make a schedule, or none for a board without periods."""
        if period is None and not seasons:
            return None
        return cls(period or (), tz=tz, week_start=week_start, retain=retain, seasons=seasons, clock=clock)

    def _ordered(self, seasons: Sequence[Season]) -> list[tuple[datetime, datetime, str]]:
        found = [
            (self._moment(season.start), self._moment(season.end), escape(season.name, "a season's name"))
            for season in seasons
        ]
        for start, end, name in found:
            if end <= start:
                raise ValueError(f"season {name!r} must end after it starts")
        found.sort()
        for before, after in pairwise(found):
            if after[0] < before[1]:
                raise ValueError(f"seasons must not overlap, as {before[2]!r} and {after[2]!r} do")
        if len({name for _, _, name in found}) < len(found):
            raise ValueError("each season must have a name of its own")
        return found

    def _moment(self, at: Instant) -> datetime:
        self._calendar.check(at)
        return step(self._calendar.moment(at))  # of a given instant, which nobody need be asked about

    def check(self, at: Instant | None) -> None:
        """Refuse what is no instant, before anything is sent."""
        self._calendar.check(at)

    def window(self, kind: BoardPeriod, at: Instant | None, ago: int) -> Window:
        """Name a period to read, and refuse what makes no sense."""
        one_of(kind, "period", self.kinds)
        self.check(at)
        integer(ago, "ago", at_least=0, at_most=MOST_AGO)
        if at is not None and ago:
            raise ValueError("give at= or ago=, not both")
        if kind == ALL and (at is not None or ago):
            raise ValueError('there is one "all" and no other, so at= and ago= have no meaning for it')
        return Window(kind, at, ago)

    async def slots(self, at: Instant | None) -> list[Slot]:
        """Return the period of each kind that is kept, but for a season where none is on.

        Raises:
            ValueError: Nothing else is kept, and no season is on.
        """
        moment = await self._calendar.moment(at)
        found = [self._slot(kind, moment) for kind in self.kinds]
        slots = [slot for slot in found if slot is not None]
        if not slots:
            raise ValueError(f"no season is on at {moment:%Y-%m-%d %H:%M %Z}")
        return slots

    async def usual(self) -> Slot | None:
        """Return the period to read where none is named: the first that a submission goes to now.

        That is the first kind kept, or where that is a season and none is on, the next; with no other kind,
        the season that was last.
        """
        moment = await self._calendar.moment(None)
        found = (self._slot(kind, moment) for kind in self.kinds)
        return next((slot for slot in found if slot is not None), None) or await self.slot(Window(SEASON))

    async def slot(self, window: Window) -> Slot | None:
        """Return the period to read; ``None`` for a season where there is none."""
        if window.kind in KINDS and window.ago:
            periods = await self._calendar.select(window.kind, last=window.ago + 1)
            moment = periods[0].start
        else:
            moment = await self._calendar.moment(window.at)
        if window.kind == SEASON and window.at is None:
            begun = [season for season in self._seasons if season[0] <= moment]
            if window.ago >= len(begun):
                return None
            moment = begun[-1 - window.ago][0]  # the last one, also when it is over
        return self._slot(window.kind, await self._calendar.moment(moment))

    def _slot(self, kind: BoardPeriod, moment: datetime) -> Slot | None:
        if kind == ALL:
            return ALL_TIME
        if kind == SEASON:
            for start, end, name in self._seasons:
                if start <= moment < end:
                    ends = math.ceil(end.timestamp() * 1000)
                    return Slot(SEASON, (SEASON, name), ends, math.ceil(self._season_retain * 1000))
            return None
        period = self._calendar.period(kind, moment)
        ends, retain = self._calendar.lifetimes([period])
        return Slot(kind, (kind, period.label), ends, retain)
