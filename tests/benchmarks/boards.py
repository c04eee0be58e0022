"""The suite of leaderboards: what a board costs as it grows, and how long upkeep holds the server up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.benchmarks.board_work import FRIENDS, ROWS
from tests.benchmarks.harness import Column, Contestant, Effort, compare, tabulate
from tests.benchmarks.peers import COORD, REDIS_PY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.harness import Bench, Table

__all__ = ["sharded", "suite"]

WORK = "tests.benchmarks.board_work"
SIZES = (1_000, 100_000, 1_000_000)
THINGS = ("trim to half", "snapshot", "merge with itself", "clear")


def suite(bench: Bench) -> Iterator[Table]:
    """Measure leaderboards; a table at a time, as it is done."""
    few = replace(bench, effort=Effort(quick=True))
    for tiebreak in ("name", "first"):
        yield _growth(few, tiebreak, bench.effort.of(0.2, 1.0))
    yield _submit(bench)
    yield _upkeep(few, bench.effort.of(10_000, 100_000))


def _growth(bench: Bench, tiebreak: str, seconds: float) -> Table:
    rows = [Contestant(f"{size:,} members", COORD, {"members": size, "tiebreak": tiebreak}) for size in SIZES]
    results = compare(bench, f"{WORK}:growth", rows, seconds=seconds)
    columns = [
        Column("submit, µs", "submit_us", digits=1, ratio="growth"),
        Column("rank, µs", "rank_us", digits=1, ratio="growth"),
        Column(f"around, {ROWS} rows, µs", "around_us", digits=1, ratio="growth"),
        Column(f"{FRIENDS} friends, µs", "friends_us", digits=1, ratio="growth"),
        Column("percentile, µs", "percentile_us", digits=1),
        Column("submits/s", "submit_rate"),
        Column("bytes a member", "bytes"),
    ]
    note = (
        "One thread, one round trip each: a random member gets a random score, and so on. Microseconds are\n"
        "of the server's processor, beyond those of a PING. All members have different scores, which is\n"
        "when the set of distinct scores is largest."
    )
    title = f'A board as it grows, `tiebreak="{tiebreak}"`'
    return tabulate(title, results, columns, baseline=rows[0].name, note=note)


def _submit(bench: Bench) -> Table:
    seconds, members = bench.effort.of(0.2, 1.0), SIZES[1]
    mine = Contestant("coord", COORD, {"members": members, "tiebreak": "name"})
    bare = Contestant("redis-py, `MULTI ZADD ZREVRANK EXEC`", REDIS_PY, {"members": members})
    results = compare(bench, f"{WORK}:growth", [mine], seconds=seconds)
    results |= compare(bench, f"{WORK}:bare", [bare], seconds=seconds)
    columns = [Column("submits/s", "submit_rate", ratio="to bare commands")]
    note = (
        f"Score and rank of a random member of {members:,}, in one round trip. The bare commands know no\n"
        "rule for scores, no ties, no rank before and no distinct scores."
    )
    return tabulate("Submit and rank", results, columns, baseline=bare.name, note=note)


def _upkeep(bench: Bench, members: int) -> Table:
    rows = [Contestant(thing, COORD, {"thing": thing}) for thing in THINGS]
    results = compare(bench, f"{WORK}:upkeep", rows, members=members, tiebreak="first")
    columns = [
        Column("s in all", "seconds", digits=2),
        Column("commands", "scripts"),
        Column("server CPU a command, ms", "cpu", digits=2),
        Column("p50, ms", "each", digits=2, percent=50),
        Column("p99, ms", "each", digits=2, percent=99),
    ]
    note = (
        f"What is done to a whole board of {members:,} members, and for how long each of the commands that\n"
        "it takes holds the server up: of its processor, and by the clock, in which others have a share."
    )
    return tabulate("Upkeep of a large board", results, columns, note=note)


def sharded(bench: Bench) -> Iterator[Table]:
    """Measure a sharded board; ``board_work`` as a program measures one of any size."""
    few = replace(bench, effort=Effort(quick=True))
    members = bench.effort.of(20_000, 1_000_000)
    rows = [
        Contestant(f"{shards} shards", COORD, {"members": members, "shards": shards}) for shards in (4, 16)
    ]
    results = compare(few, f"{WORK}:sharded", rows, seconds=bench.effort.of(0.2, 1.0))
    things = {
        "store": "store",
        "submit": "submit",
        "rank": "rank",
        "friends": f"{FRIENDS} friends",
        "percentile": "percentile",
        "around": f"around, {ROWS} rows",
        "top": f"top {ROWS}",
        "deep": "a page from the middle",
        "quantile": "score at 37.5 %",
    }
    for unit, what, digits in (
        ("ms", "milliseconds by the clock", 2),
        ("us", "microseconds of the server", 0),
    ):
        columns = [Column(said, f"{thing}_{unit}", digits=digits) for thing, said in things.items()]
        if unit == "ms":
            columns.append(Column("bytes a member", "bytes"))
        note = (
            "One thread, and all shards on one server: on several nodes they are read side by\n"
            "side. The server's microseconds are those of all shards together."
        )
        yield tabulate(f"A sharded board of {members:,} members: {what}", results, columns, note=note)
