"""Who is alive, in clusters that lose nodes, datagrams, links and time."""

from itertools import pairwise

import pytest

from priomon_core.config import SECOND
from priomon_core.events import Died, Flapping, Forgotten, Joined, Left, Refuted, Restarted, Stalled, Suspected
from priomon_core.rumours import Rumour, State
from priomon_core.wire import Ask, Call
from tests.core.cluster import Cluster

DETECTORS = ("swim", "phi", "count")


def settled(count: int = 10, seed: int = 1, seconds: float = 20, **settings: object) -> Cluster:
    """A cluster in which everybody knows everybody."""
    cluster = Cluster(count, seed, **settings)  # type: ignore[arg-type]
    cluster.until(cluster.well, 30)
    cluster.run(seconds)
    return cluster


@pytest.mark.parametrize(("detector", "bound"), [("swim", 9), ("phi", 30), ("count", 40)])
@pytest.mark.parametrize("seed", range(5))
def test_a_crash_is_known_to_all_in_time(detector: str, bound: float, seed: int) -> None:
    """swim: a pass at most, two periods of probing, the shortest suspicion of 3 s, and some rounds to tell."""
    cluster = settled(10, seed, detector=detector, heartbeat=2 * SECOND)
    cluster.crash("n4", "n7")
    cluster.until(lambda: cluster.all_hold(State.DEAD, "n4", "n7"), bound)
    assert {event.name for _, event in cluster.events(Died)} == {"n4", "n7"}
    cluster.run(30)
    assert cluster.all_hold(State.DEAD, "n4", "n7") and {event.name for _, event in cluster.events(Died)} == {"n4", "n7"}


@pytest.mark.parametrize("detector", DETECTORS)
def test_of_two_nodes_one_crashes(detector: str) -> None:
    cluster = settled(2, detector=detector, heartbeat=2 * SECOND)
    cluster.crash("n1")
    cluster.until(lambda: cluster.all_hold(State.DEAD, "n1"), 30)


