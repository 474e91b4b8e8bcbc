"""Reads by real agents: over UDP, over HTTP, and from the command line."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from random import Random
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.errors import QueryError
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.quorum_level import parse_level
from priomon_node.agent import Agent
from priomon_node.cli import ask as cli_ask
from priomon_node.events import EventSource
from priomon_node.http_api import create_app, serve
from priomon_node.peers import Peers

PERIOD = SECOND // 50
PATIENCE = 20.0  # seconds until a test that waits for something gives up
group = click.Group("test", {str(command.name): command for command in cli_ask.COMMANDS})


async def as_it_is(seed: Address) -> Sequence[Address]:
    """Resolves what is an address already."""
    return [seed]


@asynccontextmanager
async def cluster(size: int) -> AsyncIterator[list[Agent]]:
    """Agents n0, n1 and so on, who know each other; n1 measures 10 % cpu, n2 20 % and so on."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(size)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    homes = [Address(*one.getsockname()[:2]) for one in sockets]
    agents, transports = [], []
    for i, home in enumerate(homes):
        book = Peers([home], homes)
        await book.resolve(as_it_is)
        values = [10.0 * i, 40.0, 2e5, 70.0]
        identity = Identity(f"n{i}", 1, home)
        gossip, detection = GossipSettings(period=PERIOD), DetectionSettings(detector="none")
        agents.append(
            Agent(
                identity,
                BUILT_IN,
                gossip,
                detection,
                "test",
                book,
                lambda _, values=values: values,  # type: ignore[misc]
                SECOND,
                None,
                lambda *_, **__: None,
                Random(i),
                Random(size + i),
            )
        )
    try:
        for agent, one in zip(agents, sockets, strict=True):
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda agent=agent: agent, sock=one)  # type: ignore[misc]
            transports.append(transport)
        async with asyncio.timeout(PATIENCE):
            while any(agent.replica.roster[0] < size for agent in agents):
                await asyncio.sleep(0)
        yield agents
    finally:
        for transport in transports:
            transport.close()


def run(size: int, story: Callable[[list[Agent]], Awaitable[None]]) -> None:
    async def told() -> None:
        async with cluster(size) as agents:
            await story(agents)

    asyncio.run(told())


@pytest.mark.parametrize(("level", "others"), [("local", 0), ("from(2)", 2), ("agree(3)", 3), ("majority", 2), ("all", 4)])
def test_each_level_is_met_over_udp(level: str, others: int) -> None:
    async def story(agents: list[Agent]) -> None:
        async with asyncio.timeout(PATIENCE):
            outcome = await agents[0].read("n2", parse_level(level), 10 * SECOND)
        assert outcome.met and len(outcome.answers) >= others
        levels = dict(outcome.result.levels)
        assert BUILT_IN[0].value(levels[0]) == 20 and len(levels) == len(BUILT_IN)
        names = {agent.identity.key: agent.identity.name for agent in agents[1:]}
        assert {held.key for held in outcome.answers} <= set(names)

    run(5, story)


def test_reads_at_the_same_time_do_not_mix() -> None:
    async def story(agents: list[Agent]) -> None:
        async with asyncio.timeout(PATIENCE):
            ends = await asyncio.gather(*(agents[0].read(f"n{1 + i % 4}", parse_level("from(3)"), 10 * SECOND) for i in range(40)))
        assert [BUILT_IN[0].value(dict(end.result.levels)[0]) for end in ends] == [10.0 * (1 + i % 4) for i in range(40)]

    run(5, story)


def test_a_read_that_half_do_not_answer_is_partial_at_its_deadline() -> None:
    async def story(agents: list[Agent]) -> None:
        for agent in agents[2:]:
            agent.connection_lost(None)
        async with asyncio.timeout(PATIENCE):
            outcome = await agents[0].read("n1", parse_level("majority"), SECOND)
        assert not outcome.met and [held.key for held in outcome.answers] == [agents[1].identity.key]
        assert outcome.ended - outcome.began >= SECOND

    run(5, story)


