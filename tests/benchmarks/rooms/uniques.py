"""The suite of unique counters: what they take, how long they take, and how often their bounds hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.benchmarks.peers import COORD, REDIS_PY
from tests.benchmarks.rounds import Column, Contestant, Effort, Results, compare, tabulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.rounds import Bench
    from tests.benchmarks.tables import Table

__all__ = ["suite"]

WORK = "tests.benchmarks.rooms.uniques_work"
ONE = Contestant("coord", COORD, {"contestant": "coord"})
SKETCH = Contestant("plain PFADD, PFCOUNT", REDIS_PY, {"contestant": "PFADD"})
SET = Contestant("plain SADD of the ids", REDIS_PY, {"contestant": "SADD"})
SIZES = [10, 100, 512, 513, 2000, 100_000]


def suite(bench: Bench) -> Iterator[Table]:
    """Measure unique counters; a table at a time, as it is done."""
    yield _held(bench)
    for batch in (1, 1000):
        yield _added(bench, batch)
    yield _counted(bench)
    once = replace(bench, effort=Effort(quick=True))
    yield _promoted(once)
    yield _covered(once, bench.effort.up_to(200, 200, 1500))
    yield _overlapped(once, bench.effort.up_to(20, 40, 150))


def _held(bench: Bench) -> Table:
    results = compare(bench, f"{WORK}:held", [ONE, SKETCH, SET], sizes=SIZES)
    columns = [Column(f"{size:,} ids", f"bytes {size}") for size in SIZES]
    note = "Bytes of one period by `MEMORY USAGE`, with ids of 36 characters."
    return tabulate("Memory of a period", results, columns, note=note)


def _added(bench: Bench, batch: int) -> Table:
    times = bench.effort.up_to(300, 500, 1500) if batch == 1 else bench.effort.up_to(5, 10, 20)
    results = compare(bench, f"{WORK}:added", [ONE, SKETCH], batch=batch, times=times)
    columns = [
        Column("one period, µs a call", "one", digits=1, ratio="to PFADD"),
        Column("six periods, µs a call", "six", digits=1, ratio="to six PFADDs"),
    ]
    note = (
        f"The server's time for {batch:,} new ids of 36 characters. coord gives each key its TTL, keeps few\n"
        "ids exactly, and updates all six periods in one step; the plain commands do none of that."
    )
    return tabulate(f"Adding {batch:,} at a time", results, columns, baseline=SKETCH.name, note=note)


def _counted(bench: Bench) -> Table:
    results = compare(
        bench, f"{WORK}:counted", [ONE, SKETCH], ids=5000, times=bench.effort.up_to(20, 40, 100)
    )
    columns = [
        Column("a day, µs", "day", digits=1),
        Column("30 days, µs", "thirty", digits=1, ratio="to PFCOUNT"),
        Column("a year, the first time, µs", "year first"),
        Column("a year, µs", "year", digits=1, ratio="to PFCOUNT"),
    ]
    note = (
        "The server's time for a count over days of 5,000 ids each. The first of a year makes its roll-ups."
    )
    return tabulate("Counting a range of days", results, columns, baseline=SKETCH.name, note=note)


def _promoted(bench: Bench) -> Table:
    results = compare(
        bench, f"{WORK}:promoted", [Contestant("coord", COORD, {})], sets=10_000 // bench.effort.rounds
    )
    columns = [Column("sets a round", "sets"), Column("wrong, or not exact", "wrong")]
    note = "Sets of 1 to 512 ids, of random sizes."
    return tabulate("Counts up to 512", results, columns, note=note)


def _covered(bench: Bench, trials: int) -> Table:
    results: dict[str, Results] = {}
    for ids in (600, 1000, 3000, 10_000, 30_000, 100_000):
        row = Contestant(f"{ids:,} ids", COORD, {"ids": ids})
        results |= compare(bench, f"{WORK}:covered", [row], trials=max(20, min(trials, 4000 * trials // ids)))
    for ids in (1_000_000, 100_000_000):
        row = Contestant(f"{ids:,} ids, drawn", COORD, {"ids": ids})
        results |= compare(bench, f"{WORK}:covered_sampled", [row], trials=min(trials, 500))
    columns = [
        Column("inside, %", "inside", digits=1),
        Column("standard error measured, %", "deviation", digits=3),
        Column("computed, %", "computed", digits=3),
    ]
    note = (
        f"How often `low` to `high` holds the true number; up to {trials:,} different sets a round.\n"
        "Sketches that are drawn were not filled id by id, but register by register, as chance would."
    )
    return tabulate("Coverage of the 95 % bounds", results, columns, note=note)


def _overlapped(bench: Bench, trials: int) -> Table:
    results: dict[str, Results] = {}
    for one, other, common in (
        (100_000, 100_000, 1000), (100_000, 100_000, 10_000), (100_000, 100_000, 50_000),
        (1_000_000, 10_000, 5000), (2000, 2000, 500),
    ):  # fmt: skip
        row = Contestant(
            f"{common:,} of {one:,} and {other:,}", COORD, {"one": one, "other": other, "common": common}
        )
        results |= compare(
            bench, f"{WORK}:overlapped", [row], trials=trials if one < 1_000_000 else max(4, trials // 15)
        )
    columns = [
        Column("standard error, ids", "deviation"),
        Column("inside, %", "inside", digits=1),
        Column("refused unless asked, %", "refused", digits=1),
    ]
    note = f"The overlap of two sets; up to {trials:,} pairs a round."
    return tabulate("Overlaps", results, columns, note=note)
