"""The switch of experiments, asked over the HTTP interface in virtual time: who may turn it, and that it always turns back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, MutableMapping
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.latency import Constant
from priomon_core.links import LinkModel
from priomon_core.metrics import CPU, MEMORY, STORAGE, Metric
from priomon_node import run as run_module
from priomon_node.agent import Agent
from priomon_node.events import EventSource
from priomon_node.experiment.assignment import Assignment, LinkPlan
from priomon_node.experiment.part import Part
from priomon_node.experiment.script import Life
from priomon_node.experiment.switch import Experiment, Stage
from priomon_node.http_api import create_app
from priomon_node.keys import Key, Keyring
from priomon_node.peers import Peers
from priomon_node.seal import Seal

TOKEN = "s3cret"
OWN, OTHER = Address("127.0.0.1", 7946), Address("127.0.0.1", 7956)
PATH = "/v1/experiment"
PERIOD = SECOND // 10
METRICS = (CPU, MEMORY)


class Socket(asyncio.DatagramTransport):
    """Keeps what is sent, and who it belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append(bytes(data))


def document(duration: float = 1.0, patience: float = 30.0, metrics: tuple[Metric, ...] = METRICS, **changes: Any) -> Any:
    """An experiment of two nodes that begins at once."""
    made = Assignment(
        run="test 1",
        start=0,
        duration=round(duration * SECOND),
        patience=round(patience * SECOND),
        name="node0",
        address=OWN,
        lives=(Life(1, 0, None, False, "1", "2"),),
        mishaps=(),
        metrics=metrics,
        gossip=GossipSettings(period=PERIOD),
        detection=DetectionSettings(detector="none"),
        sealed=False,
        peers=(OTHER,),
        sample_every=PERIOD,
        samples=tuple((float(row),) * len(metrics) for row in range(1, 90, 20)),
        follow_every=PERIOD,
        probe_every=PERIOD,
        links=LinkPlan(1, 0, {OWN: 0, OTHER: 1}, LinkModel(Constant(0)), {}),
    ).to_json()
    return json.loads(json.dumps(made | changes))


class Node:
    """An agent with the switch on, in a loop whose time is virtual."""

    def __init__(self, loop: Any, monkeypatch: pytest.MonkeyPatch, seal: Seal | None = None, switch: bool = True) -> None:
        clocks = {"monotonic": loop.nanoseconds, "unix": loop.nanoseconds}
        monkeypatch.setattr("priomon_node.experiment.switch.Part", partial(Part, **clocks))
        self.loop = loop
        self.log: list[str] = []
        self.happened: list[str] = []
        self.socket = Socket()
        self.usual = Agent(
            Identity("usual", 1, OWN),
            METRICS,
            GossipSettings(period=PERIOD),
            DetectionSettings(),
            "test",
            Peers([OWN], [OTHER]),
            lambda now: (7.0, 8.0),
            PERIOD,
            seal,
            lambda kind, **fields: None,
            Random(1),
            Random(2),
            loop.nanoseconds,
        )
        self.usual.node.peers = [OTHER]
        self.stage = Stage(self.socket, self.usual)
        self.socket.protocol = self.usual
        log: Any = SimpleNamespace(info=self._say, warning=self._say, report=self._say)
        told = self.happened.append
        experiment = Experiment(self.stage, lambda now: (7.0, 8.0), seal, log, lambda: told("begun"), lambda: told("over"))
        self.app = create_app(self.stage, TOKEN, EventSource(), lambda: None, experiment if switch else None)
        self.run(self._start())

    def _say(self, kind: str, **fields: Any) -> None:
        self.log.append(kind)

    async def _start(self) -> None:
        self.usual.connection_made(self.socket)

    def run(self, story: Any) -> Any:
        return self.loop.run_until_complete(story)

    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def ask(self, method: str, query: str = "", body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        """Status and answer of a request for the experiment."""
        sent: list[MutableMapping[str, Any]] = []
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "http", "method": method, "path": PATH, "query_string": query.encode(), "headers": headers}
        self.run(self.app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])


