"""The `goal` of a sweep: what a strategy has to hold in a tournament."""

from __future__ import annotations

from typing import Any

from priomon_results.sweep_store import units
from priomon_results.tournament import Goal
from priomon_sim.scenario_problems import ScenarioError, show, unknown
from priomon_sim.sweep_plan import AT, Plan
from priomon_sim.sweep_values import finite, plain


def goals(plan: Plan) -> list[Goal]:
    """The goals of a plan. Raises `ScenarioError` with all that is wrong with them."""
    known = units(plan.scenario.dump())
    found, problems = [], []
    for measure, limit in plan.sweep.goal.items():
        path = (*AT, "goal", measure)
        if message := _wrong(measure, limit, known):
            problems.append(plan.base.source.place(path).problem(path, message))
        else:
            found.append(Goal(measure, float(plain(limit)[0]), known[measure]))
    if problems:
        raise ScenarioError(problems)
    return found


def _wrong(measure: str, limit: Any, known: dict[str, str]) -> str:
    """What is wrong with a goal, if anything is."""
    if measure not in known:
        return unknown("measure", measure, sorted(known))
    value, unit = plain(limit)
    expected = known[measure]
    if not finite(value) or unit not in ("", expected):
        return f"found {show(limit)}, expected a number" + (f" (in {expected})" if expected else "")
    return ""
