"""The suite of calls: what one decision costs, and how that grows with the number of callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord import Coord
from coord._engine.script import Call, Script
from tests.benchmarks.call_work import PLENTY
from tests.benchmarks.harness import Column, Contestant, compare, tabulate
from tests.benchmarks.peers import COORD, COREDIS, REDIS_PY, VALKEY_GLIDE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.harness import Bench, Results, Table
    from tests.benchmarks.peers import Peer

__all__ = ["CALLERS", "IMPORTS", "by_callers", "imported", "one_by_one", "suite"]

WORK = "tests.benchmarks.call_work"
BASELINE = "redis-py"
CALLERS = [1, 10, 100, 1000]
THREADS = [1, 8, 32]


def _row(name: str, peer: Peer, contestant: str = "") -> Contestant:
    return Contestant(name, peer, {"contestant": contestant or name})


ONE = _row("coord", COORD)
ALONE = _row("coord, `coalesce=False`", COORD, "coord alone")
CLIENT = _row(BASELINE, REDIS_PY)
PIPELINE = _row("redis-py, pipelines by hand", REDIS_PY, "pipeline")
RAW = _row("raw socket, same bytes each time", REDIS_PY, "raw socket")
COMBINED = _row("coord, threads combined (a prototype)", COORD, "combined")
IMPORTS = [
    Contestant("coord", COORD, {"statement": "import coord"}),
    Contestant("redis", REDIS_PY, {"statement": "import redis"}),
    Contestant("redis and anyio", REDIS_PY, {"statement": "import redis, anyio.to_thread"}),
    Contestant("coord, all of it", COORD, {"statement": "from coord import *"}),
]
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
    yield from _by_callers(bench)
    yield _one_by_one(bench)
    yield _by_threads(bench)
    yield _imported(bench)


def by_callers(bench: Bench, callers: Sequence[int] = CALLERS) -> dict[str, Results]:
    """Measure how many decisions concurrent callers of one event loop get."""
    calls = bench.effort.up_to(500, 2_000, 5_000)
    return compare(bench, f"{WORK}:concurrent", ASYNC, asked=_decision(), callers=[*callers], calls=calls)


def one_by_one(bench: Bench) -> dict[str, Results]:
    """Measure how many decisions one thread gets."""
    calls = bench.effort.up_to(500, 2_000, 5_000)
    return compare(bench, f"{WORK}:one_by_one", [ONE, CLIENT, RAW], asked=_decision(), calls=calls)


def imported(bench: Bench, rows: Sequence[Contestant] = IMPORTS) -> dict[str, Results]:
    """Measure what it takes to import a package."""
    times = bench.effort.up_to(2, 2, 4)
    return compare(bench, f"{WORK}:imported", rows, times=times)


def _by_callers(bench: Bench) -> Iterator[Table]:
    results = by_callers(bench)
    note = (
        "Tasks of one asyncio loop each ask one token bucket for a decision, and again. All run the same\n"
        "script. redis-py waits for one of 100 connections here: by default it fails when more calls than\n"
        "that are under way. The pipelines gather exactly one call of each caller."
    )
    rates = [Column(f"{count:,}", f"rate {count}", ratio="to redis-py") for count in CALLERS]
    rates.append(Column("connections", "connections"))
    yield tabulate(
        "Decisions a second, by the number of concurrent callers",
        results, rates, baseline=BASELINE, note=note,
    )  # fmt: skip
    for whose, key in (("client", "cpu"), ("server", "server")):
        times = [Column(f"{count:,}", f"{key} {count}", digits=1, ratio="to redis-py") for count in CALLERS]
        yield tabulate(
            f"The {whose}'s processor time a decision, in microseconds, by the number of callers",
            results, times, baseline=BASELINE,
            note="The same runs. It includes the threads that either may have of its own.",
        )  # fmt: skip


def _one_by_one(bench: Bench) -> Table:
    columns = [
        Column("decisions/s", "rate", ratio="to redis-py"),
        Column("client CPU, µs each", "cpu", digits=1, ratio="to redis-py"),
    ]
    note = (
        "One thread asks, again and again. redis-py's row is its bare `evalsha`, whose reply nobody reads;\n"
        "coord checks its arguments and answers with a `Decision`."
    )
    return tabulate("One decision, sync", one_by_one(bench), columns, baseline=BASELINE, note=note)


def _by_threads(bench: Bench) -> Table:
    work, calls = "tests.benchmarks.thread_work:threaded", bench.effort.up_to(1_000, 4_000, 8_000)
    rows = [ONE, COMBINED, CLIENT]
    results = compare(bench, work, rows, asked=_decision(), threads=THREADS, calls=calls)
    columns = []
    for count in THREADS:
        columns.append(Column(f"{count} threads, decisions/s", f"rate {count}", ratio="to coord"))
        columns.append(Column("client CPU, µs each", f"cpu {count}", digits=1))
    note = (
        "Threads of one `Coord`, each with a connection while it asks. Combined is what could be: the calls\n"
        "of all threads over one connection, by a prototype that knows neither deadlines nor failures."
    )
    return tabulate("Threads", results, columns, baseline=ONE.name, note=note)


def _imported(bench: Bench) -> Table:
    columns = [
        Column("CPU, ms", "cpu", ratio="to redis"),
        Column("by the clock, ms", "ms"),
        Column("modules", "modules"),
    ]
    note = (
        "A program that does nothing else, less one that does nothing. The last row is coord with all\n"
        "that it loads when it is first asked for. `redis` loads `redis.asyncio` too."
    )
    return tabulate("Import", imported(bench), columns, baseline="redis", note=note)
