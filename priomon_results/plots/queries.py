"""How quorum reads went: latency, messages and age of the answer, as shares of the reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from priomon_results.plots.style import PALETTE, by_scenario, in_percent, new_figure, nothing_to_draw, styled
from priomon_results.schema import RunRows

PANELS = (("latency", "latency (s)"), ("messages", "messages per read"), ("age", "age of the answer (s)"))


@styled
def queries(runs: Sequence[RunRows]) -> Figure:
    """The reads of each scenario, all seeds together: distributions of what they took, cost and returned."""
    title = "What reads through other nodes take, cost and return"
    groups = by_scenario([run for run in runs if len(run.rows("query")["t"])])
    if not groups:
        return nothing_to_draw(title, runs, "No read of a node through others is stored for this run.")
    figure = new_figure(title, runs, note="a curve that ends below 100 %: reads that found nothing")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for index, (label, members) in enumerate(groups.items()):
        colour = PALETTE[index % len(PALETTE)]
        ok = np.concatenate([run.rows("query")["ok"] for run in members])
        told = f"{label}: {ok.mean() * 100:.5g} % of {len(ok):,} reads met their level"
        for panel, (column, _) in zip(panels, PANELS, strict=True):
            values = np.concatenate([run.rows("query")[column] for run in members]).astype(float)
            there = np.sort(values[~np.isnan(values)])
            shares = np.arange(1, len(there) + 1) / len(values)
            panel.step(there, shares, where="post", color=colour, label=told if panel is panels[0] else "")
    for panel, (_, axis) in zip(panels, PANELS, strict=True):
        panel.set_xlim(left=0)
        panel.set_ylim(0, 1.02)
        panel.set_xlabel(axis)
    panels[0].set_ylabel("reads")
    in_percent(panels[0])
    figure.legend(loc="outside upper left", ncols=1)
    return figure
