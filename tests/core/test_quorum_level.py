"""Levels of reads: how they are written, and how many nodes they need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import QueryError, SettingError
from priomon_core.quorum_level import Level, parse_level

LEVELS = st.sampled_from(("local", "majority", "all")).map(Level) | st.builds(
    Level, st.sampled_from(("from", "agree")), st.integers(1, 999_999)
)


@given(LEVELS)
def test_a_level_is_read_as_it_is_written(level: Level) -> None:
    assert parse_level(f" {level} ") == level


@pytest.mark.parametrize(
    "text", ["", "most", "from", "from(0)", "agree(000)", "from(-1)", "local(2)", "from(3", "from(x)", "all()", "from(9999999)"]
)
def test_anything_else_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(SettingError, match=r"expected local, from\(n\), majority, all or agree\(n\)"):
        parse_level(text)


@pytest.mark.parametrize(
    ("level", "nodes", "others"),
    [
        ("local", 1, 0),
        ("from(3)", 4, 3),
        ("agree(2)", 9, 2),
        ("majority", 1, 0),
        ("majority", 2, 1),
        ("majority", 3, 1),
        ("majority", 4, 2),
        ("majority", 5, 2),
        ("all", 1, 0),
        ("all", 7, 6),
    ],
)
def test_how_many_others_have_to_answer(level: str, nodes: int, others: int) -> None:
    assert parse_level(level).others(nodes) == others


@given(st.integers(1, 500))
def test_two_majorities_have_a_node_in_common(nodes: int) -> None:
    assert 2 * (1 + Level("majority").others(nodes)) > nodes


@pytest.mark.parametrize("kind", ["from", "agree"])
def test_more_nodes_than_there_are_is_refused(kind: str) -> None:
    with pytest.raises(QueryError, match=rf"level {kind}\(4\): expected at most 3"):
        Level(kind, 4).others(4)
