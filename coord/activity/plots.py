"""Retention and funnels as pictures. The only part that needs matplotlib, the extra ``plots``.

matplotlib is only partly typed. This file is where that ends: everything behind it is typed.
"""

# pyright: basic

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from coord.activity.funnels import FunnelReport
    from coord.activity.retention import RetentionTable

__all__ = ["bars", "heat_map"]

DARK = 0.55
"""From which share on a cell is dark enough for white figures."""


def _canvas(axes: Axes | None, width: float, height: float) -> Axes:
    """Make a figure, without pyplot: nothing is shown, and nothing is kept that must be closed."""
    if axes is not None:
        return axes
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra
    except ImportError as missing:
        raise ImportError("a picture needs matplotlib: pip install 'coord[plots]'") from missing
    return Figure((width, height), layout="constrained").add_subplot()


def _finished(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101  # axes that were removed from theirs are not drawn on
    return figure


def heat_map(table: RetentionTable, axes: Axes | None = None) -> Figure:
    """Draw a retention table: a row a cohort, the darker the more came back; empty where not over."""
    rates = [row.rates for row in table.rows]
    columns = len(rates[0])
    axes = _canvas(axes, 1.6 + 0.62 * columns, 1.1 + 0.34 * len(rates))
    shades = [[float("nan") if rate is None else rate for rate in row] for row in rates]
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(rates):
        for x, rate in enumerate(row):
            if rate is not None:
                colour = "white" if rate > DARK else "black"
                axes.text(x, y, f"{rate:.0%}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(columns), [f"+{column}" for column in range(columns)])
    axes.set_yticks(range(len(rates)), [f"{row.label} ({row.size:,})" for row in table.rows])
    axes.set_xlabel(f"{table.kind}s later")
    axes.set_title(f"Retention of {table.name}", fontsize=11)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return _finished(axes)


def bars(report: FunnelReport, axes: Axes | None = None) -> Figure:
    """Draw a funnel: a bar a step, from top to bottom."""
    axes = _canvas(axes, 6.4, 0.9 + 0.5 * len(report.steps))
    names = [step.name for step in report.steps]
    counts = [step.count for step in report.steps]
    drawn = axes.barh(range(len(names)), counts, color="#4a86c5")
    labels = [
        f"{step.count:,}" if step.of_first is None else f"{step.count:,} ({step.of_first:.0%})"
        for step in report.steps
    ]
    axes.bar_label(drawn, labels, padding=4, fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlabel("ids")
    axes.set_title(f"{report.name}, {'in order' if report.ordered else 'in any order'}", fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return _finished(axes)
