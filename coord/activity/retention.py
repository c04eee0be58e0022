"""Who came back: a table with a row for each cohort, and a column for each period after its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from coord.activity.expressions import every
from coord.activity.plots import heat_map
from coord.activity.survey import tally
from coord.activity.tables import as_csv, as_text, percent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from coord._engine.port import Port
    from coord.activity.expressions import Expression
    from coord.activity.tables import Cell
    from coord.activity.tracks import Track
    from coord.periods import Calendar, Period, PeriodKind

__all__ = ["RetentionRow", "RetentionTable", "survey_retention"]


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """One cohort, and how many of it came back.

    Attributes:
        label: The cohort's period.
        start: Its first moment, in UTC.
        size: How many are in the cohort; so far, if its period is not over.
        cells: How many of them were active in that period, in the one after it, and so on; ``None`` where
            that period is not over.
    """

    label: str
    start: datetime
    size: int
    cells: tuple[int | None, ...]

    @property
    def rates(self) -> tuple[float | None, ...]:
        """The cells as shares of the cohort; ``None`` also where the cohort is empty."""
        return tuple(None if cell is None or not self.size else cell / self.size for cell in self.cells)


@dataclass(frozen=True, slots=True)
class RetentionTable:
    """Who came back, cohort by cohort. Printed, it is a table of percentages.

    Attributes:
        name: The activity.
        kind: The kind of period.
        as_of: The moment by which a period was over or not, the same for every cell.
        rows: The cohorts, oldest first.
    """

    name: str
    kind: PeriodKind
    as_of: datetime
    rows: tuple[RetentionRow, ...]

    def __str__(self) -> str:
        return self.text()

    def text(self, *, counts: bool = False) -> str:
        """Write it out as a table.

        Args:
            counts: Whether to show numbers of ids, and not percentages of the cohort.
        """
        title = f"retention of {self.name!r} by {self.kind}, as of {self.as_of:%Y-%m-%d %H:%M %Z}"
        lines = [[self.kind, "size", *(f"+{column}" for column in range(len(self.rows[0].cells)))]]
        for row in self.rows:
            cells = [
                percent(rate) if not counts or cell is None else str(cell)
                for cell, rate in zip(row.cells, row.rates, strict=True)
            ]
            lines.append([row.label, str(row.size), *cells])
        return as_text(title, lines)

    def records(self) -> list[dict[str, Cell]]:
        """Return one record a cell, for a data frame or a database.

        A record has ``period``, ``start`` (ISO 8601), ``size``, ``offset`` in periods, ``active`` and
        ``rate``; the last two are ``None`` where the period is not over.
        """
        return [
            {
                "period": row.label,
                "start": row.start.isoformat(),
                "size": row.size,
                "offset": offset,
                "active": cell,
                "rate": rate,
            }
            for row in self.rows
            for offset, (cell, rate) in enumerate(zip(row.cells, row.rates, strict=True))
        ]

    def csv(self) -> str:
        """Write the records as CSV, with a heading."""
        return as_csv(self.records())

    def plot(self, axes: Axes | None = None) -> Figure:
        """Draw it as a heat map. Needs the extra ``plots``.

        Args:
            axes: Where to draw; ``None`` for a figure of its own.

        Raises:
            ImportError: matplotlib is not installed.
        """
        return heat_map(self, axes)


@dataclass(frozen=True, slots=True)
class Question:
    """What a retention table is asked about.

    Attributes:
        entered: What puts an id into a row, all of it in the row's period.
        returned: What it must have done, all of it, in the period of the cell.
        columns: How many periods to follow each row for, its own included.
    """

    entered: Sequence[Track]
    returned: Sequence[Track]
    columns: int


async def survey_retention(
    port: Port, calendar: Calendar, question: Question, rows: Sequence[Period], now: datetime
) -> list[RetentionRow]:
    """Count every cell in one pass over the chunks, by one "now"."""
    periods = list(rows)
    while len(periods) < len(rows) + question.columns - 1 and periods[-1].end <= now:
        periods.append(calendar.period(periods[-1].kind, await calendar.moment(periods[-1].end)))
    over = sum(period.end <= now for period in periods)
    wanted: list[Expression] = []
    shapes: list[int] = []
    for start, row in enumerate(rows):
        cohort = _all(question.entered, row)
        returns = [
            every(cohort, _all(question.returned, period))
            for period in periods[start : min(over, start + question.columns)]
        ]
        wanted += [cohort, *returns]
        shapes.append(len(returns))
    counts = iter(await tally(port, wanted))
    table: list[RetentionRow] = []
    for row, known in zip(rows, shapes, strict=True):
        size = next(counts)
        cells = [next(counts) if column < known else None for column in range(question.columns)]
        table.append(RetentionRow(row.label, row.start, size, tuple(cells)))
    return table


def _all(tracks: Sequence[Track], period: Period) -> Expression:
    bitmaps: list[Expression] = [track.bitmap(period) for track in tracks]
    return reduce(every, bitmaps)
