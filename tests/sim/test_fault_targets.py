"""Targets of faults: what people write is who is struck."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_sim.faults.targets import parse_targets

NAMES = [f"node{i:02}" for i in range(20)]
DOWN = {3, 4, 15}
RUNNING = [i not in DOWN for i in range(20)]


def chosen(text: str, seed: int = 1) -> list[int]:
    return parse_targets(text).choose(NAMES, RUNNING, Random(seed))


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("node03", [3]),
        (" node1* ", [*range(10, 20)]),
        ("node1?, node03", [3, *range(10, 20)]),
        ("not node1*", [*range(10)]),
        ("not node0*, node1[0-8]", [19]),
        ("all", [*range(20)]),
        ("down", [3, 4, 15]),
        ("0", []),
        ("100 % of node0[5-7]", [5, 6, 7]),
        ("2 of node03, node05, node06", [5, 6]),
        ("3 of down", [3, 4, 15]),
    ],
)
def test_what_is_written_is_who_is_meant(text: str, nodes: list[int]) -> None:
    assert chosen(text) == nodes


@given(st.integers(0, 17), st.integers(0, 2**32))
def test_a_number_is_drawn_by_the_seed_among_those_that_run(count: int, seed: int) -> None:
    nodes = chosen(str(count), seed)
    assert nodes == sorted(set(nodes)) == chosen(str(count), seed)
    assert len(nodes) == count
    assert not DOWN & set(nodes)


@pytest.mark.parametrize(("text", "count"), [("24 %", 4), ("100 %", 17), ("50 % of node0*", 4), ("34 % of down", 1), ("0 %", 0)])
def test_a_share_is_one_of_those_that_run_or_are_down(text: str, count: int) -> None:
    assert len(chosen(text)) == count


def test_another_seed_draws_others() -> None:
    assert len({tuple(chosen("5", seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected nodes such as"),
        ("120 %", "expected at most 100 %"),
        ("2.5", "expected nodes such as"),
        ("2.5 of node0*", "expected nodes such as"),
        ("node0 node1", "expected nodes such as"),
        ("node0,,node1", "expected nodes such as"),
        ("not all", "expected nodes such as"),
        ("-3", "no node is called '-3'"),
        ("nodes3", "no node is called 'nodes3'; did you mean node"),
        ("host*", r"no node is called 'host\*'; names go from node00 to node19"),
        ("node01, 5 of x", "expected nodes such as"),
        ("18", "found 18 nodes to draw, but only 17 of them run then"),
        ("4 of down", "found 4 nodes to draw, but only 3 of them are down then"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        chosen(text)
