"""Pictures of a sweep, chosen by its shape: lines with bands, a heat map, or parallel coordinates.

One setting that varies is a line per measure. Two are a line for each value of the second, or a heat map where those are many. More are
parallel coordinates: a line per point, through all settings to the measure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from priomon_results.plots.style import MUTED, PALETTE, WIDE_SPREAD, Floats, drawing, new_figure, nothing_to_draw, plainly, save, styled
from priomon_results.sweep.store import SweepError
from priomon_results.sweep.table import Row, SweepTable, Value, grouped, is_number, shown

MOST_LINES = 6  # in one panel; a setting with more values makes a heat map
MOST_NUMBERS = 60  # cells of a heat map that are written out
MOST_TICKS = 8  # on an axis; more values get ticks of their own choice
WIDE_AXIS = 8  # a setting that spans a larger factor gets a log axis
PANEL_HEIGHT = 2.8  # inches
COLOURS = "viridis_r"

Grid = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def shape_of(table: SweepTable) -> str:
    """Which picture suits a sweep: lines, heat, or parallel."""
    dimensions = table.dimensions()
    if len(dimensions) <= 1:
        return "lines"
    if len(dimensions) == 2:
        return "lines" if min(len(table.levels(path)) for path in dimensions) <= MOST_LINES else "heat"
    return "parallel"


@styled
def overview(table: SweepTable) -> Figure:
    """The main measures over the settings that vary."""
    measures = shown(table)
    dimensions = table.dimensions()
    if not measures or not dimensions:
        return nothing_to_draw(_title(table), [], "No measure varies between complete points.")
    match shape_of(table):
        case "lines":
            x, by = _roles(table, dimensions)
            return lines(table, x, measures, by)
        case "heat":
            return heat(table, dimensions[0], dimensions[1], measures)
    return parallel(table, measures[0])


@styled
def lines(table: SweepTable, x: str, measures: Sequence[str], by: str | None = None) -> Figure:
    """Each measure over the setting `x`, with a line for each value of `by`: medians, and a band between quartiles."""
    figure, panels = _panels(table, measures, _note(table, [x, *filter(None, [by])]))
    places = _places(table, x)
    for axes, measure in zip(panels, measures, strict=True):
        rows = table.of(measure)
        for index, level in enumerate(table.levels(by) if by else [None]):
            _line(axes, [row for row in rows if by is None or row.axes.get(by) == level], x, places, index, _level(level))
        _scale_x(axes, table, x, places)
        _scale_y(axes, rows)
        axes.set_ylabel(_measure_label(rows))
    if by:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, title=_label(table, by), loc="outside right upper")
    return figure


@styled
def heat(table: SweepTable, x: str, y: str, measures: Sequence[str]) -> Figure:
    """Each measure as a colour over two settings."""
    figure, panels = _panels(table, measures, _note(table, [x, y], "medians of the seeds"))
    across, up = table.levels(x), table.levels(y)
    for axes, measure in zip(panels, measures, strict=True):
        rows = table.of(measure)
        values = grouped(rows, [x, y])
        cells = np.array([[values.get((one, other), (math.nan,) * 3)[1] for one in across] for other in up])
        drawn = axes.imshow(cells, origin="lower", aspect="auto", cmap=COLOURS)
        figure.colorbar(drawn, ax=axes, label=_measure_label(rows))
        axes.set_xticks(range(len(across)), [_level(level) for level in across], rotation=45 if len(across) > 8 else 0)
        axes.set_yticks(range(len(up)), [_level(level) for level in up])
        axes.set_xlabel(_label(table, x))
        axes.set_ylabel(_label(table, y))
        axes.grid(visible=False)
        if cells.size <= MOST_NUMBERS:
            _write_numbers(axes, cells, {(up.index(key[1]), across.index(key[0])) for key in values})
    return figure


@styled
def parallel(table: SweepTable, measure: str) -> Figure:
    """A line per point through all settings to the measure, which colours it."""
    rows = [row for row in table.of(measure) if row.median is not None]
    title = f"{_title(table)}: {measure}"
    if not rows:
        return nothing_to_draw(title, [], f"No point came to a value of {measure}.")
    paths = table.dimensions()
    figure = new_figure(title, [], height=5.0, note=_note(table, paths, "a line per point, in the colour of its median"))
    axes = figure.add_subplot(frame_on=False)
    columns = [_shares(table, path, rows) for path in paths]
    medians = np.array([row.median for row in rows], dtype=float)
    norm = Normalize(medians.min(), medians.max())
    columns.append(np.asarray(norm(medians), dtype=float) if np.ptp(medians) else np.full(len(medians), 0.5))
    corners = np.stack([np.tile(np.arange(len(columns)), (len(rows), 1)), np.column_stack(columns)], axis=-1)
    alpha = float(np.clip(60 / len(rows), 0.08, 0.9))
    axes.add_collection(LineCollection(list(corners), colors=colormaps[COLOURS](norm(medians)), alpha=alpha, linewidths=1.4))
    for place, path in enumerate(paths):
        levels = table.levels(path)
        marks = levels if len(levels) <= MOST_LINES else [levels[0], levels[-1]]
        for mark in marks:
            axes.annotate(_level(mark), (place, _share(levels, mark)), xytext=(4, 2), textcoords="offset points", fontsize=8, color=MUTED)
    for value, share in ((medians.min(), 0.0), (medians.max(), 1.0)):
        axes.annotate(plainly(float(f"{value:.3g}"), 0), (len(paths), share), xytext=(4, 2), textcoords="offset points", fontsize=8)
    axes.vlines(range(len(columns)), 0, 1, colors=MUTED, linewidth=1)
    axes.set_xticks(range(len(columns)), [*(_label(table, path) for path in paths), _measure_label(rows)])
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(paths) + 0.35)
    axes.set_ylim(-0.04, 1.08)
    axes.grid(visible=False)
    return figure


@styled
def chosen(table: SweepTable, x: str, y: str, by: str | None = None) -> Figure:
    """The measure `y` over the setting `x`, with a line for each value of `by`. Raises `SweepError` for what the sweep does not have."""
    for path in filter(None, (x, by)):
        if path not in table.paths:
            raise SweepError(f"{path}: the sweep does not vary this setting; it varies {', '.join(table.paths)}")
    if y not in table.measures:
        raise SweepError(f"{y}: the sweep has no such measure; it has {', '.join(table.measures)}")
    if by and len(table.levels(by)) > len(PALETTE):
        return heat(table, x, by, [y])
    return lines(table, x, [y], by)


def draw_sweep(table: SweepTable, folder: Path) -> list[Path]:
    """Draw the overview as SVG and PNG into `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    with drawing():
        return save(overview(table), folder / "sweep")


def _panels(table: SweepTable, measures: Sequence[str], note: str) -> tuple[Figure, list[Axes]]:
    """A panel per measure, in two columns if there are several."""
    count = len(measures)
    wide = 2 if count > 1 else 1
    height = math.ceil(count / wide)
    figure = new_figure(_title(table), [], height=1.2 + PANEL_HEIGHT * height, note=note)
    grid = figure.subplots(height, wide, squeeze=False).ravel()
    for spare in grid[count:]:
        spare.set_axis_off()
    return figure, list(grid[:count])


def _line(axes: Axes, rows: Sequence[Row], x: str, places: dict[Value, float], index: int, label: str) -> None:
    values = {key[0]: triple for key, triple in grouped(rows, [x]).items()}
    levels = sorted(values, key=places.__getitem__)
    if not levels:
        return
    at = [places[level] for level in levels]
    low, median, high = np.array([values[level] for level in levels]).T
    colour = PALETTE[index % len(PALETTE)]
    axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(at, median, color=colour, marker="o", markersize=4, label=label)


def _roles(table: SweepTable, dimensions: Sequence[str]) -> tuple[str, str | None]:
    """Which setting lies along the axis, and which makes the lines: numbers and many values go along the axis."""
    if len(dimensions) == 1:
        return dimensions[0], None

    def rank(path: str) -> tuple[bool, int]:
        return all(map(is_number, table.levels(path))), len(table.levels(path))

    first, second = dimensions
    return (second, first) if rank(second) > rank(first) else (first, second)


def _places(table: SweepTable, path: str) -> dict[Value, float]:
    """Where the values of a setting lie on an axis: numbers where they belong, texts side by side."""
    levels = table.levels(path)
    numeric = all(map(is_number, levels))
    return {level: float(level) if numeric else float(index) for index, level in enumerate(levels)}


def _scale_x(axes: Axes, table: SweepTable, path: str, places: dict[Value, float]) -> None:
    axes.set_xlabel(_label(table, path))
    at = sorted(places.values())
    levels = table.levels(path)
    if not all(map(is_number, levels)):
        axes.set_xticks(range(len(levels)), [_level(level) for level in levels])
        return
    if at[0] > 0 and at[-1] / at[0] >= WIDE_AXIS:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(plainly))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if len(at) <= MOST_TICKS:
        axes.set_xticks(at, [_level(value) for value in at])
        axes.minorticks_off()


def _scale_y(axes: Axes, rows: Sequence[Row]) -> None:
    values = [value for row in rows for value in (row.median, row.high) if value is not None]
    if not values:
        return
    if min(values) > 0 and max(values) / min(values) >= WIDE_SPREAD:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(min(0.0, 1.08 * min(values)), 1.08 * max(values) or None)
    axes.yaxis.set_major_formatter(FuncFormatter(plainly))


def _shares(table: SweepTable, path: str, rows: Sequence[Row]) -> Floats:
    levels = table.levels(path)
    return np.array([_share(levels, row.axes[path]) for row in rows])


def _share(levels: Sequence[Value], value: Value) -> float:
    """How high a value lies on an upright axis, 0 to 1: numbers by their size, texts side by side."""
    if all(map(is_number, levels)):
        low, high = float(levels[0]), float(levels[-1])
        if low > 0 and high / low >= WIDE_SPREAD:
            return math.log(float(value) / low) / math.log(high / low)
        return (float(value) - low) / (high - low)
    return levels.index(value) / (len(levels) - 1)


def _write_numbers(axes: Axes, cells: Grid, there: Collection[tuple[int, int]]) -> None:
    """Write the value of each cell in which there is a point."""
    middle = (np.nanmin(cells) + np.nanmax(cells)) / 2 if not np.isnan(cells).all() else math.nan
    for row, column in there:
        value = float(cells[row, column])
        dark = value > middle
        text = "never" if math.isnan(value) else plainly(float(f"{value:.3g}"), 0)
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")


def _title(table: SweepTable) -> str:
    return f"Sweep of {table.sweep.scenario}"


def _note(table: SweepTable, paths: Sequence[str], how: str = "line: median of the seeds, band: quartiles") -> str:
    """Of what the picture is, and how to read its bands."""
    rows = [row for row in table.rows if not row.is_baseline]
    points, seeds = len({row.point for row in rows}), max((row.seeds for row in rows), default=0)
    parts = [f"{points:,} points", "1 seed" if seeds == 1 else f"{seeds} seeds", f"PrioMon {table.sweep.code_version}"]
    if set(table.dimensions()) - set(paths):
        parts.append("median and quartiles of the points that share these settings")
    elif seeds > 1:
        parts.append(how)
    return " · ".join(parts)


def _label(table: SweepTable, path: str) -> str:
    unit = table.sweep.units[path]
    return f"{path} ({unit})" if unit else path


def _measure_label(rows: Sequence[Row]) -> str:
    return f"{rows[0].measure} ({rows[0].unit})" if rows[0].unit else rows[0].measure


def _level(level: Value | None) -> str:
    return plainly(float(level), 0) if is_number(level) else str(level)  # type: ignore[arg-type]
