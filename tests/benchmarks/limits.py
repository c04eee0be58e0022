"""The suite of limiters: what a decision costs, what a denied key costs, and what is remembered of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.harness import Column, Contestant, Table, by_thing, compare, tabulate
from tests.benchmarks.peers import COORD, LIMITS, PYRATE_LIMITER, REDIS_PY, THROTTLED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.harness import Bench, Results
    from tests.benchmarks.peers import Peer

__all__ = ["suite"]

WORK = "tests.benchmarks.limit_work"
BASELINE = "redis-py, bare `evalsha`"
CALLERS = 1000
THREADS = 16
TASKS = 100
ENTRIES = 1000


def _row(name: str, peer: Peer, contestant: str = "") -> Contestant:
    return Contestant(name, peer, {"contestant": contestant or name})


BUCKET = _row("coord, token bucket", COORD, "bucket")
LOG = _row("coord, sliding exact", COORD, "exact")
COUNTER = _row("coord, sliding approximate", COORD, "approximate")
FIXED = _row("coord, fixed", COORD, "fixed")
BARE = _row(BASELINE, REDIS_PY, "evalsha")
INCREMENT = _row("redis-py, bare `incrby`", REDIS_PY, "incrby")
GCRA = _row("throttled-py, GCRA", THROTTLED, "throttled gcra")
PEERS = [
    _row("limits, fixed", LIMITS, "limits fixed"),
    _row("limits, moving window", LIMITS, "limits moving"),
    _row("throttled-py, token bucket", THROTTLED, "throttled token_bucket"),
    GCRA,
    _row("pyrate-limiter", PYRATE_LIMITER, "pyrate"),
]


def suite(bench: Bench) -> Iterator[Table]:
    """Measure limiters; a table at a time, as it is done."""
    yield _decided(bench)
    yield _answered(bench)
    yield _crowded(bench)
    yield _denied(bench)
    yield _at_once(bench)
    yield _remembered(bench)


def _decided(bench: Bench) -> Table:
    rows = [BUCKET, LOG, COUNTER, FIXED, BARE, INCREMENT, *PEERS]
    results = compare(bench, f"{WORK}:decided", rows, seconds=bench.effort.up_to(0.2, 0.6, 1.0))
    columns = [
        Column("decisions/s", "rate", ratio="to evalsha"),
        Column("server CPU, µs each", "cpu", digits=1),
    ]
    note = (
        "One thread asks about one key, again and again, and is always allowed. The bare `evalsha` is the\n"
        "script of coord's token bucket with the same arguments, sent by redis-py's own method, of whose\n"
        "reply no more than the first word is looked at."
    )
    return tabulate("One decision, sync", results, columns, baseline=BASELINE, note=note)


def _answered(bench: Bench) -> Table:
    mine = [Contestant("coord", COORD, {})]
    found = compare(bench, f"{WORK}:answered", mine, times=bench.effort.up_to(20, 100, 200))["coord"]
    results = by_thing(found)
    columns = [
        Column("p50, µs", "delay", percent=50, ratio="to incrby"),
        Column("p99, µs", "delay", percent=99),
    ]
    note = (
        "One thread asks about one key, some times of each in turn. The script that decides nothing asks\n"
        "for the time, gets a state and writes it: a limiter on the server's clock can hardly do less. It\n"
        "is sent by redis-py."
    )
    return tabulate("The delay of a decision, sync", results, columns, baseline=INCREMENT.name, note=note)


def _crowded(bench: Bench) -> Table:
    rows, times = [BUCKET, GCRA], bench.effort.up_to(60, 400, 1000)
    threads = compare(bench, f"{WORK}:by_threads", rows, threads=THREADS, times=times)
    tasks = compare(bench, f"{WORK}:by_tasks", rows, tasks=TASKS, times=times // 4)
    results = {f"{name}, {THREADS} threads": found for name, found in threads.items()}
    results |= {f"{name}, {TASKS} tasks": found for name, found in tasks.items()}
    head = ["", "decisions/s", "to throttled-py"]
    table = [_beside(results, one, f"{GCRA.name}, {one.rpartition(', ')[2]}") for one in results]
    note = "All of them ask about one key, and are allowed."
    return Table("Threads and tasks that ask together", head, table, note)


def _beside(results: dict[str, Results], name: str, other: str) -> list[str]:
    column, found, theirs = Column("", "rate"), results[name], results[other]
    if not found.samples or not theirs.samples:
        return [name, f"could not be run: {found.problem or theirs.problem}", ""]
    return [name, column.show(found.samples), column.show_ratio(found.samples, theirs.samples)]


def _denied(bench: Bench) -> Table:
    rows = [BUCKET, _row("coord, `deny_cache=0`", COORD, "bucket asking"), BARE, *PEERS]
    results = compare(bench, f"{WORK}:denied", rows, seconds=bench.effort.up_to(0.2, 0.6, 1.0))
    columns = [
        Column("denials/s", "rate", ratio="to evalsha"),
        Column("denials/s of CPU", "cpu_rate", ratio="to evalsha"),
        Column("commands sent", "sent"),
    ]
    note = (
        "The same for a key that is denied, with a limit of 5 an hour. A denial is remembered for 0.1 s.\n"
        "A second of CPU is one of the client's own, which others on its core cannot take from it."
    )
    return tabulate("A hot denied key, sync", results, columns, baseline=BASELINE, note=note)


def _at_once(bench: Bench) -> Table:
    rows = [BUCKET, _row("redis.asyncio, bare `evalsha`", REDIS_PY, "evalsha")]
    seconds = bench.effort.up_to(0.5, 1.0, 2.0)
    results = compare(bench, f"{WORK}:at_once", rows, callers=CALLERS, seconds=seconds)
    columns = [Column("decisions/s", "rate", ratio="to evalsha"), Column("connections", "connections")]
    note = f"{CALLERS:,} tasks of one loop ask about one key, each as soon as it was answered."
    return tabulate(
        f"{CALLERS:,} async callers", results, columns, baseline="redis.asyncio, bare `evalsha`", note=note
    )


def _remembered(bench: Bench) -> Table:
    rows = [BUCKET, LOG, COUNTER, FIXED, *PEERS]
    results = compare(bench, f"{WORK}:remembered", rows, entries=ENTRIES)
    columns = [
        Column("bytes after one call", "one"),
        Column(f"bytes after {ENTRIES:,}", "many"),
        Column("keys without TTL", "lasting"),
    ]
    note = (
        f"`MEMORY USAGE` of all keys of one user and one limit, 2,000 an hour, after 1 and {ENTRIES:,} calls."
    )
    return tabulate("Memory", results, columns, note=note)
