"""How measures are distributed: lag, age and error over all pairs of nodes, dissemination over all updates.

Lag, age and error are drawn as the share of pairs that *exceed* a value, on a log axis, because it is the tail that hurts and a plain
cumulative curve squeezes it into the last pixel. Median and 99th percentile are where the curve crosses 50 % and 1 %.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from priomon_results.plots.style import (
    MUTED,
    PALETTE,
    Floats,
    in_percent,
    legend_above,
    new_figure,
    nothing_to_draw,
    plainly,
    styled,
    unit_of,
)
from priomon_results.schema import Rows, RunRows

Measure = Literal["lag", "age", "error", "error_in_bounds"]

TITLES: dict[Measure, str] = {
    "lag": "Lag: for how long observers miss the newest update",
    "age": "Age of Information: how old the values are that observers hold",
    "error": "Error: how far held values are from the truth, in each metric's unit",
    "error_in_bounds": "Error: how far held values are from the truth, in multiples of the bound",
}
WIDE_TAIL = 200  # a largest error of more than this many medians gets a log axis
LOWEST_SHARE = 1e-5  # the y axis never goes below this share


@styled
def distribution(run: RunRows, measure: Measure) -> Figure:
    """The share of pairs (and probes) that exceed a lag, an age or an error; one curve per metric for errors."""
    title = TITLES[measure]
    rows = run.rows("distribution")
    chosen = {name: values[rows["measure"] == measure] for name, values in rows.items()}
    names = list(dict.fromkeys(chosen["metric"][chosen["count"] > 0].tolist()))
    if not names:
        return nothing_to_draw(title, [run], f"No distribution of the {measure.replace('_', ' ')} was stored.")
    if measure == "error":
        return _errors_in_units(title, run, chosen, names)
    figure = new_figure(title, [run])
    axes = figure.add_subplot()
    lowest = [_exceeding(axes, chosen, name, PALETTE[index % len(PALETTE)]) for index, name in enumerate(names)]
    if measure == "error_in_bounds":
        settled = {name: values[rows["measure"] == "settled_error"] for name, values in rows.items()}
        for index, name in enumerate(names):
            if (settled["metric"] == name).any():
                _exceeding(axes, settled, name, PALETTE[index % len(PALETTE)], label=f"{name}, nothing missed", style=":")
        axes.axvline(1.0, color="#222222", linestyle="--", linewidth=1.2)
        axes.annotate("the bound", (1.0, 1.0), xycoords=("data", "axes fraction"), xytext=(5, -12), textcoords="offset points")
        axes.set_xlabel("|held value - true value|, in bounds of the metric")
        legend_above(axes)
    else:
        axes.set_xlabel(f"{measure} (s)")
    share_axis(axes, min(lowest))
    return figure


@styled
def spread(run: RunRows) -> Figure:
    """Share of the updates that had reached 50, 99 and 100 % of the nodes within a time after their publication."""
    title = "How long an update takes to reach the nodes"
    rows = run.rows("update_spread")
    updates = len(rows["t50"])
    if not updates:
        return nothing_to_draw(title, [run], "No update was followed in this run.")
    note = f"{updates:,} updates followed; a curve that ends below 100 % has updates still under way at the end"
    figure = new_figure(title, [run], note=note)
    axes = figure.add_subplot()
    for column, share, colour in (("t50", "half of the nodes", 5), ("t99", "99 % of the nodes", 0), ("t100", "all nodes", 1)):
        times = np.sort(rows[column][~np.isnan(rows[column])])
        reached = np.arange(len(times) + 1) / updates
        label = f"{share}: median {times[(updates - 1) // 2]:.3g} s" if len(times) > updates // 2 else f"{share}: fewer than half"
        axes.step(np.concatenate([[0.0], times]), reached, where="post", color=PALETTE[colour], label=label)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("time since publication (s)")
    axes.set_ylabel("updates that got there")
    in_percent(axes)
    legend_above(axes)
    return figure


@styled
def drift(times: Floats, truth: Floats, bounded: Floats, schedule: Floats, *, bound: float, quantity: str) -> Figure:
    """One series (arrays of one length, seconds and units) and what observers hold of it under two filters, with the bound as a band."""
    figure = new_figure("What observers hold of one slowly drifting series under two filters", [], height=4.6)
    axes = figure.add_subplot()
    axes.fill_between(times, truth - bound, truth + bound, color=PALETTE[0], alpha=0.18, linewidth=0, label="truth ± bound")
    axes.plot(times, truth, color="#222222", linewidth=1.2, label="truth")
    for held, colour, label in (
        (bounded, PALETTE[0], "bounded: compares with what it published last"),
        (schedule, PALETTE[1], "schedule: compares with the sample before"),
    ):
        worst = float(np.abs(held - truth).max())
        axes.step(times, held, where="post", color=colour, label=f"{label} (worst error {worst:.3g})")
    axes.set_xlim(times[0], times[-1])
    axes.set_xlabel("time (s)")
    axes.set_ylabel(quantity)
    legend_above(axes)
    return figure


def _errors_in_units(title: str, run: RunRows, chosen: Rows, names: list[str]) -> Figure:
    columns = min(len(names), 2)
    lines = -(-len(names) // columns)
    figure = new_figure(title, [run], height=1.2 + 2.2 * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    for index, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
        lowest = _exceeding(axes, chosen, name, PALETTE[index % len(PALETTE)])
        axes.set_xlabel(f"error of {name} ({unit_of(run.run, name)})")
        share_axis(axes, lowest)
        values, shares = (np.asarray(data) for data in axes.lines[0].get_data())
        median = values[shares <= 0.5].min()
        if median > 0 and values.max() > WIDE_TAIL * median:
            axes.set_xscale("log")
            axes.set_xlim(left=median / 10)
            axes.xaxis.set_major_formatter(plainly)
            axes.xaxis.set_minor_locator(NullLocator())
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    return figure


def _exceeding(axes: Axes, rows: Rows, metric: str, colour: str, label: str = "", style: str = "-") -> float:
    """Draw the share of the counts above each value and return the smallest one drawn.

    The curve is straight between the edges of a bin and upright where a bin has no width.
    """
    mine = rows["metric"] == metric
    low, high, count = rows["low"][mine], rows["high"][mine], rows["count"][mine]
    above = np.concatenate([np.cumsum(count[::-1])[::-1], [0]]) / count.sum()
    shares = np.column_stack([above[:-1], above[1:]]).ravel()
    # The last share is 0, which a log axis cannot show: let the curve leave the picture instead of ending in the air.
    axes.plot(
        np.column_stack([low, high]).ravel(), np.maximum(shares, LOWEST_SHARE / 100), color=colour, linestyle=style, label=label or metric
    )
    return float(shares[shares > 0].min())


def share_axis(axes: Axes, lowest: float) -> None:
    """A log axis of shares from 100 % down to what the curves need, with the median and the 99th percentile marked."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(max(LOWEST_SHARE, 10 ** np.floor(np.log10(min(lowest, 0.01) * 0.5))), 1.15)
    axes.set_xlim(left=0)
    in_percent(axes)
    axes.set_ylabel("pairs above the value")
    for share, name in ((0.5, "median"), (0.01, "99th percentile")):
        axes.axhline(share, color=MUTED, linestyle=":", linewidth=1)
        place: dict[str, Any] = {"xy": (1.0, share), "xycoords": ("axes fraction", "data"), "ha": "right"}
        place |= {"bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}}
        axes.annotate(name, xytext=(0, 3), textcoords="offset points", fontsize=8, color=MUTED, **place)
