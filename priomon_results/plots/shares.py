"""Bars: what each strategy costs, and how much of what was measured each metric published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from priomon_results.plots.style import (
    FILTERED,
    PALETTE,
    PUBLISHED,
    TEXT,
    WIDE_SPREAD,
    by_scenario,
    in_bytes,
    new_figure,
    nothing_to_draw,
    styled,
)
from priomon_results.schema import RunRows


@styled
def traffic_by_strategy(runs: Sequence[RunRows]) -> Figure:
    """Bytes per node and second of each scenario and strategy: the median over the seeds, with quartiles as whiskers."""
    title = "Network traffic by strategy"
    groups = by_scenario([run for run in runs if run.run.summary.get("bytes_per_node_per_second")])
    if not groups:
        return nothing_to_draw(title, runs, "No run has come to its end, so there is no traffic to compare.")
    note = "bar: median of the seeds, whisker: quartiles" if any(len(members) > 1 for members in groups.values()) else ""
    figure = new_figure(title, runs, height=1.6 + 0.55 * len(groups), note=note)
    axes = figure.add_subplot()
    costs = [[run.run.summary["bytes_per_node_per_second"] for run in members] for members in groups.values()]
    lower, median, upper = np.array([np.quantile(values, [0.25, 0.5, 0.75]) for values in costs]).T
    strategies = list(dict.fromkeys(members[0].run.strategy for members in groups.values()))
    colours = [PALETTE[strategies.index(members[0].run.strategy) % len(PALETTE)] for members in groups.values()]
    labels = [f"{label}\n{len(members)} seeds" if len(members) > 1 else label for label, members in groups.items()]
    bars = axes.barh(labels, median, xerr=[median - lower, upper - median], color=colours, height=0.6, ecolor=TEXT, capsize=3)
    axes.bar_label(bars, [f"{in_bytes(value)}/s" for value in median], padding=6)
    if median.max() > WIDE_SPREAD * median.min():
        axes.set_xscale("log")
        axes.set_xlim(10 ** np.floor(np.log10(median.min() / 2)), upper.max() * 4)
        axes.set_xlabel("sent per node and second (log scale)")
    else:
        axes.set_xlim(0, upper.max() * 1.18)
        axes.set_xlabel("sent per node and second")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_bytes(value)))
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    return figure


@styled
def published_filtered(run: RunRows) -> Figure:
    """Samples of each metric over the whole run, split into published and filtered."""
    title = "Samples published, and samples filtered as close enough"
    rows = run.rows("metric_sample")
    last = rows["t"] == rows["t"].max(initial=0.0)
    names, published, filtered = rows["metric"][last].tolist(), rows["published"][last], rows["filtered"][last]
    total = published + filtered
    if not total.sum():
        return nothing_to_draw(title, [run], "No count of published samples was stored.")
    figure = new_figure(title, [run], height=1.7 + 0.42 * len(names))
    axes = figure.add_subplot()
    axes.barh(names, published, color=PUBLISHED, height=0.6, label="published")
    bars = axes.barh(names, filtered, left=published, color=FILTERED, height=0.6, label="filtered")
    shares = [f"{share:.1%} published".replace("%", " %") for share in published / np.maximum(total, 1)]
    axes.bar_label(bars, shares, padding=6)
    axes.set_xlim(0, total.max() * 1.22)
    axes.set_xlabel("samples taken by all nodes")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper right", ncols=2)
    return figure
