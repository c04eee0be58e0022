"""Compares two checkouts: a process of each, driven block by block, on the same core and the same servers."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from tests.benchmarks.against_costs import COSTS
from tests.benchmarks.alternate import Contestant, alternate, middle
from tests.benchmarks.checkouts import PREFIXES, THAT, THIS, Field, both
from tests.benchmarks.coord_operations import OPERATIONS
from tests.benchmarks.machine import cores, pin, servers
from tests.benchmarks.plays import PLAYS
from tests.benchmarks.tables import Table, figure
from tests.benchmarks.workers import ROOT, Worker, WorkerError, crew

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.alternate import Results

__all__ = ["NAMES", "compare_checkouts"]

NODES = 5
NAMES = (*OPERATIONS, *PLAYS, *COSTS)
"""What can be asked for by ``--only``."""
SLOW = ("with lock, 10,000 held",)
"""What takes long to make ready, and is left out of a quick run."""


def compare_checkouts(folder: Path, only: Sequence[str], *, quick: bool) -> Iterator[Table]:
    """Compare this checkout with the one in ``folder``; a table at a time, as it is done."""
    theirs, ours = cores()
    names = only or NAMES
    if quick and not only:
        names = [name for name in names if name not in SLOW]
    with servers(NODES, theirs) as nodes:
        pin(ours)
        field = Field(nodes, {THIS: ROOT, THAT: folder}, 1.5 if quick else 6.0)
        if calls := [name for name in names if name in OPERATIONS]:
            yield _calls(field, calls)
        for name in names:
            if name in PLAYS:
                yield _played(field, name)
            elif name in COSTS:
                yield COSTS[name](field)
                sys.stderr.write(f"measured: {name}\n")


def _calls(field: Field, names: Sequence[str]) -> Table:
    rows = []
    with contextlib.ExitStack() as stack:
        workers = {one: stack.enter_context(crew(path, 1))[0] for one, path in field.folders.items()}
        for name in names:
            rows.append(_row(field, workers, name))
            sys.stderr.write(f"measured: {name}\n")
    head = ["", "clock, µs", "this / that", "client CPU, µs", "this / that", "server CPU, µs", "this / that"]
    note = (
        "Microseconds a call in this checkout, and that over those of the other: below 1, this one takes\n"
        "less. Medians of the ratios of neighbouring blocks, with the 95 % interval of the median. In\n"
        "brackets is how many leases are held, of 10,000 that are to be taken within 15 s."
    )
    return Table("Calls", head, rows, note)


def _row(field: Field, workers: dict[str, Worker], name: str) -> list[str]:
    try:
        found = _alternated(field, workers, name)
    except WorkerError as error:
        return [name, f"could not be run: {error}", *[""] * 5]
    held = [middle(found[one], "held") for one in (THIS, THAT)] if name in SLOW else []
    title = f"{name} ({' / '.join(figure(number, 0) for number in held)})" if held else name
    return [title, *both(found, [("wall", 1), ("client", 1), ("server", 1)])]


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
    head = [""]
    for _, heading, _ in play.figures:
        head += [heading, "this / that"]
    cells = both(found, [(key, digits) for key, _, digits in play.figures])
    return Table(name.capitalize(), head, [["coord", *cells]], play.note)
