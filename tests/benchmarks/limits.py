"""The suite of limiters: what a decision costs, what a denied key costs, and what is remembered of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.harness import Column, Contestant, compare, tabulate
from tests.benchmarks.peers import COORD, LIMITS, PYRATE_LIMITER, REDIS_PY, THROTTLED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.harness import Bench, Table
    from tests.benchmarks.peers import Peer

__all__ = ["suite"]

WORK = "tests.benchmarks.limit_work"
BASELINE = "redis-py, bare `evalsha`"
CALLERS = 1000
ENTRIES = 1000


def _row(name: str, peer: Peer, contestant: str = "") -> Contestant:
    return Contestant(name, peer, {"contestant": contestant or name})


BUCKET = _row("coord, token bucket", COORD, "bucket")
LOG = _row("coord, sliding exact", COORD, "exact")
COUNTER = _row("coord, sliding approximate", COORD, "approximate")
FIXED = _row("coord, fixed", COORD, "fixed")
BARE = _row(BASELINE, REDIS_PY, "evalsha")
INCREMENT = _row("redis-py, bare `incrby`", REDIS_PY, "incrby")
PEERS = [
    _row("limits, fixed", LIMITS, "limits fixed"),
    _row("limits, moving window", LIMITS, "limits moving"),
    _row("throttled-py, token bucket", THROTTLED, "throttled token_bucket"),
    _row("throttled-py, GCRA", THROTTLED, "throttled gcra"),
    _row("pyrate-limiter", PYRATE_LIMITER, "pyrate"),
]


def suite(bench: Bench) -> Iterator[Table]:
    """Measure limiters; a table at a time, as it is done."""
    yield _decided(bench)
    yield _denied(bench)
    yield _at_once(bench)
    yield _remembered(bench)


def _decided(bench: Bench) -> Table:
    rows = [BUCKET, LOG, COUNTER, FIXED, BARE, INCREMENT, *PEERS]
    results = compare(bench, f"{WORK}:decided", rows, seconds=bench.effort.of(0.2, 1.0))
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


def _denied(bench: Bench) -> Table:
    rows = [BUCKET, _row("coord, `deny_cache=0`", COORD, "bucket asking"), BARE, *PEERS]
    results = compare(bench, f"{WORK}:denied", rows, seconds=bench.effort.of(0.2, 1.0))
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
    seconds = bench.effort.of(0.5, 2.0)
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
