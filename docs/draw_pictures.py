"""Draws the pictures of the how-to pages: ``python docs/draw_pictures.py``.

The data are made up, and the same each time. Nothing but the extras ``memory`` and ``plots`` is needed.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from coord import Coord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = Path(__file__).parent / "pictures"
FIRST = date(2025, 3, 31)
WEEKS = 8


def retention(coord: Coord) -> Figure:
    """Draw weekly cohorts that come back less and less, and settle."""
    chance = random.Random(1)
    members = coord.activity("members", period="week")
    signups = members.event("signups")
    newest = 0
    for week in range(WEEKS):
        joined = range(newest, newest + chance.randrange(400, 900))
        newest = joined.stop
        signups.mark(*joined, at=FIRST + timedelta(weeks=week))
        for age in range(WEEKS - week):
            staying = 1.0 if not age else (0.24 + 0.5 / age) * chance.uniform(0.85, 1.1)
            active = [one for one in joined if chance.random() < staying]
            members.mark(*active, at=FIRST + timedelta(weeks=week + age))
    table = members.retention(of=signups, rows=WEEKS, now=FIRST + timedelta(weeks=WEEKS - 1, days=3))
    return table.plot()


def funnel(coord: Coord) -> Figure:
    """Draw a checkout that loses people on the way."""
    checkout = coord.activity("shop").ordered_funnel("checkout", "cart", "address", "payment", "paid")
    for step, reached in zip(checkout.steps, (5000, 3047, 2211, 1790), strict=True):
        checkout.mark(step, *range(reached), at=FIRST)
    return checkout.report(at=FIRST).plot()


def main() -> None:
    """Draw all of them."""
    mpl.rcParams["svg.hashsalt"] = "coord"  # the same names of elements each time
    mpl.rcParams["svg.fonttype"] = "none"  # text as text: small, and the reader's font
    with Coord.connect("memory://") as coord:
        for draw in (retention, funnel):
            figure = draw(coord)
            figure.savefig(PICTURES / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
