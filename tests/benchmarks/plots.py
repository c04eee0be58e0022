"""Draws what was measured: how cost grows with callers, waiters, leases and members."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.alternate import middle
from tests.benchmarks.contests import calls, growth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks import rounds
    from tests.benchmarks.contests.bench import Bench

__all__ = ["Plot", "draw", "of_boards", "of_calls", "of_growth"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what it is called, and a value for each place."""

    name: str
    places: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture."""

    name: str
    across: str
    up: str
    lines: list[Line]
    logarithmic: bool = False


def draw(plots: Sequence[Plot], folder: Path) -> None:
    """Draw pictures, as SVG files in a folder."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "coord"  # the same names of elements each time
    mpl.rcParams["svg.fonttype"] = "none"  # text as text: small, and the reader's font
    for plot in plots:
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for line in plot.lines:
            axes.plot(line.places, line.values, marker="o", markersize=4, label=line.name)
        axes.set(xlabel=plot.across, ylabel=plot.up, xscale="log")
        if plot.logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
        figure.savefig(folder / f"{plot.name}.svg", metadata={"Date": None})


def of_calls(bench: Bench) -> list[Plot]:
    """Decisions a second, by the number of callers."""
    names_of = {count: calls.callers_of(count) for count in calls.CALLERS}
    found = {count: bench.found[name] for count, name in names_of.items() if name in bench.found}
    names = [name for name, one in next(iter(found.values())).items() if one.readings]
    lines = [
        Line(name, [*found], [1e6 / middle(one[name], "wall") for one in found.values()]) for name in names
    ]
    return [Plot("speed-callers", "concurrent callers of one event loop", "decisions a second", lines)]


def _by_number(bench: Bench, name: str, figures: dict[str, str]) -> list[Line]:
    found = {float(row.replace(",", "")): one for row, one in bench.found[name].items() if one.readings}
    return [
        Line(said, [*found], [middle(one, key) for one in found.values()]) for key, said in figures.items()
    ]


def of_growth(bench: Bench) -> list[Plot]:
    """What waiters and leases cost, by their number."""
    waiters = {"client": "the client's processor", "server": "the server's processor", "wall": "the clock"}
    leases = {"client": "the client's processor", "server": "the server's processor"}
    return [
        Plot(
            "speed-waiters", "waiters on one lock", "µs a hand-off",
            _by_number(bench, growth.WAITERS, waiters),
        ),
        Plot(
            "speed-leases", "leases of one process", "ms in a third of a lease",
            _by_number(bench, growth.LEASES, leases), logarithmic=True,
        ),
    ]  # fmt: skip


def of_boards(results: dict[str, rounds.Results]) -> list[Plot]:
    """What a board costs the server, by its members."""
    things = {"submit": "submit, and learn the rank", "rank": "rank", "around": "a page around me"}
    found = {float(row.replace(",", "")): one.samples for row, one in results.items() if one.samples}
    lines = [
        Line(said, [*found], [median(one[f"{thing}_us"] for one in samples) for samples in found.values()])
        for thing, said in things.items()
    ]
    return [Plot("speed-members", "members of the board", "the server's microseconds a call", lines)]
