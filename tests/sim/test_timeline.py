"""Timelines: from faults as written to what happens to whom, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from priomon_core.latency import Constant
from priomon_core.links import LinkModel
from priomon_sim.faults.timeline import (
    Alters,
    Crashes,
    Cuts,
    Freezes,
    Leaves,
    Mends,
    Planned,
    Restores,
    Skews,
    Starts,
    Thaws,
    Timeline,
    TimelineError,
)
from priomon_sim.scenario.faults import Faults

SECOND = 1_000_000_000
DURATION = 100
NAMES = [f"node{i}" for i in range(10)]
READ: TypeAdapter[Any] = TypeAdapter(Faults)


def timeline(*faults: dict[str, Any], seed: int = 1) -> Timeline:
    """The timeline of faults as they stand in YAML."""
    return Timeline(
        READ.validate_python(list(faults)), NAMES, seed, DURATION * SECOND, lambda conditions: LinkModel(Constant(conditions.latency.value))
    )


def actions(*faults: dict[str, Any], seed: int = 1) -> list[Planned]:
    """What happens, with times in seconds."""
    return [(when / SECOND, action) for when, action in timeline(*faults, seed=seed).actions]  # type: ignore[misc]


@pytest.mark.parametrize(("kind", "action"), [("crash", Crashes(2)), ("leave", Leaves(2))])
def test_a_node_that_stops_comes_back_as_its_next_generation(kind: str, action: Any) -> None:
    fault = {"kind": kind, "at": "5 s", "nodes": "node2"}
    assert actions(fault) == [(5, action)]
    assert actions(fault | {"back_after": "2 s"}) == [(5, action), (7, Starts(2, 2))]
    assert timeline(fault | {"back_after": "2 s"}).generations == [1, 1, 2, *[1] * 7]


def test_a_node_that_is_down_cannot_stop_and_one_that_runs_cannot_start() -> None:
    crash = {"kind": "crash", "at": "5 s", "nodes": "node2"}
    again = {"kind": "leave", "at": "6 s", "nodes": "node2, node3"}
    restart = {"kind": "restart", "at": "8 s", "nodes": "node1, node2"}
    assert actions(crash, again, restart) == [(5, Crashes(2)), (6, Leaves(3)), (8, Starts(2, 2))]
    assert timeline(crash, restart, crash | {"at": "10 s", "back_after": "1 s"}).generations[2] == 3


def test_what_would_be_after_the_end_does_not_happen() -> None:
    faults = {"kind": "crash", "at": "99 s", "nodes": "node2", "back_after": "1 s"}, {"kind": "pause", "at": "50 s", "nodes": "node1"}
    assert actions(*faults) == [(50, Freezes(1)), (99, Crashes(2))]


def test_faults_strike_in_the_order_of_time_and_at_one_time_in_the_order_of_the_file() -> None:
    late, early, same = ({"kind": "crash", "at": f"{at} s", "nodes": f"node{node}"} for at, node in ((9, 1), (3, 2), (9, 0)))
    assert actions(late, early, same) == [(3, Crashes(2)), (9, Crashes(1)), (9, Crashes(0))]


def test_numbers_are_drawn_among_those_that_run_when_the_fault_strikes() -> None:
    first, second = {"kind": "crash", "at": "1 s", "nodes": 6}, {"kind": "crash", "at": "2 s", "nodes": 4}
    struck = [action.node for _, action in actions(first, second) if isinstance(action, Crashes)]
    assert sorted(struck) == [*range(10)]


@given(st.integers(0, 2**63 - 1))
def test_a_timeline_is_a_function_of_the_seed(seed: int) -> None:
    faults = ({"kind": "churn", "at": 0, "per_minute": 30}, {"kind": "starve", "at": 0, "nodes": 3, "blocked": "2 s", "running": "1 s"})
    assert timeline(*faults, seed=seed).actions == timeline(*faults, seed=seed).actions


def test_another_fault_does_not_change_the_luck_of_the_first() -> None:
    crash = {"kind": "crash", "at": "1 s", "nodes": 3}
    assert actions(crash)[:3] == actions(crash, {"kind": "pause", "at": "2 s", "nodes": 2})[:3]
    assert len({tuple(action.node for _, action in actions(crash, seed=seed)) for seed in range(5)}) > 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("direction", "cuts"),
    [("both", [({0, 1}, {5}), ({5}, {0, 1})]), ("out", [({0, 1}, {5})]), ("in", [({5}, {0, 1})])],
)
def test_a_partition_cuts_the_ways_it_says_and_mends_them(direction: str, cuts: list[tuple[set[int], set[int]]]) -> None:
    fault = {"kind": "partition", "at": "2 s", "lasts": "3 s", "nodes": "node0, node1", "peers": "node1, node5", "direction": direction}
    happened = actions(fault)
    begun = [action for when, action in happened if isinstance(action, Cuts) and when == 2]
    assert [(cut.sources, cut.targets) for cut in begun] == cuts
    assert [(when, action) for when, action in happened if isinstance(action, Mends)] == [(5, Mends(cut.cut)) for cut in begun]


def test_without_peers_a_partition_is_from_all_others() -> None:
    ((_, cut), _) = actions({"kind": "partition", "at": 0, "nodes": "node3"})
    assert isinstance(cut, Cuts)
    assert (cut.sources, cut.targets) == ({3}, {*range(10)} - {3})


def test_links_are_changed_and_restored() -> None:
    fault = {"kind": "degrade", "at": "2 s", "lasts": "3 s", "nodes": "node1", "conditions": {"latency": "70 ms"}}
    (began, change), (ended, restores) = actions(fault)
    assert isinstance(change, Alters)
    assert (began, change.nodes, change.model) == (2, {1}, LinkModel(Constant(70_000_000)))
    assert (ended, restores) == (5, Restores(change.change))


def test_a_standstill_ends_with_the_longest_of_those_that_overlap() -> None:
    pauses = [{"kind": "pause", "at": f"{at} s", "lasts": f"{lasts} s", "nodes": "node1"} for at, lasts in ((1, 5), (2, 8), (3, 1))]
    assert actions(*pauses) == [(1, Freezes(1)), (10, Thaws(1))]


def test_a_crash_ends_a_standstill() -> None:
    pause = {"kind": "pause", "at": "1 s", "lasts": "8 s", "nodes": "node1"}
    crash = {"kind": "crash", "at": "3 s", "nodes": "node1", "back_after": "2 s"}
    assert actions(pause, crash) == [(1, Freezes(1)), (3, Crashes(1)), (5, Starts(1, 2))]
    again = {"kind": "pause", "at": "6 s", "lasts": "1 s", "nodes": "node1"}
    assert actions(pause, crash, again)[3:] == [(6, Freezes(1)), (7, Thaws(1))]


def test_a_starved_node_stands_still_for_the_share_that_its_means_say() -> None:
    fault = {"kind": "starve", "at": "10 s", "lasts": "80 s", "nodes": "node1", "blocked": "300 ms", "running": "100 ms"}
    happened = actions(fault)
    freezes, thaws = (np.array([when for when, action in happened if isinstance(action, kind)]) for kind in (Freezes, Thaws))
    assert len(freezes) == len(thaws) > 100
    assert (freezes < thaws).all() and (freezes[1:] > thaws[:-1]).all()
    assert freezes[0] >= 10 and thaws[-1] <= 90
    assert (thaws - freezes).sum() == pytest.approx(80 * 0.75, rel=0.1)
    assert {action.kind for _, action in happened if isinstance(action, Freezes)} == {"starve"}


def test_churn_strikes_as_often_as_it_says_until_it_ends() -> None:
    fault = {"kind": "churn", "at": "10 s", "lasts": "60 s", "nodes": "not node0", "per_minute": 60, "leave": "25 %", "down": "5 s"}
    stops = [pair for seed in range(40) for pair in actions(fault, seed=seed) if isinstance(pair[1], Crashes | Leaves)]
    assert len(stops) / 40 == pytest.approx(60, rel=0.1)  # rarely is nobody left to strike
    assert {when for when, _ in stops if not 10 <= when < 70} == set()
    assert sum(isinstance(action, Leaves) for _, action in stops) / len(stops) == pytest.approx(0.25, abs=0.05)
    assert {action.node for _, action in stops} == {*range(1, 10)}  # type: ignore[union-attr]


def test_churn_lets_nodes_come_back_after_the_mean_time() -> None:
    fault = {"kind": "churn", "at": 0, "per_minute": 6, "down": "4 s"}
    away = []
    for seed in range(60):
        down: dict[int, float] = {}
        for when, action in actions(fault, seed=seed):
            if isinstance(action, Crashes):
                down[action.node] = when
            elif isinstance(action, Starts):
                away.append(when - down.pop(action.node))
    assert np.mean(away) == pytest.approx(4, rel=0.15)


def test_clocks_are_skewed_from_then_on() -> None:
    assert actions({"kind": "skew", "at": "3 s", "nodes": "node1, node2", "rate": 1.25}) == [(3, Skews(1, 1.25)), (3, Skews(2, 1.25))]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "crash", "at": "100 s", "nodes": 1}, "found at: 100 s, expected before the end, 100 s"),
        ({"kind": "crash", "at": "1 s", "nodes": 11}, "found 11 nodes to draw, but only 10 of them run then"),
        ({"kind": "crash", "at": "1 s", "nodes": "nodex"}, "no node is called 'nodex'; did you mean node"),
        ({"kind": "churn", "at": "1 s", "nodes": "host*", "per_minute": 0.001}, "no node is called 'host*'; names go from node0 to node9"),
        ({"kind": "partition", "at": "1 s", "nodes": "all"}, "found a partition with nobody on one side, expected nodes on both"),
        ({"kind": "partition", "at": "1 s", "nodes": "node1", "peers": "node1"}, "found a partition with nobody on one side"),
        ({"kind": "partition", "at": "1 s", "nodes": "0 %"}, "found a partition with nobody on one side"),
    ],
)
def test_a_fault_that_cannot_strike_is_named_with_its_number(fault: dict[str, Any], message: str) -> None:
    with pytest.raises(TimelineError) as refusal:
        timeline({"kind": "pause", "at": "1 s", "nodes": "node1"}, fault)
    ((number, found),) = refusal.value.findings.items()
    assert number == 1
    assert found.startswith(message)
    assert str(refusal.value) == f"faults[1]: {found}"


def test_all_faults_that_cannot_strike_are_named_at_once() -> None:
    with pytest.raises(TimelineError) as refusal:
        timeline(*({"kind": "crash", "at": f"{at} s", "nodes": nodes} for at, nodes in ((7, "x"), (5, 3), (1, 50))))
    assert list(refusal.value.findings) == [2, 0]
    assert str(refusal.value).startswith("faults[0]: ")
