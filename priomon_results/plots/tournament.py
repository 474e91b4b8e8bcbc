"""Pictures of a tournament: bytes against lag in each setting, and how bytes grow with the number of nodes, beside the lower bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from re import sub

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from priomon_results.plots.style import MUTED, PALETTE, drawing, new_figure, plainly, save, styled
from priomon_results.sweep.table import Key, Row, Value, is_number
from priomon_results.tournament import BOUND, BYTES, LAG, Entry, Figures, Tournament

NODES = "nodes"
PANEL = 2.3  # inches of height
BASELINE_COLOUR = "#000000"
NOTE = "point: median of the seeds, bar: quartiles · hollow: every sample published · dashed: lower bound · dotted: goal"
Place = Mapping[str, Value]  # values of the settings that a picture, a row or a panel is of


@dataclass(frozen=True, slots=True)
class Layout:
    """Panels of a picture: a column for each of `columns`, a row for each of `rows`, of the settings that have `fixed` values."""

    fixed: Place
    rows: Sequence[Place]
    columns: Sequence[Place]


def layouts(tournament: Tournament) -> Iterator[Layout]:
    """The pictures in which all settings have a panel: nodes side by side, the next setting one below the other, a picture for the rest."""
    paths = sorted(tournament.paths, key=lambda path: path != NODES)
    columns, rows, others = ([*_places(tournament, part)] for part in (paths[:1], paths[1:2], paths[2:]))
    for fixed in others:
        yield Layout(fixed, rows, columns)


@styled
def frontier(tournament: Tournament, layout: Layout) -> Figure:
    """Bytes against lag: a panel for each setting, a point for each strategy; the lower left wins."""
    figure, panels = _panels(tournament, "Bytes against lag", layout, layout.rows, layout.columns)
    for axes, place in panels:
        for entry in _inside(tournament, place):
            colour = _colour(tournament, entry.strategy)
            _point(axes, entry.figures, colour, entry.strategy, filled=True)
            if entry.unfiltered is not None:
                _point(axes, entry.unfiltered, colour, "", filled=False)
        for setting in _settings(tournament, place):
            if (known := tournament.baseline(setting)) is not None:
                _point(axes, known, BASELINE_COLOUR, "baseline", filled=False)
        if (bound := _bound(_inside(tournament, place))) is not None:
            axes.axvline(bound, color=MUTED, linestyle="--", linewidth=1)
        for goal in tournament.goals:
            if goal.measure == LAG:
                axes.axhline(goal.limit, color=MUTED, linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(plainly))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("B/s per node")
        axes.set_ylabel(f"{LAG} (s)")
        axes.tick_params(labelsize=8)
        axes.label_outer()
    _legend(figure, [axes for axes, _ in panels])
    return figure


@styled
def growth(tournament: Tournament, layout: Layout) -> Figure:
    """Bytes over the number of nodes, with a line for each strategy and one for the lower bound: a panel for each other setting."""
    figure, panels = _panels(tournament, "Bytes as the cluster grows", layout, [{}], layout.rows)
    for axes, place in panels:
        entries = _inside(tournament, place)
        for strategy in tournament.strategies:
            own = sorted((entry for entry in entries if entry.strategy == strategy), key=lambda entry: _nodes(tournament, entry))
            rows = [(_nodes(tournament, entry), row) for entry in own if (row := entry.figures.get(BYTES)) and row.median is not None]
            if rows:
                colour, (at, found) = _colour(tournament, strategy), zip(*rows, strict=True)
                low, median, high = np.array([(row.low, row.median, row.high) for row in found], dtype=float).T
                axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
                axes.plot(at, median, color=colour, marker="o", markersize=4, label=strategy)
        levels = sorted({_nodes(tournament, entry) for entry in entries})
        bounds = [_bound([entry for entry in entries if _nodes(tournament, entry) == nodes]) for nodes in levels]
        axes.plot(levels, np.array(bounds, dtype=float), color=MUTED, linestyle="--", label=BOUND)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(levels, [plainly(nodes, 0) for nodes in levels])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(plainly))
        axes.set_xlabel(NODES)
        axes.set_ylabel(f"{BYTES} (B/s)")
        axes.label_outer()
    _legend(figure, [axes for axes, _ in panels])
    return figure


def draw_tournament(tournament: Tournament, folder: Path) -> list[Path]:
    """Draw all pictures as SVG and PNG into `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with drawing():
        for layout in layouts(tournament):
            words = "-".join(["", *(str(value) for value in layout.fixed.values())])
            name = sub(r"[^\w.-]+", "-", words)
            drawn += save(frontier(tournament, layout), folder / f"frontier{name}")
            if NODES in tournament.paths:
                drawn += save(growth(tournament, layout), folder / f"growth{name}")
    return drawn


def _panels(
    tournament: Tournament, title: str, layout: Layout, rows: Sequence[Place], columns: Sequence[Place]
) -> tuple[Figure, list[tuple[Axes, Place]]]:
    """A figure with a panel for each row and column, and what each is of."""
    table = tournament.table
    of = f"{table.sweep.scenario}{', ' if layout.fixed else ''}{_told(tournament, layout.fixed)}"
    seeds = max(row.seeds for row in table.rows)
    parts = [f"{seeds} {'seed' if seeds == 1 else 'seeds'}", f"PrioMon {table.sweep.code_version}", *([NOTE] if "lag" in title else [])]
    figure = new_figure(f"{title}: {of}", [], height=1.5 + PANEL * max(len(rows), 1.3), note=" · ".join(parts))
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    panels: list[tuple[Axes, Place]] = []
    for (row, column), axes in zip(product(rows, columns), grid.ravel(), strict=True):
        place = {**layout.fixed, **row, **column}
        axes.set_title(_told(tournament, {**column, **row}), fontsize=9)
        panels.append((axes, place))
    return figure, panels


def _point(axes: Axes, figures: Figures, colour: str, label: str, *, filled: bool) -> None:
    x, y = figures.get(BYTES), figures.get(LAG)
    if x is None or y is None or x.median is None or y.median is None:
        return
    face = colour if filled else "white"
    axes.errorbar(x.median, y.median, _bar(y), _bar(x), "o", color=colour, markersize=6, elinewidth=1, label=label, markerfacecolor=face)


def _bar(row: Row) -> list[list[float]]:
    """How far the quartiles lie below and above the median."""
    assert row.median is not None
    low, high = (row.median if end is None else end for end in (row.low, row.high))
    return [[row.median - low], [high - row.median]]


def _bound(entries: Sequence[Entry]) -> float | None:
    """The lower bound in a setting, which is that of all its strategies."""
    return next((row.median for entry in entries if (row := entry.figures.get(BOUND)) and row.median), None)


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels."""
    named = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named.keys(), loc="outside right upper")


def _places(tournament: Tournament, paths: Sequence[str]) -> Iterator[Place]:
    for values in product(*(tournament.table.levels(path) for path in paths)):
        yield dict(zip(paths, values, strict=True))


def _settings(tournament: Tournament, place: Place) -> list[Key]:
    return [setting for setting in tournament.settings if all(value == place[path] for path, value in _named(tournament, setting, place))]


def _named(tournament: Tournament, setting: Key, place: Place) -> Iterator[tuple[str, Value]]:
    return ((path, value) for path, value in zip(tournament.paths, setting, strict=True) if path in place)


def _inside(tournament: Tournament, place: Place) -> list[Entry]:
    settings = set(_settings(tournament, place))
    return [entry for entry in tournament.entries if entry.setting in settings]


def _nodes(tournament: Tournament, entry: Entry) -> float:
    return float(entry.setting[tournament.paths.index(NODES)])


def _colour(tournament: Tournament, strategy: str) -> str:
    return PALETTE[tournament.strategies.index(strategy) % (len(PALETTE) - 1)]  # the last one is the baseline's


def _told(tournament: Tournament, place: Place) -> str:
    """ "100 nodes, loss 20 %" of {nodes: 100, network.loss: 0.2}."""
    return ", ".join(told(path, value) for path, value in place.items())


def told(path: str, value: Value) -> str:
    """A value of a setting for people."""
    name = path.removesuffix(".kind").rpartition(".")[2]
    if path == NODES:
        return f"{value:,} {name}"
    if name == "loss" and is_number(value):
        return f"{float(value) * 100:g} % {name}"
    return f"{name} {plainly(float(value), 0) if is_number(value) else value}"
