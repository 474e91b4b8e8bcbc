"""The search: who gets which seeds, who is chosen, and that nothing that is stored is run again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from priomon_results.store import Store
from priomon_sim.experiment import InterruptedRunError
from priomon_sim.sweep.pools import Batch, Result
from priomon_sim.sweep.run import State
from priomon_sim.sweep.task import Outcome, Task
from priomon_sim.tune.plan import Problem, plan
from priomon_sim.tune.run import Trial, TuneError, Tuning
from priomon_sim.tune.sampler import Latin
from priomon_sim.tune.space import Candidate

Figures = tuple[float | None, float]  # lag p99 and bytes; no lag: the run fails
SEEDS = range(1, 4)


def ignore(state: State) -> None:
    """No progress."""


class Scripted:
    """A pool whose runs come to what a function says of the period in seconds and the seed."""

    slots = 4

    def __init__(self, figures: Callable[[float, int], Figures]) -> None:
        self.figures = figures
        self.ran: list[tuple[float, int]] = []
        self._batches: list[Batch] = []

    def submit(self, batch: Batch) -> None:
        self._batches.append(batch)

    def wait(self, seconds: float) -> list[tuple[Batch, Result]]:
        batches, self._batches = self._batches, []
        return [(batch, [self._run(task) for task in batch]) for batch in batches]

    def _run(self, task: Task) -> Outcome:
        text = task.assignment["gossip.period"].value if "gossip.period" in task.assignment else "1 s"
        period = float(text.split()[0]) / (1000 if text.endswith(" ms") else 1)
        self.ran.append((period, task.seed))
        lag, cost = self.figures(period, task.seed)
        if lag is None:
            return Outcome(task.row, "failed", 1.0, error="the script says so")
        return Outcome(task.row, "complete", 1.0, json.dumps(summary(lag, cost)).encode())

    def give_up(self, batch: Batch) -> None:
        raise AssertionError("a scripted run never takes too long")

    def close(self) -> None:
        """Nothing runs."""


def summary(lag: float, cost: float) -> dict[str, Any]:
    quantiles = {"p50": 0.0, "p99": lag, "max": lag}
    errors = {"cpu": {"p50": 0.1, "p99": 0.5, "max": 0.9}}
    counts = {"cpu": 1}
    return {
        "convergence_rounds": 1.0,
        "coverage_final": 1.0,
        "bytes_per_node_per_second": cost,
        "messages_per_node_per_second": 1.0,
        "redundancy": 1.0,
        "lag_seconds": quantiles,
        "age_seconds": quantiles,
        "dissemination_seconds": {"t50": 1.0, "t99": 1.0, "t100": 1.0},
        "error_in_bounds": errors,
        "settled_error_in_bounds": errors,
        "error": errors,
        "published": counts,
        "filtered": counts,
    }


def steady(period: float, seed: int) -> Figures:
    """Lag is twice the period, and bytes fall with it; seeds differ a little."""
    return 2 * period + seed / 100, 100 / period


@pytest.fixture
def problem(small: Path) -> Problem:
    return plan(small, [("duration", "60 s")], ["lag_p99 <= 3 s"], "bytes", ["strategy", "fanout", "flushes", "degree"], SEEDS, 3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "tune.db") as opened:
        yield opened


class Listed:
    """A sampler that asks for candidates one by one."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.waiting = [*candidates]
        self.told: list[tuple[float, Sequence[float]]] = []

    def ask(self) -> list[Candidate]:
        return [self.waiting.pop(0)] if self.waiting else []

    def tell(self, values: Sequence[tuple[float, Sequence[float]]]) -> None:
        self.told += values


def all_periods(problem: Problem) -> Listed:
    return Listed([problem.space.own, *((index,) for index in range(9) if (index,) != problem.space.own)])


def search(problem: Problem, store: Store, pool: Scripted, sampler: Listed | Latin | None = None) -> list[Trial]:
    return Tuning(problem, store, pool, ignore).search(sampler or all_periods(problem), lambda: True)


def period(problem: Problem, trial: Trial) -> str:
    return str(problem.space.chosen(trial.candidate)["period"].value)


def test_the_cheapest_that_meets_the_goals_with_every_seed_is_chosen(problem: Problem, store: Store) -> None:
    best = search(problem, store, Scripted(steady))[0]
    assert period(problem, best) == "1400 ms"
    assert best.feasible and best.cost == pytest.approx(100 / 1.4)
    assert best.worst(problem.goals[0]) == pytest.approx(2.83)  # with the third seed


def test_one_seed_that_misses_a_goal_is_enough_to_lose(problem: Problem, store: Store) -> None:
    def figures(period: float, seed: int) -> Figures:
        return (9.0, 1.0) if (period, seed) == (1.4, 3) else steady(period, seed)

    ranked = search(problem, store, Scripted(figures))
    assert period(problem, ranked[0]) == "1 s"
    assert [len(trial.results) for trial in ranked if period(problem, trial) in ("1 s", "1400 ms")] == [3, 3]


