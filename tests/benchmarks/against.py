"""Compares two checkouts: a process of each, driven block by block, on the same core and the same servers."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from tests.benchmarks.alternate import Contestant, alternate, middle, ratio
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.machine import cores, pin, servers, url_of
from tests.benchmarks.plays import PLAYS
from tests.benchmarks.tables import Table, figure, times
from tests.benchmarks.workers import ROOT, Worker, WorkerError, crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.alternate import Results
    from tests.servers import Process

__all__ = ["SHARED", "compare_checkouts"]

NODES = 5
THIS, THAT = "this", "that"
SHARED = tuple(PLAYS)
"""What takes several processes of a checkout."""
SLOW = ("with lock, 10,000 held",)
"""What takes long to make ready, and is left out of a quick run."""
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


def _played(field: Field, name: str) -> Table:
    play, contestants = PLAYS[name], []
    urls, _ = field.where(1)
    with contextlib.ExitStack() as stack:
        for one, path in field.folders.items():
            workers = stack.enter_context(crew(path, play.players))
            for worker in workers:
                worker.ask("play", role="coord", urls=urls, prefix=PREFIXES[one])
            contestants.append(Contestant(one, play.block_of(workers, "coord"), play.size))
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
