"""What tuning may change: which axes the goals open, what a candidate stands for, and what stays as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_sim.tune.plan import Problem, plan
from priomon_sim.tune.space import FACTORS, SearchSpace

ROOT = Path(__file__).parent.parent.parent
LAG = "lag_p99 <= 3 s"
Make = Callable[..., Problem]


@pytest.fixture
def problem(small: Path) -> Make:
    """A function that makes the problem of the small scenario with goals and `path=value` settings."""

    def make(goals: Sequence[str] = (LAG,), settings: Sequence[tuple[str, str]] = (), kept: Sequence[str] = ()) -> Problem:
        return plan(small, settings, goals, "bytes", kept, None, 2)

    return make


def values(space: SearchSpace, name: str) -> list[object]:
    (axis,) = [axis for axis in space.axes if axis.name == name]
    return [choice.value for choice in axis.choices]


def test_the_axes_are_those_that_the_goals_open(problem: Make) -> None:
    names = ["strategy", "period", "fanout", "flushes", "degree"]
    assert [axis.name for axis in problem().space.axes] == names
    assert [axis.name for axis in problem([LAG, "error_p99 <= 2 bounds"]).space.axes] == [*names, "bounds"]
    assert [axis.name for axis in problem([LAG, "cpu_error_p99 <= 5 %"]).space.axes] == [*names, "bounds"]
    assert [axis.name for axis in problem([LAG, "age_p99 <= 60 s"]).space.axes] == [*names, "silences"]
    assert [axis.name for axis in problem(kept=["strategy", "degree"]).space.axes] == ["period", "fanout", "flushes"]


@pytest.mark.parametrize(
    ("goals", "factors"),
    [
        (["error_max <= 1 bound"], None),  # a wider bound breaks the goal, a narrower one only costs bytes
        (["error_max <= 2 bounds"], [1.0, 1.4, 2.0]),
        (["error_max <= 0.5 bounds"], [0.5, 1.0]),
        (["error_p99 <= 1 bound"], [*FACTORS]),
        (["error_p99 <= 1 bound", "error_max <= 1.4 bounds"], [0.25, 0.35, 0.5, 0.7, 1.0, 1.4]),
    ],
)
def test_bounds_are_widened_no_further_than_the_largest_error_allows(problem: Make, goals: list[str], factors: list[float] | None) -> None:
    space = problem([LAG, *goals]).space
    assert (values(space, "bounds") if any(axis.name == "bounds" for axis in space.axes) else None) == factors


def test_periods_are_round_and_hold_the_scenarios_own(problem: Make) -> None:
    space = problem(settings=[("gossip.period", "333 ms")]).space
    assert values(space, "period") == ["83 ms", "120 ms", "170 ms", "230 ms", "333 ms", "470 ms", "670 ms", "930 ms", "1300 ms"]
    assert dict(zip([axis.name for axis in space.axes], space.own, strict=True))["period"] == 4


def test_choices_that_the_scenario_refuses_are_left_out(problem: Make) -> None:
    assert values(problem(settings=[("nodes", "3")]).space, "fanout") == [1, 2]
    assert values(problem(settings=[("duration", "2 s")]).space, "period")[-1] == "2 s"


def test_a_strategy_of_the_scenario_that_is_not_searched_is_a_choice(problem: Make) -> None:
    assert values(problem(settings=[("gossip.strategy", "demon")]).space, "strategy") == ["demon", "scuttlebutt", "rumor", "tree"]


def test_axes_that_do_not_matter_to_a_strategy_do_not_tell_candidates_apart(problem: Make) -> None:
    space = problem(settings=[("gossip.strategy", "scuttlebutt")]).space
    scuttlebutt, rumor, tree = ((strategy, 4, 0, 3, 2) for strategy in range(3))
    assert [*space.chosen(scuttlebutt)] == ["strategy", "period", "fanout"]
    assert space.relevant(scuttlebutt) == (*scuttlebutt[:3], *space.own[3:])
    assert space.relevant(rumor) == (*rumor[:4], space.own[4])
    assert space.relevant(tree) == tree
    assert {path: entry.value for path, entry in space.settings(tree).items()} == {
        "gossip.strategy": "tree",
        "gossip.period": "1 s",
        "gossip.fanout": 1,
        "gossip.flushes": 4,
        "gossip.degree": 6,
    }


def test_beside_a_candidate_is_what_differs_by_one_step(problem: Make) -> None:
    space = problem(kept=["flushes", "degree"]).space
    assert {*space.beside((1, 0, 2))} == {(0, 0, 2), (2, 0, 2), (1, 1, 2), (1, 0, 1), (1, 0, 3)}


def test_steps_that_change_nothing_are_none(problem: Make) -> None:
    space = problem(settings=[("gossip.strategy", "scuttlebutt")], kept=["period", "fanout"]).space
    assert {*space.beside(space.own)} == {(1, *space.own[1:]), (2, *space.own[1:])}


def test_axes_follow_the_scenarios_strategy_where_that_is_kept(problem: Make) -> None:
    space = problem(settings=[("gossip.strategy", "rumor")], kept=["strategy"]).space
    assert [*space.chosen(space.own)] == ["period", "fanout", "flushes"]


def test_a_factor_of_bounds_is_one_of_errors_on_any_scale(problem: Make) -> None:
    found = problem([LAG, "error_p99 <= 4 bounds"])
    candidate = (*found.space.own[:-1], FACTORS.index(2.0))
    assert found.space.bounds(candidate) == 2.0
    assert found.space.bounds(found.space.own) == 1.0
    before, after = (found.plan.base.variant(found.space.settings(one), 1).enabled_metrics() for one in (found.space.own, candidate))
    for asked, wide in zip(before, after, strict=True):
        assert asked.error(0, 12345.0) == pytest.approx(2 * wide.error(0, 12345.0), rel=1e-5)


def test_a_factor_of_silences_is_one_of_every_metrics_own(problem: Make) -> None:
    found = problem([LAG, "age_p99 <= 60 s"], settings=[("metrics.cpu.silence", "8 s")])
    candidate = (*found.space.own[:-1], FACTORS.index(0.25))
    metrics = found.plan.base.variant(found.space.settings(candidate), 1).enabled_metrics()
    assert {metric.name: metric.longest_silence for metric in metrics} == {"cpu": 2.0, "memory": 15.0, "network": 15.0, "storage": 75.0}


def test_a_longer_period_does_not_sample_less(small: Path) -> None:
    small.write_text(
        f"nodes: 5\nduration: 9 s\ngossip: {{period: 3 s}}\nworkload: {{kind: trace, path: {ROOT}/scenarios/traces/workstation.csv.gz}}\n"
    )
    found = plan(small, [], [LAG], "bytes", [], None, 1)
    for candidate in (found.space.own, (0, 0, 0, 0, 0)):
        scenario = found.plan.base.variant(found.space.settings(candidate), 1)
        assert scenario.sample_every == 3_000_000_000
        assert scenario.workload is not None and scenario.workload.model_dump()["every"] == 3_000_000_000
    assert "sample_every" not in small.read_text()


@pytest.mark.parametrize(("sample", "look", "fixed"), [("1 s", "1 s", "618 ms"), ("1 s", "2 s", "1236 ms"), ("1 s", "300 ms", "300 ms")])
def test_looks_do_not_keep_step_with_samples(problem: Make, sample: str, look: str, fixed: str) -> None:
    found = problem(settings=[("sample_every", sample), ("measure.every", look)])
    assert found.plan.scenario.dump()["measure"]["every"] == fixed


@given(st.integers(1, 60), st.integers(0, 5))
def test_a_latin_hypercube_meets_every_choice_its_share_of_the_times(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "latin.yaml"
    path.write_text("nodes: 8\nduration: 6 s\nworkload: {kind: synthetic}\n")
    space = plan(path, [], [LAG], "bytes", [], None, 1).space
    drawn = space.latin(count, seed)
    assert len(drawn) == count
    for index, axis in enumerate(space.axes[:3]):  # the others are put back where they do not matter
        met = Counter(candidate[index] for candidate in drawn)
        assert all(abs(met[choice] - count / len(axis.choices)) < 2 for choice in range(len(axis.choices)))


@pytest.mark.parametrize(
    ("minimise", "goals", "kept", "message"),
    [
        ("bytes", ["lag_p98 <= 3 s"], [], "goal 'lag_p98 <= 3 s': unknown measure 'lag_p98'"),
        ("byts", [LAG], [], "--minimise byts: unknown measure"),
        ("lag_p99", [LAG], [], "found no goal but on lag_p99, which is minimised"),
        ("bytes", [LAG], ["perod"], "--keep perod: unknown axis 'perod'; did you mean 'period'?"),
        ("bytes", [LAG], ["bounds"], "--keep bounds: unknown axis 'bounds'"),
        ("bytes", [LAG], ["strategy", "period", "fanout", "flushes", "degree"], "nothing is left to tune"),
    ],
)
def test_what_cannot_be_tuned_is_told(small: Path, minimise: str, goals: list[str], kept: list[str], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        plan(small, [], goals, minimise, kept, None, 1)
    assert message in str(caught.value)
