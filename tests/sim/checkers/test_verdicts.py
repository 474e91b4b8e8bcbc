"""Checkers of verdicts notice that the living stay dead, that the dead live on, and that calm does not bring agreement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.rumours import State
from priomon_sim.checkers.history import UNKNOWN, Checker, Cluster, Moment
from priomon_sim.checkers.verdicts import Converges, DeathsRefuted, convergence_time, refutation_time

Make = Callable[..., Moment]


def objections(checker: Checker, *moments: Moment) -> list[str]:
    return [objection for moment in moments for objection in checker.see(moment)]


@pytest.fixture
def firsts(cluster: Cluster) -> list[int]:
    """The slots of the nodes' first lives."""
    return [slots[0] for slots in cluster.lives.slots]


@pytest.fixture
def refuted(cluster: Cluster) -> float:
    """Seconds within which the living must have refuted."""
    return refutation_time(3, cluster.gossip, cluster.detection, cluster.loss) / 1e9


@pytest.fixture
def agreed(cluster: Cluster) -> float:
    """Seconds of calm within which all must agree."""
    return convergence_time(3, cluster.gossip, cluster.detection, cluster.loss) / 1e9


def test_the_living_are_not_held_dead_for_long(cluster: Cluster, moment: Make, firsts: list[int], refuted: float) -> None:
    a, b, _ = firsts
    dead = {(a, b): State.DEAD}
    moments = [moment(0), moment(1, held=dead), moment(refuted, held=dead)]
    assert objections(DeathsRefuted(cluster), *moments) == []
    (found,) = objections(DeathsRefuted(cluster), *moments, moment(refuted + 2, held=dead))
    assert f"has held {cluster.name(b)} dead for" in found


def test_a_refutation_begins_the_wait_again(cluster: Cluster, moment: Make, firsts: list[int], refuted: float) -> None:
    dead = {(firsts[0], firsts[1]): State.DEAD}
    moments = [moment(0, held=dead), moment(1), moment(refuted + 2, held=dead)]
    assert objections(DeathsRefuted(cluster), *moments) == []


def test_who_cannot_be_reached_need_not_refute(cluster: Cluster, moment: Make, firsts: list[int], refuted: float) -> None:
    a, b, _ = firsts
    dead = {(a, b): State.DEAD}
    lately = np.zeros((3, 3), np.int64)
    lately[0, 1] = lately[1, 0] = round(refuted * 1e9)
    late = moment(2 * refuted, held=dead, undisturbed=lately)
    assert objections(DeathsRefuted(cluster), moment(0, held=dead), late) == []
    down = moment().present.copy()
    down[b] = False
    assert objections(DeathsRefuted(cluster), moment(0, held=dead), moment(2 * refuted, held=dead, present=down)) == []
    assert len(objections(DeathsRefuted(cluster), moment(0, held=dead), moment(2 * refuted, held=dead))) == 1


def test_a_goodbye_that_nobody_said(cluster: Cluster, moment: Make, firsts: list[int]) -> None:
    a, b, _ = firsts
    (found,) = objections(DeathsRefuted(cluster), moment(1, held={(a, b): State.LEFT}))
    assert "has not said goodbye" in found


@pytest.mark.parametrize("state", [State.SUSPECT, State.DEAD, State.LEFT])
def test_the_living_are_held_alive_after_calm(cluster: Cluster, moment: Make, firsts: list[int], agreed: float, state: State) -> None:
    wrong = {(firsts[0], firsts[1]): state}
    checker = Converges(cluster)
    assert objections(checker, moment(0), moment(1, held=wrong)) == []
    assert checker.converged_at == 0
    checker = Converges(cluster)
    assert objections(checker, moment(0, held=wrong), moment(agreed, held=wrong)) == []
    assert checker.took is None
    (found,) = objections(checker, moment(agreed + 1, held=wrong))
    assert f"holds {state.name.lower()}, at version 3, {cluster.name(firsts[1])}, which lives" in found


def test_all_know_what_was_published_before_calm(cluster: Cluster, moment: Make, firsts: list[int], agreed: float) -> None:
    a, b, _ = firsts
    for wrong in ({"versions": {(a, b): 2}}, {"versions": {(a, b): 0}, "held": {(a, b): UNKNOWN}}):
        (found,) = objections(Converges(cluster), moment(0, **wrong), moment(agreed + 1, **wrong))
        assert found.startswith(f"{agreed + 1:.1f} s after the last fault {cluster.name(a)}")
    later = moment(agreed + 1, newest=moment().newest * 2)  # what was published since is still on its way
    assert objections(Converges(cluster), moment(0, versions={(a, b): 2}), later) == []


@pytest.mark.parametrize(("held", "wrong"), [(State.ALIVE, 1), (State.SUSPECT, 1), (State.DEAD, 0), (State.LEFT, 0), (UNKNOWN, 0)])
def test_the_dead_are_not_held_alive_after_calm(
    cluster: Cluster, moment: Make, firsts: list[int], agreed: float, held: int, wrong: int
) -> None:
    a, b, c = firsts
    present = moment().present.copy()
    present[b] = False
    states = {(a, b): held, (c, b): State.DEAD}
    found = objections(Converges(cluster), *(moment(now, present=present, held=states) for now in (0, agreed + 1)))
    assert len(found) == wrong
    assert all("which is dead" in objection for objection in found)
    unjudged = replace(cluster, detection=DetectionSettings(detector="none"))
    assert objections(Converges(unjudged), *(moment(now, present=present, held=states) for now in (0, 9 * agreed))) == []


def test_nobody_needs_to_know_whom_no_living_path_leads_to(cluster: Cluster, moment: Make, firsts: list[int], agreed: float) -> None:
    a, b, c = firsts
    line = replace(cluster, peers=[[1], [0, 2], [1]])
    apart = {"versions": {(a, c): 0, (c, a): 0}, "held": {(a, c): UNKNOWN, (c, a): UNKNOWN}}
    assert len(objections(Converges(line), moment(0, **apart), moment(agreed + 1, **apart))) == 1
    present = moment().present.copy()
    present[b] = False
    apart["held"] |= {(a, b): State.DEAD, (c, b): State.DEAD}
    assert objections(Converges(line), *(moment(now, present=present, **apart) for now in (0, agreed + 1))) == []


def test_nobody_is_judged_before_calm(cluster: Cluster, moment: Make, firsts: list[int], agreed: float) -> None:
    wrong = {(firsts[0], firsts[1]): State.DEAD}
    checker = Converges(cluster)
    assert objections(checker, *(moment(now, held=wrong, calm_since=None) for now in (0, 2 * agreed))) == []
    calm_since = round(2 * agreed * 1e9)
    assert objections(checker, moment(2.5 * agreed, held=wrong, calm_since=calm_since)) == []
    assert objections(checker, moment(2.75 * agreed, calm_since=calm_since)) == []
    assert checker.took == pytest.approx(0.75 * agreed)
    assert objections(checker, moment(2.8 * agreed, calm_since=None)) == []
    assert checker.took is None


def test_more_nodes_and_more_loss_take_longer() -> None:
    gossip, detection = GossipSettings(), DetectionSettings(reconnect=2 * SECOND)
    assert refutation_time(20, gossip, detection, 0.0) == 2 * refutation_time(10, gossip, detection, 0.0)
    assert refutation_time(10, gossip, detection, 0.5) == 4 * refutation_time(10, gossip, detection, 0.0)
    assert convergence_time(20, gossip, detection, 0.2) > convergence_time(20, gossip, detection, 0.0) > 200 * SECOND
