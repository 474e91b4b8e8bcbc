"""The report of a sweep as a single HTML file: the pictures, what decides which measure, all points, what failed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from priomon_results.files import replace_file
from priomon_results.store import Store
from priomon_results.sweep.store import planned_points
from priomon_results.sweep.table import SHOWN, Row, SweepTable, Weight, is_number, shown, weights
from priomon_results.words import NOTHING, number

MOST_POINTS = 200  # in the table; the store has all
PICTURES = {
    "sweep": "The main measures over the settings that vary",
    "frontier": "Bytes against lag in each setting, a point for each strategy",
    "growth": "Bytes over the number of nodes, a line for each strategy and one for the lower bound",
}


def write_sweep_report(
    store: Store, table: SweepTable, path: Path, *, pictures: Sequence[Path], command: str, kind: str = "sweep", **parts: Any
) -> None:
    """Write the report of a sweep to `path`, which is replaced whole or not at all. Raises `StoreError` and `OutputError`.

    `kind` names the template, and `parts` are what it needs beside what all sweeps have.
    """
    environment = Environment(loader=PackageLoader("priomon_results"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    failures = [
        (", ".join(f"{name}={value}" for name, value in point.axes.items()), point.seed, point.error)
        for point in planned_points(store, table.sweep.id, ["failed"])
    ]
    measures = shown(table)
    rows: dict[int, dict[str, Row]] = {}
    for row in table.rows:
        if not row.is_baseline:
            rows.setdefault(row.point, {})[row.measure] = row
    points = list(rows.values())[:MOST_POINTS]
    html = environment.get_template(f"{kind}.html").render(
        kind=kind,
        sweep=table.sweep,
        units=[f"{name} ({unit})" if unit else name for name, unit in table.sweep.units.items()],
        sentences=sentences(table, pending=len(planned_points(store, table.sweep.id, ["pending"])), failed=len(failures)),
        pictures=[
            {
                "source": f"data:image/svg+xml;base64,{b64encode(picture.read_bytes()).decode()}",
                "text": PICTURES[picture.stem.partition("-")[0]],
            }
            for picture in pictures
            if picture.suffix == ".svg"
        ],
        dimensions=table.dimensions(),
        weights=_weights(table),
        measures=[f"{measure} ({unit})" if (unit := table.of(measure)[0].unit) else measure for measure in measures],
        points=[(_axes(table, next(iter(point.values()))), [cell(point.get(measure)) for measure in measures]) for point in points],
        more=len(rows) - len(points),
        failures=failures,
        parameters=yaml.safe_dump(dict(table.sweep.parameters), sort_keys=False, allow_unicode=True),
        command=command,
        **parts,
    )
    replace_file(path, html.encode())


def sentences(table: SweepTable, *, pending: int, failed: int) -> list[str]:
    """The sweep in plain words."""
    rows = [row for row in table.rows if not row.is_baseline]
    points, seeds = len({row.point for row in rows}), max((row.seeds for row in rows), default=0)
    result = [f"{points:,} {'point' if points == 1 else 'points'}, each with {seeds} {'seed' if seeds == 1 else 'seeds'}."]
    if pending:
        result.append(f"{pending:,} runs are still to do: the same command goes on from there.")
    if failed:
        result.append(f"{failed:,} {'run' if failed == 1 else 'runs'} failed; the reasons are below.")
    heaviest: dict[str, Weight] = {}
    for weight in weights(table):
        heaviest.setdefault(weight.measure, weight)
    for measure in SHOWN:
        if measure in heaviest and heaviest[measure].share >= 0.5:
            result.append(f"{heaviest[measure].share * 100:.0f} % of the variation of {measure} is due to {heaviest[measure].path}.")
    return result


def cell(row: Row | None) -> str:
    """A measure at a point: its median, and the quartiles if they differ."""
    if row is None:
        return NOTHING
    if row.median is None:
        return "never"
    low, high = ("never" if value is None else number(value) for value in (row.low, row.high))
    return number(row.median) + (f" [{low} {high}]" if row.low != row.high else "")


def _axes(table: SweepTable, row: Row) -> list[str]:
    return [number(value) if is_number(value) else str(value) for value in (row.axes.get(path, NOTHING) for path in table.paths)]  # type: ignore[arg-type]


def _weights(table: SweepTable) -> list[tuple[str, list[str]]]:
    """A line per measure with a cell per setting."""
    lines: dict[str, dict[str, str]] = {}
    for weight in weights(table):
        direction = "" if weight.correlation is None else f" ({weight.correlation:+.2f})"
        lines.setdefault(weight.measure, {})[weight.path] = f"{weight.share * 100:.0f} %{direction}"
    return [(measure, [cells[path] for path in table.dimensions()]) for measure, cells in lines.items()]
