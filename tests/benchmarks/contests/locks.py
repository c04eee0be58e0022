"""Contests of locks that nobody else wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.alternate import middle
from tests.benchmarks.contests.bench import Bench, beside, contest
from tests.benchmarks.coord_operations import GATHERING, HELD, OPERATIONS
from tests.benchmarks.peer_operations import ASYNC_LOCK, locks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.operation import Operation
    from tests.benchmarks.tables import Table

__all__ = ["ASYNC", "BASE", "BLOCK", "HOLDING", "LOCK", "LOCKS", "MANY", "PAIR", "suite"]

LOCK, LOCKS = "Lock and release, sync", "Lock and release of others, sync"
HOLDING, ASYNC = "A process that holds many leases", "Lock and release, async"
BASE, BLOCK, PAIR = "redis-py, `with`", "coord, `with`", "coord, `acquire`, `release`"
LIMIT = "bare socket and hiredis, the same bytes"
MANY = f"coord, `with`, {HELD:,} leases held"


def suite(bench: Bench) -> Iterator[Table]:
    """Measure locks; a table at a time, as it is done."""
    peers = locks()
    yield _limit(bench, peers)
    yield _others(bench, peers)
    if not bench.quick:
        yield _holding(bench)
    ours = OPERATIONS["async with lock"]
    found = contest(bench, ASYNC, {ASYNC_LOCK.name: ASYNC_LOCK, "coord, `async with`": ours}, 3)
    yield beside(found, ASYNC_LOCK.name, ASYNC, "The same in one task of asyncio.")


def _limit(bench: Bench, peers: dict[str, Operation]) -> Table:
    ours = {BLOCK: OPERATIONS["with lock"], PAIR: OPERATIONS["lock pair"]}
    found = contest(bench, LOCK, {BASE: peers[BASE], **ours, LIMIT: peers[LIMIT]}, 5)
    note = (
        "One thread takes a lock that nobody else wants, and gives it back. A `with` block of coord is\n"
        "renewed while it runs. The bare socket sends what coord sends: it is the limit of anything in\n"
        "Python with these scripts."
    )
    return beside(found, BASE, LOCK, note)


def _others(bench: Bench, peers: dict[str, Operation]) -> Table:
    ours = {BLOCK: OPERATIONS["with lock"], "coord, `with`, fair": OPERATIONS["with lock, fair"]}
    others = {name: one for name, one in peers.items() if name not in {BASE, LIMIT}}
    found = contest(bench, LOCKS, {BASE: peers[BASE], **ours, **others}, 3)
    note = "The same. The second row of `python-redis-lock` is renewed while it runs, too."
    return beside(found, BASE, LOCKS, note)


def _holding(bench: Bench) -> Table:
    rows = {BLOCK: OPERATIONS["with lock"], MANY: OPERATIONS["with lock, 10,000 held"]}
    found = contest(bench, HOLDING, rows, 5)
    held = middle(found[MANY], "held")
    note = f"One more `with` block, while {held:,.0f} others are entered."
    if held < HELD:
        note += f" {HELD:,} were to be, but no more could be in {GATHERING:g} s."
    return beside(found, BLOCK, HOLDING, note)
