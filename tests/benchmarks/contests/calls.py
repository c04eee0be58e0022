"""Contests of decisions: one after the other, of many tasks, and of a key that is denied."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.benchmarks.contests.bench import Bench, beside, contest
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.peer_operations import POOL, asked_for, async_decisions, decisions, denials, limiters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.peer_operations import Asked
    from tests.benchmarks.tables import Table

__all__ = ["BARE", "CALLERS", "COORD", "DECISION", "DENIED", "LIMITERS", "POOLED", "callers_of", "suite"]

DECISION, LIMITERS, DENIED = "One decision, sync", "One decision of each limiter, sync", "A denied key, sync"
CALLERS, QUICK_CALLERS = (1, 10, 100, 1_000), (100, 1_000)
COORD, COORD_BUCKET = "coord", "coord, token bucket"
BARE, POOLED = "redis-py, bare `evalsha`", f"redis.asyncio, pool of {POOL}"


def callers_of(count: int) -> str:
    """What the contest of so many tasks is called."""
    return f"{count:,} async caller{'s' if count > 1 else ''}"


def suite(bench: Bench) -> Iterator[Table]:
    """Measure decisions; a table at a time, as it is done."""
    with contextlib.ExitStack() as stack:
        asked = asked_for(bench.place(stack))
    yield _decisions(bench, asked)
    yield _limiters(bench)
    yield _denied(bench, asked)
    for count in QUICK_CALLERS if bench.quick else CALLERS:
        yield _by_callers(bench, asked, count)


def _decisions(bench: Bench, asked: Asked) -> Table:
    peers = decisions(asked)
    found = contest(bench, DECISION, {BARE: peers[BARE], COORD: OPERATIONS["decision"], **peers}, 5)
    note = (
        "One thread asks a token bucket whether it may, again and again, and it may. The others send what\n"
        "coord sends, the same script with the same arguments, and nobody reads the reply; coord checks its\n"
        "arguments and answers with a `Decision`. The bare socket is the limit of anything in Python."
    )
    return beside(found, BARE, DECISION, note)


def _limiters(bench: Bench) -> Table:
    ours = {
        COORD_BUCKET: OPERATIONS["decision"],
        "coord, fixed window": OPERATIONS["decision, fixed window"],
        "coord, sliding window, exact": OPERATIONS["decision, sliding window, exact"],
        "coord, sliding window, approximate": OPERATIONS["decision, sliding window, approximate"],
    }
    note = (
        "The same by the packages' own limiters. They do not do the same: what each counts, and by whose\n"
        "clock, differs. Those that keep every call, as an exact window does, have a new key every 100 calls."
    )
    return beside(contest(bench, LIMITERS, ours | limiters(), 2), COORD_BUCKET, LIMITERS, note)


def _denied(bench: Bench, asked: Asked) -> Table:
    peers = denials(asked)
    found = contest(bench, DENIED, {BARE: peers[BARE], COORD: OPERATIONS["decision, denied"], **peers}, 1)
    note = (
        "The same for a key whose limit is used up. coord remembers a denial for 0.1 s at the most, and\n"
        "asks again then; the others ask each time."
    )
    return beside(found, BARE, DENIED, note)


def _by_callers(bench: Bench, asked: Asked, count: int) -> Table:
    name, ours = callers_of(count), OPERATIONS[callers_of(count)]
    peers = async_decisions(asked, count, ours.size)
    found = contest(bench, name, {POOLED: peers[POOLED], COORD: ours, **peers}, 2)
    note = (
        "Tasks of one asyncio loop ask one token bucket, each one after the other. The others send the same\n"
        "script with the same arguments. The bare protocol is the limit of anything in Python."
    )
    return beside(found, POOLED, f"{name}, decisions", note)
