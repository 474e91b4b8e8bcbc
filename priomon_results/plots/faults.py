"""Plots of runs in which nodes fail, and the marks of faults in plots against time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from priomon_results.plots.style import PALETTE, TEXT, in_percent, legend_above, new_figure, nothing_to_draw, styled
from priomon_results.schema import RunRows

MOST_LINES = 12  # more stops than this are ticks at the foot of a plot
SPANS = {"partition": PALETTE[3], "pause": PALETTE[4], "starve": TEXT, "degrade": PALETTE[5], "skew": PALETTE[2]}
STOPS = {"crash": (TEXT, "--"), "leave": (PALETTE[2], ":")}
ACTUAL: dict[str, Any] = {"color": PALETTE[1], "linestyle": (0, (4, 1.5)), "linewidth": 1.4, "drawstyle": "steps-post"}
CURVES = (
    ("suspected", "first suspicion", 4),
    ("first", "first node holds it dead", 5),
    ("t50", "half of the nodes", 2),
    ("t99", "99 % of the nodes", 0),
    ("t100", "all nodes", 1),
)


@styled
def detection(run: RunRows) -> Figure:
    """Share of the crashes that had become known so far, within a time after the crash."""
    title = "How soon the others know that a node has crashed"
    rows = run.rows("detection")
    crashes = (rows["kind"] == "crash") & (rows["audience"] > 0)
    count = int(crashes.sum())
    if not count:
        return nothing_to_draw(title, [run], "No crash of a node that others knew was stored.")
    figure = new_figure(title, [run], note=f"{count:,} crashes; a curve that ends below 100 % has crashes that never got so far")
    axes = figure.add_subplot()
    for column, label, colour in CURVES:
        times = np.sort(rows[column][crashes])
        times = times[~np.isnan(times)]
        median = f"median {times[(count - 1) // 2]:.3g} s" if 2 * len(times) >= count else "fewer than half"
        shares = np.arange(len(times) + 1) / count
        axes.step(np.concatenate([[0.0], times]), shares, where="post", color=PALETTE[colour], label=f"{label}: {median}")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("time since the crash (s)")
    axes.set_ylabel("crashes that became\nknown so far")
    in_percent(axes)
    legend_above(axes)
    return figure


@styled
def alive(run: RunRows) -> Figure:
    """Nodes that run over time, and how many the nodes themselves hold alive."""
    title = "How many nodes live, and how many the nodes believe to live"
    sample, belief = run.rows("sample"), run.rows("belief")
    if not len(sample["t"]):
        return nothing_to_draw(title, [run], "No sample of the nodes was stored.")
    figure = new_figure(title, [run])
    axes = figure.add_subplot()
    mark_faults(axes, [run])
    if len(belief["t"]):
        axes.fill_between(
            belief["t"], belief["low"], belief["high"], color=PALETTE[0], alpha=0.25, linewidth=0, label="believed: all nodes"
        )
        axes.plot(belief["t"], belief["median"], color=PALETTE[0], label="believed: median of the nodes")
    axes.plot(sample["t"], sample["live"], **ACTUAL, label="run and do not stand still")
    axes.set_xlim(0, sample["t"][-1])
    axes.set_ylim(0, run.run.nodes * 1.05)
    axes.set_xlabel("time since the start (s)")
    axes.set_ylabel("nodes")
    legend_above(axes)
    return figure


def mark_faults(axes: Axes, runs: Sequence[RunRows]) -> None:
    """Show the faults that all these runs had at the same times: stops as upright lines or ticks, what lasted as shades."""
    common = set.intersection(*(_faults(run) for run in runs))
    last = max(float(run.rows("sample")["t"][-1]) for run in runs)
    for kind, colour in SPANS.items():
        spans = [(begin, min(end, last)) for found, begin, end in common if found == kind]
        for index, (begin, end) in enumerate(_merged(spans)):
            axes.axvspan(begin, end, color=colour, alpha=0.18, linewidth=0, zorder=0, label="" if index else kind)
    for kind, (colour, style) in STOPS.items():
        times = sorted({begin for found, begin, _ in common if found == kind})
        if len(times) > MOST_LINES:
            place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "zorder": 1, "clip_on": False}
            axes.plot(times, np.zeros(len(times)), "|", color=colour, label=kind, **place)
            continue
        for index, time in enumerate(times):
            axes.axvline(time, color=colour, alpha=0.6, linestyle=style, linewidth=1, zorder=1, label="" if index else kind)


def _faults(run: RunRows) -> set[tuple[str, float, float]]:
    """(Kind, begin, end) of the faults of a run; infinite where there is no end."""
    rows = run.rows("fault")
    ends = np.where(np.isnan(rows["until"]), np.inf, rows["until"])
    return {*zip(rows["kind"].tolist(), rows["t"].tolist(), ends.tolist(), strict=True)}


def _merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same times without overlaps, so that no shade is darker for being drawn twice."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged
