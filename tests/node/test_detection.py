"""Agents find out who is alive: real agents, joined in memory, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.why import told
from priomon_core.why import why as reasons
from priomon_node import prometheus, view
from priomon_node.agent import Agent
from priomon_node.events import EventSource
from priomon_node.experiment.switch import Stage
from priomon_node.http_api import create_app
from priomon_node.peers import Peers

PERIOD = SECOND // 5
DETECTION = DetectionSettings(probe_timeout=PERIOD // 2, reconnect=SECOND // 2)
DELAY = 0.005  # seconds
ROUND = PERIOD / SECOND
SUSPICION = DETECTION.suspicion * DETECTION.longest_suspicion * ROUND  # seconds, at the longest


class Plug(asyncio.DatagramTransport):
    """Where one agent is joined to the others."""

    def __init__(self, cluster: Cluster, own: Address) -> None:
        super().__init__()
        self._cluster = cluster
        self._own = own

    def sendto(self, data: Any, addr: Any = None) -> None:
        self._cluster.carry(bytes(data), self._own, Address(*addr))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        raise AssertionError("nobody takes the place of an agent here")


class Cluster:
    """Agents in one loop; the first is the seed of all. `cut` says which pairs of addresses cannot reach each other."""

    def __init__(self, loop: Any, detection: DetectionSettings = DETECTION) -> None:
        self.loop = loop
        self.detection = detection
        self.agents: dict[str, Agent] = {}
        self.reports: list[tuple[str, str, dict[str, Any]]] = []
        self.cut: Callable[[Address, Address], bool] = lambda source, target: False
        self._there: dict[Address, Agent] = {}

    def start(self, *names: str, generation: int = 1, port: int = 7946) -> None:
        for name in names:
            address = Address(f"10.0.0.{int(name[1:]) + 1}", port)
            book = Peers([address], [Address("10.0.0.1", 7946)])

            def report(kind: str, name: str = name, /, **fields: Any) -> None:
                self.reports.append((name, kind, fields))

            agent = Agent(
                Identity(name, generation, address),
                BUILT_IN,
                GossipSettings(period=PERIOD),
                self.detection,
                "test",
                book,
                lambda _: (12.0, 40.0, 2e5, 70.0),
                PERIOD,
                None,
                report,
                Random(f"{name} {generation}"),
                Random(f"{name} {generation} watch"),
                self.loop.nanoseconds,
            )
            self.agents[name] = self._there[address] = agent
            self.run(self._plug_in(agent, book))

    async def _plug_in(self, agent: Agent, book: Peers) -> None:
        async def itself(seed: Address) -> list[Address]:
            return [seed]

        await book.resolve(itself)
        agent.refresh_peers()
        agent.connection_made(Plug(self, agent.identity.address))

    def carry(self, data: bytes, source: Address, target: Address) -> None:
        agent = self._there.get(target)
        if agent is not None and not self.cut(source, target):
            self.loop.call_later(DELAY, agent.datagram_received, data, source)

    def crash(self, name: str) -> None:
        del self._there[self.agents[name].identity.address]
        self.agents.pop(name).connection_lost(None)

    async def leave(self, name: str) -> None:
        self.agents[name].leave()

    def run(self, story: Any) -> None:
        self.loop.run_until_complete(story)

    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def until(self, true: Callable[[], bool], seconds: float) -> float:
        """Let time pass until something holds; returns the seconds that it took."""
        began = self.loop.now
        while not true():
            assert self.loop.now - began <= seconds, f"it does not hold after {seconds:g} s"
            self.wait(ROUND / 10)
        return float(self.loop.now - began)

    def ask(self, app: Any, path: str) -> tuple[int, Any]:
        """Status and answer of a GET."""
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        self.run(app({"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")]}, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    def state(self, observer: str, name: str) -> Any:
        found = [node["state"] for node in view.nodes(self.agents[observer]) if node["name"] == name]
        return found[0] if found else None

    def all_hold(self, name: str, state: str) -> bool:
        return all(self.state(observer, name) == state for observer in self.agents if observer != name)

    def well(self) -> bool:
        return all(self.all_hold(name, "alive") for name in self.agents)

    def told(self, kind: str, about: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        return [(by, fields) for by, what, fields in self.reports if what == kind and about in (None, fields.get("name"))]


@pytest.fixture
def cluster(virtual_loop: Any) -> Cluster:
    """Six agents that know and trust each other."""
    agents = Cluster(virtual_loop)
    agents.start(*(f"n{i}" for i in range(6)))
    agents.until(agents.well, 20 * ROUND)
    return agents


def test_in_calm_nobody_is_suspected(cluster: Cluster) -> None:
    cluster.wait(60)
    assert cluster.well()
    assert {kind for _, kind, _ in cluster.reports} == {"members changed", "node joined"}
    assert sorted(by for by, _ in cluster.told("node joined", "n3")) == ["n0", "n1", "n2", "n4", "n5"]


def test_a_crash_is_noticed_by_all_and_shown(cluster: Cluster) -> None:
    cluster.crash("n3")
    cluster.until(lambda: cluster.all_hold("n3", "suspect"), 10 * ROUND + SUSPICION)
    cluster.until(lambda: cluster.all_hold("n3", "dead"), SUSPICION + 5 * ROUND)
    assert {by for by, _ in cluster.told("node died", "n3")} == {"n0", "n1", "n2", "n4", "n5"}
    assert len(cluster.told("node died")) == 5
    agent = cluster.agents["n1"]
    assert agent.counters["noticed_died"] == 1
    node = next(node for node in view.nodes(agent) if node["name"] == "n3")
    assert 0 <= node["state_seconds"] < 2 * SUSPICION
    page = prometheus.exposition(agent, prometheus.families(agent.metrics), agent.counters)
    assert 'priomon_up{node="n3"} 0\n' in page
    assert 'priomon_up{node="n2"} 1\n' in page
    assert 'priomon_state{node="n3",state="dead"} 1\n' in page
    assert 'priomon_node_cpu_percent{node="n2"}' in page
    assert 'priomon_node_cpu_percent{node="n3"}' not in page
    assert 'priomon_agent_noticed_total{event="died"} 1\n' in page
    cluster.wait(10)
    assert cluster.all_hold("n3", "dead")
    assert all(cluster.all_hold(name, "alive") for name in cluster.agents)


def test_why_tells_the_same_over_http_as_the_core(cluster: Cluster) -> None:
    cluster.crash("n3")
    cluster.until(lambda: cluster.all_hold("n3", "dead"), 10 * ROUND + 2 * SUSPICION)
    agent = cluster.agents["n1"]
    assert agent.watch is not None
    app = create_app(Stage(Plug(cluster, agent.identity.address), agent), None, EventSource(), lambda: None)
    status, answer = cluster.ask(app, "/v1/why/n3")
    known = reasons(agent.watch, "n3", agent.now_ns())
    assert (status, answer) == (200, {"why": json.loads(json.dumps(known)), "told": told(known)})
    assert answer["why"]["state"] == "dead"
    assert len(answer["why"]["accusers"]) >= 2
    assert cluster.ask(app, "/v1/why/n33") == (404, {"error": "no node 'n33' is known here; did you mean 'n3'?"})
    agent.watch = None
    assert cluster.ask(app, "/v1/why/n3") == (409, {"error": "this agent judges nobody, as its setting `detector` says"})


@pytest.mark.parametrize("state", ["alive", "dead"])
def test_a_restarted_agent_is_accepted_at_once_from_a_new_port(cluster: Cluster, state: str) -> None:
    cluster.crash("n3")
    if state == "dead":
        cluster.until(lambda: cluster.all_hold("n3", "dead"), 10 * ROUND + 2 * SUSPICION)
    cluster.start("n3", generation=2, port=7999)

    def shown(agent: Agent) -> list[tuple[int, str, str]]:
        return [(node["generation"], node["address"], node["state"]) for node in view.nodes(agent) if node["name"] == "n3"]

    everybody = cluster.agents.values()
    cluster.until(lambda: all(shown(agent) == [(2, "10.0.0.4:7999", "alive")] for agent in everybody), 10 * ROUND)
    assert {by for by, _ in cluster.told("node restarted", "n3")} == {"n0", "n1", "n2", "n4", "n5"}
    cluster.reports.clear()
    cluster.wait(3 * SUSPICION)
    assert cluster.well()
    assert cluster.told("node suspected") == []


def test_who_leaves_is_believed_and_not_suspected(cluster: Cluster) -> None:
    cluster.run(cluster.leave("n3"))
    cluster.crash("n3")
    took = cluster.until(lambda: cluster.all_hold("n3", "left"), 10 * ROUND)
    assert took < 3 * ROUND
    cluster.wait(3 * SUSPICION)
    assert cluster.told("node suspected") == cluster.told("node died") == []
    assert {by for by, _ in cluster.told("node left", "n3")} == set(cluster.agents)


def test_who_is_cut_off_for_a_while_refutes(cluster: Cluster) -> None:
    home = cluster.agents["n3"].identity.address
    cluster.cut = lambda source, target: home in (source, target)
    cluster.until(lambda: any(cluster.state(by, "n3") == "suspect" for by in cluster.agents if by != "n3"), 10 * ROUND)
    cluster.cut = lambda source, target: False
    cluster.until(cluster.well, SUSPICION)
    assert cluster.told("node died", "n3") == []
    itself = [fields for by, fields in cluster.told("node refuted", "n3") if by == "n3"]
    assert itself
    assert itself[-1]["incarnation"] == view.why(cluster.agents["n3"], "n3")["incarnation"]  # type: ignore[index]


def test_a_partition_heals_without_a_restart(cluster: Cluster) -> None:
    side = {cluster.agents[name].identity.address for name in ("n0", "n1", "n2")}
    cluster.cut = lambda source, target: (source in side) != (target in side)
    halves = (("n0", "n1", "n2"), ("n3", "n4", "n5"))
    apart = [(a, b) for a in halves[0] for b in halves[1]]
    cluster.until(lambda: all(cluster.state(a, b) == cluster.state(b, a) == "dead" for a, b in apart), 20 * ROUND + 3 * SUSPICION)
    cluster.wait(60)
    cluster.cut = lambda source, target: False
    cluster.until(cluster.well, 10)


def test_a_machine_that_slept_holds_nobody_dead(cluster: Cluster) -> None:
    cluster.loop.now += 600
    cluster.wait(3 * SUSPICION)
    assert cluster.well()
    assert cluster.told("node died") == []
    late = [fields["late_seconds"] for _, fields in cluster.told("node stalled")]
    assert len(late) == 6
    assert all(599 < seconds <= 600 for seconds in late)


def test_without_a_detector_nobody_is_judged(virtual_loop: Any) -> None:
    agents = Cluster(virtual_loop, DetectionSettings(detector="none"))
    agents.start("n0", "n1", "n2")
    agents.wait(10 * ROUND)
    agents.crash("n2")
    agents.wait(60)
    assert {agents.state(by, name) for by in agents.agents for name in ("n0", "n1", "n2")} == {None}
    agent = agents.agents["n0"]
    assert not agent.alone
    page = prometheus.exposition(agent, prometheus.families(agent.metrics), agent.counters)
    assert "priomon_up{" not in page
    assert 'priomon_node_cpu_percent{node="n2"}' in page


def test_an_agent_whose_peers_are_all_dead_is_alone_and_tries_what_it_remembers(cluster: Cluster) -> None:
    agent = cluster.agents["n5"]
    assert not agent.alone
    others = [cluster.agents[name].identity.address for name in ("n0", "n1", "n2", "n3", "n4")]
    for name in ("n0", "n1", "n2", "n3", "n4"):
        cluster.crash(name)
    cluster.until(lambda: agent.alone, 40 * ROUND + 6 * SUSPICION)
    assert set(agent.book.list) >= set(others)
