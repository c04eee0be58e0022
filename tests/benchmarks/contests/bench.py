"""What all contests share: where they are held, what was found so far, and how a table is made of it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import redis

from tests.benchmarks.alternate import FEWEST, Contestant, Results, alternate, measured, middle, ratio
from tests.benchmarks.machine import url_of
from tests.benchmarks.operation import Place
from tests.benchmarks.tables import TIMES, Table, figure, times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.operation import Operation
    from tests.support.servers import Process

__all__ = ["Bench", "beside", "contest"]

Found = dict[str, Results]
"""Results by contestant."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where contests are held.

    Attributes:
        nodes: The servers: one for most things, five for a quorum.
        quick: Whether to spend as little time as possible.
        found: What was found so far, by the contest's name.
    """

    nodes: Sequence[Process]
    quick: bool
    found: dict[str, Found] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The first server."""
        return url_of(self.nodes[0])

    def seconds(self, whole: float) -> float:
        """How long a contest is, of so many seconds for each contestant in a whole run."""
        return whole / 8 if self.quick else whole

    @property
    def least(self) -> int:
        """Rounds that are run even when the time is up."""
        return 2 if self.quick else FEWEST

    def empty(self) -> None:
        """Forget what the servers keep."""
        for node in self.nodes:
            with redis.Redis.from_url(url_of(node)) as client:
                client.flushall()

    def place(self, stack: contextlib.ExitStack, count: int = 1) -> Place:
        """Give a place on so many servers, until the stack is undone."""
        some = self.nodes[:count]
        loop = stack.enter_context(asyncio.Runner())
        return Place([url_of(node) for node in some], [node.pid for node in some], loop, stack)

    def note(self, name: str, found: Found) -> Found:
        """Keep what was found, and say that it was."""
        self.found[name] = found
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} measured: {name}\n")
        return found


def contest(
    bench: Bench, name: str, operations: Mapping[str, Operation], each: float, nodes: int = 1
) -> Found:
    """Have all of them run in turn in this process.

    Args:
        bench: Where.
        name: What the contest is called.
        operations: What each contestant does, by the name of its row.
        each: Seconds for each of them, in a whole run.
        nodes: How many servers they use.
    """
    bench.empty()
    contestants, failed = [], {}
    with contextlib.ExitStack() as stack:
        place = bench.place(stack, nodes)
        for row, operation in operations.items():
            try:
                block = measured(operation.open(place), place.pids)
            except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
                failed[row] = Results(problem=f"{type(error).__name__}: {error}")
            else:
                contestants.append(Contestant(row, block, operation.size))
        found = alternate(contestants, bench.seconds(each) * len(contestants), bench.least)
    return bench.note(name, {row: (found | failed)[row] for row in operations})


def beside(found: Found, base: str, title: str, note: str) -> Table:
    """Make a table of times a call, beside one of the contestants."""
    head = ["", "clock, µs", "a second", "speed", "client CPU, µs", "server CPU, µs"]
    rows = []
    for name, one in found.items():
        if one.problem:
            rows.append([name, f"could not be run: {one.problem}", *[""] * (len(head) - 2)])
            continue
        wall = middle(one, "wall")
        faster = "" if name == base else times(ratio(found[base], one, "wall"))
        client, server = (_with_ratio(found, base, name, key) for key in ("client", "server"))
        rows.append([name, figure(wall), figure(1e6 / wall, 0), faster or f"{TIMES}1", client, server])
    return Table(title, head, rows, note)


def _with_ratio(found: Found, base: str, name: str, key: str) -> str:
    value = figure(middle(found[name], key))
    return value if name == base else f"{value}, {times(ratio(found[name], found[base], key))}"
