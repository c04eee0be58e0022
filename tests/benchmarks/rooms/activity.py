"""The suite of activities: what a mark costs, what it keeps, and what is asked of millions of ids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.benchmarks.peers import BITMAPIST, COORD, REDIS_PY
from tests.benchmarks.rounds import Column, Contestant, Effort, compare, tabulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.peers import Peer
    from tests.benchmarks.rounds import Bench
    from tests.benchmarks.tables import Table

__all__ = ["suite"]

WORK = "tests.benchmarks.rooms.activity_work"
BASELINE = "`SETBIT`, pipelined"
WEEKS = 8


def _row(name: str, peer: Peer, contestant: str = "") -> Contestant:
    return Contestant(name, peer, {"contestant": contestant or name})


NUMBERS = _row("coord", COORD)
TEXT = _row('coord, `ids="text"`', COORD, "coord text")
FLOOR = _row("the least that a script must do", REDIS_PY, "floor")
PLAIN = _row(BASELINE, REDIS_PY, "setbit")
PEER = _row("bitmapist", BITMAPIST)
ALL = [NUMBERS, TEXT, PLAIN, PEER]
WITHOUT_TEXT = [NUMBERS, PLAIN, PEER]
STEP = Column("slowest step, ms", "slowest_ms", digits=2)
LEFT = Column("keys left", "left")
QUESTIONS = [
    "count of a day", "count of 3 days", "a & b", "a / b", "a ^ b", "a - b", "at least 2 of 3", "is_active",
    "iteration", "iteration, text", "retention", "funnel", "ordered funnel", "mark 1,000",
    "mark 1,000, text", "mark 1,000, ordered", "unmark 1,000",
]  # fmt: skip


def suite(bench: Bench) -> Iterator[Table]:
    """Measure activities; a table at a time, as it is done."""
    yield _one_by_one(bench, again=False)
    yield _one_by_one(bench, again=True)
    for batch in (1, 50):
        yield _saturated(bench, batch)
    yield _at_once(bench)
    yield _far(bench)
    yield _kept(bench)
    yield _both_days(bench)
    yield _retention(bench)
    yield _asked(bench)


def _one_by_one(bench: Bench, *, again: bool) -> Table:
    times = bench.effort.up_to(1000, 1500, 3000)
    results = compare(bench, f"{WORK}:one_by_one", ALL, times=times, again=again)
    columns = [
        Column("marks/s", "rate", ratio="to SETBIT"),
        Column("server, µs a mark", "server_us", digits=1),
    ]
    note = (
        f"{times:,} ids of 100,000, one call each, in a day, a week and a month: "
        + ("all marked before." if again else "each for the first time.")
        + "\nThe server's time is that of its commands, by its own count, while it has nothing else to do."
    )
    title = "Marking one id again" if again else "Marking one id"
    return tabulate(title, results, columns, baseline=BASELINE, note=note)


def _saturated(bench: Bench, batch: int) -> Table:
    few = replace(bench, effort=Effort(quick=True))
    times = bench.effort.of(2000, 5000) // batch
    results = compare(few, f"{WORK}:saturated", [FLOOR, TEXT, NUMBERS], batch=batch, times=times)
    columns = [Column("server, µs a mark", "server_us", digits=2, ratio="to the least")]
    note = (
        f"{times * batch:,} ids, {batch} a call, in a day, a week and a month, all marked before. Two\n"
        "clients send pipelines of 100 calls. The least is a script that looks up numbers and sets bits."
    )
    return tabulate(f"Marking {batch} a call, saturated", results, columns, baseline=FLOOR.name, note=note)


def _at_once(bench: Bench) -> Table:
    times, span = 10_000, 1_000_000
    results = compare(bench, f"{WORK}:at_once", ALL, times=times, span=span)
    columns = [
        Column("ms", "ms", digits=1, ratio="to SETBIT"),
        Column("server, ms", "server_ms", digits=1, ratio="to SETBIT"),
        STEP,
    ]
    note = f"{times:,} ids of {span:,}, in one call, in a day, a week and a month."
    return tabulate("Marking many ids", results, columns, baseline=BASELINE, note=note)


def _far(bench: Bench) -> Table:
    few = replace(bench, effort=Effort(quick=True))
    results = compare(few, f"{WORK}:far", WITHOUT_TEXT)
    columns = [Column("memory, KiB", "kib"), STEP]
    note = "Id 3,000,000,000, in a day, a week and a month. Memory is `MEMORY USAGE` of all keys."
    return tabulate("One id far out", results, columns, note=note)


def _kept(bench: Bench) -> Table:
    few = replace(bench, effort=Effort(quick=True))
    ids = bench.effort.up_to(50_000, 100_000, 200_000)
    results = compare(few, f"{WORK}:kept", ALL, ids=ids)
    note = (
        f"{ids:,} ids, 0 and up, in a day, a week and a month; as text, numbers of 36 digits.\n"
        "`MEMORY USAGE` of all keys. Text ids take a bitmap's share too, which is what the first row shows."
    )
    return tabulate("Memory", results, [Column("bytes an id", "bytes", digits=1)], note=note)


def _both_days(bench: Bench) -> Table:
    few = replace(bench, effort=Effort(quick=True))
    ids = bench.effort.up_to(2**22, 2**24, 2**27)
    results = compare(few, f"{WORK}:both_days", WITHOUT_TEXT, ids=ids)
    columns = [Column("ms", "ms", digits=0), Column("server, ms", "server_ms", digits=1), STEP, LEFT]
    note = (
        f"Counting who was active on both of two days, {ids:,} ids each. A step is one command or\n"
        "script, during which the server does nothing else."
    )
    return tabulate(f"Two days of {ids // 2**20} Mi ids", results, columns, note=note)


def _retention(bench: Bench) -> Table:
    few = replace(bench, effort=Effort(quick=True))
    ids = bench.effort.up_to(2**22, 2**24, 2**27)
    results = compare(few, f"{WORK}:retention", WITHOUT_TEXT, ids=ids, weeks=WEEKS)
    columns = [Column("ms", "ms", digits=0), Column("server, ms", "server_ms", digits=0), STEP, LEFT]
    note = (
        f"{WEEKS} cohorts by week, {ids:,} ids each, at most {WEEKS} weeks followed. bitmapist and SETBIT\n"
        "count the current week too, which coord does not: its cells there are `None`."
    )
    return tabulate(f"Retention of {ids // 2**20} Mi ids", results, columns, note=note)


def _asked(bench: Bench) -> Table:
    once = replace(bench, effort=Effort(quick=True))
    ids, names = bench.effort.up_to(2**22, 2**24, 2**27), bench.effort.up_to(2**17, 2**17, 2**20)
    rows = [Contestant(question, COORD, {"question": question}) for question in QUESTIONS]
    results = compare(once, f"{WORK}:asked", rows, ids=ids, names=names)
    columns = [STEP, Column("steps", "steps"), Column("server, ms", "server_ms", digits=1), LEFT]
    note = (
        f"coord, with {ids:,} ids in each of three days, or as many in each of 8 weeks; {names:,} text\n"
        "ids. Each question is asked five times; a step's time is the least of the five, and the\n"
        "slowest step of the question is shown: one command, or one script with all that it does."
    )
    return tabulate(f"The slowest step at {ids // 2**20} Mi ids", results, columns, note=note)