def test_what_cannot_be_read_is_refused_and_the_end_of_the_agent_ends_reads() -> None:
    async def story(agents: list[Agent]) -> None:
        with pytest.raises(QueryError, match="no node 'nobody' is known here"):
            await agents[0].read("nobody", parse_level("local"), SECOND)
        with pytest.raises(QueryError, match="expected at most 2"):
            await agents[0].read("n1", parse_level("from(3)"), SECOND)
        reading = asyncio.ensure_future(agents[0].read("n1", parse_level("all"), 60 * SECOND))
        await asyncio.sleep(0)
        agents[0].connection_lost(None)
        with pytest.raises(QueryError, match="has ended"):
            await reading
        with pytest.raises(QueryError, match="does not take part"):
            await agents[0].read("n1", parse_level("local"), SECOND)

    run(3, story)


class Service:
    """A cluster of three agents in a thread, with the interface of n0."""

    def __init__(self) -> None:
        self.url = ""
        self._bound = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        async with cluster(3) as agents:
            agents[2].connection_lost(None)
            app = create_app(SimpleNamespace(agent=agents[0]), None, EventSource(), lambda: None)
            await serve(app, "127.0.0.1", 0, self._stop, self._tell)

    def _tell(self, address: Address) -> None:
        self.url = f"http://{address.host}:{address.port}"
        self._bound.set()

    @contextmanager
    def running(self) -> Iterator[Service]:
        self._thread.start()
        assert self._bound.wait(PATIENCE)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """n0 and n1 run; n2 is known and does not answer."""
    with Service().running() as service:
        yield service


def query(service: Service, *arguments: str) -> Result:
    return CliRunner(env={"PRIOMON_URL": None, "PRIOMON_HTTP_TOKEN_FILE": None}).invoke(group, ["query", *arguments, "--url", service.url])


def test_the_answer_as_json(service: Service) -> None:
    result = query(service, "n1", "--level", "from(1)", "--deadline", "20", "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (answer["name"], answer["level"], answer["met"], answer["partial"], answer["version"]) == ("n1", "from(1)", True, False, 1)
    assert answer["metrics"]["cpu"]["value"] == 10 and answer["metrics"]["cpu"]["low"] == 5
    assert [(one["name"], one["version"]) for one in answer["responders"]] == [("n1", 1)]
    assert 0 < answer["latency_seconds"] < 20 and answer["messages"] >= 2


def test_the_answer_as_a_table(service: Service) -> None:
    lines = query(service, "n1", "--deadline", "20").stdout.splitlines()
    assert lines[0].split() == ["metric", "value", "unit", "between", "age"]
    assert lines[1].split()[:6] == ["cpu", "10", "%", "5", "to", "15"]
    assert lines[5].startswith("version 1, from n0, after ")
    assert [line.split()[:2] for line in lines[6:]] == [["answered", "version"], ["n1", "1"]]


def test_a_partial_answer_is_shown_and_ends_with_1(service: Service) -> None:
    result = query(service, "n2", "--level", "all", "--deadline", "1")
    assert result.exit_code == 1
    assert "cpu" in result.stdout
    assert result.stderr == "Error: partial: 1 other nodes answered, which does not meet the level all\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("n11",), "no node 'n11' is known here; did you mean 'n1'?"),
        (("n1", "--level", "most"), "expected local, from(n), majority, all or agree(n)"),
        (("n1", "--level", "from(3)"), "level from(3): expected at most 2"),
    ],
)
def test_what_cannot_be_read_is_told(service: Service, arguments: tuple[str, ...], message: str) -> None:
    result = query(service, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


@pytest.mark.parametrize("deadline", ["0", "-1", "61", "nan", "soon"])
def test_a_deadline_beyond_all_measure_is_refused(service: Service, deadline: str) -> None:
    with pytest.raises(cli_ask.AskError, match="deadline: expected more than 0 and up to 60 seconds"):
        cli_ask.Agent(service.url, None).ask(f"/v1/query/n1?deadline={deadline}", "query")
