"""What a terminal is shown: columns that fit, durations, and nothing that it would obey."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["WIDEST", "Listing", "is_dumb", "printable", "seconds", "table"]

WIDEST = 48
"""Letters of a name that a table shows: most names, and room for the other columns."""

NARROWEST = 8
"""Letters that a column of names keeps however narrow the terminal is: less tells no name from another."""

PAGE = 500
"""Rows that a listing keeps before it shows them: many screens, and some 100 KB."""


def is_dumb() -> bool:
    """Tell whether the output must be plain: no terminal, one that says so, or a user who does."""
    return not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def printable(text: str, width: int = 72) -> str:
    """Spell what came from outside so that a terminal shows it and does not obey it."""
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text[: width + 1]
    )
    return _cut(shown, width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def seconds(value: float | None) -> str:
    """Spell a duration."""
    return "?" if value is None else f"{value:,.1f} s"


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Collection[str],
    *,
    with_headings: bool = True,
) -> list[str]:
    """Lay rows out in columns; those whose heading is among ``numbers`` to the right.

    On a terminal, and where ``COLUMNS`` says how wide, columns of names are cut until a row fits. Where the
    output goes elsewhere they are not.
    """
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    names = [column for column, heading in enumerate(headings) if heading not in numbers]
    over = sum(widths) + 2 * (len(widths) - 1) - _columns()
    while over > 0 and names and widths[widest := max(names, key=widths.__getitem__)] > NARROWEST:
        widths[widest] -= 1
        over -= 1
    return [
        "  ".join(
            cell.rjust(width) if heading in numbers else _cut(cell, width).ljust(width)
            for heading, cell, width in zip(headings, row, widths, strict=True)
        ).rstrip()
        for row in ((headings, *rows) if with_headings else rows)
    ]


def _columns() -> float:
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return float("inf")
    return shutil.get_terminal_size((80, 24)).columns


class Listing:
    """Rows that are shown as they are found, in pages, so that any number of them takes little memory.

    Args:
        headings: Of the columns.
        numbers: Those of the columns that are numbers.
        empty: What to say if there is no row.
        as_json: Whether to write a JSON array instead, a row a line.
    """

    def __init__(
        self, headings: Sequence[str], numbers: Collection[str], empty: str, *, as_json: bool
    ) -> None:
        self._headings, self._numbers = headings, numbers
        self._empty, self._as_json = empty, as_json
        self._kept: list[tuple[Sequence[str], Mapping[str, Any], float]] = []
        self.shown = 0

    def add(self, cells: Sequence[str], told: Mapping[str, Any], weight: float = 0) -> None:
        """Take in a row: its cells, what JSON tells of it, and what sorts it before the lighter ones."""
        self._kept.append((cells, told, weight))
        if len(self._kept) >= PAGE:
            self._flush()

    def end(self) -> None:
        """Show what is left."""
        self._flush()
        if self._as_json:
            print("\n]" if self.shown else "[]")
        elif not self.shown:
            print(self._empty)

    def _flush(self) -> None:
        if self._kept:
            self._kept.sort(key=lambda row: (-row[2], row[0]))
            print(*self._lines(), sep="\n", end="" if self._as_json else "\n", flush=True)
            self.shown += len(self._kept)
            self._kept.clear()

    def _lines(self) -> Iterator[str]:
        if not self._as_json:
            rows = [cells for cells, *_ in self._kept]
            yield from table(self._headings, rows, self._numbers, with_headings=not self.shown)
            return
        lines = [f"  {json.dumps(told)}" for _, told, _ in self._kept]
        yield (",\n" if self.shown else "[\n") + ",\n".join(lines)
