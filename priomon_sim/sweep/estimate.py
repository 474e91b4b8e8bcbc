"""How long a sweep will take, from one run of it and from how much there is to do in the others."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

from priomon_core.errors import PriomonError
from priomon_sim.scenario.problems import ScenarioError
from priomon_sim.sweep.plan import Plan
from priomon_sim.sweep.run import job_of
from priomon_sim.sweep.space import Assignment
from priomon_sim.sweep.task import Task, run_batch

MOST_WEIGHED = 500  # points whose work is added up; of more, a sample


class PilotError(PriomonError):
    """The run that was to tell how long the others take has failed."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The pilot's point and wall time, and what that makes for all runs on `jobs` workers, in seconds."""

    pilot: str
    pilot_seconds: float
    seconds: float


def estimate(plan: Plan, runs: int, jobs: int) -> Estimate:
    """Run the point in the middle once, twice if kernels had to be compiled, and scale by the work of the others. Raises `PilotError`."""
    point = plan.points[len(plan.points) // 2]
    task = Task(0, point.assignment, plan.scenario.seed)
    run_batch(job_of(plan), [task])  # numba compiles and caches fill; the second time is what all others take
    began = time.perf_counter()
    (outcome,) = run_batch(job_of(plan), [task])
    took = time.perf_counter() - began
    if outcome.status == "failed":
        raise PilotError(f"the pilot run ({point}) failed: {outcome.error}")
    sample = Random(1).sample(plan.points, MOST_WEIGHED) if len(plan.points) > MOST_WEIGHED else plan.points
    works = [work for each in sample if (work := _work(plan, each.assignment)) is not None]
    pilot = _work(plan, point.assignment) or 1.0
    return Estimate(str(point), took, took / pilot * sum(works) / len(works) * runs / min(jobs, runs or 1))


def _work(plan: Plan, assignment: Assignment) -> float | None:
    """A number that grows as the work of a run does; None for a point that cannot be run."""
    try:
        scenario = plan.base.variant(assignment, plan.scenario.seed)
    except ScenarioError:
        return None
    return scenario.nodes * scenario.duration / scenario.gossip.period * scenario.gossip.fanout
