"""A small fake run, the same on every machine: a logistic epidemic on a ring, without a simulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from priomon_results.schema import RunHeader, RunRows
from priomon_results.store import Store
from priomon_results.sweep.store import Planned, PointStatus, SweepHeader, begin_sweep, planned_points, record

METRICS = ("cpu", "memory", "network", "storage")
MakeRun = Callable[..., RunRows]


def header(scenario: str = "fake", seed: int = 1, nodes: int = 40, strategy: str = "scuttlebutt", **changes: Any) -> RunHeader:
    fields: dict[str, Any] = {
        "mode": "sim",
        "scenario": scenario,
        "scenario_hash": f"hash-of-{scenario}",
        "seed": seed,
        "code_version": "0.1.0",
        "strategy": strategy,
        "nodes": nodes,
        "parameters": {"name": scenario, "nodes": nodes, "metrics": {"cpu": {"unit": "%"}}, "gossip": {"period": "1 s"}},
        "machine": {"python": "3.11", "cpu": "two cores"},
        "notes": [f"{nodes} nodes replay 1 recorded machine"],
    }
    return RunHeader(**fields | changes)


def tables(seed: int, nodes: int, seconds: int, bytes_per_second: float) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a run in which coverage grows like 1 / (1 + e^(8 - t)) and traffic is spread evenly with some noise."""
    random = np.random.default_rng(seed)
    times = np.arange(seconds + 1.0)
    coverage = np.where(times >= 14, 1.0, 1 / (1 + np.exp(8 + 0.4 * seed - times)))
    load = random.uniform(0.7, 1.3, nodes)
    sent = (np.outer(times + random.uniform(0, 0.2, seconds + 1), load) * bytes_per_second).astype(int)
    shares = {"cpu": 0.2, "memory": 0.05, "network": 0.35, "storage": 0.01}
    rows: dict[str, list[tuple[Any, ...]]] = {"sample": [], "node_sample": [], "metric_sample": []}
    for step, t in enumerate(times.tolist()):
        total = int(sent[step].sum())
        lag = None if step == 0 else 1.0
        rows["sample"].append(
            (
                t,
                float(coverage[step]),
                nodes,
                total,
                total // 400,
                total // 800,
                step * nodes,
                step * nodes * 30,
                lag,
                lag,
                lag,
                lag,
                lag,
            )
        )
        rows["node_sample"] += [(t, node, int(sent[step, node]), step, step * 300, nodes) for node in range(nodes)]
        for metric, share in shares.items():
            published = round(step * nodes * share)
            rows["metric_sample"].append((t, metric, published, step * nodes - published, 0.2, 0.9, 1.0))
    rows["metric_count"] = [
        (node, metric, round(seconds * share), seconds - round(seconds * share))
        for node in range(nodes)
        for metric, share in shares.items()
    ]
    first = random.gamma(9, 0.5, 200)
    rows["update_spread"] = [
        (index % 8, index // 8 + 1, index / 10, float(t), float(t) + 2, float(t) + 5 if index % 10 else None)
        for index, t in enumerate(first)
    ]
    rows["distribution"] = [("lag", "", 0.0, 0.0, 6_000)]
    edges = np.linspace(0, 12, 61)
    for measure, scale in (("lag", 1.5), ("age", 2.5)):
        counts = (40_000 * np.exp(-edges[:-1] / scale)).astype(int).tolist()
        rows["distribution"] += [
            (measure, "", low, high, count) for low, high, count in zip(edges, edges[1:], counts, strict=False) if count
        ]
    edges = np.linspace(0, 1.6, 41)
    for index, metric in enumerate(METRICS):
        bins = list(
            zip(edges.tolist(), edges[1:].tolist(), (20_000 * np.exp(-edges[:-1] * (3 + index))).astype(int).tolist(), strict=False)
        )
        rows["distribution"] += [("error_in_bounds", metric, low, high, count) for low, high, count in bins]
        rows["distribution"] += [("error", metric, low * 5, high * 5, count) for low, high, count in bins]
    angle = 2 * np.pi * np.arange(nodes) / nodes
    rows["node"] = [
        (node, f"node-{node}", float(np.cos(angle[node])), float(np.sin(angle[node])), None if node == 7 else node / 4)
        for node in range(nodes)
    ]
    rows["fault"] = [
        (0, 10.0, None, "crash", "node-3"),
        (1, 16.0, 24.0, "partition", "20 nodes to 20 nodes"),
        (2, 20.0, None, "pause", "node-5"),
    ]
    rows["detection"] = [
        (0, 10.0, 3, "crash", nodes - 1, 0, 1.5, 4.0, 5.0, 7.0, 8.0),
        (1, 11.0, 4, "crash", nodes - 2, 2, 2.0, 5.0, 6.5, None, None),
        (2, 12.0, 5, "leave", nodes - 3, 0, None, 0.1, 1.0, 2.0, 2.5),
    ]
    rows["false_positive"] = [(0, 13.0, "suspicion", 6, 7, "healthy")]
    rows["belief"] = [(float(t), nodes - 4, nodes - 2.0, nodes) for t in range(seconds + 1)]
    rows["query"] = [
        (
            number,
            number / 10,
            number % nodes,
            3,
            "from(3)",
            int(number % 10 > 0),
            int(number % 10 == 0),
            0.1 + number / 500,
            6,
            1.0,
            number % 3,
        )
        for number in range(49)
    ]
    rows["query"].append((49, 5.0, 1, 7, "from(3)", 0, 0, None, 0, None, None))
    rows["edge"] = [(node, (node + hop) % nodes) for node in range(nodes) for hop in (1, 5)]
    return rows


def summary(header: RunHeader, seconds: int, bytes_per_second: float) -> dict[str, Any]:
    quantiles = {"p50": 0.4, "p99": 2.5, "max": 9.75}
    return {
        "scenario": header.scenario,
        "seed": header.seed,
        "nodes": header.nodes,
        "trace_hash": "5eed",
        "wall_seconds": 1.5,
        "virtual_seconds": float(seconds),
        "events": 123_456,
        "convergence_seconds": 14.0,
        "convergence_rounds": 14.0,
        "coverage_final": 1.0,
        "bytes_per_node_per_second": bytes_per_second,
        "messages_per_node_per_second": 2.25,
        "redundancy": 1.75,
        "lag_seconds": quantiles,
        "age_seconds": {"p50": 1.0, "p99": 6.5},
        "error_in_bounds": {metric: {"p50": 0.2, "p99": 0.9, "max": 1.5} for metric in METRICS},
        "settled_error_in_bounds": {metric: {"p50": 0.2, "p99": 0.9, "max": 0.97} for metric in METRICS},
        "error": {metric: {"p50": 1.0, "p99": 4.5, "max": 7.5} for metric in METRICS},
        "published": dict.fromkeys(METRICS, 100),
        "filtered": dict.fromkeys(METRICS, 900),
        "dissemination_seconds": {"t50": 4.0, "t99": 6.0, "t100": None},
        "saving_vs_baseline": {
            "scenario": "baseline-demon",
            "bytes_ratio": 25.0,
            "lag_seconds": {"p50": 0.2, "p99": 1.5, "max": 3.0},
            "error_in_bounds": {metric: {"p50": 0.0, "p99": 0.6, "max": 1.25} for metric in METRICS},
        },
        "database": "fake.sqlite",
        "report": "report.html",
    }


@pytest.fixture
def make_header() -> Callable[..., RunHeader]:
    return header


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A function that stores a complete fake run in fake.sqlite and gives it back with its rows in memory."""

    def make(seconds: int = 30, bytes_per_second: float = 1_000.0, **fields: Any) -> RunRows:
        start = header(**fields)
        with Store(tmp_path / "fake.sqlite") as store:
            with store.begin(start) as writer:
                rows = tables(start.seed, start.nodes, seconds, bytes_per_second)
                for table, batch in rows.items():
                    writer.add(table, batch)
                end = summary(start, seconds, bytes_per_second)
                writer.finish("complete", wall_seconds=1.5, virtual_seconds=float(seconds), trace_hash="5eed", summary=end)
            stored = {table: store.rows(writer.run, table) for table in rows}
            return RunRows(store.run(writer.run), stored.__getitem__)

    return make


MakeSweep = Callable[..., Path]


@pytest.fixture
def make_sweep(tmp_path: Path) -> MakeSweep:
    """A function that stores a sweep: `axes` maps settings to values, `traffic(seed, **last parts of the settings)` gives bytes per node.

    It returns the path of the store. `change` may alter the summary of a run, or return an error in its place.
    """

    def make(
        axes: Mapping[str, Sequence[Any]],
        traffic: Callable[..., float],
        *,
        seeds: int = 3,
        name: str = "sweep",
        change: Callable[..., str | None] = lambda summary, **values: None,
        **fields: Any,
    ) -> Path:
        path = tmp_path / f"{name}.db"
        start = {"scenario": name, "scenario_hash": "1", "code_version": "0.1.0", "machine": {"python": "3.11"}}
        known = header()
        about = SweepHeader(**start | {"units": dict.fromkeys(axes, ""), "parameters": known.parameters} | fields)
        points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        plan = [Planned(number, seed, point, point) for seed in range(1, seeds + 1) for number, point in enumerate(points, 1)]
        with Store(path) as store:
            sweep = begin_sweep(store, about, plan)
            results: list[tuple[int, PointStatus, float, bytes, str]] = []
            for point in planned_points(store, sweep, ["pending"]):
                values = {setting.rpartition(".")[2]: value for setting, value in point.axes.items()} | {"seed": point.seed}
                end = summary(known, 30, traffic(**values))
                error = change(end, **values)
                results.append((point.id, "failed" if error else "complete", 0.5, json.dumps(end).encode(), error or ""))
            record(store, results)
        return path

    return make
