"""Rows as text for people, and as CSV for programs."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Cell", "as_csv", "as_text", "percent"]

Cell = str | int | float | None
"""What a row may hold; ``None`` where there is nothing to say."""

NOTHING = "-"


def percent(rate: float | None) -> str:
    """Write a share of 1 as a percentage."""
    return NOTHING if rate is None else f"{rate:.0%}"


def as_text(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Set rows out in columns: the first to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])


def as_csv(records: Sequence[Mapping[str, Cell]]) -> str:
    """Write records as CSV with a heading (RFC 4180); ``None`` is an empty field."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]) if records else [])
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()
