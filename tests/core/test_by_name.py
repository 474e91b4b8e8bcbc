"""Strategies by name: each is made, known by what it says, and understood by the others."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priomon_core.config import DATAGRAM_STRATEGIES, STRATEGIES, GossipSettings
from priomon_core.errors import SettingError
from priomon_core.messages import Digest
from priomon_core.metrics import BUILT_IN
from priomon_core.pushes import Pulse, Push, feedback, summary
from priomon_core.replica import Replica
from priomon_core.strategies.base import Strategy
from priomon_core.strategies.by_name import betrayed, create
from tests.core.flock import Bird, Factory, Flock


def mixed(names: Sequence[str]) -> Factory:
    """Makes strategies of these names in turn."""
    turn = cycle(names)
    return lambda replica, gossip: create(replica, replace(gossip, strategy=next(turn)))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_made_by_its_name(name: str) -> None:
    made: list[Strategy] = []

    def factory(replica: Replica, gossip: GossipSettings) -> Strategy:
        made.append(create(replica, gossip))
        return made[-1]

    Flock(1, factory, GossipSettings(strategy=name))
    assert [type(one).__name__.lower() for one in made] == [name]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SettingError, match="strategy: expected one of scuttlebutt, rumor, tree, demon, found 'gossip'"):
        GossipSettings(strategy="gossip")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(DATAGRAM_STRATEGIES), min_size=2, max_size=7),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.2]),
    st.booleans(),
)
def test_nodes_of_different_strategies_learn_all_of_each_other(names: list[str], seed: int, loss: float, rough: bool) -> None:
    flock = Flock(len(names), mixed(names), GossipSettings(), seed, loss, rough)
    for _ in range(8):
        flock.publish_some()
        flock.run(0.7)
    flock.seconds_to_converge(120)


def test_a_lone_speaker_of_another_strategy_is_not_left_behind() -> None:
    for lone, others in (("scuttlebutt", "tree"), ("tree", "scuttlebutt"), ("rumor", "tree"), ("scuttlebutt", "rumor")):
        flock = Flock(8, mixed([lone, *[others] * 7]), GossipSettings())
        flock.seconds_to_converge(30)
        flock.publish(flock.living()[0], list(range(len(BUILT_IN))))
        flock.publish(flock.living()[5], list(range(len(BUILT_IN))))
        assert flock.seconds_to_converge(30) <= 6, (lone, others)


class Overheard(Flock):
    """A flock that notes what each message betrays."""

    def __init__(self, name: str) -> None:
        self.betrayed: list[tuple[str, ...]] = []
        super().__init__(6, create, GossipSettings(strategy=name), loss=0.2)

    def _flush(self, bird: Bird) -> None:
        self.betrayed += (betrayed(message) for _, message in bird.node.outbox)
        super()._flush(bird)


@pytest.mark.parametrize("name", DATAGRAM_STRATEGIES)
def test_nobody_is_taken_for_another(name: str) -> None:
    flock = Overheard(name)
    for _ in range(8):
        flock.publish_some()
        flock.run(2)
    assert all(name in one for one in flock.betrayed if one)
    assert name == "scuttlebutt" or (name,) in flock.betrayed


def test_what_betrays_a_strategy() -> None:
    pulse = Pulse(1, 2, 3)
    push = Push(1, 2, 1, 0, 0, False, 0, (), (), (), 20)
    assert betrayed(push) == ("rumor", "tree")
    assert betrayed(replace(push, got=1)) == betrayed(replace(push, begin=True)) == betrayed(summary(1, None, pulse)) == ("tree",)
    assert betrayed(summary(1, None)) == betrayed(feedback(1, 2, (), 0)) == ("rumor",)
    assert betrayed(summary(1, 5)) == ("rumor", "tree")
    digest = Digest(1, 0, 0, None, None, 9)
    assert betrayed(digest) == ()
    digest.probe = True
    assert betrayed(digest) == ("scuttlebutt",)
