"""Rows of faults: each with its end, if another action brought it."""

from __future__ import annotations

from priomon_core.latency import Constant
from priomon_core.links import LinkModel
from priomon_sim.faults.rows import fault_rows
from priomon_sim.faults.timeline import Action, Alters, Crashes, Cuts, Freezes, Leaves, Mends, Restores, Skews, Starts, Thaws

SECOND = 1_000_000_000
NAMES = ["a", "b", "c", "d", "e"]


def rows(*actions: Action) -> list[tuple[float, float | None, str, str]]:
    """The rows of actions of which one happens each second, from 1 s on."""
    found = fault_rows([(second * SECOND, action) for second, action in enumerate(actions, 1)], NAMES)
    assert [row[0] for row in found] == [*range(len(found))]
    return [row[1:] for row in found]


def test_a_stop_lasts_until_the_node_starts() -> None:
    assert rows(Crashes(1), Leaves(2), Starts(1, 2), Crashes(1)) == [
        (1.0, 3.0, "crash", "b"),
        (2.0, None, "leave", "c"),
        (4.0, None, "crash", "b"),
    ]


def test_a_standstill_lasts_until_the_node_goes_on_or_stops() -> None:
    assert rows(Freezes(0), Thaws(0), Freezes(0, "starve"), Freezes(1), Crashes(0)) == [
        (1.0, 2.0, "pause", "a"),
        (3.0, 5.0, "starve", "a"),
        (4.0, None, "pause", "b"),
        (5.0, None, "crash", "a"),
    ]


def test_faults_of_links_end_by_their_numbers_and_name_few_nodes_or_count_many() -> None:
    model = LinkModel(Constant(1))
    few, many = frozenset([2, 0]), frozenset([1, 2, 3, 4])
    assert rows(Cuts(1, few, many), Cuts(2, many, few), Alters(3, few, model), Mends(2), Restores(3), Mends(1)) == [
        (1.0, 6.0, "partition", "a, c to 4 nodes"),
        (2.0, 4.0, "partition", "4 nodes to a, c"),
        (3.0, 5.0, "degrade", "a, c"),
    ]


def test_a_skew_lasts_until_the_next() -> None:
    assert rows(Skews(0, 1.25), Skews(1, 0.9), Skews(0, 1.0)) == [
        (1.0, 3.0, "skew", "a at rate 1.25"),
        (2.0, None, "skew", "b at rate 0.9"),
        (3.0, None, "skew", "a at rate 1"),
    ]
