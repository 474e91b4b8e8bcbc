"""What all plots share: look, captions, units, the band over seeds, and files that are the same byte for byte.

A figure never touches pyplot or the reader's matplotlib settings, so the same rows give the same bytes on every machine with the same
matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rcParams, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from priomon_core.metrics import BUILT_IN
from priomon_results.schema import Run, RunRows

Floats = NDArray[np.float64]
P = ParamSpec("P")
T = TypeVar("T")

# The colours of Okabe and Ito, which colour-blind readers can tell apart; without yellow, which is too light for a line on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PUBLISHED, FILTERED = PALETTE[1], "#BFD3E6"
TEXT, MUTED, GRID = "#222222", "#666666", "#DDDDDD"
LARGEST_SVG = 300_000  # bytes; a report shows a larger drawing as a PNG
WIDTH = 9.0  # inches: 900 px in an SVG
LEGEND = 105  # characters of a legend that fit into that
WIDE_SPREAD = 20  # traffic that differs by a larger factor gets a log axis
UNITS = {metric.name: metric.unit for metric in BUILT_IN}

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": TEXT,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": TEXT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "svg.hashsalt": "priomon",
    "svg.fonttype": "path",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the common style, whatever settings the surrounding program has. To enter it again inside costs nothing."""
    if rcParams["svg.hashsalt"] == _STYLE["svg.hashsalt"]:
        yield
    else:
        with style.context(_STYLE, after_reset=True):
            yield


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """A function that draws in the common style."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with drawing():
            return draw(*args, **kwargs)

    return wrapper


def new_figure(title: str, runs: Sequence[RunRows], height: float = 4.2, note: str = "") -> Figure:
    """An empty figure with a title that says what is seen and a caption that says of which runs."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left")
    figure.supxlabel(" · ".join(filter(None, [caption([rows.run for rows in runs]), note])), x=0.01, ha="left", fontsize=8, color=MUTED)
    return figure


def nothing_to_draw(title: str, runs: Sequence[RunRows], reason: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure = new_figure(title, runs, height=2.0)
    figure.text(0.5, 0.5, reason, ha="center", va="center", color=MUTED)
    return figure


def caption(runs: Sequence[Run]) -> str:
    """Scenarios, nodes, seeds and code versions of what is drawn, each named once."""
    if not runs:
        return ""
    seeds = sorted({run.seed for run in runs})
    parts = [
        ", ".join(dict.fromkeys(run.scenario for run in runs)),
        ", ".join(f"{nodes:,}" for nodes in sorted({run.nodes for run in runs})) + " nodes",
        f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({seeds[0]} to {seeds[-1]})",
        "PrioMon " + ", ".join(sorted({run.code_version for run in runs})),
    ]
    if any(run.mode == "live" for run in runs):
        parts.insert(1, "live")
    unfinished = sum(run.status != "complete" for run in runs)
    if unfinished:
        parts.append("not complete" if len(runs) == 1 else f"{unfinished} of {len(runs)} runs not complete")
    return " · ".join(parts)


def by_scenario(runs: Sequence[RunRows]) -> dict[str, list[RunRows]]:
    """Runs that differ in the seed alone, under a label that tells them from the others."""
    groups: dict[tuple[str, str, str, str], list[RunRows]] = {}
    for rows in runs:
        run = rows.run
        groups.setdefault((run.scenario, run.mode, run.scenario_hash, run.code_version), []).append(rows)
    labelled = {}
    for (scenario, mode, content, version), members in groups.items():
        label = f"{scenario} ({members[0].run.strategy}{', live' if mode == 'live' else ''})"
        if label in labelled:
            label += f" {content[:6]} {version}"
        labelled[label] = members
    return labelled


def seeds_note(groups: Mapping[str, Sequence[RunRows]]) -> str:
    """How to read bands and whiskers, if there are any."""
    return "line: median of the seeds, band: quartiles" if any(len(members) > 1 for members in groups.values()) else ""


def over_seeds(curves: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Times (shape [k]) and the lower quartile, median and upper quartile over the curves (shape [3, k]), as far as all of them go."""
    end = min(times[-1] for times, _ in curves)
    grid = np.unique(np.concatenate([times[times <= end] for times, _ in curves]))
    values = np.array([np.interp(grid, times, value) for times, value in curves])
    return grid, np.quantile(values, [0.25, 0.5, 0.75], axis=0)


def unit_of(run: Run, metric: str) -> str:
    """The unit of a metric: what the scenario says, else what is built in, else nothing."""
    described = run.parameters.get("metrics", {}).get(metric, {})
    return str(described.get("unit") or UNITS.get(metric, ""))


def in_percent(axes: Axes) -> None:
    """Label the y axis of shares from 0 to 1 in percent."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.6g} %"))


def plainly(value: float, position: int) -> str:
    """The label of a tick on a log axis: decimal, where matplotlib's own would set a formula."""
    return f"{value:,.12g}" if value < 1e6 else f"{value:g}".replace("e+0", "e")


def legend_above(axes: Axes) -> None:
    """The legend over the plot, where it covers no curve; in as many columns as the labels leave room for."""
    _, labels = axes.get_legend_handles_labels()
    columns = next((columns for columns in (4, 3, 2) if _legend_width(labels, columns) <= LEGEND), 1)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)


def _legend_width(labels: Sequence[str], columns: int) -> int:
    """Characters from the left to the right of a legend, with six for the sample beside each label."""
    lines = -(-len(labels) // columns)
    return sum(max(map(len, labels[first : first + lines])) + 6 for first in range(0, len(labels), lines))


def in_bytes(value: float) -> str:
    """Bytes in the decimal unit that reads best, to three digits."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= 0.9995 * factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g} B"


@styled
def save(figure: Figure, stem: Path, *, png: bool = True) -> list[Path]:
    """Write `stem`.svg (text as shapes, so it looks the same without the font) and `stem`.png (1,350 px wide); returns the files.

    Without `png`, that one is written only where the SVG is too large to be part of a report.
    """
    files = [stem.with_suffix(".svg"), stem.with_suffix(".png")]
    if figure.axes and (engine := figure.get_layout_engine()):
        engine.execute(figure)
        figure.set_layout_engine(None)  # it holds for both files, and each would lay out the figure anew
    figure.savefig(files[0], metadata={"Date": None, "Creator": None})
    if not png and files[0].stat().st_size <= LARGEST_SVG:
        return files[:1]
    figure.savefig(files[1], metadata={"Software": None}, pil_kwargs={"compress_level": 2})
    return files
