"""Where the candidates of tuning come from: a Latin hypercube, or Optuna's tree-structured Parzen estimator where that is installed.

After two thirds of the trials, either gives way to steps from the best candidate so far to those beside it: few samples of a large space
hit the best place itself. The search begins with the scenario as it is and hands out batches, whose size does not depend on how many can
be run at once. So the candidates follow from the scenario, the goals and the results alone: a search that was interrupted takes the same
way again, over what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from priomon_core.errors import PriomonError
from priomon_sim.tune.space import Candidate, SearchSpace

BATCH = 8  # candidates that are run before the next ones are chosen
EXPLORED = 2 / 3  # of the trials, before the steps
MOST_REPEATS = 100  # suggestions in a row that are known already, after which everything that promises anything was tried
LARGEST_MISS = 1e9  # an infinite one would spoil the sampler's arithmetic


class SamplerError(PriomonError):
    """A sampler cannot be used here."""


class Sampler(Protocol):
    """What chooses candidates."""

    def ask(self) -> list[Candidate]:
        """The next candidates to run, none at the end."""

    def tell(self, values: Sequence[tuple[float, Sequence[float]]]) -> None:
        """What the candidates asked for last came to: the objective, and by how much each goal was missed."""


class Latin:
    """A Latin hypercube over all axes."""

    def __init__(self, space: SearchSpace, trials: int, seed: int) -> None:
        drawn = space.latin(trials - 1, seed) if trials > 1 else []
        self._waiting = [space.own, *drawn]

    def ask(self) -> list[Candidate]:
        """The next ones of the hypercube."""
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return batch

    def tell(self, values: Sequence[tuple[float, Sequence[float]]]) -> None:
        """The hypercube does not depend on what was found."""


class Parzen:
    """Optuna's TPE, with the goals as constraints. Raises `SamplerError` without Optuna."""

    def __init__(self, space: SearchSpace, trials: int, seed: int) -> None:
        try:
            self._optuna = import_module("optuna")
        except ImportError as error:
            raise SamplerError("--sampler tpe needs Optuna, which is not installed: pip install 'priomon[tune]'") from error
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self._space = space
        self._left = trials
        self._study = self._optuna.create_study(sampler=self._optuna.samplers.TPESampler(seed=seed))
        self._study.enqueue_trial({axis.name: axis.own for axis in space.axes})
        self._asked: dict[Candidate, Any] = {}
        self._told: dict[Candidate, tuple[float, Sequence[float]]] = {}

    def ask(self) -> list[Candidate]:
        """What promises most after all that was told. A candidate that is known already is told again, and another one asked for."""
        self._asked = {}
        repeats = 0
        while len(self._asked) < min(BATCH, self._left) and repeats < MOST_REPEATS:
            trial = self._study.ask()
            candidate = self._space.relevant(tuple(self._suggest(trial, index) for index in range(len(self._space.axes))))
            if candidate in self._told or candidate in self._asked:
                repeats += 1
                self._tell(trial, *self._told.get(candidate, (math.inf, ())))
            else:
                self._asked[candidate] = trial
        self._left -= len(self._asked)
        return [*self._asked]

    def _suggest(self, trial: Any, index: int) -> int:
        axis = self._space.axes[index]
        choices = range(len(axis.choices))
        if axis.categorical:
            return int(trial.suggest_categorical(axis.name, choices))
        return int(trial.suggest_int(axis.name, 0, choices[-1]))

    def tell(self, values: Sequence[tuple[float, Sequence[float]]]) -> None:
        """Candidates without an objective have failed."""
        for (candidate, trial), value in zip(self._asked.items(), values, strict=True):
            self._told[candidate] = value
            self._tell(trial, *value)

    def _tell(self, trial: Any, objective: float, misses: Sequence[float]) -> None:
        if not math.isfinite(objective):
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            return
        for number, miss in enumerate(misses):
            trial.set_constraint(f"goal {number}", min(miss, LARGEST_MISS))
        self._study.tell(trial, objective)


class Refined:
    """What another sampler asks for, and then candidates one step from the best one, as long as there are new ones and trials left."""

    def __init__(self, first: Sampler, space: SearchSpace, trials: int) -> None:
        self._first = first
        self._space = space
        self._left = trials
        self._told: dict[Candidate, tuple[float, float]] = {}
        self._asked: list[Candidate] = []
        self._refining = False

    def ask(self) -> list[Candidate]:
        """Of the other sampler, while it has any."""
        self._asked = [] if self._refining else self._first.ask()
        if not self._asked:
            self._refining = True
            best = min(self._told, key=self._told.__getitem__)
            steps = [candidate for candidate in self._space.beside(best) if candidate not in self._told]
            self._asked = steps[: min(BATCH, self._left)]
        self._left -= len(self._asked)
        return self._asked

    def tell(self, values: Sequence[tuple[float, Sequence[float]]]) -> None:
        """Goals come before the objective."""
        if not self._refining:
            self._first.tell(values)
        ranks = [(sum(misses) if math.isfinite(objective) else math.inf, objective) for objective, misses in values]
        self._told |= dict(zip(self._asked, ranks, strict=True))


def make_sampler(name: str | None, space: SearchSpace, trials: int, seed: int) -> Sampler:
    """The search with the sampler that is called `tpe` or `latin`; None: the first of them that can be used. Raises `SamplerError`."""
    return Refined(_first(name, space, math.ceil(EXPLORED * trials), seed), space, trials)


def _first(name: str | None, space: SearchSpace, trials: int, seed: int) -> Sampler:
    if name == "latin":
        return Latin(space, trials, seed)
    try:
        return Parzen(space, trials, seed)
    except SamplerError:
        if name is not None:
            raise
    return Latin(space, trials, seed)
