"""Samplers: where they begin, that they never ask twice, that they come to the optimum, that they need no Optuna."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from priomon_sim.tune import sampler as tune_sampler
from priomon_sim.tune.plan import plan
from priomon_sim.tune.sampler import BATCH, Latin, Parzen, Refined, Sampler, SamplerError, make_sampler
from priomon_sim.tune.space import Candidate, SearchSpace

OWN = [("gossip.strategy", "scuttlebutt")]


@pytest.fixture
def space(small: Path) -> SearchSpace:
    return plan(small, OWN, ["lag_p99 <= 3 s"], "bytes", [], None, 1).space


def without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tune_sampler, "import_module", missing)


def cost(candidate: Candidate) -> tuple[float, list[float]]:
    """Longer periods are cheaper, and from the sixth on they miss a goal; no strategy is as cheap as the third one."""
    strategy, period, fanout, *_ = candidate
    return 100.0 - 8 * period + 20 * fanout + 30 * (strategy != 2), [max(0.0, period - 5.0)]


def walk(sampler: Sampler) -> list[Candidate]:
    asked: list[Candidate] = []
    while batch := sampler.ask():
        assert len(batch) <= BATCH
        sampler.tell([cost(candidate) for candidate in batch])
        asked += batch
    return asked


@pytest.mark.parametrize("name", ["tpe", "latin"])
def test_a_search_begins_with_the_scenario_itself_and_is_repeatable(space: SearchSpace, name: str) -> None:
    asked = walk(make_sampler(name, space, 20, 1))
    assert asked[0] == space.own
    assert 14 < len(asked) <= 20
    assert all(space.relevant(candidate) == candidate for candidate in asked)
    assert walk(make_sampler(name, space, 20, 1)) == asked
    assert walk(make_sampler(name, space, 20, 2)) != asked


def test_one_trial_is_the_scenario_itself(space: SearchSpace) -> None:
    assert walk(Latin(space, 1, 1)) == walk(Parzen(space, 1, 1)) == [space.own]


def test_the_estimator_never_asks_twice_and_comes_to_the_best(space: SearchSpace) -> None:
    asked = walk(Parzen(space, 60, 1))
    assert len({*asked}) == 60
    feasible = [cost(candidate)[0] for candidate in asked if not any(cost(candidate)[1])]
    assert min(feasible) == 60.0


def test_what_failed_does_not_stop_the_estimator(space: SearchSpace) -> None:
    sampler = Parzen(space, 3 * BATCH, 1)
    asked = []
    while batch := sampler.ask():
        sampler.tell([(math.inf, [math.inf]) if index % 2 else (1.0, [math.inf]) for index in range(len(batch))])
        asked += batch
    assert len({*asked}) == 3 * BATCH


def test_the_estimator_ends_where_nothing_new_is_left(small: Path) -> None:
    space = plan(small, OWN, ["lag_p99 <= 3 s"], "bytes", ["period", "strategy", "flushes", "degree"], None, 1).space
    sampler = Parzen(space, 50, 1)
    asked = sampler.ask()
    sampler.tell([(1.0, [0.0])] * len(asked))
    assert sorted(asked) == [(0,), (1,), (2,), (3,)]
    assert sampler.ask() == []


@pytest.mark.parametrize("name", ["tpe", "latin"])
def test_steps_from_the_best_lead_to_the_place_itself(space: SearchSpace, name: str) -> None:
    asked = walk(make_sampler(name, space, 48, 3))
    assert min(cost(candidate)[0] for candidate in asked if not any(cost(candidate)[1])) == 60.0
    assert len(asked) <= 48


def test_steps_go_from_one_best_to_the_next(space: SearchSpace) -> None:
    sampler = Refined(Latin(space, 1, 1), space, 60)
    asked = walk(sampler)
    beside = space.beside(space.own)
    assert asked[0] == space.own and {*asked[1 : 1 + len(beside)]} == {*beside}
    assert len({*asked}) == len(asked)
    best = min((candidate for candidate in asked if not any(cost(candidate)[1])), key=lambda candidate: cost(candidate)[0])
    assert cost(best)[0] == 60.0
    assert {*space.beside(best)} <= {*asked}


def test_what_fails_is_no_place_to_step_from(space: SearchSpace) -> None:
    sampler = Refined(Latin(space, 2, 1), space, 4)
    first = sampler.ask()
    sampler.tell([(math.inf, [math.inf]), (5.0, [9.0])])
    assert {*sampler.ask()} <= {*space.beside(first[1])}


def test_without_optuna_the_hypercube_is_searched(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = walk(make_sampler("latin", space, 20, 1))
    assert walk(make_sampler(None, space, 20, 1)) == walk(make_sampler("tpe", space, 20, 1)) != plain
    without_optuna(monkeypatch)
    assert walk(make_sampler(None, space, 20, 1)) == plain
    with pytest.raises(SamplerError, match=r"pip install 'priomon\[tune\]'"):
        make_sampler("tpe", space, 8, 1)