@pytest.mark.parametrize("detector", DETECTORS)
def test_calm_costs_an_ack_per_exchange_and_no_rumour(detector: str) -> None:
    cluster = settled(8, detector=detector)
    for member in cluster.everybody:
        member.sent.clear()
    cluster.run(100)
    assert cluster.well() and not cluster.events(Suspected) + cluster.events(Died) + cluster.events(Refuted)
    sizes = [size for member in cluster.everybody for _, size, call in member.sent if call]
    assert set(sizes) <= {7}
    exchanges = 100 * 8
    assert len(sizes) <= exchanges
    assert (len(sizes) > exchanges // 2) == (detector != "phi")


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_one_way_links_kill_nobody(seed: int) -> None:
    cluster = settled(12, seed, loss=0.3, seconds=0)
    one_way = {("n0", "n1"), ("n2", "n3"), ("n4", "n5"), ("n5", "n4"), ("n6", "n1"), ("n7", "n8")}
    cluster.cut = lambda source, target: (source, target) in one_way
    cluster.run(400)
    assert cluster.events(Died) == []
    assert all(cluster.state(a, b) != State.DEAD for a in cluster.live() for b in cluster.live())


def test_a_one_way_link_makes_no_suspicion() -> None:
    cluster = settled(8)
    cluster.cut = lambda source, target: (source, target) in {("n1", "n0"), ("n2", "n3")}
    cluster.run(300)
    assert cluster.events(Suspected) == []


def test_who_hears_nothing_kills_nobody_but_is_held_dead() -> None:
    cluster = settled(10)
    cluster.cut = lambda source, target: target == "n3"
    cluster.run(120)
    assert cluster.all_hold(State.DEAD, "n3")
    assert {event.name for observer, event in cluster.events(Died) if observer != "n3"} == {"n3"}
    cluster.heal()
    cluster.until(cluster.well, 30)


def test_an_accusation_is_refuted_before_it_kills() -> None:
    cluster = settled(10)
    for accuser in ("n1", "n2", "n5", "n6"):
        cluster.members[accuser].watch.accuse(cluster.members["n3"].identity.key, cluster.now, "a grudge")
    assert cluster.state("n1", "n3") == State.SUSPECT
    cluster.run(20)
    assert cluster.well() and cluster.events(Died) == []
    (refuted, *_) = [event for observer, event in cluster.events(Refuted) if observer == "n3"]
    assert refuted.incarnation == 1 and not refuted.was_dead  # type: ignore[attr-defined]


def test_forged_verdicts_are_refuted_and_stale_ones_ignored() -> None:
    cluster = settled(6)
    keys = {name: member.identity.key for name, member in cluster.members.items()}
    forged = (Rumour(keys["n3"], State.DEAD, 5, keys["n2"]), Rumour(keys["n4"], State.LEFT, 1), Rumour(77, State.DEAD, 0, keys["n2"]))
    member = cluster.members["n0"]
    member.node.receive(Call(keys["n2"], Ask.PING, rumours=forged), cluster.members["n2"].identity.address, cluster.now)
    assert cluster.state("n0", "n3") == State.DEAD and cluster.state("n0", "n4") == State.LEFT
    cluster.run(20)
    assert cluster.well()
    stale = Call(keys["n2"], Ask.PING, rumours=forged)
    member.node.receive(stale, cluster.members["n2"].identity.address, cluster.now)
    assert cluster.well()


@pytest.mark.parametrize("detector", DETECTORS)
def test_who_stalled_accuses_nobody(detector: str) -> None:
    cluster = settled(10, detector=detector)
    for seconds in (2.5, 4, 60):
        cluster.pause("n2", seconds)
        cluster.run(seconds + 5)
        mine = [event for observer, event in cluster.events(Suspected) + cluster.events(Died) if observer == "n2"]
        assert mine == []
    assert [observer for observer, _ in cluster.events(Stalled)] == ["n2"] * 3
    cluster.until(cluster.well, 30)


def test_a_stall_in_the_middle_of_a_suspicion_holds_the_verdict() -> None:
    cluster = settled(10)
    cluster.members["n2"].watch.accuse(cluster.members["n3"].identity.key, cluster.now, "a grudge")
    cluster.cut = lambda source, target: source == "n2"
    cluster.pause("n2", 30)
    cluster.run(31)
    assert cluster.state("n2", "n3") != State.DEAD
    cluster.heal()
    cluster.until(cluster.well, 30)
    assert ("n2", "n3") not in [(observer, event.name) for observer, event in cluster.events(Died)]


@pytest.mark.parametrize("seconds", [5, 60, 1000])
@pytest.mark.parametrize("share", [1, 5])
def test_a_partition_of_any_length_heals(seconds: float, share: int) -> None:
    cluster = settled(10)
    names = cluster.live()
    cluster.split(names[:share], names[share:])
    cluster.run(seconds)
    if seconds > 30:
        assert all(cluster.state(a, b) == State.DEAD for a in names[:share] for b in names[share:])
        assert all(cluster.state(a, b) == State.ALIVE for a in names[share:] for b in names[share:] if a != b)
    cluster.heal()
    cluster.until(cluster.well, 30)


def test_a_partition_heals_when_both_sides_have_forgotten_each_other() -> None:
    cluster = settled(10, tombstone=20 * SECOND)
    names = cluster.live()
    cluster.split(names[:5], names[5:])
    cluster.run(200)
    assert all(cluster.state(a, b) is None for a in names[:5] for b in names[5:])
    cluster.heal()
    cluster.until(cluster.well, 60)


@pytest.mark.parametrize("rest", [0, 2, 30, 100])
def test_a_restarted_node_is_taken_at_once(rest: float) -> None:
    """Whether it is held alive, suspect, dead or forgotten, and from a new address."""
    cluster = settled(8, tombstone=60 * SECOND)
    before = cluster.members["n5"].identity.key
    cluster.crash("n5")
    cluster.run(rest)
    cluster.start("n5", 2, host="10.0.7.7")
    cluster.until(cluster.well, 10)
    assert all(cluster.members[name].watch.membership.belief(before) is None for name in cluster.live())
    restarts = {observer for observer, event in cluster.events(Restarted, "n5")}
    assert restarts == (set(cluster.live()) - {"n5"} if rest < 60 else set())
    cluster.run(100)
    assert cluster.well()


def test_a_goodbye_is_no_death() -> None:
    cluster = settled(10)
    cluster.leave("n4")
    cluster.until(lambda: cluster.all_hold(State.LEFT, "n4"), 6)
    cluster.run(60)
    assert cluster.all_hold(State.LEFT, "n4")
    assert len(cluster.events(Left, "n4")) == 9 and not cluster.events(Died) + cluster.events(Suspected)


def test_flapping_is_noticed_and_damped() -> None:
    cluster = settled(8)
    gone = []
    for _ in range(4):
        cluster.cut = lambda source, target: "n6" in (source, target)
        gone.append(cluster.until(lambda: cluster.all_hold(State.DEAD, "n6"), 120))
        cluster.heal()
        cluster.until(cluster.well, 60)
    assert max(event.times for _, event in cluster.events(Flapping, "n6")) == 4  # type: ignore[attr-defined]
    assert gone[3] > 2 * gone[0]


def test_what_departed_is_forgotten_by_all_and_does_not_come_back() -> None:
    cluster = settled(10, tombstone=30 * SECOND)
    cluster.crash("n3")
    cluster.leave("n8")
    cluster.run(50)
    assert cluster.all_hold(None, "n3", "n8")
    cluster.run(200)
    assert cluster.all_hold(None, "n3", "n8")
    assert len(cluster.events(Forgotten, "n3")) == len(cluster.events(Forgotten, "n8")) == 8
    for name in cluster.live():
        membership = cluster.members[name].watch.membership
        assert not (membership.departed or membership.refused or membership.rumours.count)
        assert len(cluster.members[name].replica.versions) == 8


def test_old_news_raise_nobody_from_the_dead() -> None:
    """n0 was cut off while n5 published and crashed; it knows versions of n5 that nobody else has, and holds it dead as all do."""
    cluster = settled(8)
    rest = [name for name in cluster.live() if name not in ("n0", "n5")]
    cluster.split(("n0", "n5"), rest)
    cluster.run(1)
    for level in (10.0, 60.0, 20.0):
        cluster.members["n5"].node.sample([level] * 4, cluster.now)
        cluster.run(3)
    cluster.crash("n5")
    cluster.run(60)
    cluster.heal()
    cluster.until(lambda: all(cluster.state("n0", name) == State.ALIVE for name in rest), 30)
    died = cluster.now
    cluster.run(60)
    assert cluster.all_hold(State.DEAD, "n5")
    assert not [event for _, event in cluster.events(Refuted, "n5") if event.at > died]


def test_a_newcomer_does_not_take_the_departed_for_alive() -> None:
    cluster = settled(8)
    cluster.crash("n3")
    cluster.leave("n4")
    cluster.run(60)
    cluster.start("n9")
    cluster.run(60)
    assert cluster.well() and cluster.state("n9", "n3") is cluster.state("n9", "n4") is None
    assert not [event for observer, event in cluster.events(Suspected) if observer == "n9"]
    assert {event.name for observer, event in cluster.events(Joined) if observer == "n9"} == {f"n{i}" for i in (0, 1, 2, 5, 6, 7)}


def test_who_was_not_introduced_because_it_seemed_dead_is_met_when_it_returns() -> None:
    cluster = settled(8)
    names = cluster.live()
    cluster.split(names[:4], [*names[4:], "n9"])
    cluster.run(60)
    cluster.members["n9"] = cluster.start("n9", host="10.0.0.99")
    cluster.cut, cut = (lambda source, target: "n9" not in (source, target) and cut(source, target)), cluster.cut
    cluster.run(2)
    cluster.split([*names[:4], "n9"], names[4:])
    cluster.run(30)
    cluster.heal()
    cluster.until(cluster.well, 30)


def test_who_missed_a_refutation_learns_of_it_from_the_next_partner() -> None:
    cluster = settled(12)
    key = cluster.members["n5"].identity.key
    cluster.cut = lambda source, target: "n5" in (source, target)
    for name in cluster.live():
        membership = cluster.members[name].watch.membership
        if name == "n0":
            membership.condemn(key, cluster.now, "a mistake")
        elif name != "n5":
            membership.hear(Rumour(key, State.ALIVE, 1), cluster.now)
        membership.rumours.drop(key)
    assert cluster.until(lambda: cluster.state("n0", "n5") == State.ALIVE, 2) > 0


def test_most_may_crash_at_once() -> None:
    cluster = settled(15)
    victims = [f"n{i}" for i in range(3, 15)]
    cluster.crash(*victims)
    cluster.until(lambda: cluster.all_hold(State.DEAD, *victims), 60)
    assert all(cluster.state(a, b) == State.ALIVE for a, b in pairwise(("n0", "n1", "n2", "n0")))


def test_churn_leaves_memory_flat() -> None:
    cluster = settled(6, tombstone=20 * SECOND)
    sizes = []
    for i in range(60):
        name = f"n{i % 5 + 1}"
        cluster.crash(name)
        cluster.run(1)
        cluster.start(name, 2 + i, host=f"10.1.{i}.1")
        cluster.start(f"n{100 + i}")
        cluster.run(4)
        cluster.crash(f"n{100 + i}")
        sizes.append(len(cluster.members["n0"].replica.versions) + len(cluster.members["n0"].watch.membership._beliefs))
    assert max(sizes[30:]) <= max(sizes[:30]) + 2
    cluster.run(120)
    assert len(cluster.members["n0"].replica.versions) == 6
    cluster.until(cluster.well, 10)
