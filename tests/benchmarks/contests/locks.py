"""Contests of locks that nobody else wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.alternate import middle
from tests.benchmarks.contests.bench import Bench, beside, contest
from tests.benchmarks.coord_operations import GATHERING, HELD, OPERATIONS
from tests.benchmarks.peer_operations import ASYNC_LOCK, locks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.contests.bench import Found
    from tests.benchmarks.tables import Table

__all__ = ["ASYNC", "BASE", "BLOCK", "LOCK", "MANY", "PAIR", "suite"]

LOCK, ASYNC = "Lock and release, sync", "Lock and release, async"
BASE, BLOCK, PAIR = "redis-py, `with`", "coord, `with`", "coord, `acquire`, `release`"
MANY = f"coord, `with`, {HELD:,} leases held"


def suite(bench: Bench) -> Iterator[Table]:
    """Measure locks; a table at a time, as it is done."""
    peers = locks()
    rows = {
        BASE: peers[BASE],
        BLOCK: OPERATIONS["with lock"],
        PAIR: OPERATIONS["lock pair"],
        "coord, `with`, fair": OPERATIONS["with lock, fair"],
    }
    if not bench.quick:
        rows[MANY] = OPERATIONS["with lock, 10,000 held"]
    found = contest(bench, LOCK, rows | peers, 3)
    note = (
        "One thread takes a lock that nobody else wants, and gives it back. A `with` block of coord is\n"
        "renewed while it runs, and so is that of the second row of `python-redis-lock`. The bare socket\n"
        "sends what coord sends: it is the limit of anything in Python with these scripts."
        f"{_shortfall(found)}"
    )
    yield beside(found, BASE, LOCK, note)
    ours = OPERATIONS["async with lock"]
    found = contest(bench, ASYNC, {ASYNC_LOCK.name: ASYNC_LOCK, "coord, `async with`": ours}, 3)
    yield beside(found, ASYNC_LOCK.name, ASYNC, "The same in one task of asyncio.")


def _shortfall(found: Found) -> str:
    held = middle(found[MANY], "held") if MANY in found and not found[MANY].problem else HELD
    return "" if held >= HELD else f" Of the {HELD:,} leases, {held:,.0f} were had\nwithin {GATHERING:g} s."
