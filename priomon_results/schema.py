"""What the store holds: one row of `run` per run, and tables of rows that belong to a run.

A run is keyed by (mode, scenario hash, seed, code version). The key is unique among *complete* runs only: a repeated run lives
beside the complete one until it is complete itself, so that an interrupted repetition never costs what was stored before.

Counts of traffic are cumulative since the start of the run. Times are seconds of virtual time (real time in a live run). A `NULL`
(`nan` in the arrays that the store returns) says that there was nothing to measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

APPLICATION_ID = 0x50724D6E  # "PrMn": tells our files from other SQLite databases

Status = Literal["running", "complete", "interrupted", "failed"]
Rows = dict[str, NDArray[Any]]

# One entry per schema version: the statements that lift the version before it. An entry is never edited once it is released.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE run (
            id INTEGER PRIMARY KEY,
            mode TEXT NOT NULL CHECK (mode IN ('sim', 'live')),
            scenario TEXT NOT NULL, scenario_hash TEXT NOT NULL, seed INTEGER NOT NULL, code_version TEXT NOT NULL,
            strategy TEXT NOT NULL, nodes INTEGER NOT NULL,
            parameters TEXT NOT NULL, machine TEXT NOT NULL, notes TEXT NOT NULL,
            started TEXT NOT NULL, wall_seconds REAL, virtual_seconds REAL,
            status TEXT NOT NULL CHECK (status IN ('running', 'complete', 'interrupted', 'failed')),
            trace_hash TEXT NOT NULL DEFAULT '', summary TEXT NOT NULL DEFAULT '{}')""",
        "CREATE UNIQUE INDEX run_key ON run (mode, scenario_hash, seed, code_version) WHERE status = 'complete'",
        """CREATE TABLE sample (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            t REAL NOT NULL, coverage REAL, live INTEGER NOT NULL,
            bytes_sent INTEGER NOT NULL, datagrams_sent INTEGER NOT NULL, messages_sent INTEGER NOT NULL,
            published INTEGER NOT NULL, delivered INTEGER NOT NULL,
            lag_p50 REAL, lag_p99 REAL, lag_max REAL, age_p50 REAL, age_p99 REAL,
            PRIMARY KEY (run, t)) WITHOUT ROWID""",
        """CREATE TABLE node_sample (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            t REAL NOT NULL, node INTEGER NOT NULL,
            bytes_sent INTEGER NOT NULL, datagrams_sent INTEGER NOT NULL, bytes_received INTEGER NOT NULL, known INTEGER NOT NULL,
            PRIMARY KEY (run, t, node)) WITHOUT ROWID""",
        """CREATE TABLE metric_sample (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            t REAL NOT NULL, metric TEXT NOT NULL, published INTEGER NOT NULL, filtered INTEGER NOT NULL,
            error_p50 REAL, error_p99 REAL, error_max REAL,
            PRIMARY KEY (run, t, metric)) WITHOUT ROWID""",
        """CREATE TABLE metric_count (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            node INTEGER NOT NULL, metric TEXT NOT NULL, published INTEGER NOT NULL, filtered INTEGER NOT NULL,
            PRIMARY KEY (run, node, metric)) WITHOUT ROWID""",
        """CREATE TABLE update_spread (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            origin INTEGER NOT NULL, version INTEGER NOT NULL, published_t REAL NOT NULL, t50 REAL, t99 REAL, t100 REAL,
            PRIMARY KEY (run, origin, version)) WITHOUT ROWID""",
        """CREATE TABLE distribution (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            measure TEXT NOT NULL CHECK (measure IN ('lag', 'age', 'error', 'error_in_bounds', 'settled_error', 'spread')),
            metric TEXT NOT NULL, low REAL NOT NULL, high REAL NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (run, measure, metric, low, high)) WITHOUT ROWID""",
        """CREATE TABLE node (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            node INTEGER NOT NULL, name TEXT NOT NULL, x REAL NOT NULL, y REAL NOT NULL, reached_t REAL,
            PRIMARY KEY (run, node)) WITHOUT ROWID""",
        """CREATE TABLE edge (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            a INTEGER NOT NULL, b INTEGER NOT NULL,
            PRIMARY KEY (run, a, b)) WITHOUT ROWID""",
    ),
)

TABLES = ("sample", "node_sample", "metric_sample", "metric_count", "update_spread", "distribution", "node", "edge")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """What is known of a run before it starts. `parameters` is the whole scenario; `machine` and `notes` explain the numbers."""

    mode: Literal["sim", "live"]
    scenario: str
    scenario_hash: str
    seed: int
    code_version: str
    strategy: str
    nodes: int
    parameters: Mapping[str, Any]
    machine: Mapping[str, Any]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(RunHeader):
    """A run as stored. `started` is ISO 8601 in UTC; the seconds are None and the summary is empty until the run has ended."""

    id: int
    started: str
    wall_seconds: float | None
    virtual_seconds: float | None
    status: Status
    trace_hash: str
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunRows:
    """A run and its rows: `rows(table)` gives column -> array, all of one length. It is what every plot is drawn from."""

    run: Run
    rows: Callable[[str], Rows]
