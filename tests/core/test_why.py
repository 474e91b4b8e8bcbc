"""Why a node is held for what it is: the same facts as values and as lines."""

import json

import pytest

from priomon_core.config import SECOND
from priomon_core.rumours import State
from priomon_core.why import told, why
from tests.core.cluster import Cluster


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(6, tombstone=40 * SECOND)
    cluster.until(cluster.well, 20)
    cluster.run(20)
    return cluster


def test_nothing_is_held_against_a_node_that_was_always_alive(cluster: Cluster) -> None:
    reasons = why(cluster.members["n0"].watch, "n3", cluster.now)
    assert reasons["state"] == "alive" and reasons["generation"] == 1 and "rule" not in reasons
    (contact,) = reasons["contacts"]
    assert contact["path"] == "direct" and 0 <= contact["seconds_ago"] <= 12
    assert told(reasons)[:2] == ["n3 (generation 1, incarnation 0) is alive", "why: nothing was ever held against it"]


def test_the_accusers_of_a_suspect_are_named(cluster: Cluster) -> None:
    cluster.crash("n3")
    cluster.until(lambda: cluster.state("n0", "n3") == State.SUSPECT, 20)
    reasons = why(cluster.members["n0"].watch, "n3", cluster.now)
    assert reasons["state"] == "suspect" and reasons["for_seconds"] >= 0
    assert {one["name"] for one in reasons["accusers"]} <= set(cluster.live())
    assert reasons["confirmations"] == {"found": len(reasons["accusers"]) - 1, "needed": 3}
    assert 0 < reasons["dead_in_seconds"] <= 18
    lines = told(reasons)
    assert f"accused by {reasons['accusers'][0]['name']} {reasons['accusers'][0]['seconds_ago']:.1f} s ago" in lines
    assert any(line.startswith("held dead in ") for line in lines)


def test_a_dead_node_keeps_its_story_until_it_is_forgotten(cluster: Cluster) -> None:
    cluster.crash("n3")
    cluster.until(lambda: cluster.all_hold(State.DEAD, "n3"), 40)
    stories = {name: why(cluster.members[name].watch, "n3", cluster.now) for name in cluster.live()}
    assert all(story["state"] == "dead" and story["accusers"] and 0 < story["forgotten_in_seconds"] <= 40 for story in stories.values())
    rules = {story["rule"] for story in stories.values()}
    assert any(rule.startswith("suspected and not refuted for ") for rule in rules)
    assert all(rule.startswith(("suspected and not refuted for ", "told by n")) for rule in rules)
    cluster.run(45)
    reasons = why(cluster.members["n0"].watch, "n3", cluster.now)
    assert reasons["state"] == "forgotten" and 0 < reasons["refused_for_seconds"] <= 40
    assert told(reasons)[0].startswith("n3 departed and is forgotten; old news of it are refused for ")


def test_who_came_back_from_the_dead_is_said_to_have(cluster: Cluster) -> None:
    cluster.cut = lambda source, target: "n3" in (source, target)
    cluster.until(lambda: cluster.all_hold(State.DEAD, "n3"), 40)
    cluster.heal()
    cluster.until(cluster.well, 30)
    reasons = why(cluster.members["n0"].watch, "n3", cluster.now)
    assert reasons["state"] == "alive" and reasons["returns"] == 1 and reasons["rule"] == "told by itself"
    assert told(reasons)[-1] == "came back from the dead 1 times lately, so it is suspected for longer"


def test_a_contact_over_another_path_is_told(cluster: Cluster) -> None:
    cluster.cut = lambda source, target: (source, target) == ("n3", "n0")
    cluster.run(40)
    paths = {contact["path"] for contact in why(cluster.members["n0"].watch, "n3", cluster.now)["contacts"]}
    assert paths & {"n1", "n2", "n4", "n5"}


def test_a_node_asked_about_itself_and_about_strangers(cluster: Cluster) -> None:
    watch = cluster.members["n0"].watch
    assert told(why(watch, "n0", cluster.now)) == ["n0 (generation 1) is this node itself; it has refuted 0 times"]
    assert told(why(watch, "nobody", cluster.now)) == ["nobody: nothing is known of a node with this name"]


def test_the_reasons_are_plain_values(cluster: Cluster) -> None:
    cluster.crash("n3")
    cluster.run(40)
    for name in ("n0", "n1", "n3", "nobody"):
        reasons = why(cluster.members["n0"].watch, name, cluster.now)
        assert json.loads(json.dumps(reasons)) == reasons