New = Callable[..., Node]


@pytest.fixture
def node(virtual_loop: Any, monkeypatch: pytest.MonkeyPatch) -> New:
    """Makes an agent, with the switch on unless it is said to be off."""
    return partial(Node, virtual_loop, monkeypatch)


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_the_switch_is_off_unless_a_setting_says_otherwise(node: New, method: str) -> None:
    agent = node(switch=False)
    status, answer = agent.ask(method, body=document())
    assert (status, "the setting `experiment`" in answer["error"]) == (403, True)
    assert agent.stage.agent is agent.usual


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_only_who_has_the_token_may_turn_it(node: New, method: str) -> None:
    agent = node()
    assert agent.ask(method, body=document(), token="guess")[0] == 401
    assert agent.stage.agent is agent.usual
    agent.ask("PUT", body=document())
    subject = agent.stage.agent
    assert agent.ask(method, body=document(), token="guess")[0] == 401
    assert agent.stage.agent is subject


def test_an_experiment_begins_is_read_and_ends(node: New) -> None:
    agent = node()
    status, answer = agent.ask("PUT", body=document())
    assert (status, answer) == (201, {"run": "test 1", "name": "node0"})
    assert agent.socket.protocol is agent.stage.agent is not agent.usual
    agent.wait(1.5)
    entries = agent.ask("GET")[1]["entries"]
    assert entries[0][:2] == ["born", 1]
    assert [entry[1] for entry in entries if entry[0] == "held"] == list(range(1, 11))
    assert entries[-1][0] == "ending"
    assert agent.ask("DELETE") == (200, {"run": "test 1"})
    assert agent.happened == ["begun", "over"]
    assert agent.log == ["experiment begins", "experiment ends"]


def test_there_is_one_experiment_at_a_time(node: New) -> None:
    agent = node()
    for method in ("GET", "DELETE"):
        assert agent.ask(method) == (409, {"error": "no experiment is going on here; begin one with PUT"})
    assert agent.ask("PUT", body=document())[0] == 201
    first = agent.stage.agent
    assert agent.ask("PUT", body=document(run="test 2")) == (
        409,
        {"error": "the experiment 'test 1' is going on here; end it with DELETE, or wait"},
    )
    assert agent.stage.agent is first
    agent.ask("DELETE")
    assert agent.ask("PUT", body=document(run="test 2"))[0] == 201


def test_the_usual_agent_rests_meanwhile_and_gossips_again_afterwards(node: New) -> None:
    agent = node()
    agent.wait(1)
    assert (before := agent.usual.counters["datagrams_sent"]) >= 9
    agent.ask("PUT", body=document(start=SECOND))
    agent.wait(2)
    assert agent.usual.counters["datagrams_sent"] == before
    assert len(agent.socket.sent) > before
    agent.ask("DELETE")
    assert agent.socket.protocol is agent.stage.agent is agent.usual
    agent.wait(1)
    assert agent.usual.counters["datagrams_sent"] >= before + 9
    assert agent.usual.counters["samples"] >= 19


def test_a_diary_can_be_read_again_until_it_is_acknowledged(node: New) -> None:
    agent = node()
    agent.ask("PUT", body=document())
    agent.wait(0.55)
    whole = agent.ask("GET", "since=0")[1]
    assert whole == agent.ask("GET", "since=0")[1] == agent.ask("GET")[1]
    assert whole["first"] == 0
    rest = agent.ask("GET", "since=3")[1]
    assert (rest["first"], rest["entries"]) == (3, whole["entries"][3:])
    assert agent.ask("GET", "since=3")[1] == agent.ask("GET", "since=0")[1] == rest  # those before are dropped
    agent.wait(0.2)
    later = agent.ask("GET", "since=3")[1]["entries"]
    assert later[: len(rest["entries"])] == rest["entries"]
    assert len(later) > len(rest["entries"])


