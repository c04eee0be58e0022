"""Measures contestants in turn, and writes what came out as Markdown.

Theory
------
Absolute times drift with whatever else the machine does. So contestants are measured one after the other
within each of several rounds (A B C, A B C, ...), each measurement in a process of its own, and a ratio is
taken within a round before the median over the rounds is. The server has one core, the clients another.

What was measured once is not measured again in the same run: a summary and a suite show the same figures.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import redis

from tests.benchmarks.peers import UnavailableError, compiling, interpreter
from tests.benchmarks.tables import DASH, TIMES, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.peers import Peer

__all__ = [
    "Bench",
    "Column",
    "Contestant",
    "Effort",
    "Results",
    "Sample",
    "by_thing",
    "compare",
    "percentile",
    "tabulate",
]

T = TypeVar("T")
Sample = dict[str, Any]
"""What one measurement found: a figure, or a list of observations, by name."""

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 300.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much time to spend.

    Attributes:
        quick: Whether as little as possible.
        most: The rounds otherwise.
        ample: Whether with larger data.
    """

    quick: bool
    most: int = 3
    ample: bool = False

    @property
    def rounds(self) -> int:
        """How often each contestant is measured."""
        return self.of(1, self.most)

    def of(self, quick: T, full: T) -> T:
        """Choose between two amounts."""
        return quick if self.quick else full

    def up_to(self, quick: T, usual: T, ample: T) -> T:
        """Choose among three amounts."""
        return self.of(quick, ample if self.ample else usual)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where measurements are made.

    Attributes:
        effort: How much time to spend.
        urls: The servers.
        core: The core that the clients stay on; ``None`` for any.
        versions: The packages met so far, to be named beside the figures.
        found: What was measured so far, by what was asked.
    """

    effort: Effort
    urls: list[str]
    core: int | None
    versions: dict[str, str] = field(default_factory=dict)
    found: dict[str, Results] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of a table.

    Attributes:
        name: What the row is called.
        peer: The package it needs.
        arguments: What the measuring function is told beside what all contestants are told.
    """

    name: str
    peer: Peer
    arguments: Mapping[str, object]


@dataclass(slots=True)
class Results:
    """What was found about one contestant: a sample a round, or why there is none."""

    samples: list[Sample] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table.

    Attributes:
        title: Its heading.
        key: Its name in the samples.
        digits: Decimal places.
        percent: Which percentile to take of a list of observations; ``None`` for a single figure.
        ratio: The heading of a further column: this figure over the baseline's. Empty for none.
    """

    title: str
    key: str
    digits: int = 0
    percent: float | None = None
    ratio: str = ""

    def in_round(self, sample: Sample) -> float:
        """Get the figure of one round."""
        found = sample[self.key]
        return float(found) if self.percent is None else percentile(found, self.percent)

    def show(self, samples: Sequence[Sample]) -> str:
        """Write the median of the rounds, or the percentile of all observations, with the rounds' range."""
        if isinstance(samples[0][self.key], str):
            return str(samples[-1][self.key])
        rounds = [self.in_round(sample) for sample in samples]
        middle = statistics.median(rounds)
        if self.percent is not None:
            middle = percentile([one for sample in samples for one in sample[self.key]], self.percent)
        if len(rounds) == 1 or min(rounds) == max(rounds):
            return self._number(middle)
        return f"{self._number(middle)} ({self._number(min(rounds))}{DASH}{self._number(max(rounds))})"

    def show_ratio(self, samples: Sequence[Sample], baseline: Sequence[Sample]) -> str:
        """Write the median of the rounds' ratios to the baseline."""
        pairs = zip(samples, baseline, strict=False)
        ratios = [self.in_round(mine) / theirs for mine, other in pairs if (theirs := self.in_round(other))]
        return f"{TIMES}{statistics.median(ratios):.2f}" if ratios else ""

    def _number(self, value: float) -> str:
        return f"{value:,.{self.digits}f}"


