"""Compares two checkouts: a process of each, driven block by block, on the same core and the same servers."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import redis

from tests.benchmarks.alternate import Contestant, alternate, middle, ratio
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.machine import cores, pin, servers, url_of
from tests.benchmarks.tables import Table, figure, times
from tests.benchmarks.workers import ROOT, Worker, WorkerError, crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.alternate import Block, Reading, Results
    from tests.servers import Process

__all__ = ["SHARED", "compare_checkouts"]

NODES = 5
THIS, THAT = "this", "that"
HAND_OFF, CONTENDERS = "hand-off", "8 contenders"
SHARED = (HAND_OFF, CONTENDERS)
"""What takes several processes of a checkout."""
SLOW = ("with lock, 10,000 held",)
"""What takes long to make ready, and is left out of a quick run."""
SETTLE = (0.005, 0.02)
"""Seconds for which a waiter has waited when it gets the lock."""
SHIFT = 0.5
"""Seconds for which contenders contend, a block."""
SOON = 0.05
"""Seconds in which all of them are told."""
PREFIXES = {THIS: "this", THAT: "that"}
"""Of keys: of the same length, and apart, since checkouts may store different things."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where both are measured."""

    nodes: Sequence[Process]
    folders: dict[str, Path]
    seconds: float

    def where(self, count: int) -> tuple[list[str], list[int]]:
        """The URLs and processes of so many servers, emptied."""
        for node in self.nodes:
            with redis.Redis.from_url(url_of(node)) as client:
                client.flushall()
        some = self.nodes[:count]
        return [url_of(node) for node in some], [node.pid for node in some]


def compare_checkouts(folder: Path, only: Sequence[str], *, quick: bool) -> Iterator[Table]:
    """Compare this checkout with the one in ``folder``; a table at a time, as it is done."""
    theirs, ours = cores()
    names = only or [*OPERATIONS, *SHARED]
    if quick and not only:
        names = [name for name in names if name not in SLOW]
    with servers(NODES, theirs) as nodes:
        pin(ours)
        field = Field(nodes, {THIS: ROOT, THAT: folder}, 1.5 if quick else 6.0)
        yield _calls(field, [name for name in names if name not in SHARED])
        for name in SHARED:
            if name in names:
                yield _played(field, name)


def _calls(field: Field, names: Sequence[str]) -> Table:
    rows = []
    with contextlib.ExitStack() as stack:
        workers = {one: stack.enter_context(crew(path, 1))[0] for one, path in field.folders.items()}
        for name in names:
            rows.append([name, *_cells(lambda name=name: _alternated(field, workers, name))])  # type: ignore[misc]
            sys.stderr.write(f"measured: {name}\n")
    head = ["", "clock, µs", "this / that", "client CPU, µs", "this / that", "server CPU, µs", "this / that"]
    note = (
        "Microseconds a call in this checkout, and that over those of the other: below 1, this one takes\n"
        "less. Medians of the ratios of neighbouring blocks, with the 95 % interval of the median."
    )
    return Table("Calls", head, rows, note)


def _cells(measure: Callable[[], dict[str, Results]]) -> list[str]:
    try:
        found = measure()
    except WorkerError as error:
        return [f"could not be run: {error}", *[""] * 5]
    problem = found[THIS].problem or found[THAT].problem
    if problem:
        return [f"could not be run: {problem}", *[""] * 5]
    cells = []
    for key in ("wall", "client", "server"):
        cells += [figure(middle(found[THIS], key)), times(ratio(found[THIS], found[THAT], key))]
    return cells


def _alternated(field: Field, workers: dict[str, Worker], name: str) -> dict[str, Results]:
    operation = OPERATIONS[name]
    urls, pids = field.where(NODES if name == "quorum pair" else 1)
    contestants = []
    for one, worker in workers.items():
        try:
            block = worker.opened(name, urls, pids, PREFIXES[one])
        except WorkerError as error:
            raise WorkerError(f"{one}: {error}") from error
        contestants.append(Contestant(one, block, operation.size))
    found = alternate(contestants, field.seconds)
    for worker in workers.values():
        worker.ask("close")
    return found


@dataclass(frozen=True, slots=True)
class Play:
    """What takes several processes.

    Attributes:
        players: How many.
        block_of: What they do.
        size: How often, in a block.
        figures: What is told of it: name, heading and decimal places.
        note: How it is measured.
    """

    players: int
    block_of: Callable[[Sequence[Worker]], Block]
    size: int
    figures: Sequence[tuple[str, str, int]]
    note: str


def _played(field: Field, name: str) -> Table:
    play, contestants = PLAYS[name], []
    urls, _ = field.where(1)
    with contextlib.ExitStack() as stack:
        for one, path in field.folders.items():
            workers = stack.enter_context(crew(path, play.players))
            for worker in workers:
                worker.ask("play", role="coord", urls=urls, prefix=PREFIXES[one])
            contestants.append(Contestant(one, play.block_of(workers), play.size))
        found = alternate(contestants, 2 * field.seconds)
    sys.stderr.write(f"measured: {name}\n")
    problem = found[THIS].problem or found[THAT].problem
    head, cells = [""], [f"could not be run: {problem}"] if problem else []
    for key, heading, digits in play.figures:
        head += [heading, "this / that"]
        if not problem:
            cells += [figure(middle(found[THIS], key), digits), times(ratio(found[THIS], found[THAT], key))]
    return Table(
        name.capitalize(), head, [["coord", *cells, *[""] * (len(head) - 1 - len(cells))]], play.note
    )


def hand_offs(workers: Sequence[Worker]) -> Block:
    """Make a block of hand-offs from the first to the second; figures are in milliseconds."""
    holder, waiter = workers

    def block(count: int) -> Reading:
        delays = []
        for _ in range(count):
            holder.ask("act", what="hold")
            waiter.tell("act", what="wait")
            released = holder.ask("act", what="let_go", after=random.uniform(*SETTLE))
            delays.append((waiter.answer() - released) / 1e6)
        return {"p50": median(delays), "longest": max(delays)}

    return block


def contention(workers: Sequence[Worker]) -> Block:
    """Make a block in which all of them contend for one lock."""

    def block(count: int) -> Reading:
        del count
        start = time.monotonic() + SOON
        until = start + SHIFT
        for worker in workers:
            worker.tell("act", what="contend", start=start, until=until)
        told = [worker.answer() for worker in workers]
        counts = [len(one["waits"]) - one["late"] for one in told]
        waits = sorted(wait for one in told for wait in one["waits"])
        return {
            "rate": sum(counts) / SHIFT,
            "p50": waits[len(waits) // 2],
            "p99": waits[int(len(waits) * 0.99)],
            "luck": max(counts) / max(1, min(counts)),
            "client": sum(one["cpu"] for one in told) / max(1, sum(counts)) * 1e6,
        }

    return block


PLAYS = {
    HAND_OFF: Play(
        2, hand_offs, 10, [("p50", "p50, ms", 2)],
        "From the call of release in one process to the moment that another, which waits, has the lock.",
    ),
    CONTENDERS: Play(
        8, contention, 1,
        [("rate", "locks/s", 0), ("p99", "wait p99, ms", 1), ("luck", "luckiest / unluckiest", 2),
         ("client", "client CPU, µs", 0)],
        "Eight processes take one lock over and over, and sleep for 1 ms while they hold it.",
    ),
}  # fmt: skip
