"""The suite of locks: what a lock costs, how waiters fare, and how soon the next one has it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from tests.benchmarks.harness import Column, Contestant, Effort, compare, servers, tabulate
from tests.benchmarks.peers import COORD, POTTERY, PYTHON_REDIS_LOCK, REDIS_PY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.harness import Bench, Table
    from tests.benchmarks.peers import Peer

__all__ = ["suite"]

WORK = "tests.benchmarks.lock_work"
BASELINE = "redis-py"
CONTENDERS = 8
LEASES = 1000
NODES = 5


def _row(name: str, peer: Peer, contestant: str = "") -> Contestant:
    return Contestant(name, peer, {"contestant": contestant or name})


ONE = _row("coord", COORD)
BLOCK = _row("coord, `with` block", COORD, "coord block")
FAIR = _row("coord, `fair=True`", COORD, "coord fair")
CLIENT = _row(BASELINE, REDIS_PY)
LIST = _row("python-redis-lock", PYTHON_REDIS_LOCK)
REDLOCK = _row("pottery Redlock", POTTERY, "pottery")
PEERS = [CLIENT, LIST, REDLOCK]


def suite(bench: Bench) -> Iterator[Table]:
    """Measure locks; a table at a time, as it is done."""
    yield _uncontended(bench)
    yield _uncontended_async(bench)
    yield _contended(bench)
    yield _hand_off(bench)
    if _accepts("renew"):
        yield _renewed(bench)
    if hasattr(import_module("coord"), "Quorum"):
        yield _quorum(bench)


def _accepts(option: str) -> bool:
    """Tell whether this version of ``coord.lock`` has an option."""
    return option in inspect.signature(import_module("coord").Coord.lock).parameters


def _uncontended(bench: Bench) -> Table:
    rows = [ONE, BLOCK, *PEERS]
    results = compare(bench, f"{WORK}:uncontended", rows, seconds=bench.effort.of(0.2, 1.0))
    columns = [
        Column("pairs/s", "rate", ratio="to redis-py"),
        Column("commands a pair", "commands", digits=1),
        Column("which", "spelt"),
        Column("server CPU, µs a pair", "cpu", digits=1, ratio="to redis-py"),
    ]
    note = (
        "One thread takes a lock that nobody else wants and gives it back, with one lock object. The `with`\n"
        "block of coord also has its lease renewed and its thread noted down; no peer does that here."
    )
    return tabulate("Lock and release, uncontended, sync", results, columns, baseline=BASELINE, note=note)


def _uncontended_async(bench: Bench) -> Table:
    seconds = bench.effort.of(0.2, 1.0)
    results = compare(bench, f"{WORK}:uncontended_async", [ONE, CLIENT], seconds=seconds)
    columns = [Column("pairs/s", "rate", ratio="to redis-py")]
    note = "The same in one task of asyncio: `AsyncCoord` and `redis.asyncio`."
    return tabulate("Lock and release, uncontended, async", results, columns, baseline=BASELINE, note=note)


def _contended(bench: Bench) -> Table:
    rows = [ONE, *([FAIR] if _accepts("fair") else []), *PEERS]
    seconds = bench.effort.of(0.5, 1.5)
    results = compare(bench, f"{WORK}:contended", rows, contenders=CONTENDERS, work=0.001, seconds=seconds)
    columns = [
        Column("locks/s", "rate", ratio="to redis-py"),
        Column("wait p50, ms", "waits", digits=1, percent=50),
        Column("wait p99, ms", "waits", digits=1, percent=99, ratio="to redis-py"),
        Column("luckiest : unluckiest", "luck", digits=1),
    ]
    note = (
        f"{CONTENDERS} processes take one lock over and over, and sleep for 1 ms while they hold it, for\n"
        f"{seconds:g} s a round. Luck is how many locks the luckiest process had for one of the unluckiest;\n"
        "no wait can be much longer than a round."
    )
    title = f"{CONTENDERS} contenders, 1 ms of work each"
    return tabulate(title, results, columns, baseline=BASELINE, note=note)


def _hand_off(bench: Bench) -> Table:
    rows = [ONE, *([FAIR] if _accepts("fair") else []), *PEERS]
    times = bench.effort.of(6, 16)
    results = compare(bench, f"{WORK}:hand_off", rows, times=times)
    columns = [
        Column("p50, ms", "delays", digits=2, percent=50, ratio="to redis-py"),
        Column("p99, ms", "delays", digits=2, percent=99),
    ]
    note = (
        f"From the call of release in one process to the return of acquire in another, {times} times a\n"
        "round, at a random moment of the wait. redis-py polls every 100 ms, pottery every 0 to 200 ms."
    )
    return tabulate("Hand-off to a waiter", results, columns, baseline=BASELINE, note=note)


def _renewed(bench: Bench) -> Table:
    ttl = bench.effort.of(1.0, 3.0)
    few = replace(bench, effort=Effort(quick=True))
    holder = Contestant("coord", COORD, {})
    results = compare(few, f"{WORK}:renewed", [holder], leases=LEASES, ttl=ttl)
    columns = [
        Column("scripts a third of a lease", "scripts", digits=1),
        Column("server CPU in it, ms", "server_ms", digits=2),
        Column("client CPU in it, ms", "client_ms", digits=2),
        Column("leases lost", "lost"),
    ]
    note = f"One thread inside {LEASES:,} `with` blocks of different locks, with leases of {ttl:g} s."
    return tabulate(f"{LEASES:,} leases renewed", results, columns, note=note)


def _quorum(bench: Bench) -> Table:
    trip = Contestant("two PINGs to the slowest node", REDIS_PY, {})
    rows = [replace(ONE, name="coord Quorum"), REDLOCK]
    seconds = bench.effort.of(0.2, 1.0)
    with servers(NODES) as (urls, core):
        five = replace(bench, urls=urls, core=core)
        results = compare(five, f"{WORK}:uncontended", rows, seconds=seconds)
        results |= compare(five, f"{WORK}:round_trip", [trip], seconds=seconds)
    columns = [Column("pairs/s", "rate"), Column("ms a pair", "pair_ms", digits=2, ratio="to the PINGs")]
    note = f"One thread takes a lock on {NODES} independent servers, which share one core, and gives it back."
    return tabulate(f"A quorum of {NODES}", results, columns, baseline=trip.name, note=note)
