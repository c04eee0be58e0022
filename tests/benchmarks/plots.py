"""Draws what was measured: how cost grows with callers, waiters, leases and members."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks import calls, goals, locks
from tests.benchmarks.harness import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.benchmarks.harness import Bench, Results

__all__ = ["draw"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it is called, and a range of values for each place."""

    name: str
    places: Sequence[float]
    values: Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture."""

    name: str
    across: str
    up: str
    lines: list[Line]
    logarithmic: bool = False


def draw(bench: Bench, folder: Path, suites: Sequence[str]) -> None:
    """Draw what the suites named have measured, as SVG files in a folder."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "coord"  # the same names of elements each time
    mpl.rcParams["svg.fonttype"] = "none"  # text as text: small, and the reader's font
    for plot in (plot for name in suites for plot in PLOTS.get(name, _none)(bench)):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for line in plot.lines:
            middle = [median(several) for several in line.values]
            axes.plot(line.places, middle, marker="o", markersize=4, label=line.name)
            axes.fill_between(line.places, [*map(min, line.values)], [*map(max, line.values)], alpha=0.2)
        axes.set(xlabel=plot.across, ylabel=plot.up, xscale="log")
        if plot.logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        figure.savefig(folder / f"{plot.name}.svg", metadata={"Date": None})


def _none(bench: Bench) -> list[Plot]:
    del bench
    return []


def _calls(bench: Bench) -> list[Plot]:
    lines = [
        Line(
            name,
            calls.CALLERS,
            [[sample[f"rate {count}"] for sample in one.samples] for count in calls.CALLERS],
        )
        for name, one in calls.by_callers(bench).items()
        if one.samples
    ]
    return [Plot("speed-callers", "concurrent callers of one event loop", "decisions a second", lines)]


def _by_row(results: dict[str, Results], key: str, name: str, percent: float | None = None) -> Line:
    """Make a line of a table whose rows are numbers."""
    found = {float(row.replace(",", "")): one.samples for row, one in results.items() if one.samples}
    values = [
        [sample[key] if percent is None else percentile(sample[key], percent) for sample in samples]
        for samples in found.values()
    ]
    return Line(name, [*found], values)


def _locks(bench: Bench) -> list[Plot]:
    renewed, waited = locks.renewed(bench), locks.waited(bench)
    leases = [
        _by_row(renewed, "server_ms", "the server's processor"),
        _by_row(renewed, "client_ms", "the client's processor"),
    ]
    waiters = [
        _by_row(waited, "delays", "hand-off p50, ms", 50),
        _by_row(waited, "delays", "hand-off p99, ms", 99),
        _by_row(waited, "connections", "connections of the process"),
    ]
    return [
        Plot("speed-leases", "leases of one process", "ms in a third of a lease", leases, logarithmic=True),
        Plot("speed-waiters", "waiters of one process", "", waiters),
    ]


def _boards(bench: Bench) -> list[Plot]:
    results = goals.members(bench)
    things = {"submit": "submit, and learn the rank", "rank": "rank", "around": "a page around me"}
    lines = [_by_row(results, f"{thing}_us", said) for thing, said in things.items()]
    return [Plot("speed-members", "members of the board", "the server's microseconds a call", lines)]


PLOTS: dict[str, Callable[[Bench], list[Plot]]] = {"calls": _calls, "locks": _locks, "boards": _boards}