@pytest.mark.parametrize("since", ["-1", "one", "1.5", "9" * 5000, "7"])
def test_a_wrong_place_in_the_diary_is_refused(node: New, since: str) -> None:
    agent = node()
    agent.ask("PUT", body=document())
    status, answer = agent.ask("GET", f"since={since}")
    assert (status, answer["error"][:6]) == (400, "since:")
    agent.wait(0.35)
    assert agent.ask("GET")[1]["first"] == 0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "expected a JSON document"),
        (b"[" * 100_000, 400, "expected a JSON document"),
        (b" " * (17 << 20), 413, "expected at most 16 MiB"),
        (b"{}", 400, "assignment: found [], expected the field run as well"),
        (document(duration=0), 400, "duration: found 0, expected more than 0 ns"),
        (document(sealed=True), 400, "this agent has no key, and the assignment wants sealed datagrams; set gossip.sealed: false"),
        (document(metrics=(CPU, STORAGE), samples=None), 400, "this agent does not measure storage; it has ['cpu', 'memory']"),
    ],
    ids=["no JSON", "deep", "large", "empty", "no time", "sealed", "not measured"],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(node: New, body: Any, status: int, words: str) -> None:
    agent = node()
    found, answer = agent.ask("PUT", body=body)
    assert found == status
    assert words in answer["error"]
    assert agent.stage.agent is agent.usual
    assert agent.happened == []
    assert agent.ask("PUT", body=document())[0] == 201


def test_an_agent_with_a_key_refuses_a_plain_experiment(node: New) -> None:
    agent = node(Seal(Keyring((Key.generate(),)), "test", bytes(8)))
    status, answer = agent.ask("PUT", body=document())
    assert status == 400
    assert answer["error"] == "this agent has a key, and the assignment wants plain datagrams; set gossip.sealed: true"
    assert agent.ask("PUT", body=document(sealed=True))[0] == 201
    agent.wait(1.5)
    assert {data[0] for data in agent.socket.sent} == {0xE1}  # the mark of a sealed datagram


def test_the_machine_is_measured_in_the_order_of_the_assignment(node: New) -> None:
    agent = node()
    agent.ask("PUT", body=document(metrics=(MEMORY, CPU), samples=None))
    agent.wait(1.5)
    sampled = [entry[1] for entry in agent.ask("GET")[1]["entries"] if entry[0] == "sampled"]
    assert sampled == [[8.0, 7.0]] * 10


def test_an_orchestrator_that_is_silent_loses_its_agent(node: New) -> None:
    agent = node()
    agent.ask("PUT", body=document(duration=100, patience=3))
    for _ in range(5):  # it asks in time
        agent.wait(2.9)
        assert agent.ask("GET")[0] == 200
    agent.wait(2.9)
    assert agent.happened == ["begun"]
    agent.wait(0.2)
    assert agent.happened == ["begun", "over"]
    assert agent.log[-2:] == ["the orchestrator is silent", "experiment ends"]
    assert agent.stage.agent is agent.usual
    assert agent.ask("GET")[0] == 409
    agent.ask("PUT", body=document(duration=100, patience=3))
    agent.ask("DELETE")
    agent.wait(10)
    assert agent.happened == ["begun", "over"] * 2  # who has ended it is not waited for


@pytest.mark.parametrize("asked", [True, False])
def test_an_agent_of_one_experiment_ends_after_it_or_if_none_comes(node: New, asked: bool) -> None:
    agent, stop = node(), asyncio.Event()
    settings: Any = SimpleNamespace(experiment="once")
    log: Any = SimpleNamespace(info=agent._say, warning=agent._say, report=agent._say)

    async def story() -> None:
        switch = run_module._experiment(settings, agent.stage, lambda now: (7.0, 8.0), None, stop, log)
        assert switch is not None
        if asked:
            switch.begin(document(patience=1000))
            await asyncio.sleep(run_module.UNASKED + 1)
            assert not stop.is_set()
            switch.end()
        else:
            await asyncio.sleep(run_module.UNASKED - 1)
            assert not stop.is_set()
            await asyncio.sleep(2)

    agent.run(story())
    assert stop.is_set()
