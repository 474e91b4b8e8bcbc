"""Sweeps in a store: the points that were planned, what became of each, and the measures of those that are complete.

All points are stored as pending before the first is run, so whoever opens the file later knows what is missing. Every result is
committed at once: a sweep that is killed loses only what was in flight.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from priomon_core.errors import PriomonError
from priomon_results import compare
from priomon_results.compare import Measure, Summary
from priomon_results.store import Store

PointStatus = Literal["pending", "complete", "failed"]


class SweepError(PriomonError):
    """A store has no sweep that can be read as asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepHeader:
    """What is known of a sweep before it runs. `units` names the settings that vary, in order, and the unit of their numbers."""

    scenario: str
    scenario_hash: str
    code_version: str
    units: Mapping[str, str]
    parameters: Mapping[str, Any]
    machine: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(SweepHeader):
    """A sweep as stored. `started` is ISO 8601 in UTC: when it was last begun or resumed."""

    id: int
    started: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A point with one seed. `parameters` are values as a scenario has them, `axes` the same as numbers in the sweep's units."""

    number: int
    seed: int
    parameters: Mapping[str, Any]
    axes: Mapping[str, Any]
    is_baseline: bool = False
    baseline: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A planned point in the store."""

    id: int
    number: int
    seed: int
    status: PointStatus
    axes: Mapping[str, Any]
    error: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a planned point: the whole summary of its run, or None if it failed, for the reason `error`."""

    number: int
    seed: int
    summary: Summary | None
    error: str


def _of_worst_metric(name: str, part: str, quantile: str) -> Measure:
    def read(summary: Summary) -> float | None:
        return max((errors[quantile] for errors in summary[part].values() if errors[quantile] is not None), default=None)

    return Measure(name, "bounds", read)


def _published(summary: Summary) -> float | None:
    """Percent of the samples of all metrics that were published."""
    published, filtered = sum(summary["published"].values()), sum(summary["filtered"].values())
    return 100 * published / (published + filtered) if published + filtered else None


SETTLED_ERROR = _of_worst_metric("settled error", "settled_error_in_bounds", "max")
MEASURES = (
    *compare.MEASURES,
    Measure("published", "%", _published),
    _of_worst_metric("error p50", "error_in_bounds", "p50"),
    _of_worst_metric("error p99", "error_in_bounds", "p99"),
    SETTLED_ERROR,
)
SAVING = Measure("saving", "times", lambda summary: None)  # needs two runs, so that the view `point_measure` computes it
ERROR_OF = "{}: error p99"  # of a metric, in its unit


