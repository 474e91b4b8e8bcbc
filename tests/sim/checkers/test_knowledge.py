"""Checkers of knowledge notice a history in which it shrinks, is invented or returns from the past."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from priomon_core.rumours import State
from priomon_sim.checkers.history import Checker, Cluster, Moment
from priomon_sim.checkers.knowledge import HeldWasPublished, NoResurrection, VersionsGrow

Make = Callable[..., Moment]


def objections(checker: Checker, *moments: Moment) -> list[str]:
    return [objection for moment in moments for objection in checker.see(moment)]


@pytest.fixture
def slots(cluster: Cluster) -> tuple[int, int, int]:
    """The slots of the first node, and of both lives of the second one."""
    return cluster.lives.slots[0][0], *cluster.lives.slots[1]  # type: ignore[return-value]


def restarted(moment: Make, slots: tuple[int, int, int], now: float, first_knows: tuple[int, int]) -> Moment:
    """The second node has restarted; the first one knows these versions of its two lives."""
    a, old, new = slots
    present = moment().present.copy()
    present[[old, new]] = False, True
    newest = moment().newest.copy()
    newest[new] = 1
    versions = {(a, old): first_knows[0], (a, new): first_knows[1], (new, new): 1}
    return moment(now, present=present, begun=present | moment().begun, newest=newest, versions=versions)


@pytest.mark.parametrize("kind", [VersionsGrow, HeldWasPublished, NoResurrection])
def test_nothing_is_said_of_calm_and_of_a_restart(
    kind: type[VersionsGrow] | type[HeldWasPublished] | type[NoResurrection], cluster: Cluster, moment: Make, slots: tuple[int, int, int]
) -> None:
    assert objections(kind(cluster), moment(1), moment(2), restarted(moment, slots, 3, (3, 0)), restarted(moment, slots, 4, (0, 1))) == []


def test_a_version_that_goes_back(cluster: Cluster, moment: Make, slots: tuple[int, int, int]) -> None:
    a, b, _ = slots
    (found,) = objections(VersionsGrow(cluster), moment(1), moment(2, versions={(a, b): 2}))
    assert "went back from 3 to 2" in found
    (found,) = objections(VersionsGrow(cluster), moment(1), moment(2, versions={(a, b): 0}))
    assert "went back from 3 to 0" in found


@pytest.mark.parametrize("held", State)
def test_only_the_departed_are_forgotten(cluster: Cluster, moment: Make, slots: tuple[int, int, int], held: State) -> None:
    a, b, _ = slots
    found = objections(VersionsGrow(cluster), moment(1, held={(a, b): held}), moment(2, versions={(a, b): 0}))
    assert len(found) == (held not in (State.DEAD, State.LEFT))


def test_a_life_that_is_over_may_lose_everything(cluster: Cluster, moment: Make, slots: tuple[int, int, int]) -> None:
    present = moment().present.copy()
    present[slots[0]] = False
    assert objections(VersionsGrow(cluster), moment(1), moment(2, present=present, versions={(slots[0], slots[1]): 0})) == []


def test_a_version_that_was_never_published(cluster: Cluster, moment: Make, slots: tuple[int, int, int]) -> None:
    a, b, unborn = slots
    (found,) = objections(HeldWasPublished(cluster), moment(1, versions={(a, b): 4}))
    assert "holds version 4" in found and "has published 3" in found
    (found,) = objections(HeldWasPublished(cluster), moment(1, versions={(b, b): 2}))
    assert "lacks publications of its own" in found
    (found,) = objections(HeldWasPublished(cluster), moment(1, versions={(a, unborn): 1}))
    assert "has published 0" in found


def test_a_life_that_acts_before_it_begins(cluster: Cluster, moment: Make, slots: tuple[int, int, int]) -> None:
    a, _, unborn = slots
    (found,) = objections(HeldWasPublished(cluster), moment(1, versions={(unborn, a): 1}))
    assert "knows something before it lives" in found
    newest = moment().newest.copy()
    newest[unborn] = 1
    (found,) = objections(HeldWasPublished(cluster), moment(1, newest=newest))
    assert "has published before it lived" in found


def test_an_older_generation_that_returns(cluster: Cluster, moment: Make, slots: tuple[int, int, int]) -> None:
    later = [restarted(moment, slots, 2, (0, 1)), restarted(moment, slots, 3, (3, 0))]
    (found,) = objections(NoResurrection(cluster), *later)
    assert "has known generation 2 already" in found
    (found,) = objections(NoResurrection(cluster), restarted(moment, slots, 2, (3, 1)))
    assert "has known generation 2 already" in found


def test_names_tell_generations_apart(cluster: Cluster, slots: tuple[int, int, int]) -> None:
    assert cluster.name(slots[1]) == cluster.lives.names[1]
    assert cluster.name(slots[2]) == f"{cluster.lives.names[1]} (generation 2)"
    assert np.array(cluster.lives.node)[list(slots)].tolist() == [0, 1, 1]
