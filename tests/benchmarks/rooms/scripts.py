"""The suite of scripts: what each costs the server, at its usual size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers import COORD
from tests.benchmarks.rounds import Column, Contestant, Results, compare, tabulate
from tests.benchmarks.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.rounds import Bench

__all__ = ["suite"]


def suite(bench: Bench) -> Iterator[Table]:
    """Measure scripts; one table."""
    once = Contestant("coord", COORD, {})
    found = compare(
        bench, "tests.benchmarks.rooms.script_work:measured", [once], share=bench.effort.up_to(0.1, 0.3, 0.6)
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
        "has slept."
    )
    yield tabulate("Scripts", rows, columns, note=note) if rows else _failed(found)


def _failed(found: Results) -> Table:
    return Table("Scripts", ["", ""], [["all", f"could not be run: {found.problem}"]], "")