def test_a_third_goes_on_and_all_meet_the_same_first_seed(problem: Problem, store: Store) -> None:
    pool = Scripted(steady)
    search(problem, store, pool)
    assert len({period for period, seed in pool.ran if seed == 1}) == 9
    assert {period for period, seed in pool.ran if seed == 2} == {period for period, seed in pool.ran if seed == 3} == {0.7, 1.0, 1.4}
    assert len(pool.ran) == len({*pool.ran}) == 9 + 3 * 2


def test_who_leads_after_the_race_is_run_with_all_seeds_first(problem: Problem, store: Store) -> None:
    def figures(period: float, seed: int) -> Figures:
        return (9.0, 1.0) if seed > 1 and period >= 0.7 else steady(period, seed)

    ranked = search(problem, store, Scripted(figures))
    assert period(problem, ranked[0]) == "500 ms"
    assert (ranked[0].feasible, len(ranked[0].results)) == (True, 3)


def test_samplers_are_told_cost_and_misses_with_the_first_seed(problem: Problem, store: Store) -> None:
    sampler = Listed([problem.space.own, (8,)])
    search(problem, store, Scripted(steady), sampler)
    assert sampler.told == [(100.0, [0.0]), (25.0, [pytest.approx(5.01 / 3)])]


def test_where_no_trial_meets_the_goals_the_nearest_one_leads(small: Path, store: Store) -> None:
    kept = ["strategy", "fanout", "flushes", "degree"]
    hard = plan(small, [("duration", "60 s")], ["lag_p99 <= 100 ms", "coverage_at_the_end >= 1"], "bytes", kept, SEEDS, 3)
    best = search(hard, store, Scripted(steady))[0]
    assert (period(hard, best), best.feasible) == ("250 ms", False)
    assert best.misses == [pytest.approx(4.3), 0.0]


def test_the_same_search_runs_nothing_again(problem: Problem, store: Store) -> None:
    first = search(problem, store, Scripted(steady), Latin(problem.space, 20, 1))
    pool = Scripted(steady)
    again = search(problem, store, pool, Latin(problem.space, 20, 1))
    assert pool.ran == []
    assert [(trial.candidate, trial.results) for trial in again] == [(trial.candidate, trial.results) for trial in first]


@pytest.mark.parametrize("after", [1, 5, 8, 11])
def test_ctrl_c_loses_only_what_was_in_flight(problem: Problem, store: Store, after: int) -> None:
    def interrupt(state: State) -> None:
        if state.done == after:
            raise KeyboardInterrupt

    before, pool = Scripted(steady), Scripted(steady)
    with pytest.raises(InterruptedRunError, match="the same command goes on from there"):
        Tuning(problem, store, before, interrupt).search(all_periods(problem), lambda: True)
    best = search(problem, store, pool)[0]
    assert period(problem, best) == "1400 ms"
    assert len(before.ran + pool.ran) - len({*before.ran, *pool.ran}) <= pool.slots
    assert len(pool.ran) <= 15 - after


def test_a_trial_that_fails_loses_and_gets_another_chance_in_the_next_search(problem: Problem, store: Store) -> None:
    def figures(period: float, seed: int) -> Figures:
        return (None, 0.0) if period == 1.4 else steady(period, seed)

    ranked = search(problem, store, Scripted(figures))
    assert period(problem, ranked[0]) == "1 s"
    (failed,) = [trial for trial in ranked if period(problem, trial) == "1400 ms"]
    assert (failed.cost, failed.why) == (math.inf, "the script says so")
    assert period(problem, search(problem, store, Scripted(steady))[0]) == "1400 ms"


def test_where_all_fail_it_says_why(problem: Problem, store: Store) -> None:
    with pytest.raises(TuneError, match="none of 9 trials came to a value of bytes per node; the script says so"):
        search(problem, store, Scripted(lambda period, seed: (None, 0.0)))


def test_without_time_only_the_first_batch_is_tried(problem: Problem, store: Store) -> None:
    pool = Scripted(steady)
    ranked = Tuning(problem, store, pool, ignore).search(all_periods(problem), lambda: False)
    assert [trial.candidate for trial in ranked] == [problem.space.own]
    assert pool.ran == [(1.0, 1), (1.0, 2), (1.0, 3)]


def test_errors_are_counted_in_the_bounds_that_were_asked_for(small: Path, store: Store) -> None:
    kept = ["strategy", "period", "fanout", "flushes", "degree"]
    found = plan(small, [], ["lag_p99 <= 3 s", "error_max <= 1.5 bounds"], "bytes", kept, range(1, 2), 1)
    ranked = search(found, store, Scripted(steady), Listed([(0,), (1,)]))
    errors = {found.space.bounds(trial.candidate): trial.worst(found.goals[1]) for trial in ranked}
    assert errors == {1.0: pytest.approx(0.9), 1.4: pytest.approx(1.26)}
