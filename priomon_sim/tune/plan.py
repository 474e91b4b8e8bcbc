"""From a scenario and goals to the problem that tuning solves. Everything that is wrong with it is told before the first run starts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from priomon_core.errors import SettingError
from priomon_results.compare import Measure
from priomon_sim.goals import Goal, find_measure, measures, parse_goals
from priomon_sim.scenario.document import checked, opened
from priomon_sim.scenario.sweep import Sweep
from priomon_sim.sweep.plan import Plan, base_of
from priomon_sim.tune.space import SearchSpace, fixed_measuring, search_space


@dataclass(frozen=True, slots=True)
class Problem:
    """What is searched, and for what. `plan` says how to run it and has no points yet."""

    plan: Plan
    space: SearchSpace
    goals: Sequence[Goal]
    objective: Measure

    @property
    def across(self) -> Goal:
        """The goal whose measure is weighed against the objective."""
        return next(goal for goal in self.goals if goal.measure is not self.objective)


def plan(
    path: Path,
    overrides: Sequence[tuple[str, str]],
    goals: Sequence[str],
    minimise: str,
    kept: Collection[str],
    seeds: range | None,
    count: int,
) -> Problem:
    """The problem of the scenario file at `path`, after `--set` pairs; with `count` seeds from the scenario's on, if none are given.

    Raises `ScenarioError` and `SettingError`.
    """
    source, problems = opened(path, overrides)
    written = checked(source, path.parent, problems)
    base = fixed_measuring(base_of(source, path.parent), written)
    scenario = base.variant({}, written.seed)
    known = measures(scenario)
    wanted = parse_goals(goals, known)
    try:
        objective = find_measure(minimise, known)
    except SettingError as error:
        raise SettingError(f"--minimise {minimise}: {error}") from None
    if all(goal.measure is objective for goal in wanted):
        raise SettingError(f"--goal: found no goal but on {minimise}, which is minimised; expected one on what that must not harm")
    space = search_space(base, scenario, wanted, kept)
    seeds = seeds or range(scenario.seed, scenario.seed + count)
    return Problem(Plan(base, scenario, written.sweep or Sweep(), space.paths, [], seeds), space, wanted, objective)
