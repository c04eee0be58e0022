"""The suite of leaderboards: what a board costs as it grows, and how long upkeep holds the server up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.benchmarks.peers import COORD, REDIS_PY
from tests.benchmarks.rooms.board_work import FRIENDS, ROWS
from tests.benchmarks.rounds import Column, Contestant, Effort, by_thing, compare, tabulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.rounds import Bench, Results
    from tests.benchmarks.tables import Table

__all__ = ["members", "sharded", "suite"]

WORK = "tests.benchmarks.rooms.board_work"
LARGE = (1_000, 100_000, 1_000_000)
SIZES = (1_000, 10_000, 100_000)
MEMBERS = 100_000
"""Of the board whose scripts are measured."""


def suite(bench: Bench) -> Iterator[Table]:
    """Measure leaderboards; a table at a time, as it is done."""
    few = replace(bench, effort=Effort(quick=True))
    sizes = {
        "name": bench.effort.up_to(SIZES, SIZES, LARGE),
        "first": bench.effort.up_to(SIZES, SIZES[:2], LARGE),
    }
    for tiebreak, several in sizes.items():
        yield _growth(few, tiebreak, several, bench.effort.of(0.2, 0.5))
    yield _submit(bench)
    for tiebreak in bench.effort.up_to(("name", "first"), ("name",), ("name", "first")):
        yield _scripts(few, tiebreak)
    for tiebreak in ("name", "first"):
        yield _upkeep(bench, tiebreak)


def members(bench: Bench) -> dict[str, Results]:
    """Measure a board, small and large, once each: to fill one takes long."""
    few = replace(bench, effort=Effort(quick=True))
    sizes = bench.effort.up_to(SIZES, SIZES, LARGE)
    rows = [Contestant(f"{size:,}", COORD, {"members": size, "tiebreak": "name"}) for size in sizes]
    return compare(few, f"{WORK}:growth", rows, seconds=bench.effort.of(0.2, 0.5))


def _growth(bench: Bench, tiebreak: str, sizes: Sequence[int], seconds: float) -> Table:
    rows = [Contestant(f"{size:,} members", COORD, {"members": size, "tiebreak": tiebreak}) for size in sizes]
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
    seconds, members = bench.effort.of(0.2, 1.0), MEMBERS
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


def _scripts(bench: Bench, tiebreak: str) -> Table:
    asked = [Contestant("coord", COORD, {"members": MEMBERS, "tiebreak": tiebreak})]
    results = by_thing(compare(bench, "tests.benchmarks.rooms.board_scripts:scripts", asked)["coord"])
    columns = [
        Column("one at a time, µs", "one", digits=1),
        Column("saturated, µs", "saturated", digits=1),
        Column("its commands alone, µs", "alone", digits=1),
    ]
    note = (
        f"Microseconds of the server for a call, by its own account, on a board of {MEMBERS:,} members:\n"
        "asked one at a time, so that its caches are cold; from two connections that send 100 calls each;\n"
        "and the same commands in a script that does nothing else and answers nothing. It counts by the\n"
        "clock: what else the machine does is in it."
    )
    return tabulate(f'What a script costs, `tiebreak="{tiebreak}"`', results, columns, note=note)


def _upkeep(bench: Bench, tiebreak: str) -> Table:
    members = bench.effort.up_to(10_000, 10_000, LARGE[-1])
    done = [Contestant("coord", COORD, {"members": members, "tiebreak": tiebreak})]
    once = replace(bench, effort=Effort(quick=True))
    results = by_thing(compare(once, f"{WORK}:upkeep", done)["coord"])
    columns = [
        Column("s in all", "seconds", digits=1),
        Column("steps", "steps"),
        Column("mean, ms", "mean", digits=2),
        Column("longest, least of five, ms", "least", digits=2),
        Column("longest of all, ms", "longest", digits=2),
        Column("over 5 ms, of a thousand", "over", digits=1),
    ]
    note = (
        f"What is done to a board of {members:,} members, five times each, and for how long each of the\n"
        "steps that it takes holds the server up. The server counts by the clock, so what else the machine\n"
        "does is in it; that does not hit the same step five times, so the least of five is what a step\n"
        "takes by itself."
    )
    return tabulate(f'Upkeep of a large board, `tiebreak="{tiebreak}"`', results, columns, note=note)


def sharded(bench: Bench) -> Iterator[Table]:
    """Measure a sharded board; ``board_work`` as a program measures one of any size."""
    few = replace(bench, effort=Effort(quick=True))
    members = bench.effort.up_to(20_000, 100_000, 1_000_000)
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
