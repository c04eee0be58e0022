"""The suite of calls: what one decision costs, and how that grows with the number of callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord import Coord
from coord._engine.script import Call, Script
from tests.benchmarks.call_work import PLENTY
from tests.benchmarks.harness import Column, Contestant, compare, tabulate
from tests.benchmarks.peers import COORD, COREDIS, REDIS_PY, VALKEY_GLIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.harness import Bench, Table
    from tests.benchmarks.peers import Peer

__all__ = ["suite"]

WORK = "tests.benchmarks.call_work"
BASELINE = "redis-py"
CALLERS = [1, 10, 100, 1000]


def _row(name: str, peer: Peer, contestant: str = "") -> Contestant:
    return Contestant(name, peer, {"contestant": contestant or name})


ONE = _row("coord", COORD)
ALONE = _row("coord, `coalesce=False`", COORD, "coord alone")
CLIENT = _row(BASELINE, REDIS_PY)
PIPELINE = _row("redis-py, pipelines by hand", REDIS_PY, "pipeline")
RAW = _row("raw socket, same bytes each time", REDIS_PY, "raw socket")
ASYNC = [ONE, ALONE, CLIENT, PIPELINE, _row("coredis", COREDIS), _row("valkey-glide", VALKEY_GLIDE)]


def _decision() -> dict[str, object]:
    """Catch what coord sends for one decision, so that all contestants send the same."""
    taken: list[Call[Any]] = []
    with Coord.connect("memory://") as home:
        bucket = home.token_bucket("calls", rate=PLENTY, burst=PLENTY)
        run = home._port.run

        def run_and_note(call: Any, **options: Any) -> Any:
            taken.append(call)
            return run(call, **options)

        home._port.run = run_and_note  # type: ignore[method-assign]
        bucket.try_acquire("u")
    (call,) = taken
    assert isinstance(call.what, Script)
    return {"text": call.what.text, "keys": list(call.keys), "args": [str(word) for word in call.args]}


def suite(bench: Bench) -> Iterator[Table]:
    """Measure calls; a table at a time, as it is done."""
    yield from _concurrent(bench)
    yield _one_by_one(bench)
    yield _imported(bench)


def _concurrent(bench: Bench) -> Iterator[Table]:
    calls = bench.effort.of(500, 5_000)
    results = compare(bench, f"{WORK}:concurrent", ASYNC, asked=_decision(), callers=CALLERS, calls=calls)
    note = (
        f"Tasks of one asyncio loop each ask one token bucket for a decision, and again, {calls:,} in all.\n"
        "All run the same script. redis-py waits for one of 100 connections here: by default it fails when\n"
        "more calls than that are under way. The pipelines gather exactly one call of each caller."
    )
    rates = [Column(f"{count:,}", f"rate {count}", ratio="to redis-py") for count in CALLERS]
    rates.append(Column("connections", "connections"))
    yield tabulate(
        "Decisions a second, by the number of concurrent callers",
        results, rates, baseline=BASELINE, note=note,
    )  # fmt: skip
    times = [Column(f"{count:,}", f"cpu {count}", digits=1, ratio="to redis-py") for count in CALLERS]
    yield tabulate(
        "The client's processor time a decision, in microseconds",
        results, times, baseline=BASELINE,
        note="The same runs. It includes the threads that a client may have of its own.",
    )  # fmt: skip


def _one_by_one(bench: Bench) -> Table:
    calls = bench.effort.of(500, 5_000)
    results = compare(bench, f"{WORK}:one_by_one", [ONE, CLIENT, RAW], asked=_decision(), calls=calls)
    columns = [
        Column("decisions/s", "rate", ratio="to redis-py"),
        Column("client CPU, µs each", "cpu", digits=1, ratio="to redis-py"),
    ]
    note = (
        f"One thread asks {calls:,} times. redis-py's row is its bare `evalsha`, whose reply nobody reads;\n"
        "coord checks its arguments and answers with a `Decision`."
    )
    return tabulate("One decision, sync", results, columns, baseline=BASELINE, note=note)


def _imported(bench: Bench) -> Table:
    rows = [_row("coord", COORD), _row("redis", REDIS_PY), _row("redis.asyncio", REDIS_PY)]
    columns = [Column("ms", "ms", digits=0, ratio="to redis"), Column("modules", "modules")]
    return tabulate(
        "Import", compare(bench, f"{WORK}:imported", rows), columns, baseline="redis",
        note="In an interpreter that has imported `json`, `asyncio` and little else.",
    )  # fmt: skip
