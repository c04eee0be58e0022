"""The suite of locks: what a lock costs, how waiters fare, and how soon the next one has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.benchmarks.harness import Column, Contestant, Effort, compare, servers, tabulate
from tests.benchmarks.peers import COORD, POTTERY, PYTHON_REDIS_LOCK, REDIS_PY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.harness import Bench, Results, Table
    from tests.benchmarks.peers import Peer

__all__ = ["WAITERS", "contended", "hand_off", "quorum", "renewed", "suite", "uncontended", "waited"]

WORK = "tests.benchmarks.lock_work"
BASELINE = "redis-py"
CONTENDERS = 8
LEASES = [1, 10, 100, 1_000, 10_000]
WAITERS = [1, 30, 1_000]
TTL, MANY, MANY_TTL = 3.0, 1_000, 9.0
"""How long leases are; more than many need a longer one, since it takes a while to acquire them."""
NODES = 5


def _row(name: str, peer: Peer, contestant: str = "") -> Contestant:
    return Contestant(name, peer, {"contestant": contestant or name})


ONE = _row("coord", COORD)
BLOCK = _row("coord, `with` block", COORD, "coord block")
FAIR = _row("coord, `fair=True`", COORD, "coord fair")
CLIENT = _row(BASELINE, REDIS_PY)
LIST = _row("python-redis-lock", PYTHON_REDIS_LOCK)
REDLOCK = _row("pottery Redlock", POTTERY, "pottery")
TRIP = Contestant("two PINGs to the slowest node", REDIS_PY, {})
PEERS = [CLIENT, LIST, REDLOCK]


def suite(bench: Bench) -> Iterator[Table]:
    """Measure locks; a table at a time, as it is done."""
    yield _uncontended(bench)
    yield _uncontended_async(bench)
    yield _contended(bench)
    yield _hand_off(bench)
    yield _waited(bench)
    yield _renewed(bench)
    yield _quorum(bench)


def uncontended(bench: Bench) -> dict[str, Results]:
    """Measure a lock that nobody else wants."""
    rows = [ONE, BLOCK, *PEERS]
    return compare(bench, f"{WORK}:uncontended", rows, seconds=bench.effort.of(0.2, 0.7))


def _uncontended(bench: Bench) -> Table:
    results = uncontended(bench)
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
    seconds = bench.effort.of(0.2, 0.7)
    results = compare(bench, f"{WORK}:uncontended_async", [ONE, CLIENT], seconds=seconds)
    columns = [Column("pairs/s", "rate", ratio="to redis-py")]
    note = "The same in one task of asyncio: `AsyncCoord` and `redis.asyncio`."
    return tabulate("Lock and release, uncontended, async", results, columns, baseline=BASELINE, note=note)


def contended(bench: Bench) -> dict[str, Results]:
    """Measure a lock that several processes want all the time."""
    seconds = _shift(bench)
    rows = [ONE, FAIR, *PEERS]
    return compare(bench, f"{WORK}:contended", rows, contenders=CONTENDERS, work=0.001, seconds=seconds)


def _shift(bench: Bench) -> float:
    return bench.effort.up_to(0.3, 1.0, 1.5)


def _contended(bench: Bench) -> Table:
    results = contended(bench)
    columns = [
        Column("locks/s", "rate", ratio="to redis-py"),
        Column("wait p50, ms", "waits", digits=1, percent=50),
        Column("wait p99, ms", "waits", digits=1, percent=99, ratio="to redis-py"),
        Column("luckiest : unluckiest", "luck", digits=1),
    ]
    note = (
        f"{CONTENDERS} processes take one lock over and over, and sleep for 1 ms while they hold it, for\n"
        f"{_shift(bench):g} s a round. Luck is how many locks the luckiest process had for one of the\n"
        "unluckiest; no wait can be much longer than a round."
    )
    title = f"{CONTENDERS} contenders, 1 ms of work each"
    return tabulate(title, results, columns, baseline=BASELINE, note=note)


def hand_off(bench: Bench) -> dict[str, Results]:
    """Measure how soon a waiter has the lock."""
    return compare(bench, f"{WORK}:hand_off", [ONE, FAIR, *PEERS], times=bench.effort.up_to(4, 6, 12))


def _hand_off(bench: Bench) -> Table:
    results = hand_off(bench)
    columns = [
        Column("p50, ms", "delays", digits=2, percent=50, ratio="to redis-py"),
        Column("p99, ms", "delays", digits=2, percent=99),
    ]
    note = (
        "From the call of release in one process to the return of acquire in another, at a random moment\n"
        "of the wait. redis-py polls every 100 ms, pottery every 0 to 200 ms."
    )
    return tabulate("Hand-off to a waiter", results, columns, baseline=BASELINE, note=note)


def renewed(bench: Bench) -> dict[str, Results]:
    """Measure what it takes to keep leases, few and many."""
    few = replace(bench, effort=Effort(quick=True))
    ttl = bench.effort.of(1.0, TTL)
    some = {leases: MANY_TTL if leases > MANY else ttl for leases in LEASES[: bench.effort.of(4, 5)]}
    rows = [Contestant(f"{leases:,}", COORD, {"leases": leases, "ttl": some[leases]}) for leases in some]
    return compare(few, f"{WORK}:renewed", rows)


def _renewed(bench: Bench) -> Table:
    columns = [
        Column("scripts a third of a lease", "scripts", digits=1),
        Column("server CPU in it, ms", "server_ms", digits=2),
        Column("client CPU in it, ms", "client_ms", digits=2),
        Column("leases lost", "lost"),
    ]
    note = (
        "So many tasks of one loop, each inside an `async with` block of its own lock. Leases are of\n"
        f"{bench.effort.of(1.0, TTL):g} s; those of 10,000, which take a while to acquire, of {MANY_TTL:g} s."
    )
    return tabulate("Leases renewed, by their number", renewed(bench), columns, note=note)


def waited(bench: Bench, numbers: Sequence[int] = WAITERS) -> dict[str, Results]:
    """Measure how many connections waiters take, and how soon one of them has its lock."""
    rows = [Contestant(f"{waiters:,}", COORD, {"waiters": waiters}) for waiters in numbers]
    return compare(bench, f"{WORK}:waited", rows, times=bench.effort.up_to(4, 6, 12))


def _waited(bench: Bench) -> Table:
    columns = [
        Column("connections", "connections"),
        Column("hand-off p50, ms", "delays", digits=2, percent=50),
        Column("p99, ms", "delays", digits=2, percent=99),
    ]
    note = (
        "So many tasks of one process wait for as many locks, which another process holds. Connections are\n"
        "those of the process that waits. A hand-off is from release there to the return of acquire here."
    )
    return tabulate("Waiters of one process, by their number", waited(bench), columns, note=note)


def quorum(bench: Bench) -> dict[str, Results]:
    """Measure a lock on several servers, and what two trips to the slowest of them take."""
    rows = [replace(ONE, name="coord Quorum"), REDLOCK]
    seconds = bench.effort.of(0.2, 0.7)
    with servers(NODES) as (urls, core):
        five = replace(bench, urls=urls, core=core)
        results = compare(five, f"{WORK}:uncontended", rows, seconds=seconds)
        return results | compare(five, f"{WORK}:round_trip", [TRIP], seconds=seconds)


def _quorum(bench: Bench) -> Table:
    columns = [Column("pairs/s", "rate"), Column("ms a pair", "pair_ms", digits=2, ratio="to the PINGs")]
    note = f"One thread takes a lock on {NODES} independent servers, which share one core, and gives it back."
    return tabulate(f"A quorum of {NODES}", quorum(bench), columns, baseline=TRIP.name, note=note)
