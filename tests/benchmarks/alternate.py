"""Contestants in turn: short blocks of each, and medians of the ratios of neighbours.

Theory
------
What else a machine does changes by the second, so two figures taken seconds apart tell little of each other.
Here each contestant has a block of 50 to 100 calls, tens of milliseconds, then the next one has; a ratio is
taken between blocks of the same round, and the median over the rounds is what is told. What disturbs one
round disturbs both of its blocks, or is left out by the median.

Beside the clock, a block is told in processor time: of this process (`process_time`, all threads), and of
the servers, by the scheduler's own count in nanoseconds (`/proc/<pid>/schedstat`). Both mean the same on a
busy machine as on a quiet one, but for caches.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from math import isfinite, nan, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Block = Callable[[int], "Reading"]

__all__ = ["FEWEST", "Contestant", "Ratio", "Reading", "Results", "alternate", "measured", "middle", "ratio"]

Reading = dict[str, float]
"""Figures of one block, a call: ``wall``, ``client`` and ``server`` in microseconds, and others by name."""
FEWEST = 4
"""Rounds that are run even when the time is up: of fewer, a median is no better than one of them."""
TELLING = 8
"""Rounds from which on their spread tells how far off their median may be."""
NOTCH = 1.57
"""Half the width of a median's 95 % interval in interquartile ranges over the root of the count
(McGill, Tukey and Larsen, 1978)."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who is measured.

    Attributes:
        name: What its row is called.
        block: Runs so many calls, and tells what each took.
        size: Calls of one block.
    """

    name: str
    block: Block
    size: int


@dataclass(slots=True)
class Results:
    """What was found: a reading a round, or why there is none."""

    readings: list[Reading] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How one contestant compares with another.

    Attributes:
        value: The median over the rounds.
        error: How far off it may be, as a part of it: 0.05 for ±5 %.
    """

    value: float
    error: float


def server_time(pids: Sequence[int]) -> float:
    """Add up the processor time of servers, in nanoseconds; not a number where the system does not tell."""
    spent = 0
    try:
        for pid in pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                spent += int((thread / "schedstat").read_text().split()[0])
    except OSError:
        return nan
    return spent


def measured(run: Callable[[int], Mapping[str, float] | None], pids: Sequence[int]) -> Block:
    """Make a block of ``run``, which makes so many calls and may tell figures of its own.

    Args:
        run: Makes as many calls as it is told.
        pids: The servers whose time counts.
    """

    def block(count: int) -> Reading:
        server = server_time(pids)
        client, wall = time.process_time_ns(), time.perf_counter_ns()
        told = run(count)
        wall, client = time.perf_counter_ns() - wall, time.process_time_ns() - client
        server = server_time(pids) - server
        spent = {"wall": wall, "client": client, "server": server}
        return {name: value / count / 1e3 for name, value in spent.items()} | dict(told or {})

    return block


def alternate(contestants: Sequence[Contestant], seconds: float, least: int = FEWEST) -> dict[str, Results]:
    """Run blocks of all in turn, every other round in the opposite order, until the time is up.

    Args:
        contestants: Who.
        seconds: For how long.
        least: Rounds that are run even so.

    Returns:
        The results by name. One that fails is not run again.
    """
    results = {one.name: Results() for one in contestants}
    _round(contestants, results)
    for one in results.values():
        one.readings.clear()  # the first round, of cold caches
    until, rounds = time.monotonic() + seconds, 0
    while rounds < least or time.monotonic() < until:
        _round(contestants[:: -1 if rounds % 2 else 1], results)
        rounds += 1
    return results


def _round(contestants: Sequence[Contestant], results: dict[str, Results]) -> None:
    for one in contestants:
        found = results[one.name]
        if not found.problem:
            try:
                found.readings.append(one.block(one.size))
            except Exception as error:  # noqa: BLE001  # whatever it is, the table is to say so
                found.problem = f"{type(error).__name__}: {error}"
                found.readings.clear()


def middle(results: Results, figure: str) -> float:
    """Take the median of a figure over the rounds; not a number if there is none."""
    return statistics.median([one.get(figure, nan) for one in results.readings] or [nan])


def ratio(results: Results, other: Results, figure: str) -> Ratio:
    """Compare a figure of two contestants, round by round: how many times the other's it is."""
    pairs = zip(results.readings, other.readings, strict=False)
    found = sorted(mine[figure] / theirs[figure] for mine, theirs in pairs if theirs[figure])
    if not found or not all(map(isfinite, found)):
        return Ratio(nan, nan)
    value = statistics.median(found)
    if len(found) < TELLING or not value:
        return Ratio(value, nan)
    low, _, high = statistics.quantiles(found, n=4)
    return Ratio(value, NOTCH * (high - low) / sqrt(len(found)) / value)
