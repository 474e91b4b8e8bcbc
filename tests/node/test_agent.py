"""Agents on real sockets of this machine: they find each other, hold each other's values, and survive what the network brings."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from random import Random
from typing import Any

import pytest

from priomon_core.config import DATAGRAM_STRATEGIES, SECOND, DetectionSettings, GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.rumours import State
from priomon_core.wire import FORMAT
from priomon_node.agent import Agent
from priomon_node.keys import Key, Keyring
from priomon_node.peers import Peers
from priomon_node.seal import Seal
from priomon_node.view import nodes

PERIOD = SECOND // 50
PATIENCE = 20.0  # seconds until a test that waits for something gives up; it goes on as soon as that has happened

Sealing = Callable[[int], Seal | None]


class Watched(Agent):
    """An agent that tells `happened` of every datagram."""

    happened: asyncio.Event

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        super().datagram_received(data, addr)
        self.happened.set()


async def as_it_is(seed: Address) -> Sequence[Address]:
    """Resolves what is an address already."""
    return [seed]


class Cluster:
    """Agents in one event loop; the first one is the seed of all others."""

    def __init__(self, sealing: Sealing) -> None:
        self.agents: list[Watched] = []
        self.happened = asyncio.Event()
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self._sealing = sealing
        self._transports: list[asyncio.BaseTransport] = []

    async def start(
        self,
        name: str,
        generation: int = 1,
        host: str = "127.0.0.1",
        values: Sequence[float] = (12.0, 40.0, 2e5, 70.0),
        strategy: str = GossipSettings().strategy,
    ) -> Watched:
        """Start an agent on a free port."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        bound.bind((host, 0))
        address = Address(*bound.getsockname()[:2])
        peers = Peers([address], [agent.identity.address for agent in self.agents[:1]])
        await peers.resolve(as_it_is)
        agent = Watched(
            Identity(name, generation, address),
            BUILT_IN,
            GossipSettings(strategy=strategy, period=PERIOD),
            DetectionSettings(),
            "test",
            peers,
            lambda _: values,
            PERIOD,
            self._sealing(len(self.agents)),
            lambda kind, **fields: self.reports.append((kind, fields)),
            Random(name),
            Random(f"{name} watch"),
        )
        agent.happened = self.happened
        self.agents.append(agent)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: agent, sock=bound)
        self._transports.append(transport)
        return agent

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true` says so; it is asked after every datagram."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self.happened.clear()
                await self.happened.wait()

    def stop(self, agent: Watched) -> None:
        """End an agent at once, without a word to the others."""
        self._transports[self.agents.index(agent)].close()

    def close(self) -> None:
        for transport in self._transports:
            transport.close()


def held(agent: Agent, name: str) -> dict[str, float] | None:
    """The values that an agent holds of a node, None before it holds any."""
    holdings = agent.replica.holdings
    identity = holdings.current(name)
    slot = None if identity is None else holdings.find(identity.key)
    if slot is None or not agent.replica.versions[slot]:
        return None
    levels = dict(holdings.changes(slot, 0, agent.replica.versions[slot]))
    return {metric.name: round(metric.value(levels[index]), 6) for index, metric in enumerate(BUILT_IN) if index in levels}


def knows_all(agent: Agent, names: Sequence[str]) -> bool:
    return all(held(agent, name) is not None for name in names)


@asynccontextmanager
async def cluster(sealing: Sealing) -> AsyncIterator[Cluster]:
    agents = Cluster(sealing)
    try:
        yield agents
    finally:
        agents.close()


def run(story: Callable[[Cluster], Awaitable[None]], sealing: Sealing = lambda _: None) -> None:
    async def told() -> None:
        async with cluster(sealing) as agents:
            await story(agents)

    asyncio.run(told())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_agents_find_each_other_through_one_seed(host: str) -> None:
    async def story(cluster: Cluster) -> None:
        names = [f"node{i}" for i in range(6)]
        for index, name in enumerate(names):
            await cluster.start(name, host=host, values=(float(10 * index), 40.0, 2e5, 70.0))
        await cluster.until(lambda: all(knows_all(agent, names) for agent in cluster.agents))
        for agent in cluster.agents:
            assert [held(agent, name)["cpu"] for name in names] == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]  # type: ignore[index]
            assert sorted(agent.book.list) == sorted(other.identity.address for other in cluster.agents if other is not agent)

    run(story)


@pytest.mark.parametrize("strategy", DATAGRAM_STRATEGIES)
def test_whatever_the_strategy_agents_learn_what_changes_and_who_left(strategy: str) -> None:
    async def story(cluster: Cluster) -> None:
        samples = [[float(10 * index), 40.0, 2e5, 70.0] for index in range(5)]
        for index, values in enumerate(samples):
            await cluster.start(f"node{index}", values=values, strategy=strategy)
        names = [f"node{index}" for index in range(5)]
        await cluster.until(lambda: all(knows_all(agent, names) for agent in cluster.agents))
        for values in samples:
            values[0] += 50.0
        changed = [50.0, 60.0, 70.0, 80.0, 90.0]
        await cluster.until(lambda: all([(held(agent, name) or {})["cpu"] for name in names] == changed for agent in cluster.agents))
        cluster.agents[0].leave()
        key = cluster.agents[0].identity.key
        stay = cluster.agents[1:]
        await cluster.until(lambda: all(agent.watch is not None and agent.watch.membership.state(key) == State.LEFT for agent in stay))
        samples[4][0] = 3.0
        await cluster.until(lambda: all((held(agent, "node4") or {})["cpu"] == 3.0 for agent in stay))
        assert not any("dropped" in name or name == "peers_of_other_strategies" for agent in stay for name in agent.counters)

    run(story, sealed(ring(1)))


def test_agents_of_different_strategies_understand_each_other_and_say_so_once() -> None:
    async def story(cluster: Cluster) -> None:
        for name in DATAGRAM_STRATEGIES:
            await cluster.start(name, strategy=name)
        await cluster.until(lambda: all(knows_all(agent, DATAGRAM_STRATEGIES) for agent in cluster.agents))
        await cluster.until(lambda: all(agent.counters["peers_of_other_strategies"] == 2 for agent in cluster.agents))
        heard = sum(agent.counters["datagrams_received"] for agent in cluster.agents)
        await cluster.until(lambda: sum(agent.counters["datagrams_received"] for agent in cluster.agents) > heard + 100)
        told = [(fields["ours"], fields["source"]) for kind, fields in cluster.reports if kind == "peer has another strategy"]
        assert len(told) == len(set(told)) == 6
        assert ("tree", "scuttlebutt") in {(f["ours"], f["theirs"]) for kind, f in cluster.reports if kind == "peer has another strategy"}

    run(story)


def test_a_restarted_agent_is_a_new_generation_at_a_new_address() -> None:
    async def story(cluster: Cluster) -> None:
        names = ["seed", "other", "moved"]
        for name in names:
            await cluster.start(name)
        await cluster.until(lambda: all(knows_all(agent, names) for agent in cluster.agents))
        old = cluster.agents[2]
        cluster.stop(old)
        new = await cluster.start("moved", generation=2, values=(99.0, 1.0, 0.0, 1.0))
        rest = [cluster.agents[0], cluster.agents[1], new]
        await cluster.until(lambda: all((held(agent, "moved") or {}).get("cpu") == 99.0 and knows_all(agent, names) for agent in rest))
        for agent in rest:
            assert old.identity not in agent.replica.holdings.identities()
        assert new.identity.address in cluster.agents[0].book.list
        assert old.identity.address not in cluster.agents[0].book.list

    run(story)


def test_what_is_no_datagram_of_ours_is_counted_and_survived() -> None:
    async def story(cluster: Cluster) -> None:
        agent, other = await cluster.start("a"), await cluster.start("b")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for garbage in (b"", b"\x21", b"\x21" + b"x" * 2000, b"\x11" * 50, b"\xe1" * 50):
                stranger.sendto(garbage, agent.identity.address)
            await cluster.until(lambda: sum(count for name, count in agent.counters.items() if name.startswith("dropped")) == 5)
            causes = {"malformed": 2, "other cluster": 1, "other release": 1, "sealed": 1}
            assert {f"dropped_{cause.replace(' ', '_')}": count for cause, count in causes.items()}.items() <= agent.counters.items()
        await cluster.until(lambda: knows_all(agent, ["a", "b"]) and knows_all(other, ["a", "b"]))
        sources = {fields["source"] for kind, fields in cluster.reports if kind == "datagram dropped"}
        assert sources == {f"127.0.0.1:{stranger_port(cluster)}"}

    def stranger_port(cluster: Cluster) -> int:
        (port,) = {fields["source"].rpartition(":")[2] for kind, fields in cluster.reports if kind == "datagram dropped"}
        return int(port)

    run(story)


def test_what_does_not_open_is_counted_by_cause_and_survived() -> None:
    def seal(cluster: str = "test") -> Seal:
        return Seal(ring(1), cluster, b"stranger")

    async def story(cluster: Cluster) -> None:
        agent, _ = await cluster.start("a"), await cluster.start("b")
        whole = seal().close(b"\x11" + bytes(9))  # of another release
        wrong_key = Seal(ring(9), "test", b"stranger").close(b"")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for data in (whole, whole, whole[:-1], whole[:12], whole + bytes(60_000), seal("other").close(b""), wrong_key, bytes(40)):
                stranger.sendto(data, agent.identity.address)
            await cluster.until(lambda: sum(count for name, count in agent.counters.items() if name.startswith("dropped")) == 8)
        causes = {"other_release": 1, "replayed": 1, "forged": 3, "short": 1, "unknown_key": 1, "plain": 1}
        assert {f"dropped_{cause}": count for cause, count in causes.items()}.items() <= agent.counters.items()
        (why,) = [fields["reason"] for kind, fields in cluster.reports if fields.get("cause") == "other release"]
        assert why == f"expected wire format {FORMAT}, found 1; do all nodes run the same release?"
        await cluster.until(lambda: all(knows_all(each, "ab") for each in cluster.agents))

    run(story, sealed(ring(1)))


def test_a_wall_clock_that_jumps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(cluster: Cluster) -> None:
        for name in "abc":
            await cluster.start(name)
        await cluster.until(lambda: all(knows_all(agent, "abc") for agent in cluster.agents))
        ages = [node["age_seconds"] for agent in cluster.agents for node in nodes(agent)]
        assert len(ages) == 9
        assert max(ages) < PATIENCE

    jumps = cycle([0.0, 1e9, 4e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(jumps) * 1e9))
    run(story)


class Hole(asyncio.DatagramTransport):
    """Takes what is sent."""

    def sendto(self, data: Any, addr: Any = None) -> None:
        pass


def test_after_30_s_of_standstill_there_is_one_sample_and_one_round_and_life_goes_on(virtual_loop: Any) -> None:
    home, peer = Address("127.0.0.1", 7946), Address("127.0.0.1", 7947)
    values = (12.0, 40.0, 2e5, 70.0)
    settings, book, clock = GossipSettings(period=SECOND), Peers([home], [peer]), virtual_loop.nanoseconds
    identity = Identity("a", 1, home)
    none = DetectionSettings(detector="none")
    agent = Agent(
        identity, BUILT_IN, settings, none, "test", book, lambda _: values, SECOND, None, lambda *_, **__: None, Random(1), Random(2), clock
    )
    agent.node.peers = [peer]

    async def story() -> None:
        agent.connection_made(Hole())
        await asyncio.sleep(10.5)
        before = dict(agent.counters)
        virtual_loop.now += 30
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert agent.counters["samples"] == before["samples"] + 1
        assert agent.counters["datagrams_sent"] == before["datagrams_sent"] + 1
        await asyncio.sleep(10.5)
        assert agent.counters["samples"] == before["samples"] + 11
        assert agent.counters["datagrams_sent"] == before["datagrams_sent"] + 11
        agent.connection_lost(None)

    virtual_loop.run_until_complete(story())


def test_two_nodes_of_one_name_are_told_apart() -> None:
    async def story(cluster: Cluster) -> None:
        older, newer = await cluster.start("twin", generation=1), await cluster.start("twin", generation=2)
        await cluster.until(lambda: any(kind == "another node has this node's name" for kind, _ in cluster.reports))
        (_, fields), *_ = [report for report in cluster.reports if report[0] == "another node has this node's name"]
        assert fields == {"name": "twin", "address": f"{newer.identity.address.host}:{newer.identity.address.port}"}
        assert older.identity in older.replica.holdings.identities()

    run(story)


def test_a_sample_that_fails_is_told_and_the_agent_goes_on() -> None:
    async def story(cluster: Cluster) -> None:
        healthy = await cluster.start("healthy")
        broken = await cluster.start("broken", values=(-1.0, 40.0, 2e5, 70.0))
        await cluster.until(lambda: knows_all(broken, ["healthy"]) and broken.counters["samples_failed"] > 2)
        assert held(healthy, "broken") is None
        assert (
            "sample failed",
            {"reason": "metric 'cpu': -1.0 % is below 0; declare it with `signed: true` to publish it"},
        ) in cluster.reports

    run(story)


def ring(*seeds: int) -> Keyring:
    return Keyring(tuple(Key(bytes([seed]) * 32) for seed in seeds))


def sealed(*rings: Keyring) -> Sealing:
    """Agent i seals with the i-th ring, the last one serves all others."""
    return lambda index: Seal(rings[min(index, len(rings) - 1)], "test", index.to_bytes(8, "big"))


def test_agents_with_keys_understand_each_other_also_while_keys_are_rotated() -> None:
    async def story(cluster: Cluster) -> None:
        for name in "abc":
            await cluster.start(name)
        await cluster.until(lambda: all(knows_all(agent, "abc") for agent in cluster.agents))
        assert not any(cause.startswith("dropped") for agent in cluster.agents for cause in agent.counters)

    run(story, sealed(ring(1, 2), ring(2, 1), ring(2, 1)))


def test_an_agent_with_another_key_is_not_heard() -> None:
    async def story(cluster: Cluster) -> None:
        for name in "abc":
            await cluster.start(name)
        ours, stranger, other = cluster.agents
        await cluster.until(lambda: knows_all(ours, "ac") and knows_all(other, "ac") and ours.counters["dropped_unknown_key"] > 3)
        assert held(ours, "b") is None
        assert held(stranger, "a") is None

    run(story, sealed(ring(1), ring(9), ring(1)))


def test_an_agent_without_a_key_is_not_heard() -> None:
    async def story(cluster: Cluster) -> None:
        ours, _ = await cluster.start("ours"), await cluster.start("plain")
        await cluster.until(lambda: ours.counters["dropped_plain"] > 3)
        assert held(ours, "plain") is None

    run(story, lambda index: None if index else Seal(ring(1), "test", bytes(8)))