def units(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The units of all measures of variants of this scenario, by their names."""
    of_metrics = {ERROR_OF.format(name): metric.get("unit", "") for name, metric in parameters.get("metrics", {}).items()}
    sometimes = (measure for found in compare.SOMETIMES.values() for measure in found)
    return {measure.name: measure.unit for measure in (*MEASURES, *sometimes, SAVING)} | of_metrics


def begin_sweep(store: Store, header: SweepHeader, points: Iterable[Planned]) -> int:
    """Store the plan of a sweep; returns its id. What is known of a sweep with the same key stays. Raises `StoreError`."""
    started = datetime.now(UTC).isoformat(timespec="microseconds")
    key = (header.scenario_hash, json.dumps([*header.units]), header.code_version)
    about = (header.scenario, *map(json.dumps, (dict(header.units), header.parameters, header.machine)), started)
    with store.transaction() as connection:
        connection.executemany("INSERT OR IGNORE INTO measure VALUES (?, ?)", units(header.parameters).items())
        connection.execute(
            "INSERT INTO sweep (scenario_hash, paths, code_version, scenario, units, parameters, machine, started)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET (scenario, units, parameters, machine, started) ="
            " (excluded.scenario, excluded.units, excluded.parameters, excluded.machine, excluded.started)",
            (*key, *about),
        )
        (sweep,) = connection.execute("SELECT id FROM sweep WHERE (scenario_hash, paths, code_version) = (?, ?, ?)", key).fetchone()
        connection.execute("UPDATE point SET number = NULL WHERE sweep = ?", (sweep,))
        connection.executemany(
            "INSERT INTO point (sweep, number, is_baseline, baseline, parameters, axes, seed) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (sweep, parameters, seed) DO UPDATE SET (number, is_baseline, baseline) ="
            " (excluded.number, excluded.is_baseline, excluded.baseline)",
            [(sweep, p.number, p.is_baseline, p.baseline, json.dumps(p.parameters), json.dumps(p.axes), p.seed) for p in points],
        )
    return int(sweep)


def record(store: Store, results: Iterable[tuple[int, PointStatus, float, bytes, str]]) -> None:
    """Store what became of points: (id, status, wall seconds, summary as JSON, error). Raises `StoreError`."""
    with store.transaction() as connection:
        for point, status, wall_seconds, summary, error in results:
            connection.execute(
                "UPDATE point SET status = ?, wall_seconds = ?, summary = ?, error = ? WHERE id = ?",
                (status, wall_seconds, summary.decode(), error, point),
            )
            if status == "complete":
                known = json.loads(summary)
                measures = (*MEASURES, *compare.sometimes([known]))
                rows = [(point, measure.name, measure.read(known)) for measure in measures]
                rows += [(point, ERROR_OF.format(metric), errors["p99"]) for metric, errors in known["error"].items()]
                connection.executemany("INSERT OR REPLACE INTO point_value VALUES (?, ?, ?)", rows)


def forget_failures(store: Store, sweep: int) -> None:
    """Make the failed points of a sweep pending again. Raises `StoreError`."""
    with store.transaction() as connection:
        connection.execute("UPDATE point SET (status, error) = ('pending', '') WHERE sweep = ? AND status = 'failed'", (sweep,))


def sweeps(store: Store) -> list[Sweep]:
    """All sweeps, the one that was begun last at the end. Raises `StoreError`."""
    rows = store.query(
        "SELECT id, scenario, scenario_hash, code_version, units, parameters, machine, started FROM sweep ORDER BY started, id"
    )
    return [
        Sweep(
            id=number,
            scenario=scenario,
            scenario_hash=content,
            code_version=version,
            units=json.loads(units),
            parameters=json.loads(parameters),
            machine=json.loads(machine),
            started=started,
        )
        for number, scenario, content, version, units, parameters, machine, started in rows
    ]


def find_sweep(store: Store, number: int | None = None) -> Sweep:
    """The sweep with this id, or the one that was begun last. Raises `SweepError` if there is none."""
    found = [sweep for sweep in sweeps(store) if number in (None, sweep.id)]
    if not found:
        there = ", ".join(str(sweep.id) for sweep in sweeps(store)) or "none"
        which = "no sweep" if number is None else f"no sweep {number}"
        raise SweepError(f"{store.path}: it holds {which} (sweeps in it: {there}); run one with: python -m priomon_sim sweep SCENARIO")
    return found[-1]


def planned_points(store: Store, sweep: int, statuses: Sequence[PointStatus]) -> list[Stored]:
    """The points of the current plan with one of these statuses: all with the first seed, then all with the second."""
    marks = ", ".join("?" * len(statuses))
    rows = store.query(
        f"SELECT id, number, seed, status, axes, error FROM point WHERE sweep = ? AND number IS NOT NULL AND status IN ({marks})"
        " ORDER BY seed, number",
        sweep,
        *statuses,
    )
    return [Stored(point, number, seed, status, json.loads(axes), error) for point, number, seed, status, axes, error in rows]


def ended_points(store: Store, sweep: int) -> list[Ended]:
    """What became of the points of the current plan that are not pending any more, by number and seed."""
    rows = store.query(
        "SELECT number, seed, status, summary, error FROM point WHERE sweep = ? AND number IS NOT NULL AND status != 'pending'"
        " ORDER BY number, seed",
        sweep,
    )
    return [
        Ended(number, seed, json.loads(summary) if status == "complete" else None, error) for number, seed, status, summary, error in rows
    ]
