"""The picture of a search for settings: what all trials cost against what a goal limits, and which one was chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from priomon_results.frontier import Mark, frontier
from priomon_results.plots.style import (
    MUTED,
    PALETTE,
    TEXT,
    WIDE_SPREAD,
    drawing,
    legend_above,
    new_figure,
    nothing_to_draw,
    plainly,
    save,
    styled,
)

HEIGHT = 5.4  # inches
WIDE = 4  # x or y that spans a larger factor gets a log axis
MISSED = 0.6  # opacity of trials that miss a goal


@styled
def frontier_plot(
    marks: Sequence[Mark],
    *,
    title: str,
    note: str,
    x: str,
    y: str,
    limit: tuple[float, str],
    own: int,
    chosen: int | None,
    rising: bool,
) -> Figure:
    """All trials over the labelled measures `x` and `y`: filled where all goals are met, hollow where not, a colour for each group.

    `limit` is that on x, with its text. `own` is the number of the trial with the scenario's own settings, `chosen` that of the chosen
    one, if any; `rising` says that a large x is the better one.
    """
    shown = [mark for mark in marks if math.isfinite(mark.x) and math.isfinite(mark.y)]
    if not shown:
        return nothing_to_draw(title, [], "No trial came to both measures.")
    figure = new_figure(title, [], height=HEIGHT, note=note)
    axes = figure.add_subplot()
    edge = frontier(shown, rising=rising)
    axes.plot([mark.x for mark in edge], [mark.y for mark in edge], color=MUTED, linewidth=1.2, zorder=1, label="frontier")
    for index, group in enumerate(sorted({mark.group for mark in shown})):
        colour = PALETTE[index % len(PALETTE)]
        members = [mark for mark in shown if mark.group == group]
        for feasible in (True, False):
            some = [mark for mark in members if mark.feasible == feasible]
            axes.scatter(
                [mark.x for mark in some],
                [mark.y for mark in some],
                s=[22 + 12 * mark.seeds for mark in some],
                facecolors=colour if feasible else "none",
                edgecolors=colour,
                alpha=1.0 if feasible else MISSED,
                zorder=3,
                label=group if feasible == any(mark.feasible for mark in members) else None,
            )
    by_number = {mark.number: mark for mark in shown}
    _ring(axes, by_number.get(own), "the scenario's own", "s", MUTED)
    _ring(axes, None if chosen is None else by_number.get(chosen), "chosen", "o", TEXT)
    for axis, values in ((axes.xaxis, [mark.x for mark in shown]), (axes.yaxis, [mark.y for mark in shown])):
        _scale(axes, axis.axis_name, values)
    axes.axvline(limit[0], color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(limit[1], (limit[0], 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points", color=MUTED)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    legend_above(axes)
    return figure


def draw_frontier(marks: Sequence[Mark], folder: Path, **how: object) -> list[Path]:
    """Draw the picture as SVG and PNG into `folder`; returns the files. `how` is that of `frontier_plot`."""
    folder.mkdir(parents=True, exist_ok=True)
    with drawing():
        return save(frontier_plot(marks, **how), folder / "frontier")  # type: ignore[arg-type]


def _ring(axes: Axes, mark: Mark | None, label: str, shape: str, colour: str) -> None:
    if mark is not None:
        axes.scatter([mark.x], [mark.y], s=210, marker=shape, facecolors="none", edgecolors=colour, linewidths=1.6, zorder=4, label=label)


def _scale(axes: Axes, which: str, values: Sequence[float]) -> None:
    """A log axis where values are wide apart, plain numbers on both kinds."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if min(values) > 0 and max(values) / min(values) >= WIDE:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        axis.set_minor_formatter(FuncFormatter(plainly) if max(values) / min(values) < WIDE_SPREAD else NullFormatter())
    axis.set_major_formatter(FuncFormatter(plainly))
