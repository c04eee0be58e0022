"""The activity: what is marked, and what may be asked about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord._engine.checks import instances, integer
from coord.activity.cohorts import AsyncCohort, Chosen, in_at_least
from coord.activity.funnels import AsyncOrderedFunnel, FunnelReport, in_any_order
from coord.activity.retention import Question, RetentionTable, survey_retention
from coord.periods import MOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coord.activity.marks import Id, Marker
    from coord.activity.tracks import Track
    from coord.periods import Instant, PeriodKind

__all__ = ["AsyncActivity"]

ROWS = 8
"""Cohorts in a retention table, and periods that each is followed: two months of weeks, and as wide as a
terminal."""


class AsyncActivity:
    """Remembers which ids were active in which period.

    Made by ``activity()`` of a ``Coord`` or ``AsyncCoord``. Keep it: it remembers where text ids lie.

    Guarantees: marking is idempotent and exact, and a text id keeps its number for as long as any
    period that may hold its mark. Not guaranteed: that a bitmap survives eviction, and that a call with
    many ids, which travel in slices, is all or nothing.
    """

    def __init__(self, marker: Marker, track: Track) -> None:
        self._marker = marker
        self._track = track
        self.name = track.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._track.title!r}>"

    def event(self, name: str) -> AsyncActivity:
        """Get the marks of one kind of event of this activity.

        Events are marked and asked apart, an event of an event as well, and share their ids: cohorts of one
        activity's events combine, text ids have one number for all of them, and all lie in one slot of a
        cluster.

        Args:
            name: The event.
        """
        return AsyncActivity(self._marker, self._track.event(name))

    async def mark(self, *ids: Id, at: Instant | None = None) -> None:
        """Mark ids as active, in every period kept.

        Args:
            *ids: Numbers from 0 to 2**63; with ``ids="text"``, any ``str``, ``int`` or ``bytes``, where
                ``1``, ``"1"`` and ``b"1"`` are one id. Many travel in slices.
            at: When they were active; ``None`` for now, by the server's clock.

        Raises:
            TypeError: An id is of the wrong type, or ``at`` is no instant.
            ValueError: An id is out of range, or ``at`` is a naive ``datetime``.

        Complexity: O(1) an id and period; for a text id never met, O(log(ids ever marked)).
        """
        await self._marker.mark(self._track, ids, at)

    async def unmark(self, *ids: Id, at: Instant | None = None) -> None:
        """Take marks back, as if the ids had not been active in the shortest period kept.

        Each longer period is worked out anew from the shorter ones that make it up: with days and weeks
        kept, a week stays marked for who was active on another of its days. A longer period is left as it
        is if some of its parts are past their retention, since these may have been forgotten.

        Args:
            *ids: As for ``mark``; those that are not marked are skipped.
            at: In which periods; ``None`` for the current ones.

        Raises:
            ValueError: Also if a kept period is made up of no shorter one that is kept, as a month is not
                made up of weeks, or of more than 1,000 of them.

        Complexity: O(parts of the longer periods) an id, in one step.
        """
        await self._marker.unmark(self._track, ids, at)

    async def is_active(
        self, one: Id, *, period: PeriodKind | None = None, at: Instant | None = None
    ) -> bool:
        """Say whether an id was active in one period.

        Args:
            one: The id.
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant; ``None`` for the current one.

        Complexity: O(1), in one call; with text ids, in two.
        """
        return await self.cohort(period=period, at=at).is_active(one)

    async def count(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> int:
        """Count the ids that were active in one period, or in any of several. Exact.

        Args:
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant, or in those of several; ``None`` for the current one.
            last: In so many periods, the current one included.
            since: In all from the period of this instant ...
            until: ... to the period of this one, both included; ``None`` for the current one.

        Raises:
            ValueError: The ways to choose are mixed, or there are more than 1,000 periods.

        Complexity: as for ``count`` of a cohort.
        """
        return await self.cohort(period=period, at=at, last=last, since=since, until=until).count()

    def cohort(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        at_least: int = 1,
    ) -> AsyncCohort:
        """Name those who were active in one period, or in at least so many of several.

        Nothing is read until the cohort is asked something.

        Args:
            period: Which kind of period to read, if several are kept; ``None`` for the first.
            at: In the period of this instant, or in those of several; ``None`` for the current one.
            last: In so many periods, the current one included.
            since: In all from the period of this instant ...
            until: ... to the period of this one, both included; ``None`` for the current one.
            at_least: In how many of the periods chosen.
        """
        integer(at_least, "at_least", at_least=1, at_most=MOST)
        choice = self._marker.calendar.choose(period, at=at, last=last, since=since, until=until)
        return AsyncCohort(self._marker, self._track, Chosen(self._marker, self._track, choice, at_least))

    def at_least(self, least: int, *cohorts: AsyncCohort) -> AsyncCohort:
        """Name those who are in at least so many of several cohorts, of this activity or another.

        Args:
            least: How many.
            *cohorts: Of which cohorts.

        Raises:
            ValueError: ``least`` is not from 1 to the number of cohorts, or they do not combine.
        """
        return in_at_least(least, cohorts)

    async def retention(
        self,
        *,
        period: PeriodKind | None = None,
        rows: int = ROWS,
        columns: int | None = None,
        of: AsyncActivity | Sequence[AsyncActivity] | None = None,
        also: AsyncActivity | Sequence[AsyncActivity] | None = None,
        now: Instant | None = None,
    ) -> RetentionTable:
        """Count who came back: of those active in each period, how many were active in later ones.

        A cell whose period is not over is ``None``, and never a number that would still grow. Periods past
        their retention count as empty.

        Args:
            period: Which kind of period, if several are kept; ``None`` for the first.
            rows: How many cohorts, the period of ``now`` included.
            columns: How many periods to follow each, its own included; ``None`` for as many as rows.
            of: The event that makes a cohort, such as signing up, or several that must all have happened
                in its period; ``None`` for this activity itself.
            also: What must have happened, beside this activity, in the period that someone came back in.
            now: The moment by which periods are over or not; ``None`` for now, by the server's clock.

        Raises:
            ValueError: ``rows`` or ``columns`` is not from 1 to 1,000, the ids do not combine, or another
                activity does not keep this kind of period, or by another time zone or first day of the week.

        Complexity: O(chunks * (rows + columns)) bitmaps of 16 KiB read, up to 64 in one step.
        """
        integer(rows, "rows", at_least=1, at_most=MOST)
        columns = integer(rows if columns is None else columns, "columns", at_least=1, at_most=MOST)
        calendar = self._marker.calendar
        calendar.check(now)
        choice = calendar.choose(period, last=rows)
        entered = self._tracks([self] if of is None else of, choice.kind)
        returned = [self._track, *self._tracks([] if also is None else also, choice.kind)]
        moment = await calendar.moment(now)
        chosen = await calendar.resolve(choice, moment)
        question = Question(entered, returned, columns)
        table = await survey_retention(self._marker.port, calendar, question, chosen, moment)
        return RetentionTable(self._track.title, choice.kind, moment, tuple(table))

    def _tracks(self, activities: AsyncActivity | Sequence[AsyncActivity], kind: str) -> list[Track]:
        several = instances(activities, AsyncActivity, "an event")
        for one in several:
            self.cohort()._require_same_ids(one.cohort())
            why = self._marker.calendar.differs(one._marker.calendar, kind)
            if why:
                raise ValueError(
                    f"{self._track.title!r} and {one._track.title!r} cannot share a table by {kind}: {why}"
                )
        return [one._track for one in several]

    async def funnel(self, steps: Mapping[str, AsyncCohort]) -> FunnelReport:
        """Count how many are in the first of several cohorts, in the first two, and so on.

        That those at a step took all the steps before it says nothing of the order in which they did.
        ``ordered_funnel()`` does.

        Args:
            steps: The cohorts by the names of the steps, first to last.

        Raises:
            ValueError: There are no steps, or the cohorts do not combine.
        """
        return await in_any_order(self._track.title, steps)

    def ordered_funnel(self, name: str, *steps: str) -> AsyncOrderedFunnel:
        """Make a funnel whose steps count only in their order. It keeps marks of its own.

        Args:
            name: The funnel.
            *steps: The steps, first to last.

        Raises:
            ValueError: There are no steps, or two of one name.
        """
        return AsyncOrderedFunnel(self._marker, self._track, name, steps)
