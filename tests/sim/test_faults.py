"""Faults in virtual time: what stops, stands still, comes back or is cut off, and what is counted meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from priomon_core.events import Died, Left, Restarted, Suspected
from priomon_sim.driver import BACKLOG, Driver
from priomon_sim.lives import identities
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import build

MakeScenario = Callable[..., Scenario]
SECOND = 1_000_000_000
ALL = {*range(8)}
NAMES = [identity.name for identity in identities(8)]
X, OTHER = NAMES.index("node3"), NAMES.index("node4")


@pytest.fixture
def run(scenario: MakeScenario) -> Callable[..., Driver]:
    """A function that makes the driver of 8 nodes that know each other, with faults as in YAML."""

    def make(*faults: str, **changes: str) -> Driver:
        settings = {"duration": "60 s", "start": "known", "detection.detector": "swim", "faults": f"[{', '.join(faults)}]"} | changes
        return build(scenario(*(f"{path}={value}" for path, value in settings.items()))).driver

    return make


def to(driver: Driver, second: float) -> Driver:
    driver.clock.run_to(round(second * SECOND))
    return driver


def test_a_crashed_node_says_and_hears_nothing(run: Callable[..., Driver]) -> None:
    driver = to(run("{kind: crash, at: 5 s, nodes: node3}"), 5)
    sent, row = driver.bytes_sent[X], driver.versions[X].copy()
    to(driver, 30)
    assert driver.bytes_sent[X] == sent
    assert (driver.versions[X] == row).all()
    assert driver.bytes_received[X] > 0  # what was sent to it still cost the network
    assert driver.awake().tolist() == [node != X for node in range(8)]
    assert {type(event) for _, _, event in driver.noticed()} == {Suspected, Died}


def test_a_node_that_leaves_says_so(run: Callable[..., Driver]) -> None:
    driver = to(run("{kind: leave, at: 5 s, nodes: node3}"), 15)
    left = [slot for _, slot, event in driver.noticed() if isinstance(event, Left)]
    assert sorted(left) == sorted(ALL - {X})


def test_a_restarted_node_is_its_next_generation_and_knows_nothing(run: Callable[..., Driver]) -> None:
    driver = to(run("{kind: crash, at: 5 s, nodes: node3, back_after: 4 s}"), 8.999)
    first, second = driver.lives.slots[X]
    assert (driver.slots[X], driver.samples[X]) == (first, 6)  # one at the start, where all meet
    to(driver, 9)
    assert driver.slots[X] == second
    assert not driver.versions[second].any()
    assert driver.samples[X] == 9  # its workload went on without it
    to(driver, 30)
    for node in ALL:
        row = driver.versions[driver.slots[node]]
        assert row[driver.slots].all()
        assert not row[first]
    assert {type(event) for _, _, event in driver.noticed()} >= {Restarted}


def test_a_node_that_is_down_has_no_timers_left_that_move_its_next_life(run: Callable[..., Driver]) -> None:
    driver = to(
        run(
            "{kind: crash, at: 5500 ms, nodes: node3, back_after: 100 ms}",
            **{"detection.detector": "none", "gossip.strategy": "scuttlebutt"},
        ),
        20,
    )
    before = driver.datagrams_sent[X], driver.samples[X]
    to(driver, 30)
    assert driver.samples[X] - before[1] == 10  # one a second, not one for each life
    assert driver.datagrams_sent[X] - before[0] == pytest.approx(driver.datagrams_sent[OTHER] / 3, rel=0.6)


def test_a_frozen_node_finds_its_datagrams_and_samples_once_when_it_goes_on(run: Callable[..., Driver]) -> None:
    driver = to(run("{kind: pause, at: 5 s, lasts: 10 s, nodes: node3}"), 14.999)
    sent, row, samples = driver.bytes_sent[X], driver.versions[X].copy(), driver.samples[X]
    assert samples == 6
    assert not driver.awake()[X]
    to(driver, 15)
    assert driver.awake().all()
    assert driver.bytes_sent[X] > sent  # it answers
    to(driver, 15.1)
    assert driver.versions[X].sum() > row.sum()
    assert driver.samples[X] == 7  # its timer was late, and is not doubled
    to(driver, 25)
    assert driver.samples[X] == 17


def test_a_socket_holds_no_more_than_its_buffer(run: Callable[..., Driver]) -> None:
    class Message:
        size = 1_000

    driver = to(run(), 1)
    driver.freeze(X)
    message: Any = Message()
    for _ in range(500):
        driver._receivers[X](message, 0, driver.now)
    assert len(driver._frozen[X].messages) == BACKLOG // 1_000


def test_a_node_that_crashes_while_it_stands_still_stays_down(run: Callable[..., Driver]) -> None:
    pause, crash = "{kind: pause, at: 5 s, lasts: 10 s, nodes: node3}", "{kind: crash, at: 8 s, nodes: node3, back_after: 20 s}"
    driver = to(run(pause, crash), 20)
    assert (driver.running[X], driver.awake()[X]) == (False, False)
    to(driver, 30)
    assert (driver.running[X], driver.awake()[X]) == (True, True)


def test_links_are_cut_and_mended(run: Callable[..., Driver]) -> None:
    cut = "{kind: partition, at: 5 s, lasts: 20 s, nodes: node3, direction: in}"
    driver = to(run(cut, **{"detection.detector": "none"}), 5.01)
    received, sent = driver.bytes_received[X], driver.bytes_sent[X]
    to(driver, 25)
    assert driver.bytes_received[X] == received
    assert driver.bytes_sent[X] > sent
    to(driver, 30)
    assert driver.bytes_received[X] > received


def test_links_get_other_conditions_and_their_own_back(run: Callable[..., Driver]) -> None:
    lossy = "{kind: degrade, at: 5 s, lasts: 20 s, nodes: node3, conditions: {loss: 100 %}}"
    driver = to(run(lossy, **{"detection.detector": "none"}), 5.01)
    received = driver.bytes_received[X]
    to(driver, 25)
    assert driver.bytes_received[X] == received
    assert driver.links.lost["loss"] > 20
    lost = driver.links.lost["loss"]
    to(driver, 30)
    assert driver.bytes_received[X] > received
    assert driver.links.lost["loss"] == lost


def test_what_lives_that_are_over_counted_is_not_lost(run: Callable[..., Driver]) -> None:
    driver = run("{kind: churn, at: 1 s, per_minute: 40, down: 2 s}", duration="40 s")
    before, delivered, down = driver.sampled(), driver.delivered(), 0
    for second in range(1, 41):
        counts = to(driver, second).sampled()
        assert (counts >= before).all()
        assert driver.delivered() >= delivered
        before, delivered, down = counts, driver.delivered(), down + driver.running.count(False)
    stops = sum(len(slots) - 1 for slots in driver.lives.slots)
    assert stops > 7
    assert (before.sum(axis=2) == before.sum(axis=2)[:, :1]).all()  # each sample counts in every metric
    taken = before.sum(axis=(1, 2)) // before.shape[1]
    assert taken.sum() == pytest.approx(8 * 41 - down, abs=stops)


def test_what_was_noticed_in_lives_that_are_over_is_told_once(run: Callable[..., Driver]) -> None:
    faults = "{kind: crash, at: 5 s, nodes: node3}", "{kind: crash, at: 30 s, nodes: node4, back_after: 2 s}"
    driver = to(run(*faults), 40)
    noticed = driver.noticed()
    first = driver.lives.slots[OTHER][0]
    assert {type(event) for _, slot, event in noticed if slot == first} >= {Died}
    assert driver.noticed() == []


def test_nodes_that_do_not_judge_notice_and_believe_nothing(run: Callable[..., Driver]) -> None:
    driver = to(run("{kind: crash, at: 5 s, nodes: node3}", **{"detection.detector": "none"}), 30)
    assert driver.noticed() == []
    assert driver.believed() is None


def test_nodes_believe_in_those_that_live(run: Callable[..., Driver]) -> None:
    driver = to(run("{kind: crash, at: 5 s, nodes: '2 of node4, node5, node6'}"), 4)
    believed = driver.believed()
    assert believed is not None and believed.tolist() == [8] * 8
    to(driver, 30)
    believed = driver.believed()
    assert believed is not None and set(believed[driver.awake()].tolist()) == {6}


def test_the_same_seed_gives_the_same_run_with_faults(run: Callable[..., Driver]) -> None:
    faults = "{kind: churn, at: 1 s, per_minute: 30, down: 3 s}", "{kind: starve, at: 5 s, nodes: 2, blocked: 2 s, running: 1 s}"
    hashes = [to(run(*faults, seed=seed), 40).trace_hash() for seed in ("1", "1", "2")]
    assert hashes[0] == hashes[1] != hashes[2]
