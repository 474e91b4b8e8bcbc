"""The plots of a report: which there are, what each shows, and the picture of the topology.

Every plot is a pure function from rows to a matplotlib `Figure`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from priomon_results.plots.distribution import distribution, spread
from priomon_results.plots.faults import alive, detection
from priomon_results.plots.over_time import convergence, published_over_time, traffic
from priomon_results.plots.queries import queries
from priomon_results.plots.shares import published_filtered, traffic_by_strategy
from priomon_results.plots.style import MUTED, PALETTE, by_scenario, drawing, new_figure, nothing_to_draw, save, styled
from priomon_results.schema import RunRows
from priomon_results.store import Store

LARGEST_VECTOR = 5_000  # more edges than this become pixels in an SVG


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of a report: `name` is its file name, `text` tells a reader how to read it. It is drawn of the last run or of all, if the
    runs are `worth` it.
    """

    name: str
    text: str
    draw: Callable[[Sequence[RunRows]], Figure]
    worth: Callable[[Sequence[RunRows]], bool] = lambda runs: True


@styled
def topology(run: RunRows) -> Figure:
    """The nodes where they are, coloured by when one chosen update reached them."""
    title = "When one update reached each node"
    nodes, edges = run.rows("node"), run.rows("edge")
    if not len(nodes["node"]):
        return nothing_to_draw(title, [run], "No positions of the nodes were stored.")
    order = np.argsort(nodes["node"])
    places = np.column_stack([nodes["x"], nodes["y"]])[order]
    reached = nodes["reached_t"][order]
    there = ~np.isnan(reached)
    figure = new_figure(title, [run], height=6.2, note=f"{len(edges['a']):,} edges")
    axes = figure.add_subplot()
    size = float(np.clip(20_000 / len(places), 6, 90))
    index = {number: row for row, number in enumerate(nodes["node"][order].tolist())}
    ends = np.array([(index[a], index[b]) for a, b in zip(edges["a"].tolist(), edges["b"].tolist(), strict=True)], dtype=int).reshape(-1, 2)
    lines = LineCollection(
        list(places[ends]), colors=MUTED, linewidths=0.5, alpha=float(np.clip(300 / (len(ends) + 1), 0.03, 0.5)), zorder=1
    )
    lines.set_rasterized(len(ends) > LARGEST_VECTOR)
    axes.add_collection(lines)
    drawn = axes.scatter(places[there, 0], places[there, 1], size, reached[there], cmap="viridis_r", vmin=0, zorder=2)
    drawn.set(linewidths=0.4, edgecolors="white")
    figure.colorbar(drawn, ax=axes, label="time since its publication (s)", shrink=0.8, pad=0.01)
    if not there.all():
        label = f"never reached ({int((~there).sum()):,})"
        axes.scatter(places[~there, 0], places[~there, 1], max(size, 25), marker="x", color=PALETTE[1], zorder=3, label=label)
        figure.legend(loc="outside upper right")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.03)
    axes.set_axis_off()
    return figure


PLOTS = (
    Plot(
        "convergence",
        "Coverage: the share of all pairs of nodes in which one knows a value of the other. The dot marks when it is complete.",
        convergence,
    ),
    Plot("traffic", "What a node sends, with all headers down to those of IPv4.", traffic),
    Plot(
        "traffic_by_strategy",
        "What a node sends on average over the run. Compare it together with the lag and the error that it buys.",
        traffic_by_strategy,
        lambda runs: len(by_scenario(runs)) > 1,
    ),
    Plot(
        "alive",
        "Where the line leaves the dashed one, nodes are wrong about each other: above it they have not noticed a stop yet, below it they"
        " hold live ones dead. The shade is the range over all live nodes; one that has just started knows itself only.",
        lambda runs: alive(runs[-1]),
        lambda runs: any(len(runs[-1].rows(table)["t"]) for table in ("belief", "fault")),
    ),
    Plot(
        "detection",
        "For every crash: when it was first suspected, and when one, half, 99 % and all of the nodes that knew the node held it dead.",
        lambda runs: detection(runs[-1]),
        lambda runs: bool(len(runs[-1].rows("belief")["t"]) and (runs[-1].rows("fault")["kind"] == "crash").any()),
    ),
    Plot(
        "queries",
        "Reads that took at most so long, cost at most so many messages, and returned what was at most so old.",
        queries,
        lambda runs: any(len(run.rows("query")["t"]) for run in runs),
    ),
    Plot(
        "published_filtered",
        "What the filter let through, and what it held back because observers know it well enough.",
        lambda runs: published_filtered(runs[-1]),
    ),
    Plot(
        "published_over_time",
        "The dark part of each interval was published, the light part was filtered.",
        lambda runs: published_over_time(runs[-1]),
    ),
    Plot(
        "lag",
        "Lag is 0 while an observer holds the newest published version, else the time since the oldest one that it lacks.",
        lambda runs: distribution(runs[-1], "lag"),
    ),
    Plot(
        "age",
        "Time since the sample was taken that an observer's value comes from. It grows also while nothing changes.",
        lambda runs: distribution(runs[-1], "age"),
    ),
    Plot(
        "error_in_bounds",
        "Full lines: all pairs. Dotted: pairs in which the observer had missed no update, so that what remains is the filter's doing;"
        " under the bounded filter no such pair lies beyond the bound.",
        lambda runs: distribution(runs[-1], "error_in_bounds"),
    ),
    Plot("error", "The same errors in the units of the metrics.", lambda runs: distribution(runs[-1], "error")),
    Plot("spread", "Dissemination time of the updates that were followed.", lambda runs: spread(runs[-1])),
    Plot(
        "topology",
        "Dark nodes were reached late. Edges are the pairs that may gossip, or the network's links.",
        lambda runs: topology(runs[-1]),
    ),
)


def draw_all(store: Store, runs: Sequence[int], folder: Path, *, png: bool = True) -> list[Path]:
    """Draw the plots of the runs with these ids as SVG and PNG into `folder` and return the files; see `save` for `png`.

    Plots of a single run show the last one; plots that the runs are not worth are left out.
    """
    loaded = [store.load(run) for run in runs]
    plots = [plot for plot in PLOTS if plot.worth(loaded)]
    folder.mkdir(parents=True, exist_ok=True)
    with drawing():
        return [path for plot in plots for path in save(plot.draw(loaded), folder / plot.name, png=png)]