def percentile(observed: Sequence[float], percent: float) -> float:
    """Take the smallest observation that at least ``percent`` of all are not greater than."""
    ordered = sorted(observed)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def compare(
    bench: Bench, function: str, contestants: Sequence[Contestant], **arguments: object
) -> dict[str, Results]:
    """Measure all contestants in turn, round after round.

    Args:
        bench: Where.
        function: What measures one of them, as ``module:name``; it is called in a process of its own.
        contestants: Who.
        **arguments: What the function is told about all of them.

    Returns:
        The results by contestant. One that failed is not tried again.
    """
    results = {one.name: _remembered(bench, function, one, arguments) for one in contestants}
    for number in range(bench.effort.rounds):
        for one in contestants:
            result = results[one.name]
            if result.problem or len(result.samples) > number:
                continue
            try:
                result.samples.append(_measure(bench, function, one, arguments))
            except UnavailableError as error:
                result.problem = str(error)
    return results


def _remembered(bench: Bench, function: str, one: Contestant, arguments: Mapping[str, object]) -> Results:
    """Find what was already measured with the same words, or a place for it."""
    asked = [function, bench.effort.rounds, len(bench.urls), one.peer.package, {**arguments, **one.arguments}]
    return bench.found.setdefault(json.dumps(asked, sort_keys=True), Results())


def _measure(bench: Bench, function: str, one: Contestant, arguments: Mapping[str, object]) -> Sample:
    python = interpreter(one.peer)
    for url in bench.urls:
        with redis.Redis.from_url(url) as client:
            client.flushall()
    request = {
        "function": function,
        "arguments": {"urls": bench.urls, **arguments, **one.arguments},
        "core": bench.core,
        "packages": [one.peer.package, "redis", "hiredis"],
    }
    told = _ask_worker(python, json.dumps(request))
    bench.versions.update({name: found for name, found in told["versions"].items() if name != "coord"})
    sample: Sample = told["sample"]
    return sample


def _ask_worker(python: Path, request: str) -> dict[str, Any]:
    worker = subprocess.Popen(
        [str(python), "-m", "tests.benchmarks.round_worker"],
        cwd=ROOT,
        env=compiling(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = worker.communicate(request, LONGEST)
    except BaseException as error:
        os.killpg(worker.pid, signal.SIGKILL)  # and the contenders that it started
        worker.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise UnavailableError(f"no answer within {LONGEST:.0f} s") from error
        raise
    return _read_answer(out, err)


def _read_answer(out: str, err: str) -> dict[str, Any]:
    lines = out.strip().splitlines()
    if not lines:
        raise UnavailableError((err.strip().splitlines() or ["it ended without a word"])[-1])
    told: dict[str, Any] = json.loads(lines[-1])
    if "error" in told:
        raise UnavailableError(told["error"])
    return told


def tabulate(
    title: str, results: Mapping[str, Results], columns: Sequence[Column], *, baseline: str = "", note: str
) -> Table:
    """Make a table of ``results``.

    Args:
        title: What was measured.
        results: The rows.
        columns: The figures of each row.
        baseline: The row that ratios are taken to.
        note: How it was measured.
    """
    head = [""]
    for column in columns:
        head += [column.title, column.ratio] if column.ratio else [column.title]
    one = results[baseline].samples if baseline in results else []
    rows = [_cells(name, result, columns, one, len(head)) for name, result in results.items()]
    return Table(title, head, rows, note)


def _cells(
    name: str, result: Results, columns: Sequence[Column], baseline: Sequence[Sample], width: int
) -> list[str]:
    if result.problem or not result.samples:
        said = f"could not be run: {result.problem or 'no sample'}"
        return [name, said, *[""] * (width - 2)]
    cells = [name]
    for column in columns:
        cells.append(column.show(result.samples))
        if column.ratio:
            cells.append(column.show_ratio(result.samples, baseline))
    return cells


def by_thing(results: Results) -> dict[str, Results]:
    """Turn one contestant's figures, named ``thing/figure``, into a row for each thing."""
    things = {key.partition("/")[0]: None for sample in results.samples for key in sample}
    if not things:
        return {"coord": results}
    return {
        thing: Results(
            [
                {key.partition("/")[2]: value for key, value in sample.items() if key.startswith(f"{thing}/")}
                for sample in results.samples
            ]
        )
        for thing in things
    }
