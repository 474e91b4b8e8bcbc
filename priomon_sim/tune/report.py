"""What a search found: the frontier as a table and a picture, the files of the chosen settings, or how far off the goals were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from priomon_results.compare import Measure
from priomon_results.frontier import Mark, frontier
from priomon_results.words import number
from priomon_sim.cli.tables import WIDTH
from priomon_sim.goals import Goal, identifier, quantity
from priomon_sim.provenance import code_version
from priomon_sim.tune.output import write_agent_file, write_scenario
from priomon_sim.tune.plan import Problem
from priomon_sim.tune.run import Trial

NEVER = "never"


@dataclass(frozen=True, slots=True)
class Found:
    """The trials of a search, the best one first, and the command that searched."""

    problem: Problem
    trials: Sequence[Trial]
    command: str

    @property
    def best(self) -> Trial:
        """The trial that is chosen, if it is feasible."""
        return self.trials[0]

    @property
    def own(self) -> Trial:
        """The scenario as it is."""
        return next(trial for trial in self.trials if trial.candidate == self.problem.space.own)

    def values(self, trial: Trial) -> dict[str, Any]:
        """The choices of a trial by axis."""
        return {name: choice.value for name, choice in self.problem.space.chosen(trial.candidate).items()}

    def marks(self) -> list[Mark]:
        """All trials between the first goal and the objective."""
        return [self._mark(trial) for trial in self.trials]

    def _mark(self, trial: Trial) -> Mark:
        across = self.problem.across
        others = [miss for goal, miss in zip(trial.goals, trial.misses, strict=True) if goal is not across]
        strategy = self.values(trial).get("strategy", self.problem.space.strategy)
        x = trial.worst(across)
        return Mark(trial.point.number, strategy, x, trial.cost, trial.feasible, not any(others), len(trial.results))

    def frontier(self) -> list[Trial]:
        """The trials that no other one beats in both the first goal and the objective, among those that meet all other goals."""
        by_number = {trial.point.number: trial for trial in self.trials}
        return [by_number[mark.number] for mark in frontier(self.marks(), rising=self.problem.across.relation == ">=")]

    def misses(self) -> str:
        """Which goals the best trial misses, and by how much."""
        lines = ["no trial met all goals; the best one missed"]
        for goal, miss in zip(self.best.goals, self.best.misses, strict=True):
            if miss:
                worst = self.best.worst(goal)
                found = f"it was {shown(worst, goal.measure)}, {miss * 100:.3g} % off" if math.isfinite(worst) else "it never came to be"
                lines.append(f"  {goal}: {found}")
        values = ", ".join(f"{name}={value}" for name, value in self.values(self.best).items())
        return "\n".join([*lines, f"with {values}; ease the goal, or try more (--trials)"])

    def document(self) -> dict[str, Any]:
        """All of it, for programs."""
        listed = [{"chosen": trial is self.best and trial.feasible, **self._figures(trial)} for trial in self.frontier()]
        return {
            "goals": [str(goal) for goal in self.problem.goals],
            "minimise": identifier(self.problem.objective.name),
            "feasible": self.best.feasible,
            "best": self._figures(self.best),
            "own": self._figures(self.own),
            "frontier": listed,
            "trials": len(self.trials),
        }

    def _figures(self, trial: Trial) -> dict[str, Any]:
        figures = {identifier(goal.measure.name): trial.worst(goal) for goal in trial.goals} | {
            identifier(trial.objective.name): trial.cost
        }
        known = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        return {"choices": self.values(trial), "measures": known, "feasible": trial.feasible, "seeds": len(trial.results)}

    def write(self, folder: Path) -> list[Path]:
        """Draw the picture, and write the settings if all goals are met; returns the files. Raises `OutputError`."""
        from priomon_results.plots.tune import draw_frontier  # matplotlib takes time to load, which a search need not wait for

        across, scenario = self.problem.across, self.problem.plan.scenario
        drawn = draw_frontier(
            self.marks(),
            folder / "plots",
            title=f"Tuning of {scenario.name}",
            note=f"{len(self.trials)} trials · up to {len(self.problem.plan.seeds)} seeds · PrioMon {code_version()}",
            x=f"{label(across.measure)}, worst of the seeds",
            y=f"{label(self.problem.objective)}, median of the seeds",
            limit=(across.limit, f"goal: {across}"),
            own=self.own.point.number,
            chosen=self.best.point.number if self.best.feasible else None,
            rising=across.relation == ">=",
        )
        if not self.best.feasible:
            return drawn
        chosen = self.problem.plan.base.variant(self.problem.space.settings(self.best.candidate), scenario.seed)
        files = [folder / f"{scenario.name}-tuned.yaml", folder / f"{scenario.name}-agent.yaml"]
        write_scenario(chosen.model_copy(update={"name": f"{scenario.name}-tuned"}), self._about(), files[0])
        write_agent_file(chosen, self._about(), files[1])
        return [*drawn, *files]

    def _about(self) -> list[str]:
        """Where the settings come from, and what they came to."""
        seeds = self.problem.plan.seeds
        came_to = [f"{identifier(goal.measure.name)} {shown(self.best.worst(goal), goal.measure)}" for goal in self.problem.goals]
        cost = f"{identifier(self.problem.objective.name)} {shown(self.best.cost, self.problem.objective)}"
        return [
            "Written by: " + self.command.replace("\n", " "),
            f"Goals: {', '.join(map(str, self.problem.goals))}. They were met with the seeds {seeds.start} to {seeds.stop - 1}:",
            f"at worst {', '.join(came_to)}; in the median {cost}.",
        ]


def show_found(found: Found) -> None:
    """Print the frontier, with the chosen settings and the scenario's own among it."""
    listed = found.frontier()
    listed += [trial for trial in dict.fromkeys((found.best, found.own)) if trial not in listed]
    names = [axis.name for axis in found.problem.space.axes]
    table = Table(title=f"{found.problem.plan.scenario.name}: the frontier", title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for measure in dict.fromkeys([*(goal.measure for goal in found.problem.goals), found.problem.objective]):
        table.add_column(label(measure), justify="right")
    table.add_column("seeds", justify="right")
    for trial in listed:
        table.add_row(_role(found, trial), *_cells(found, trial, names))
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)


def _role(found: Found, trial: Trial) -> str:
    if trial is found.best:
        return "chosen" if trial.feasible else "best"
    return "yours" if trial is found.own else ""


def _cells(found: Found, trial: Trial, names: Sequence[str]) -> list[str]:
    values = found.values(trial)
    cells = [escape(str(values.get(name, "-"))) for name in names]
    goals: dict[Measure, Goal] = {goal.measure: goal for goal in found.problem.goals}
    missed = {goal for goal, miss in zip(trial.goals, trial.misses, strict=True) if miss}
    for goal in goals.values():
        worst = trial.worst(goal)
        cells.append((number(worst) if math.isfinite(worst) else NEVER) + (" missed" if goal in missed else ""))
    if found.problem.objective not in goals:
        cells.append(number(trial.cost) if math.isfinite(trial.cost) else NEVER)
    return [*cells, str(len(trial.results))]


def label(measure: Measure) -> str:
    """A measure with its unit, as in tables."""
    return f"{measure.name} ({measure.unit})" if measure.unit else measure.name


def shown(value: float, measure: Measure) -> str:
    """A value as a person reads it."""
    return quantity(float(f"{value:.3g}"), measure.unit)
