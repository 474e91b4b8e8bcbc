"""Plans of sweeps: which points a section gives, and what is said of one that makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_sim.scenario.document import load
from priomon_sim.scenario.problems import ScenarioError
from priomon_sim.scenario.yaml_source import Place
from priomon_sim.sweep.plan import Plan, plan
from priomon_sim.sweep.space import Entry, Space, axis, drawn, product, together, union

HEAD = "nodes: 8\nduration: 60 s\nworkload: {kind: synthetic}\n"
HERE = Place("test")


@pytest.fixture
def planned(tmp_path: Path) -> Any:
    """A function from the text of a sweep to its plan."""

    def make(sweep: str, *overrides: tuple[str, str], limit: int | None = None) -> Plan:
        path = tmp_path / "small.yaml"
        path.write_text(f"{HEAD}sweep:\n{sweep}")
        return plan(path, overrides, limit)

    return make


def values(made: Plan, *, baselines: bool = False) -> list[tuple[Any, ...]]:
    return [tuple(point.parameters.values()) for point in made.points if point.is_baseline == baselines]


def told(planned: Any, sweep: str, **more: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        planned(sweep, **more)
    return str(caught.value).replace(str(Path(caught.value.problems[0].file).parent) + "/", "")


def test_a_grid_has_all_combinations_and_the_last_setting_changes_fastest(planned: Any) -> None:
    made = planned("  grid:\n    gossip.fanout: [1, 2]\n    network.loss: [0 %, 10 %, 20 %]\n")
    assert values(made) == [(1, "0 %"), (1, "10 %"), (1, "20 %"), (2, "0 %"), (2, "10 %"), (2, "20 %")]
    assert [point.number for point in made.points] == [1, 2, 3, 4, 5, 6]
    assert list(made.seeds) == [1, 2, 3]


def test_settings_of_a_zip_change_together(planned: Any) -> None:
    made = planned("  zip:\n    gossip.fanout: [1, 2]\n    metrics.cpu.bound: [5, 10]\n  grid: {nodes: [8, 16]}\n")
    assert made.paths == ("nodes", "gossip.fanout", "metrics.cpu.bound")
    assert values(made) == [(8, 1, 5), (8, 2, 10), (16, 1, 5), (16, 2, 10)]


def test_either_joins_sets_and_fills_in_what_the_scenario_has(planned: Any) -> None:
    made = planned("  either:\n  - grid: {gossip.fanout: [1, 2]}\n  - list: [{gossip.period: 2 s, gossip.fanout: 3}]\n")
    assert made.paths == ("gossip.fanout", "gossip.period")
    assert values(made) == [(1, "1 s"), (2, "1 s"), (3, "2 s")]


def test_points_that_are_the_same_are_run_once(planned: Any) -> None:
    assert values(planned("  list: [{gossip.fanout: 1}, {gossip.fanout: 2}, {gossip.fanout: 1}]\n")) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("gossip.fanout: {from: 1, to: 7, points: 3}", [1, 4, 7]),
        ("gossip.period: {from: 100 ms, to: 10 s, points: 3, scale: log}", ["100 ms", "1 s", "10 s"]),
        ("gossip.period: {from: 100 ms, to: 1 s, points: 3, scale: log}", ["100 ms", "316200 us", "1 s"]),
        ("network.loss: {from: 0 %, to: 30 %, points: 4}", ["0 %", "10 %", "20 %", "30 %"]),
        ("nodes: {from: 2, to: 4, points: 9, scale: log}", [2, 3, 4]),
        ("metrics.cpu.bound: {from: 0.5, to: 2, points: 3}", [0.5, 1.25, 2]),
    ],
)
def test_ranges(planned: Any, axis: str, expected: list[Any]) -> None:
    assert [value for (value,) in values(planned(f"  grid: {{{axis}}}\n"))] == expected


def test_skipped_points_are_left_out(planned: Any) -> None:
    sweep = "  grid:\n    gossip.fanout: [1, 2]\n    network.loss: [0 %, 10 %]\n    gossip.period: [500 ms, 2 s]\n"
    made = planned(sweep + "  skip_where: fanout == 1 and loss > 0.05 or period < '1 s'\n")
    assert values(made) == [(1, "0 %", "2 s"), (2, "0 %", "2 s"), (2, "10 %", "2 s")]


def test_a_baseline_is_run_on_each_network_of_the_points_once(planned: Any) -> None:
    sweep = "  grid:\n    gossip.fanout: [1, 2]\n    nodes: [8, 16]\n"
    made = planned(sweep + "  baseline: {filter: none}\n")
    assert values(made, baselines=True) == [(8, "none"), (16, "none")]
    assert [point.baseline for point in made.points] == [5, 6, 5, 6, None, None]


def test_a_point_can_be_the_baseline_of_others(planned: Any) -> None:
    made = planned("  grid:\n    nodes: [8, 16]\n    gossip.strategy: [scuttlebutt, demon]\n  baseline: {gossip.strategy: demon}\n")
    assert not values(made, baselines=True)
    assert [point.baseline for point in made.points] == [2, 2, 4, 4]


def test_the_section_changes_neither_the_scenario_nor_its_hash(planned: Any, tmp_path: Path) -> None:
    made = planned("  grid: {gossip.fanout: [1, 2]}\n")
    alone = tmp_path / "alone.yaml"
    alone.write_text(HEAD)
    assert made.scenario.hash == load(alone).hash
    assert "sweep" not in made.scenario.dump()
    point = made.base.variant(made.points[1].assignment, 7)
    assert (point.gossip.fanout, point.seed, point.sweep) == (2, 7, None)


def test_overrides_reach_the_base_and_the_section(planned: Any) -> None:
    made = planned("  grid: {gossip.fanout: [1, 2]}\n", ("nodes", "16"), ("sweep.seeds", "2"), ("seed", "40"))
    assert made.base.variant(made.points[0].assignment, 1).nodes == 16
    assert list(made.seeds) == [40, 41]


def test_a_limit_draws_from_all_points_and_keeps_their_order(planned: Any) -> None:
    sweep = "  grid:\n    gossip.fanout: {from: 1, to: 7, points: 7}\n    metrics.cpu.bound: {from: 1, to: 100, points: 100}\n"
    made = planned(sweep, limit=50)
    assert len(made.points) == 50
    assert values(made) == sorted(values(made))
    assert len({fanout for fanout, _ in values(made)}) == 7


def test_a_grid_beyond_a_million_runs_asks_for_a_limit(planned: Any) -> None:
    axis = "{from: 1, to: 3000, points: 3000}"
    sweep = f"  seeds: 1\n  grid: {{metrics.cpu.bound: {axis}, metrics.memory.bound: {axis}}}\n"
    assert "found 9,000,000 points with 1 seeds each, expected at most 1,000,000 runs, or --limit" in told(planned, sweep)
    assert len(planned(sweep, limit=10).points) == 10


@pytest.mark.parametrize(
    ("sweep", "problem"),
    [
        ("  grid: {gossip.fanuot: [1]}\n", "small.yaml:5:10: gossip.fanuot: unknown key 'fanuot'; did you mean 'fanout'?"),
        ("  grid:\n    network.loss:\n    - 1 %\n    - 200 %\n", "small.yaml:8:7: network.loss: found 200 %, expected a share"),
        ("  grid: {gossip.fanout: [9]}\n", "small.yaml:5:26: gossip.fanout: found 9, expected at most 7"),
        ("  grid: {gossip.fanout: []}\n", "small.yaml:5:10: sweep.grid.gossip.fanout: found no values"),
        ("  grid: {gossip.fanout: [1, 1]}\n", "small.yaml:5:29: sweep.grid.gossip.fanout[1]: found 1 twice"),
        ("  grid: {gossip.period: [1 s, 1000 ms]}\n", "found '1000 ms' twice"),
        ("  grid: {gossip.fanout: 3}\n", "found 3, expected a list"),
        ("  grid: {seed: [1]}\n", "cannot be varied: the seeds of a sweep follow from its key `seeds`"),
        ("  grid: {gossip..fanout: [1]}\n", "expected keys joined by dots"),
        ("  grid: {nodes: {from: 4, to: 10}}\n", "found a range without points"),
        ("  grid: {nodes: {from: 4, to: 4, points: 2}}\n", "expected two different ends"),
        ("  grid: {network.loss: {from: 0 %, to: 1 s, points: 2}}\n", "expected both in units of one kind"),
        ("  grid: {network.loss: {from: 0 %, to: 1 %, points: 2, scale: log}}\n", "expected both above 0 on a log scale"),
        ("  grid: {nodes: {from: few, to: many, points: 2}}\n", "expected numbers or quantities"),
        ("  grid: {nodes: {values: [4], from: 2}}\n", "found values and a range, expected one of them"),
        ("  grid: {nodes: [4]}\n  zip: {nodes: [8]}\n", "nodes is varied by two parts that are combined"),
        ("  grid: {network: [{loss: 0}], network.loss: [0]}\n", "network and network.loss decide the same setting"),
        ("  zip: {nodes: [4, 8], gossip.fanout: [1]}\n", "nodes has 2, gossip.fanout has 1"),
        ("  list: [{}]\n", "found an empty point"),
        ("  random: {points: 2, over: {nodes: {from: 2, to: 4, points: 2}}}\n", "expected none: the part says how many are drawn"),
        ("  seeds: 2\n", "found nothing to vary"),
        ("  grid: {nodes: [4]}\n  skip_where: nodes > 2\n", "all 1 points are skipped"),
        (
            "  grid: {nodes: [4]}\n  skip_where: nodse > 2\n",
            "small.yaml:6:15: sweep.skip_where: unknown setting 'nodse'; did you mean 'nodes'?",
        ),
        ("  grid: {nodes: [4]}\n  baseline: {seed: 3}\n", "sweep.baseline.seed: cannot be varied"),
        ("  gird: {nodes: [4]}\n", "unknown key 'gird'; did you mean 'grid'?"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(planned: Any, sweep: str, problem: str) -> None:
    assert problem in told(planned, sweep)


def test_a_scenario_without_a_sweep_is_told_how_to_write_one(small: Path) -> None:
    with pytest.raises(ScenarioError, match=r"the scenario has no sweep; expected one such as"):
        plan(small)


def entries(count: int) -> list[Entry]:
    return [Entry(value, HERE, HERE) for value in range(count)]


def listed(space: Space) -> list[tuple[Any, ...]]:
    return [tuple(entry.value for entry in space.at(index).values()) for index in range(space.size)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_product_meets_every_combination_once(sizes: list[int]) -> None:
    space = product([axis(str(number), entries(size)) for number, size in enumerate(sizes)])
    found = listed(space)
    expected = 1
    for size in sizes:
        expected *= size
    assert len(found) == space.size == expected == len(set(found))
    assert found == sorted(found)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_union_has_the_points_of_each_in_order(sizes: list[int]) -> None:
    assert listed(union([axis("a", entries(size)) for size in sizes])) == [(value,) for size in sizes for value in range(size)]


def test_a_zip_ends_with_the_shortest() -> None:
    assert listed(together([axis("a", entries(3)), axis("b", entries(2))])) == [(0, 0), (1, 1)]


@given(st.integers(1, 40), st.integers(0, 5))
def test_a_latin_hypercube_meets_every_part_of_every_range_once(count: int, seed: int) -> None:
    space = drawn({path: lambda share: Entry(share, HERE, HERE) for path in "abc"}, count, seed, latin=True)
    for column in zip(*listed(space), strict=True):
        assert sorted(int(share * count) for share in column) == list(range(count))


def test_random_draws_are_even_and_repeat_with_their_seed() -> None:
    draws = {"a": lambda share: Entry(share, HERE, HERE)}
    shares = [share for (share,) in listed(drawn(draws, 1000, 1, latin=False))]
    assert shares == [share for (share,) in listed(drawn(draws, 1000, 1, latin=False))]
    assert all(80 <= sum(int(share * 10) == part for share in shares) <= 120 for part in range(10))


def test_points_are_drawn_from_ranges_and_lists(planned: Any) -> None:
    over = "{gossip.fanout: [1, 2, 3], gossip.period: {from: 100 ms, to: 10 s, scale: log}}"
    made = planned(f"  latin: {{points: 6, seed: 5, over: {over}}}\n")
    assert sorted(fanout for fanout, _ in values(made)) == [1, 1, 2, 2, 3, 3]
    assert len({period for _, period in values(made)}) == 6
