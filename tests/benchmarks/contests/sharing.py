"""Contests of a lock that several processes want."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.alternate import Contestant, Results, alternate, middle, ratio
from tests.benchmarks.plays import CONTENDERS, HAND_OFF, PLAYS
from tests.benchmarks.tables import Table, figure, times
from tests.benchmarks.workers import ROOT, WorkerError, crew

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.contests.bench import Bench, Found

__all__ = ["TOKENS", "suite"]

TOKENS = "BLPOP tokens"
ROWS = (TOKENS, "coord", "coord, fair", "python-redis-lock", "redis-py", "pottery")
POLLING = ("redis-py", "pottery")
"""Who polls takes up to 0.2 s for a hand-off, so fewer make a block."""
FEW = 2


def suite(bench: Bench) -> Iterator[Table]:
    """Measure hand-offs and contention; a table at a time, as it is done."""
    found = _play(bench, HAND_OFF, 3)
    note = (
        "From the call of release in one process to the moment that another, which has waited for 5 to\n"
        "20 ms, has the lock. `redis-py` and `pottery` poll, every 100 ms and at random up to 200 ms: how\n"
        "soon they see it depends on when it is released. Tokens passed by `BLPOP` are no lock: the least\n"
        "that one with a queue could cost."
    )
    yield _table(
        found, "Hand-off to a waiter", [("p50", "p50, ms", 2), ("longest", "longest of a block, ms", 2)], note
    )
    found = _play(bench, CONTENDERS, 4)
    note = (
        "Eight processes take one lock over and over by `with`, and sleep for 1 ms while they hold it. Luck\n"
        "is how many locks the luckiest had for one of the unluckiest's, in half a second."
    )
    yield _table(
        found,
        "8 contenders, 1 ms of work each",
        [("rate", "locks/s", 0), ("p50", "wait p50, ms", 1), ("p99", "wait p99, ms", 1),
         ("luck", "luckiest : unluckiest", 2), ("client", "client CPU a lock, µs", 0)],
        note,
    )  # fmt: skip


def _play(bench: Bench, name: str, seconds: float) -> Found:
    bench.empty()
    play, contestants, failed = PLAYS[name], [], {}
    with crew(ROOT, play.players) as workers:
        for row in ROWS:
            try:
                for worker in workers:
                    worker.ask("play", role=row, urls=[bench.url], prefix="coord")
            except WorkerError as error:
                failed[row] = Results(problem=str(error))
            else:
                size = FEW if row in POLLING else play.size
                contestants.append(Contestant(row, play.block_of(workers, row), size))
        found = alternate(contestants, bench.seconds(seconds) * len(contestants), bench.least)
    return bench.note(name, {row: (found | failed)[row] for row in ROWS})


def _table(found: Found, title: str, figures: Sequence[tuple[str, str, int]], note: str) -> Table:
    head = ["", *(heading for _, heading, _ in figures), "to BLPOP"]
    rows = []
    for name, one in found.items():
        if one.problem:
            rows.append([name, f"could not be run: {one.problem}", *[""] * (len(head) - 2)])
            continue
        cells = [figure(middle(one, key), digits) for key, _, digits in figures]
        beside = "" if name == TOKENS else times(ratio(one, found[TOKENS], figures[0][0]))
        rows.append([name, *cells, beside])
    return Table(title, head, rows, note)
