"""Two groups of runs in one picture: each group is the median of its runs with a band between the quartiles, on a grid both share.

The first group is drawn full and broad, the second dashed and narrow on top of it, so that both show where they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from priomon_results.plots.distribution import LOWEST_SHARE, TITLES, Measure, share_axis
from priomon_results.plots.over_time import rate
from priomon_results.plots.style import (
    PALETTE,
    Floats,
    drawing,
    in_bytes,
    in_percent,
    legend_above,
    new_figure,
    nothing_to_draw,
    save,
    seeds_note,
    styled,
)
from priomon_results.schema import RunRows

Groups = Mapping[str, Sequence[RunRows]]
Curve = tuple[Floats, Floats]

LOOKS: tuple[dict[str, Any], ...] = (
    {"color": PALETTE[0], "linestyle": "-", "linewidth": 3.0},
    {"color": PALETTE[1], "linestyle": "--", "linewidth": 1.8},
)
GRID = 400  # places at which curves without common times are compared
REACHED = {"t50": "half of the nodes", "t99": "99 % of the nodes", "t100": "all nodes"}
SETTLED = 1.5  # what follows after all is known is a flat line; leave this much of the time before it


@styled
def coverage(groups: Groups) -> Figure:
    """The share of pairs of nodes in which one knows a value of the other, over time."""
    title = "How fast every node comes to know every other"
    curves = _curves(groups, lambda run: (run.rows("sample")["t"], run.rows("sample")["coverage"]))
    if curves is None:
        return nothing_to_draw(title, _all(groups), "A run has no sample of the coverage stored.")
    figure, axes = _new(title, groups)
    last = _draw_over_time(axes, curves)
    settled = max(float(times[share < 1].max(initial=0.0)) for members in curves.values() for times, share in members)
    axes.set_xlim(0, min(last, settled * SETTLED) or None)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("pairs of nodes where one\nknows the other (coverage)")
    in_percent(axes)
    legend_above(axes)
    return figure


@styled
def traffic(groups: Groups) -> Figure:
    """Bytes sent per node and second, over time."""
    title = "Network traffic that the gossip costs"
    curves = _curves(groups, rate)
    if curves is None:
        return nothing_to_draw(title, _all(groups), "A run has fewer than two samples of the traffic stored.")
    figure, axes = _new(title, groups)
    axes.set_xlim(0, _draw_over_time(axes, curves))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("sent per node and second")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_bytes(value)))
    legend_above(axes)
    return figure


@styled
def dissemination(groups: Groups) -> Figure:
    """The share of the followed updates that had reached 50, 99 and 100 % of the nodes within a time after their publication."""
    title = "How long an update takes to reach the nodes"
    if any(not len(run.rows("update_spread")["t50"]) for run in _all(groups)):
        return nothing_to_draw(title, _all(groups), "A run has no update that was followed.")
    note = " · ".join(filter(None, [seeds_note(groups), "what is missing to 100 % was still under way at the end"]))
    figure = new_figure(title, _all(groups), height=6.5, note=note)
    panels = figure.subplots(3, 1, sharex=True, sharey=True)
    longest = max(float(np.nanmax(run.rows("update_spread")[column], initial=0.0)) for run in _all(groups) for column in REACHED)
    grid = np.linspace(0, longest or 1.0, GRID)
    for axes, (column, nodes) in zip(panels, REACHED.items(), strict=True):
        for look, (label, members) in enumerate(groups.items()):
            _band(axes, grid, [_reached(run.rows("update_spread")[column], grid) for run in members], label, look)
        axes.set_ylabel(f"updates that got\nto {nodes}")
        in_percent(axes)
    axes.set_xlim(0, grid[-1])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("time since publication (s)")
    legend_above(panels[0])
    return figure


@styled
def distribution(groups: Groups, measure: Measure) -> Figure:
    """The share of pairs whose lag or age exceeds a value."""
    curves = {label: [_exceeding(run, measure) for run in members] for label, members in groups.items()}
    if any(not len(values) for members in curves.values() for values, _ in members):
        return nothing_to_draw(TITLES[measure], _all(groups), f"A run has no distribution of the {measure} stored.")
    figure, axes = _new(TITLES[measure], groups)
    grid = np.unique(np.concatenate([values for members in curves.values() for values, _ in members]))
    for look, (label, members) in enumerate(curves.items()):
        # Below its first value a run exceeds everywhere, above its last nowhere.
        shares = [np.interp(grid, values, above, left=1.0, right=0.0) for values, above in members]
        # The last share is 0, which a log axis cannot show: let the curve leave the picture instead of ending in the air.
        _band(axes, grid, [np.maximum(share, LOWEST_SHARE / 100) for share in shares], label, look)
    axes.set_xlabel(f"{measure} (s)")
    share_axis(axes, min(float(above[above > 0].min()) for members in curves.values() for _, above in members))
    axes.set_xlim(0, grid[-1])
    legend_above(axes)
    return figure


PLOTS: tuple[tuple[str, Callable[[Groups], Figure]], ...] = (
    ("coverage", coverage),
    ("dissemination", dissemination),
    ("lag", lambda groups: distribution(groups, "lag")),
    ("age", lambda groups: distribution(groups, "age")),
    ("traffic", traffic),
)


def draw_comparison(groups: Groups, folder: Path) -> list[Path]:
    """Draw all overlays of two groups, given under their labels, as SVG and PNG into `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    with drawing():
        return [path for name, draw in PLOTS for path in save(draw(groups), folder / name)]


def _all(groups: Groups) -> list[RunRows]:
    return [run for members in groups.values() for run in members]


def _new(title: str, groups: Groups) -> tuple[Figure, Axes]:
    figure = new_figure(title, _all(groups), note=seeds_note(groups))
    return figure, figure.add_subplot()


def _curves(groups: Groups, read: Callable[[RunRows], Curve]) -> dict[str, list[Curve]] | None:
    """A curve over time per run; None if one is empty."""
    if any(len(run.rows("sample")["t"]) < 2 for run in _all(groups)):
        return None
    return {label: [read(run) for run in members] for label, members in groups.items()}


def _draw_over_time(axes: Axes, curves: Mapping[str, Sequence[Curve]]) -> float:
    """Draw curves over time as far as all of them go; returns that time."""
    times = [times for members in curves.values() for times, _ in members]
    end = min(float(one[-1]) for one in times)
    grid = np.unique(np.concatenate(times))
    grid = grid[grid <= end]
    for look, (label, members) in enumerate(curves.items()):
        _band(axes, grid, [np.interp(grid, times, values) for times, values in members], label, look)
    axes.set_xlabel("time since the start (s)")
    return end


def _band(axes: Axes, grid: Floats, values: Sequence[Floats], label: str, look: int) -> None:
    """The median of curves (each of the grid's shape), with a band between the quartiles where there are several."""
    low, median, high = np.quantile(np.array(values), [0.25, 0.5, 0.75], axis=0)
    if len(values) > 1:
        axes.fill_between(grid, low, high, color=LOOKS[look]["color"], alpha=0.25, linewidth=0)
        label += f", {len(values)} runs"
    axes.plot(grid, median, label=label, **LOOKS[look])


def _reached(times: Floats, grid: Floats) -> Floats:
    """The share of updates whose time (nan: not within the run) is at most each of the grid."""
    return np.searchsorted(np.sort(times[~np.isnan(times)]), grid, side="right") / len(times)


def _exceeding(run: RunRows, measure: Measure) -> Curve:
    """Values (rising) and the share of the counts above each; straight between the edges of a bin, flat between bins."""
    rows = run.rows("distribution")
    mine = (rows["measure"] == measure) & (rows["count"] > 0)
    low, high, count = rows["low"][mine], rows["high"][mine], rows["count"][mine]
    above = np.concatenate([np.cumsum(count[::-1])[::-1], [0]]) / max(count.sum(), 1)
    return np.column_stack([low, high]).ravel(), np.column_stack([above[:-1], above[1:]]).ravel()
