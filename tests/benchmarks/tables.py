"""Writes tables as Markdown, and figures as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.alternate import Ratio

__all__ = ["Table", "figure", "times"]

DASH, TIMES, EITHER = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}", "\N{PLUS-MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of figures.

    Attributes:
        title: What was measured.
        head: The columns' headings.
        rows: One a contestant.
        note: How it was measured.
        has_words: Whether it is made of words more than of figures.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str
    has_words: bool = False

    def markdown(self, level: int = 2) -> str:
        """Write it as Markdown, under a heading of that level."""
        lines = [f"{'#' * level} {self.title}", "", self.note, "", _row(self.head)]
        lines.append("|---" + ("|---" if self.has_words else "|---:") * (len(self.head) - 1) + "|")
        return "\n".join([*lines, *map(_row, self.rows)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def figure(value: float, digits: int = 1) -> str:
    """Write a figure; one that could not be had is a dash."""
    return DASH if isnan(value) else f"{value:,.{digits}f}"


def times(one: Ratio, digits: int = 2) -> str:
    """Write a ratio, and how far off it may be where that is known."""
    if isnan(one.value):
        return DASH
    value = f"{TIMES}{one.value:,.{digits}f}"
    return (
        value if isnan(one.error) or not one.error else f"{value} {EITHER}{max(1, round(one.error * 100))} %"
    )
