"""From a timeline to what each agent does, and what is done to its process."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from priomon_core.config import SECOND
from priomon_core.latency import Constant
from priomon_core.links import LinkModel
from priomon_node.experiment.script import Alter, Cut, Freeze, Mend, Restore, Skew
from priomon_node.orchestrator.roles import GOODBYE, Role, cast
from priomon_sim.faults.timeline import Timeline
from priomon_sim.lives import Lives, identities
from priomon_sim.scenario.faults import Faults

NODES = 4
NAMES = [identity.name for identity in identities(NODES)]
MODEL = LinkModel(Constant(7))


def roles(*faults: dict[str, Any], seconds: int = 20) -> dict[str, Role]:
    """The role of each node by name."""
    timeline = Timeline(TypeAdapter(Faults).validate_python(list(faults)), NAMES, 1, seconds * SECOND, lambda conditions: MODEL)
    return dict(zip(NAMES, cast(timeline, Lives.of(timeline.generations), 1, seconds * SECOND), strict=True))


def test_without_faults_everybody_lives_once_to_the_end() -> None:
    for name, role in roles().items():
        ((life,), mishaps) = role.alone()
        assert (life.generation, life.begins, life.ends) == (1, 0, None)
        assert (life.gossip, life.watch) == (f"1 {name} gossip", f"1 {name} watch")
        assert mishaps == ()
        assert role.blows() == []


def test_a_crash_is_a_kill_for_a_process_of_ours_and_an_end_for_another() -> None:
    role = roles({"kind": "crash", "at": "4 s", "nodes": "node1", "back_after": "2 s"})["node1"]
    lives, _ = role.alone()
    assert [(life.generation, life.begins, life.ends, life.announced) for life in lives] == [
        (1, 0, 4 * SECOND, False),
        (2, 6 * SECOND, None, False),
    ]
    assert lives[1].gossip == "1 node1 2 gossip"
    assert role.blows() == [(4 * SECOND, "kill"), (4 * SECOND, "restart")]
    assert [role.of_process(life)[0] for life in (0, 1)] == [(lives[0],), (lives[1],)]


def test_a_process_says_goodbye_itself_and_makes_room_before_it_is_back() -> None:
    role = roles({"kind": "leave", "at": "4 s", "nodes": "node1", "back_after": "2 s"})["node1"]
    ((life,), _) = role.of_process(0)
    assert (life.ends, life.announced) == (4 * SECOND, True)
    assert role.blows() == [(4 * SECOND + GOODBYE, "restart")]
    role = roles({"kind": "leave", "at": "4 s", "nodes": "node1", "back_after": "400 ms"})["node1"]
    assert role.blows() == [(4 * SECOND + SECOND // 5, "restart")]


def test_a_pause_is_a_standstill_to_its_end_or_the_run_s() -> None:
    found = roles(
        {"kind": "pause", "at": "4 s", "nodes": "node1", "lasts": "2 s"},
        {"kind": "pause", "at": "8 s", "nodes": "node2"},
        {"kind": "pause", "at": "5 s", "nodes": "node3"},
        {"kind": "crash", "at": "9 s", "nodes": "node3"},
    )
    assert found["node1"].blows() == [(4 * SECOND, "suspend"), (6 * SECOND, "resume")]
    assert found["node1"].alone()[1] == ((4 * SECOND, Freeze(6 * SECOND)),)
    assert found["node1"].of_process(0)[1] == ()
    assert found["node2"].standstills == [(8 * SECOND, 20 * SECOND)]
    assert found["node3"].standstills == [(5 * SECOND, 9 * SECOND)]
    assert found["node3"].blows() == [(5 * SECOND, "suspend"), (9 * SECOND, "kill")]  # and does not go on before


def test_links_are_cut_by_those_who_send_and_altered_by_all() -> None:
    found = roles(
        {"kind": "partition", "at": "1 s", "nodes": "node1", "direction": "out", "lasts": "2 s"},
        {"kind": "degrade", "at": "5 s", "nodes": "node2", "lasts": "1 s", "conditions": {}},
        {"kind": "skew", "at": "7 s", "nodes": "node3", "rate": 1.5},
    )
    others = frozenset(node for node, name in enumerate(NAMES) if name != "node1")
    (_, cut), (mended, mend), *rest = found["node1"].mishaps
    assert isinstance(cut, Cut)
    assert (cut.nodes, mended, mend) == (others, 3 * SECOND, Mend(cut.number))
    for name, role in found.items():
        (_, altered), (_, restored) = [one for one in role.mishaps if isinstance(one[1], Alter | Restore)]
        assert altered == Alter(restored.number, frozenset({NAMES.index("node2")}), MODEL)
        assert [mishap for _, mishap in role.mishaps if isinstance(mishap, Skew)] == ([Skew(1.5)] if name == "node3" else [])
        assert not any(isinstance(mishap, Cut) for _, mishap in role.mishaps) or name == "node1"
    assert len(rest) == 2


@given(st.floats(1, 300), st.floats(0, 1))
def test_under_churn_lives_follow_each_other_and_every_blow_has_its_turn(per_minute: float, leave: float) -> None:
    churn = {"kind": "churn", "at": "0 s", "per_minute": per_minute, "leave": f"{leave * 100:.3f} %", "down": "2 s"}
    for role in roles(churn, seconds=60).values():
        lives, _ = role.alone()
        assert [life.generation for life in lives] == list(range(1, len(lives) + 1))
        assert all(a.ends is not None and a.ends <= b.begins for a, b in pairwise(lives))
        blows = role.blows()
        assert [when for when, _ in blows] == sorted(when for when, _ in blows)
        assert [verb for _, verb in blows].count("restart") == len(lives) - 1
        assert [verb for _, verb in blows].count("kill") == sum(life.ends is not None and not life.announced for life in lives)
