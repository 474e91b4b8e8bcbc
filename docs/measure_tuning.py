"""Measures which cheaper runs keep the order of candidates that whole ones with several seeds have: the table in tuning.md.

python docs/measure_tuning.py [CANDIDATES]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from priomon_sim.provenance import code_version
from priomon_sim.sweep.task import Job, Task, run_batch
from priomon_sim.tune.plan import Problem, plan

SCENARIO = """
nodes: 24
duration: 60 s
start: known
network: {latency: {kind: uniform, low: 5 ms, high: 50 ms}, loss: 5 %}
workload: {kind: synthetic}
"""
GOALS = ["lag_p99 <= 2 s"]
SEEDS = range(1, 4)
CHEAPER = {"one seed": [], "one seed, a third of the time": [("duration", "20 s")], "one seed, a third of the nodes": [("nodes", "8")]}

Figures = list[tuple[float, float]]  # bytes and lag p99 of each candidate


def problem(path: Path, settings: Sequence[tuple[str, str]]) -> Problem:
    """What is tuned, with other settings of the scenario."""
    return plan(path, settings, GOALS, "bytes", [], SEEDS, len(SEEDS))


def figures(found: Problem, candidates: Sequence[tuple[int, ...]], seeds: Sequence[int]) -> Figures:
    """Median bytes and the largest lag p99 over some seeds."""
    job = Job(found.plan.base, None, code_version())
    result = []
    for candidate in candidates:
        tasks = [Task(0, found.space.settings(candidate), seed) for seed in seeds]
        summaries: list[dict[str, Any]] = [json.loads(outcome.summary) for outcome in run_batch(job, tasks)]
        bytes_ = median(one["bytes_per_node_per_second"] for one in summaries)
        result.append((bytes_, max(one["lag_seconds"]["p99"] for one in summaries)))
    return result


def order(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Kendall's rank correlation of two rows of figures, tau-a: 1 for the same order, 0 for none."""
    signs = [_sign(ours[a] - ours[b]) * _sign(theirs[a] - theirs[b]) for a, b in combinations(range(len(ours)), 2)]
    return sum(signs) / len(signs)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def main(path: Path, count: int) -> None:
    """Print the table of `count` candidates, with the scenario written to `path`."""
    path.write_text(SCENARIO, "utf-8")
    whole = problem(path, [])
    candidates = list(dict.fromkeys(whole.space.latin(count, 1)))
    truth = figures(whole, candidates, SEEDS)
    (goal,) = whole.goals
    print(f"{len(candidates)} candidates, against {len(SEEDS)} seeds: bytes, lag p99, goals judged otherwise")
    for name, settings in CHEAPER.items():
        cheap = figures(problem(path, settings), candidates, SEEDS[:1])
        ranks = [order([one[index] for one in truth], [one[index] for one in cheap]) for index in (0, 1)]
        flips = sum(bool(goal.miss(a[1])) != bool(goal.miss(b[1])) for a, b in zip(truth, cheap, strict=True))
        print(f"{name}: {ranks[0]:.2f}, {ranks[1]:.2f}, {flips}", flush=True)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(Path(folder) / "site.yaml", int(sys.argv[1]) if len(sys.argv) > 1 else 16)
