"""Plots against the time of the run: how fast knowledge spreads, what it costs, what the filter lets through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from priomon_results.plots.faults import mark_faults
from priomon_results.plots.style import (
    FILTERED,
    MUTED,
    PALETTE,
    PUBLISHED,
    WIDE_SPREAD,
    Floats,
    by_scenario,
    in_bytes,
    in_percent,
    legend_above,
    new_figure,
    nothing_to_draw,
    over_seeds,
    seeds_note,
    styled,
)
from priomon_results.schema import RunRows

LARGEST_GRID = 8  # small multiples of more metrics than this would be too small to read


@styled
def convergence(runs: Sequence[RunRows]) -> Figure:
    """Coverage over time: a curve per scenario, as the median and quartiles where there are several seeds."""
    title = "How fast every node comes to know every other"
    groups = by_scenario([run for run in runs if len(run.rows("sample")["t"])])
    if not groups:
        return nothing_to_draw(title, runs, "No sample of the coverage was stored.")
    figure = new_figure(title, runs, note=seeds_note(groups))
    axes = figure.add_subplot()
    last = settled = 0.0
    for index, (label, members) in enumerate(groups.items()):
        colour = PALETTE[index % len(PALETTE)]
        curves = [(run.rows("sample")["t"], run.rows("sample")["coverage"]) for run in members]
        converged = _converged(members)
        _band(axes, curves, f"{label}: {'not complete' if converged is None else f'complete at {converged:.3g} s'}", colour)
        if converged is not None:
            axes.plot([converged], [1.0], "o", color=colour, markersize=7, clip_on=False, zorder=5)
        last = max(last, *(float(times[-1]) for times, _ in curves))
        settled = max(settled, *(float(times[coverage < 1].max(initial=0.0)) for times, coverage in curves))
    if len(groups) == 1:
        mark_faults(axes, *groups.values())
    # What follows after all is known is a flat line; leave enough of it to be seen.
    axes.set_xlim(0, min(last, settled * 1.5) or None)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("time since the start (s)")
    axes.set_ylabel("pairs of nodes where one\nknows the other (coverage)")
    in_percent(axes)
    legend_above(axes)
    return figure


@styled
def traffic(runs: Sequence[RunRows]) -> Figure:
    """Bytes sent per node and second over time; for a single run with the range that holds nine nodes of ten."""
    title = "Network traffic that the gossip costs"
    groups = by_scenario([run for run in runs if len(run.rows("sample")["t"]) > 1])
    if not groups:
        return nothing_to_draw(title, runs, "Fewer than two samples of the traffic were stored.")
    figure = new_figure(title, runs, note=seeds_note(groups))
    axes = figure.add_subplot()
    if len(runs) == 1:
        _node_range(axes, runs[0])
    last, means = 0.0, []
    for index, (label, members) in enumerate(groups.items()):
        curves = [rate(run) for run in members]
        _band(axes, curves, f"{label}: mean of the nodes", PALETTE[index % len(PALETTE)])
        last = max(last, *(float(times[-1]) for times, _ in curves))
        means.append(float(np.mean([np.mean(sent) for _, sent in curves])))
    if len(groups) == 1:
        mark_faults(axes, *groups.values())
    axes.set_xlim(0, last)
    if max(means) > WIDE_SPREAD * min(means) > 0:
        axes.set_yscale("log")
        axes.set_ylabel("sent per node and second\n(log scale)")
    else:
        axes.set_ylim(bottom=0)
        axes.set_ylabel("sent per node and second")
    axes.set_xlabel("time since the start (s)")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_bytes(value)))
    legend_above(axes)
    return figure


@styled
def published_over_time(run: RunRows) -> Figure:
    """Small multiples: the share of samples that each metric published, over time."""
    title = "Which share of the samples was worth publishing, over time"
    rows = run.rows("metric_sample")
    names = list(dict.fromkeys(rows["metric"].tolist()))
    if not names:
        return nothing_to_draw(title, [run], "No sample of the filter was stored.")
    shown = names[:LARGEST_GRID]
    columns = min(len(shown), 2 if len(shown) <= 4 else 4)
    lines = -(-len(shown) // columns)
    note = f"{len(names) - len(shown)} more metrics are not shown" if len(names) > len(shown) else ""
    figure = new_figure(title, [run], height=1.4 + 1.7 * lines, note=note)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(grid.flat, shown, strict=False):
        mine = rows["metric"] == name
        times = np.concatenate([[0.0], rows["t"][mine]])
        published, filtered = np.diff(rows["published"][mine], prepend=0), np.diff(rows["filtered"][mine], prepend=0)
        share = published / np.maximum(published + filtered, 1)
        axes.stairs(share, times, fill=True, color=PUBLISHED, label="published")
        axes.stairs(np.ones_like(share), times, baseline=share, fill=True, color=FILTERED, label="filtered")
        overall = published.sum() / max(published.sum() + filtered.sum(), 1)
        axes.set_title(f"{name}: {overall:.1%} published".replace("%", " %"))
        axes.set_xlim(0, times[-1])
        axes.set_ylim(0, 1)
        in_percent(axes)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("time since the start (s)")
    for axes in grid[:, 0]:
        axes.set_ylabel("share of samples")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _band(axes: Axes, curves: Sequence[tuple[Floats, Floats]], label: str, colour: str) -> None:
    """One curve, or the median of several with a band between the quartiles."""
    times, (lower, median, upper) = over_seeds(curves)
    if len(curves) > 1:
        axes.fill_between(times, lower, upper, color=colour, alpha=0.25, linewidth=0)
        label += f", {len(curves)} seeds"
    axes.plot(times, median, color=colour, label=label)


def _converged(members: Sequence[RunRows]) -> float | None:
    """Median of the convergence times in seconds; None when a run has none."""
    times = [run.run.summary.get("convergence_seconds") for run in members]
    known = [float(time) for time in times if time is not None]
    return float(np.median(known)) if len(known) == len(times) else None


def rate(run: RunRows) -> tuple[Floats, Floats]:
    """Bytes per node and second (mean of the nodes that live) between samples, at the end of each interval."""
    sample = run.rows("sample")
    return sample["t"][1:], np.diff(sample["bytes_sent"]) / np.diff(sample["t"]) / np.maximum(sample["live"][1:], 1)


def _node_range(axes: Axes, run: RunRows) -> None:
    """The range of bytes per second in which nine nodes of ten are, if nodes were sampled and lived all the time."""
    rows = run.rows("node_sample")
    times, counts = np.unique(rows["t"], return_counts=True)
    if len(times) < 2 or len(set(counts.tolist())) > 1 or run.rows("sample")["live"].min() < run.run.nodes:
        return
    sent = rows["bytes_sent"].reshape(len(times), -1)
    low, high = np.quantile(np.diff(sent, axis=0) / np.diff(times)[:, None], [0.05, 0.95], axis=1)
    axes.fill_between(times[1:], low, high, color=MUTED, alpha=0.2, linewidth=0, label="nine nodes of ten")
