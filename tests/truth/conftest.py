"""What the checks against theory share: reference rows, textbook strategies, and a cluster in the product's own driver."""

from __future__ import annotations

import csv
import gc
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from priomon_core.config import NO_LIMIT, SECOND, GossipSettings
from priomon_core.latency import Constant
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.messages import Delta, Digest, Row
from priomon_core.metrics import Metric
from priomon_core.replica import Replica
from priomon_core.strategies.base import Outbox, Peer, Strategy
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_sim.clock import Clock
from priomon_sim.compiled_draws import COMPILED_DRAWS
from priomon_sim.driver import Driver, StrategyFactory

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
PERIOD = 1_000 * SECOND  # an answer is there before the next round, however often TCP has to repeat it
ONCE = 1_000_000 * SECOND  # one sample per node and run, so one version: a rumour of its own
HEADERS = 20

Cluster = Callable[..., Driver]
Strategies = dict[str, StrategyFactory]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reference(file): run the test once for each `row` of a table in results/reference")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for marker in metafunc.definition.iter_markers("reference"):
        with (REFERENCE / marker.args[0]).open(newline="") as file:
            rows = list(csv.DictReader(file))
        metafunc.parametrize("row", rows, ids=["-".join(list(row.values())[:2]) for row in rows])


class Answer(Delta):
    """News that come over TCP, so that a contact is lost as a whole, with its one datagram, or not at all."""

    stream = True


class Textbook(Strategy):
    """Contacts are judged on the state at the start of the round."""

    asks = False
    tells = False

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        self.replica = replica
        self.outbox: Outbox = []
        self.state: Row = replica.kind.blank(len(replica.versions))

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Contact each peer."""
        self.look()
        contact = self.news(Delta) if self.tells else Digest(self.replica.key, 0, len(self.state), None, None, HEADERS)
        self.outbox += [(peer, contact) for peer in peers]

    def receive(self, message: Digest | Delta, source: Peer, now: int) -> None:
        """Take what is told, and answer a contact that asks."""
        if isinstance(message, Delta):
            self.replica.learn(message, now)
        if self.asks and not message.stream:
            self.outbox.append((source, self.news(Answer)))

    def look(self) -> None:
        """Take what is known now as the state that contacts are judged on."""
        count = len(self.replica.versions)
        self.state = self.replica.kind.blank(count)
        self.replica.kind.kernels.snapshot(self.replica.versions, count, self.state)

    def news(self, kind: type[Delta]) -> Delta:
        """All that the state holds."""
        count = len(self.state)
        return kind(self.replica.key, 0, 0, count, self.state, self.state, 0, count, 0, HEADERS + count)


class Push(Textbook):
    tells = True


class Pull(Textbook):
    asks = True


class PushPull(Textbook):
    asks = tells = True


class InTurn(PushPull):
    """Contacts peers one after another, each with all that the contacts before it brought."""

    waiting: Sequence[Peer] = ()

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Contact the first peer; the answer leads to the next."""
        self.waiting = peers[1:]
        super().round(peers[:1], now)

    def receive(self, message: Digest | Delta, source: Peer, now: int) -> None:
        """Judge every contact on the state that it finds."""
        self.look()
        super().receive(message, source, now)
        if message.stream and self.waiting:
            self.round(self.waiting, now)


@pytest.fixture
def strategies() -> Strategies:
    return {"push": Push, "pull": Pull, "pushpull": PushPull, "in turn": InTurn, "scuttlebutt": Scuttlebutt}


@cache
def complete_graph(nodes: int) -> list[list[int]]:
    return [[peer for peer in range(nodes) if peer != node] for node in range(nodes)]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A function that makes a cluster on a complete graph in which every node knows its own rumour and no other.

    Rounds are synchronous (`together`), and a datagram takes a millisecond; or nodes act one after another, and it takes no time.
    """

    def build(strategy: StrategyFactory, nodes: int, seed: int, together: bool, fanout: int = 1, loss: float = 0.0) -> Driver:
        driver = Driver(
            Clock(),
            [Metric("rumour", "", 1.0)],
            GossipSettings(period=PERIOD, fanout=fanout, datagram_limit=NO_LIMIT),
            strategy,
            complete_graph(nodes),
            Links(nodes, seed, LinkModel(Constant(1_000_000 if together else 0), Bernoulli(loss)), draws=COMPILED_DRAWS),
            [np.zeros((1, 1))] * nodes,
            ONCE,
            seed,
            together,
        )
        for node in driver.nodes:
            node.sample([0.0], 0)
        return driver

    gc.disable()  # as experiments do: a simulation makes no cycles, and looking for them takes a third of the time
    yield build
    gc.enable()
