"""The search: candidates with one seed each, then a race of the best with more, by successive halving.

What is saved on candidates that will not win is seeds, and nothing else. All candidates meet the same first seed, so the same graph, load
and luck, and a run with it is a whole run that counts in the end too; shorter runs or fewer nodes would be cheaper still, but they change
the order of what is compared (docs/tuning.md). After the first seed a third goes on with up to three times the seeds, and so forth. The
choice is the best one by the worst of *all* seeds where goals are concerned, so whoever leads with fewer is run with the others first.

Runs, workers and the store are those of sweeps. Every result is stored as it comes, and found there when the same search is begun again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

from priomon_core.errors import PriomonError
from priomon_results.compare import Measure, Summary
from priomon_results.store import Store
from priomon_results.sweep.store import Ended, ended_points, forget_failures
from priomon_sim.goals import Goal, in_asked_bounds
from priomon_sim.sweep.plan import Point, completed
from priomon_sim.sweep.pools import Pool
from priomon_sim.sweep.run import Progress, State, run_points, store_plan
from priomon_sim.tune.plan import Problem
from priomon_sim.tune.sampler import Sampler
from priomon_sim.tune.space import Candidate

SHARE = 3  # of the candidates, one in so many goes on to the next rung, with so many times the seeds


class TuneError(PriomonError):
    """The search found nothing that could be run."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate and what it came to: `results` has the summary of each seed that was run, in asked bounds, or None if it failed.

    Trials are the better the smaller their `rank`: first by how much they miss the goals, in all; then by the objective.
    """

    point: Point
    candidate: Candidate
    goals: Sequence[Goal]
    objective: Measure
    results: tuple[Summary | None, ...]
    errors: tuple[str, ...] = ()

    def values(self, measure: Measure) -> list[float | None]:
        """A measure with each seed; None where it never came to be."""
        return [None if summary is None else measure.read(summary) for summary in self.results]

    def worst(self, goal: Goal) -> float:
        """What a goal's measure was with the seed that serves it least; infinite if it never came to be."""
        return goal.worst(self.values(goal.measure))

    @cached_property
    def cost(self) -> float:
        """The median of the objective over the seeds; infinite if it never came to be."""
        return median(math.inf if value is None else value for value in self.values(self.objective))

    @cached_property
    def misses(self) -> list[float]:
        """By which share of its limit each goal is missed."""
        return [goal.miss(self.worst(goal)) for goal in self.goals]

    @property
    def feasible(self) -> bool:
        """Whether all goals are met with every seed that was run, and none failed."""
        return not any(self.misses) and math.isfinite(self.cost)

    @property
    def why(self) -> str:
        """What kept the first seed that failed from ending well."""
        return next(filter(None, self.errors), "no run failed, but it was never reached")

    @property
    def rank(self) -> tuple[float, float, int]:
        """See above; of equals, the one that was tried first."""
        return sum(self.misses) if math.isfinite(self.cost) else math.inf, self.cost, self.point.number


class Tuning:
    """A search in a store."""

    def __init__(self, problem: Problem, store: Store, pool: Pool, progress: Progress) -> None:
        self._problem = problem
        self._plan = problem.plan
        self._store = store
        self._pool = pool
        self._progress = progress
        self._points: dict[Candidate, Point] = {}
        self.runs = 0

    def search(self, sampler: Sampler, more: Callable[[], bool]) -> list[Trial]:
        """All trials, the best one first. `more` is asked before each batch of candidates but the first whether there is time for it.

        The best one has been run with all seeds. What failed in an earlier search gets another chance.

        Raises `TuneError` if all have failed, and what `run_sweep` raises; what is stored by then is not run again.
        """
        forget_failures(self._store, store_plan(self._plan, self._store))
        trials: list[Trial] = []
        while (not trials or more()) and (batch := sampler.ask()):
            for candidate in batch:
                self._add(candidate)
            trials = self._run()
            found = {trial.candidate: trial for trial in trials}
            sampler.tell([(found[candidate].cost, found[candidate].misses) for candidate in batch])
        trials = self._race(trials)
        if not math.isfinite(trials[0].cost):
            raise TuneError(f"none of {len(trials)} trials came to a value of {self._problem.objective.name}; {trials[0].why}")
        return trials

    def _add(self, candidate: Candidate) -> None:
        """Plan a candidate with the first seed, unless it is planned already."""
        settings = self._problem.space.settings(candidate)
        made = Point(len(self._points) + 1, completed(settings, self._plan.paths, self._plan.scenario), seeds=1)
        self._points.setdefault(candidate, made)

    def _race(self, trials: list[Trial]) -> list[Trial]:
        """Give the best trials the other seeds, a third of them at each rung; in the end whoever leads has all."""
        seeds, going_on = 1, len(trials)
        every = len(self._plan.seeds)
        while seeds < every:
            seeds, going_on = min(SHARE * seeds, every), math.ceil(going_on / SHARE)
            trials = self._with_seeds(trials[:going_on], seeds)
        while (trials[0].point.seeds or 0) < every:
            trials = self._with_seeds(trials[:1], every)
        return trials

    def _with_seeds(self, chosen: Sequence[Trial], seeds: int) -> list[Trial]:
        for trial in chosen:
            self._points[trial.candidate] = replace(trial.point, seeds=seeds)
        return self._run()

    def _run(self) -> list[Trial]:
        """Run what is planned and not stored yet; returns all trials, the best one first."""
        plan = replace(self._plan, points=[*self._points.values()])
        sweep = store_plan(plan, self._store)
        before = self.runs

        def show(state: State) -> None:
            self._progress(State(before + state.total, before + state.done, state.failed))

        self.runs += run_points(plan, sweep, self._store, self._pool, show, ["pending"]).total
        ended: dict[int, list[Ended]] = {}
        for one in ended_points(self._store, sweep):
            ended.setdefault(one.number, []).append(one)
        trials = [self._trial(candidate, point, ended[point.number]) for candidate, point in self._points.items()]
        return sorted(trials, key=lambda trial: trial.rank)

    def _trial(self, candidate: Candidate, point: Point, ended: Sequence[Ended]) -> Trial:
        factor = self._problem.space.bounds(candidate)
        results = tuple(None if one.summary is None else in_asked_bounds(one.summary, factor) for one in ended)
        return Trial(point, candidate, self._problem.goals, self._problem.objective, results, tuple(one.error for one in ended))
