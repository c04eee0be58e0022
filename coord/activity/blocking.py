"""The sync faces of the activity: the same flows, stepped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coord._engine.checks import instance, instances
from coord._engine.faces import twin_of
from coord._engine.port import step
from coord.activity.activity import ROWS, AsyncActivity
from coord.activity.cohorts import AsyncCohort, AsyncIds
from coord.activity.funnels import AsyncOrderedFunnel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord.activity.funnels import FunnelReport
    from coord.activity.marks import Id, Marker
    from coord.activity.retention import RetentionTable
    from coord.activity.tracks import Track
    from coord.periods import Instant, PeriodKind

__all__ = ["Activity", "Cohort", "OrderedFunnel"]


@twin_of(AsyncActivity)
class Activity:
    def __init__(self, marker: Marker, track: Track) -> None:
        self._flow = AsyncActivity(marker, track)
        self.name = track.name

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)

    def event(self, name: str) -> Activity:
        flow = self._flow.event(name)
        return Activity(flow._marker, flow._track)

    def mark(self, *ids: Id, at: Instant | None = None) -> None:
        return step(self._flow.mark(*ids, at=at))

    def unmark(self, *ids: Id, at: Instant | None = None) -> None:
        return step(self._flow.unmark(*ids, at=at))

    def is_active(self, one: Id, *, period: PeriodKind | None = None, at: Instant | None = None) -> bool:
        return step(self._flow.is_active(one, period=period, at=at))

    def count(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> int:
        return step(self._flow.count(period=period, at=at, last=last, since=since, until=until))

    def cohort(
        self,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        at_least: int = 1,
    ) -> Cohort:
        return Cohort(
            self._flow.cohort(period=period, at=at, last=last, since=since, until=until, at_least=at_least)
        )

    def at_least(self, least: int, *cohorts: Cohort) -> Cohort:
        return Cohort(self._flow.at_least(least, *(_flow_of(one) for one in cohorts)))

    def retention(
        self,
        *,
        period: PeriodKind | None = None,
        rows: int = ROWS,
        columns: int | None = None,
        of: Activity | Sequence[Activity] | None = None,
        also: Activity | Sequence[Activity] | None = None,
        now: Instant | None = None,
    ) -> RetentionTable:
        return step(
            self._flow.retention(
                period=period, rows=rows, columns=columns, of=_flows(of), also=_flows(also), now=now
            )
        )

    def funnel(self, steps: Mapping[str, Cohort]) -> FunnelReport:
        several = instance(steps, Mapping, "steps")
        return step(self._flow.funnel({name: _flow_of(cohort) for name, cohort in several.items()}))

    def ordered_funnel(self, name: str, *steps: str) -> OrderedFunnel:
        return OrderedFunnel(self._flow.ordered_funnel(name, *steps))


def _flows(activities: Activity | Sequence[Activity] | None) -> Sequence[AsyncActivity] | None:
    if activities is None:
        return None
    return [one._flow for one in instances(activities, Activity, "an event")]


def _flow_of(cohort: Cohort) -> AsyncCohort:
    return instance(cohort, Cohort, "a cohort")._flow


@twin_of(AsyncCohort)
class Cohort:
    def __init__(self, flow: AsyncCohort) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)

    def __and__(self, other: Cohort) -> Cohort:
        return Cohort(self._flow & other._flow) if isinstance(other, Cohort) else NotImplemented

    def __or__(self, other: Cohort) -> Cohort:
        return Cohort(self._flow | other._flow) if isinstance(other, Cohort) else NotImplemented

    def __xor__(self, other: Cohort) -> Cohort:
        return Cohort(self._flow ^ other._flow) if isinstance(other, Cohort) else NotImplemented

    def __sub__(self, other: Cohort) -> Cohort:
        return Cohort(self._flow - other._flow) if isinstance(other, Cohort) else NotImplemented

    def __iter__(self) -> Iterator[Id]:
        ids = AsyncIds(self._flow)
        while (batch := step(ids.batch())) is not None:
            yield from batch

    def count(self) -> int:
        return step(self._flow.count())

    def is_active(self, one: Id) -> bool:
        return step(self._flow.is_active(one))


@twin_of(AsyncOrderedFunnel)
class OrderedFunnel:
    def __init__(self, flow: AsyncOrderedFunnel) -> None:
        self._flow = flow
        self.name = flow.name
        self.steps = flow.steps

    def __repr__(self) -> str:
        return repr(self._flow).replace("Async", "", 1)

    def mark(self, name: str, *ids: Id, at: Instant | None = None) -> None:
        return step(self._flow.mark(name, *ids, at=at))

    def cohort(
        self,
        name: str,
        *,
        period: PeriodKind | None = None,
        at: Instant | Sequence[Instant] | None = None,
        last: int | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        at_least: int = 1,
    ) -> Cohort:
        return Cohort(
            self._flow.cohort(
                name, period=period, at=at, last=last, since=since, until=until, at_least=at_least
            )
        )

    def report(self, *, period: PeriodKind | None = None, at: Instant | None = None) -> FunnelReport:
        return step(self._flow.report(period=period, at=at))
