"""The suite of scripts: what each costs the server, at its usual size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.harness import Column, Contestant, Results, Table, compare, tabulate
from tests.benchmarks.peers import COORD
from tests.benchmarks.script_work import YARDSTICKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.harness import Bench

__all__ = ["suite"]

GOAL = 10.0
"""Microseconds that a script is to take at the most."""


def suite(bench: Bench) -> Iterator[Table]:
    """Measure scripts; one table."""
    once = Contestant("coord", COORD, {})
    found = compare(
        bench, "tests.benchmarks.script_work:measured", [once], share=bench.effort.up_to(0.1, 0.3, 0.6)
    )["coord"]
    titles = list(found.samples[0]) if found.samples else []
    rows = {one: Results([sample[one] for sample in found.samples]) for one in titles}
    columns = [
        Column("saturated, µs", "saturated", digits=1),
        Column("alone, µs", "alone", digits=1),
        Column("commands inside", "commands", digits=1),
        Column("their share of alone, µs", "inside", digits=1),
        Column("bytes sent", "bytes"),
    ]
    note = (
        "Microseconds a call by the server's own count (`INFO commandstats`), which is by the clock: what\n"
        "else runs on the server's core is in it. Saturated is in pipelines of up to 500, where a call\n"
        "finds the processor's caches as the last one left them; alone is one at a time, after the server\n"
        f"has slept. {_told(rows)}"
    )
    yield tabulate("Scripts", rows, columns, note=note) if rows else _failed(found)


def _told(rows: dict[str, Results]) -> str:
    """Count the rows that reach the goal."""
    saturated = Column("", "saturated")
    ours = [one for title, one in rows.items() if title not in YARDSTICKS]
    lowest = [min(map(saturated.in_round, one.samples)) for one in ours]
    fit = sum(one <= GOAL for one in lowest)
    return f"{fit} of {len(lowest)} are at {GOAL:g} µs or less when saturated, in the best round."


def _failed(found: Results) -> Table:
    return Table("Scripts", ["", ""], [["all", f"could not be run: {found.problem}"]], "")
