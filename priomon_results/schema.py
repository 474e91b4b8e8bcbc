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
    (
        # A sweep is keyed by what its points are variants of, the settings that vary, and the code. A point keeps its row when the plan
        # changes; `number` is its place in the plan that was asked for last, and NULL if that one has no such point any more.
        """CREATE TABLE sweep (
            id INTEGER PRIMARY KEY,
            scenario TEXT NOT NULL, scenario_hash TEXT NOT NULL, paths TEXT NOT NULL, code_version TEXT NOT NULL,
            units TEXT NOT NULL, parameters TEXT NOT NULL, machine TEXT NOT NULL, started TEXT NOT NULL,
            UNIQUE (scenario_hash, paths, code_version))""",
        """CREATE TABLE point (
            id INTEGER PRIMARY KEY,
            sweep INTEGER NOT NULL REFERENCES sweep ON DELETE CASCADE,
            number INTEGER, is_baseline INTEGER NOT NULL, baseline INTEGER,
            parameters TEXT NOT NULL, axes TEXT NOT NULL, seed INTEGER NOT NULL,
            status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'complete', 'failed')),
            error TEXT NOT NULL DEFAULT '', wall_seconds REAL, summary TEXT NOT NULL DEFAULT '{}',
            UNIQUE (sweep, parameters, seed))""",
        "CREATE INDEX point_number ON point (sweep, number, seed)",
        "CREATE TABLE measure (name TEXT PRIMARY KEY, unit TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE point_value (
            point INTEGER NOT NULL REFERENCES point ON DELETE CASCADE, measure TEXT NOT NULL, value REAL,
            PRIMARY KEY (point, measure)) WITHOUT ROWID""",
        """CREATE VIEW point_measure AS
            SELECT p.sweep, p.number, p.is_baseline, p.axes, p.seed, v.measure, v.value
            FROM point AS p JOIN point_value AS v ON v.point = p.id
            WHERE p.number IS NOT NULL AND p.status = 'complete'
            UNION ALL
            SELECT p.sweep, p.number, p.is_baseline, p.axes, p.seed, 'saving', CASE WHEN v.value > 0 THEN b.value / v.value END
            FROM point AS p JOIN point_value AS v ON v.point = p.id AND v.measure = 'bytes per node'
            JOIN point AS q ON q.sweep = p.sweep AND q.number = p.baseline AND q.seed = p.seed
            JOIN point_value AS b ON b.point = q.id AND b.measure = 'bytes per node'
            WHERE p.number IS NOT NULL AND p.status = 'complete' AND q.status = 'complete'""",
        # Quartiles over the seeds, interpolated between neighbours: each value weighs as much as it is near to the quartile's place.
        # Values that were never reached come last, and a quartile that one of them has a share in is NULL.
        """CREATE VIEW point_table AS
            WITH placed AS (
                SELECT *, row_number() OVER (PARTITION BY sweep, number, measure ORDER BY value IS NULL, value) - 1.0 AS place,
                    count(*) OVER (PARTITION BY sweep, number, measure) - 1 AS last
                FROM point_measure),
            weighed AS (
                SELECT *, max(0, 1 - abs(place - 0.25 * last)) AS w1, max(0, 1 - abs(place - 0.5 * last)) AS w2,
                    max(0, 1 - abs(place - 0.75 * last)) AS w3
                FROM placed)
            SELECT sweep, number, is_baseline, axes, measure, coalesce(unit, '') AS unit, count(*) AS seeds,
                CASE WHEN max(w1 > 0 AND value IS NULL) THEN NULL ELSE sum(w1 * value) END AS low,
                CASE WHEN max(w2 > 0 AND value IS NULL) THEN NULL ELSE sum(w2 * value) END AS median,
                CASE WHEN max(w3 > 0 AND value IS NULL) THEN NULL ELSE sum(w3 * value) END AS high
            FROM weighed LEFT JOIN measure ON name = measure
            GROUP BY sweep, number, measure""",
    ),
    (
        # Nodes are numbered as in `node`. The seconds of `detection` count from t; `low`, `median` and `high` of `belief` are over the
        # live nodes: how many nodes each of them holds alive.
        """CREATE TABLE fault (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            number INTEGER NOT NULL, t REAL NOT NULL, until REAL, kind TEXT NOT NULL, who TEXT NOT NULL,
            PRIMARY KEY (run, number)) WITHOUT ROWID""",
        """CREATE TABLE detection (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            number INTEGER NOT NULL, t REAL NOT NULL, node INTEGER NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('crash', 'leave')),
            audience INTEGER NOT NULL, missed INTEGER NOT NULL, suspected REAL, first REAL, t50 REAL, t99 REAL, t100 REAL,
            PRIMARY KEY (run, number)) WITHOUT ROWID""",
        """CREATE TABLE false_positive (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            number INTEGER NOT NULL, t REAL NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('suspicion', 'death')),
            observer INTEGER NOT NULL, subject INTEGER NOT NULL, circumstances TEXT NOT NULL,
            PRIMARY KEY (run, number)) WITHOUT ROWID""",
        """CREATE TABLE belief (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            t REAL NOT NULL, low INTEGER NOT NULL, median REAL NOT NULL, high INTEGER NOT NULL,
            PRIMARY KEY (run, t)) WITHOUT ROWID""",
    ),
    (
        # Quorum reads by their beginnings. `ok` and `partial` are 0 or 1; `latency` and `age` (of the answer) are NULL if there was none,
        # and so is `behind`, the number of versions that the target had published since.
        """CREATE TABLE query (
            run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
            number INTEGER NOT NULL, t REAL NOT NULL, node INTEGER NOT NULL, target INTEGER NOT NULL, level TEXT NOT NULL,
            ok INTEGER NOT NULL, partial INTEGER NOT NULL, latency REAL, messages INTEGER NOT NULL, age REAL, behind REAL,
            PRIMARY KEY (run, number)) WITHOUT ROWID""",
    ),
)

TABLES = (
    *("sample", "node_sample", "metric_sample", "metric_count", "update_spread", "distribution", "node", "edge"),
    *("fault", "detection", "false_positive", "belief", "query"),
)


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
