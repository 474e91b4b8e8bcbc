"""What rumor and tree promise: everything arrives, without gaps and within the limit, whatever the network does."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from priomon_core.config import NO_LIMIT, SECOND, GossipSettings
from priomon_core.identity import Address
from priomon_core.metrics import Priority
from priomon_core.rumours import State
from priomon_core.strategies.link import Link
from priomon_core.strategies.rumor import Rumor
from priomon_core.strategies.tree import Tree
from tests.core.cluster import Cluster
from tests.core.flock import CRITICAL, METRICS, Bird, Factory, Flock

STRATEGIES = (Rumor, Tree)
SETTINGS = st.builds(
    GossipSettings,
    fanout=st.integers(1, 2),
    datagram_limit=st.sampled_from([256, 300, 1200, NO_LIMIT]),
    burst=st.sampled_from([1, 2, 8]),
    settling=st.integers(0, 3),
    flushes=st.integers(1, 4),
    repair=st.sampled_from([1, 3, 10]),
    hot=st.integers(1, 3),
    degree=st.integers(2, 4),
)
TIGHT = GossipSettings(datagram_limit=256, burst=1)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(STRATEGIES), st.integers(2, 9), SETTINGS, st.integers(0, 2**32), st.sampled_from([0.0, 0.2, 0.4]), st.booleans())
@example(Tree, 9, TIGHT, 1, 0.4, True)
@example(Rumor, 9, TIGHT, 1, 0.4, True)
def test_a_flock_converges(strategy: Factory, count: int, gossip: GossipSettings, seed: int, loss: float, rough: bool) -> None:
    flock = Flock(count, strategy, gossip, seed, loss, rough)
    for _ in range(12):
        flock.publish_some()
        flock.run(0.7)
    flock.seconds_to_converge(200)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(STRATEGIES), st.integers(3, 8), SETTINGS, st.integers(0, 2**32), st.sampled_from([0.0, 0.2]), st.floats(0, 15))
def test_nodes_that_vanish_and_join_late_break_nothing(
    strategy: Factory, count: int, gossip: GossipSettings, seed: int, loss: float, before: float
) -> None:
    flock = Flock(count, strategy, gossip, seed, loss)
    flock.run(before)
    next(iter(flock.birds.values())).alive = False
    flock.publish_some()
    flock.run(before)
    flock.start(f"n{count}")
    flock.publish_some()
    flock.seconds_to_converge(200)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(STRATEGIES), st.integers(3, 6), SETTINGS, st.integers(0, 2**32), st.floats(0, 15))
def test_a_node_that_restarts_is_a_new_origin(strategy: Factory, count: int, gossip: GossipSettings, seed: int, before: float) -> None:
    flock = Flock(count, strategy, gossip, seed)
    flock.run(before)
    next(iter(flock.birds.values())).alive = False
    flock.start("n0", 2)
    flock.publish_some()
    flock.seconds_to_converge(200)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_quiet_flock_says_little(strategy: Factory) -> None:
    flock = Flock(12, strategy, GossipSettings())
    flock.run(40)
    assert flock.converged()
    flock.sent.clear()
    flock.run(10)
    kinds = {kind for kind, _ in flock.sent}
    assert kinds <= {"Summary", "Push"}, "equal knowledge is found equal by its hash alone"
    assert sum(size + 28 for _, size in flock.sent) / 12 / 10 < 150


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_critical_update_leaves_at_once_and_a_low_one_waits_for_the_round(strategy: Factory) -> None:
    flock = Flock(8, strategy, GossipSettings())
    flock.run(30)
    bird = flock.living()[0]
    flock.run((bird.node.round_due - flock.now) / SECOND + 0.01)  # just after a round
    flock.sent.clear()
    low = next(i for i, metric in enumerate(METRICS) if metric.priority == Priority.LOW)
    flock.publish(bird, [low])
    assert not flock.sent
    version = len(flock.history[bird.identity.key])

    def holders() -> int:
        return sum(other.replica.versions[other.replica.known(bird.identity.key) or 0] >= version for other in flock.living())

    flock.run((bird.node.round_due - flock.now) / SECOND - 0.01)
    assert "Push" not in {kind for kind, size in flock.sent if size > 40}, "it was flushed before the round"
    flock.run(0.2)
    assert holders() > 1
    version += 1
    flock.publish(bird, [CRITICAL])
    assert flock.sent[-1][0] == "Push"
    flock.run(0.15)
    assert holders() >= (8 if strategy is Tree else 2)


def test_in_a_tree_each_update_goes_over_each_link_once() -> None:
    flock = Flock(30, Tree, GossipSettings(degree=4, repair=1000))
    flock.run(60)
    links = [len(bird.node.strategy.links) for bird in flock.living()]  # type: ignore[attr-defined]
    assert sum(links) == 2 * 29
    assert max(links) <= 5
    before = [bird.replica.delivered for bird in flock.living()]
    flock.publish(flock.living()[7], [0])
    flock.run(6)
    delivered = [bird.replica.delivered - past for bird, past in zip(flock.living(), before, strict=True)]
    assert delivered.count(0) == 1 and delivered[7] == 0
    assert sum(delivered) <= 29 + 3, "only a comparison at the wrong moment may bring it twice"


def test_a_tree_grows_together_again_when_its_root_is_gone() -> None:
    flock = Flock(15, Tree, GossipSettings())
    flock.run(20)
    root = min(flock.living(), key=lambda bird: bird.identity.key)
    root.alive = False
    flock.run(40)
    assert sum(len(bird.node.strategy.links) for bird in flock.living()) == 2 * 13  # type: ignore[attr-defined]
    flock.publish(flock.living()[3], [0])
    flock.run(3)
    assert flock.converged()


@pytest.mark.parametrize("hot", [1, 3])
def test_more_pushes_in_vain_leave_less_to_repair(hot: int) -> None:
    flock = Flock(40, Rumor, GossipSettings(repair=1000, hot=hot))
    flock.run(60)
    assert flock.converged()
    flock.publish(flock.living()[0], [0])
    flock.run(0.9)  # less than a lull, in which hashes would be compared
    flock.run(6)
    key, version = flock.living()[0].identity.key, len(flock.history[flock.living()[0].identity.key])
    missing = sum(bird.replica.versions[bird.replica.known(key) or 0] < version for bird in flock.living())
    assert missing <= (20 if hot == 1 else 2)


def test_the_urgent_go_first_where_a_burst_is_too_small() -> None:
    tight = replace(TIGHT, ageing=1000 * SECOND)
    flock = Flock(40, Tree, tight)
    flock.seconds_to_converge(200)
    flock.run(30)
    hub = max(flock.living(), key=lambda bird: len(bird.node.strategy.links))  # type: ignore[attr-defined]
    pending = hub.node.strategy._flow.pending  # type: ignore[attr-defined]
    replica = hub.replica
    for slot, version in enumerate(replica.versions):
        if slot != replica.own:
            replica.values.changed[slot * len(METRICS) + (0 if slot % 2 else 2)] = version + 1  # type: ignore[index]
            replica.versions[slot] = version + 1
    chosen = pending(Priority.LOW, flock.now)
    classes = [0 if slot % 2 else 2 for slot in chosen.slots[: chosen.count]]
    assert 0 < chosen.count < 39
    assert classes.count(2) == 0 or classes.count(0) == sum(slot % 2 for slot in range(40) if slot != replica.own)
    assert METRICS[0].priority < METRICS[2].priority


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_failures_are_detected_over_any_strategy(strategy: Factory) -> None:
    cluster = Cluster(10, loss=0.1, strategy=strategy)
    cluster.until(cluster.well, 40)
    cluster.crash("n4")
    cluster.until(lambda: cluster.all_hold(State.DEAD, "n4"), 30)
    assert all(cluster.state(a, b) == State.ALIVE for a in cluster.live() for b in cluster.live() if a != b)
    cluster.start("n4", 2)
    cluster.until(cluster.well, 40)


@pytest.mark.parametrize("root", [True, False])
def test_a_tree_gives_up_whoever_is_held_dead_at_once(root: bool) -> None:
    flock = Flock(9, Tree, GossipSettings(degree=3))
    flock.run(30)
    first, *others = sorted(flock.living(), key=lambda bird: bird.identity.key)
    victim = first if root else max(others, key=lambda bird: len(links_of(bird)))
    survivors = [bird for bird in flock.living() if bird is not victim]
    victim.alive = False
    for bird in survivors:
        bird.node.strategy.departed = {victim.identity.key}
    flock.run(1.2)
    assert all(victim.identity.address not in links_of(bird) for bird in survivors)
    flock.run(4)
    flock.publish(survivors[-1], [0])
    flock.run(3)
    key = survivors[-1].identity.key
    version = len(flock.history[key])
    assert all(bird.replica.versions[bird.replica.known(key) or 0] == version for bird in survivors), "the tree has closed again"


def links_of(bird: Bird) -> dict[Address, Link]:
    links: dict[Address, Link] = bird.node.strategy.links  # type: ignore[attr-defined]
    return links
