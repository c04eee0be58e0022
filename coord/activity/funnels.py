"""How far people get: funnels in any order, and funnels in strict order.

Theory
------
From bitmaps alone one can tell that an id did two things, and not which of them first. A funnel over
cohorts (``activity.funnel()``) therefore counts those who did all the steps so far *in any order*.

An ordered funnel keeps marks of its own. The script that marks step k sets a bit only where step k - 1 has
it, in the same period. So whoever has the bit of a step went through all the steps before it, in this
order, within that period. The order is that in which the marks arrived at the server: ``at=`` chooses the
period, and does not sort.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord._engine.checks import instance, integer
from coord.activity.cohorts import AsyncCohort, Chosen
from coord.activity.plots import bars
from coord.activity.tables import as_csv, as_text, percent
from coord.periods import MOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from coord.activity.marks import Id, Marker
    from coord.activity.tables import Cell
    from coord.activity.tracks import Track
    from coord.periods import Instant, PeriodKind

__all__ = ["AsyncOrderedFunnel", "FunnelReport", "FunnelStep", "in_any_order"]


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """How many got to one step of a funnel.

    Attributes:
        name: The step.
        count: How many ids got there.
        of_first: Which share that is of those at the first step; ``None`` if there are none.
        of_previous: Which share that is of those at the step before; ``None`` if there are none, or no
            step before.
    """

    name: str
    count: int
    of_first: float | None
    of_previous: float | None


@dataclass(frozen=True, slots=True)
class FunnelReport:
    """How many got to each step. Printed, it is a table.

    Attributes:
        name: The activity, or the ordered funnel.
        ordered: Whether the steps were taken in this order.
        steps: The steps, first to last.
    """

    name: str
    ordered: bool
    steps: tuple[FunnelStep, ...]

    def __str__(self) -> str:
        rows = [["step", "ids", "of first", "of previous"]]
        rows += [
            [step.name, str(step.count), percent(step.of_first), percent(step.of_previous)]
            for step in self.steps
        ]
        order = "in order" if self.ordered else "in any order"
        return as_text(f"funnel of {self.name!r}, {order}", rows)

    def records(self) -> list[dict[str, Cell]]:
        """Return one record a step: ``step``, ``ids``, ``of_first``, ``of_previous``."""
        return [
            {"step": step.name, "ids": step.count, "of_first": step.of_first, "of_previous": step.of_previous}
            for step in self.steps
        ]

    def csv(self) -> str:
        """Write the records as CSV, with a heading."""
        return as_csv(self.records())

    def plot(self, axes: Axes | None = None) -> Figure:
        """Draw it as bars. Needs the extra ``plots``.

        Args:
            axes: Where to draw; ``None`` for a figure of its own.

        Raises:
            ImportError: matplotlib is not installed.
        """
        return bars(self, axes)


def _report(name: str, names: Sequence[str], counts: Sequence[int], *, ordered: bool) -> FunnelReport:
    steps = [
        FunnelStep(
            step,
            count,
            of_first=count / counts[0] if counts[0] else None,
            of_previous=count / counts[at - 1] if at and counts[at - 1] else None,
        )
        for at, (step, count) in enumerate(zip(names, counts, strict=True))
    ]
    return FunnelReport(name, ordered, tuple(steps))


async def in_any_order(name: str, steps: Mapping[str, AsyncCohort]) -> FunnelReport:
    """Count who is in the first cohort, in the first two, and so on, in one pass.

    Raises:
        ValueError: There are no steps, or the cohorts do not combine.
    """
    if not instance(steps, Mapping, "steps"):
        raise ValueError("a funnel needs at least one step")
    cohorts = [instance(one, AsyncCohort, "a cohort") for one in steps.values()]
    for at in range(1, len(cohorts)):
        cohorts[at] = cohorts[at - 1] & cohorts[at]
    counts = await cohorts[0]._tally(cohorts)
    return _report(name, list(steps), counts, ordered=False)


class AsyncOrderedFunnel:
    """A funnel whose steps count only in their order.

    Made by ``ordered_funnel()`` of an activity. In each period that the activity keeps, the mark of a step
    counts if the step before it has been marked in that same period: a funnel by day starts anew each day,
    one by week each week.

    Guarantees: marking is idempotent; of marks that race, those count whose step before had arrived.
    Not guaranteed: an order by ``at``. It is the order of arrival at the server.
    """

    def __init__(self, marker: Marker, track: Track, name: str, steps: tuple[str, ...]) -> None:
        if not steps or len(set(steps)) < len(steps):
            raise ValueError(f"an ordered funnel needs steps of different names, not {steps!r}")
        self._marker = marker
        self._tracks = {step: track.step(name, step) for step in steps}
        self.name = name
        self.steps = steps

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {', '.join(self.steps)}>"

    def _track(self, name: str) -> Track:
        if name not in self._tracks:
            raise ValueError(f"a step must be one of {', '.join(map(repr, self.steps))}, not {name!r}")
        return self._tracks[name]

    async def mark(self, name: str, *ids: Id, at: Instant | None = None) -> None:
        """Mark that ids took a step, in every period in which they had taken the one before.

        Args:
            name: Which step.
            *ids: As for ``mark`` of the activity.
            at: When; ``None`` for now, by the server's clock.

        Raises:
            TypeError: An id is of the wrong type, or ``at`` is no instant.
            ValueError: There is no such step, an id is out of range, or ``at`` is a naive ``datetime``.

        Complexity: O(1) an id and period.
        """
        track = self._track(name)
        position = self.steps.index(name)
        gate = self._tracks[self.steps[position - 1]] if position else None
        await self._marker.mark(track, ids, at, gate)

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
    ) -> AsyncCohort:
        """Name those who got to a step; the choice of periods is that of ``cohort()`` of an activity."""
        choice = self._marker.calendar.choose(period, at=at, last=last, since=since, until=until)
        integer(at_least, "at_least", at_least=1, at_most=MOST)
        chosen = Chosen(self._marker, self._track(name), choice, at_least)
        return AsyncCohort(self._marker, self._track(name), chosen)

    async def report(self, *, period: PeriodKind | None = None, at: Instant | None = None) -> FunnelReport:
        """Count who got to each step, in one period.

        Args:
            period: Which kind of period, if several are kept; ``None`` for the first.
            at: In the period of this instant; ``None`` for the current one.
        """
        cohorts = [self.cohort(name, period=period, at=at) for name in self.steps]
        return _report(self.name, self.steps, await cohorts[0]._tally(cohorts), ordered=True)
