"""The verbs that ask an agent, against a real server; and what they say when nobody, or somebody else, answers."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.watch import Watch
from priomon_core.why import told
from priomon_node.cli import ask as cli_ask
from priomon_node.events import EventSource, Subscription
from priomon_node.http_api import create_app, serve

PATIENCE = 20.0
New = Callable[..., Any]
group = click.Group("test", {str(command.name): command for command in cli_ask.COMMANDS})


def run(*arguments: str) -> Result:
    return CliRunner(env={"PRIOMON_URL": None, "PRIOMON_HTTP_TOKEN_FILE": None}).invoke(group, arguments)


class BriefEvents(EventSource):
    """Tells every listener of two events and closes."""

    def subscribe(self) -> Subscription:
        subscription = super().subscribe()
        self.publish("joined", node="a", known=2)
        self.publish("left")
        asyncio.get_running_loop().call_later(0.01, self.close)
        return subscription


class Service:
    """An agent's interface in a thread; `left` tells whether it was asked to leave."""

    def __init__(self, agent: Any, token: str | None) -> None:
        self.left = threading.Event()
        self.url = ""
        self._bound = threading.Event()
        self._agent = agent
        self._token = token
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        await serve(
            create_app(SimpleNamespace(agent=self._agent), self._token, BriefEvents(), self.left.set),
            "127.0.0.1",
            0,
            self._stop,
            self._tell,
        )

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


@pytest.fixture
def agent(still_agent: New) -> Any:
    """An agent that knows one other node, whose name needs quoting in a URL."""
    agent = still_agent()
    agent.hear(Identity("a/b c", 2, Address("10.0.0.9", 7946)), 3, ((0, 100), (2, 10)))
    agent.now = 2 * SECOND
    return agent


@pytest.fixture
def service(agent: Any) -> Iterator[Service]:
    with Service(agent, None).running() as service:
        yield service


def test_members_as_a_table_and_as_json(service: Service) -> None:
    assert run("members", "--url", service.url).stdout.splitlines() == [
        "   name   address        generation  version  age    state  for",
        "   a/b c  10.0.0.9:7946  2           3        2.0 s  -      -",
        "*  me     10.0.0.1:7946  5           0        -      -      -",
    ]
    told = json.loads(run("members", "--url", service.url, "--json").stdout)
    assert [node["name"] for node in told] == ["a/b c", "me"]


@pytest.mark.parametrize("arguments", [["a/b c"], []])
def test_state_as_a_table_and_as_json(service: Service, arguments: list[str]) -> None:
    lines = run("state", *arguments, "--url", service.url).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["node", "metric", "value", "unit", "between", "age"],
        ["a/b", "c", "cpu", "50", "%", "45", "to", "55", "2.0", "s"],
        ["a/b", "c", "network", "2e+04", "B/s", "1e+04", "to", "4e+04", "2.0", "s"],
    ]
    told = json.loads(run("state", *arguments, "--url", f"{service.url}/", "--json").stdout)
    assert told[0]["metrics"]["cpu"]["high"] == 55


def test_members_and_why_tell_for_what_a_node_is_held(agent: Any) -> None:
    gossip, detection = GossipSettings(), DetectionSettings()
    agent.watch = Watch(agent.replica, Scuttlebutt(agent.replica, gossip), agent.replica, gossip, detection, Random(1))
    (key,) = (identity.key for identity in agent.replica.holdings.identities() if identity.name == "a/b c")
    agent.watch.condemn(key, SECOND, "it was seen to burn")
    with Service(agent, None).running() as service:
        assert run("members", "--url", service.url).stdout.splitlines() == [
            "   name   address        generation  version  age    state  for",
            "   a/b c  10.0.0.9:7946  2           3        2.0 s  dead   1.0 s",
            "*  me     10.0.0.1:7946  5           0        -      alive  -",
        ]
        lines = run("why", "a/b c", "--url", service.url).stdout.splitlines()
        assert lines[:2] == ["a/b c (generation 2, incarnation 0) is dead since 1.0 s", "why: it was seen to burn"]
        reasons = json.loads(run("why", "a/b c", "--url", service.url, "--json").stdout)
        assert lines == told(reasons)


def test_an_unknown_node_is_told(service: Service) -> None:
    result = run("state", "a/b", "--url", service.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {service.url}: no node 'a/b' is known here; did you mean 'a/b c'?\n"


def test_watch_prints_each_event_and_why_it_ended(service: Service) -> None:
    result = run("watch", "--url", service.url)
    assert result.stdout == "joined node=a known=2\nleft\n"
    assert result.exit_code == 1
    assert f"the agent at {service.url} ended the stream" in result.stderr
    lines = run("watch", "--url", service.url, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"event": "joined", "node": "a", "known": 2}, {"event": "left"}]


def test_status(service: Service) -> None:
    lines = dict(line.split("  ", 1) for line in run("status", "--url", service.url).stdout.splitlines())
    shown = {name: content.strip() for name, content in lines.items()}
    assert (shown["name"], shown["cluster"], shown["uptime seconds"], shown["dropped forged"]) == ("me", "test", "2", "1")
    assert shown["ready"] == "no: it has published no sample of its own yet"
    told = json.loads(run("status", "--url", service.url, "--json").stdout)
    assert told["counters"]["datagrams_sent"] == 3


def test_leave(service: Service) -> None:
    result = run("leave", "--url", service.url)
    assert (result.exit_code, result.stdout) == (0, f"the agent at {service.url} is leaving\n")
    assert service.left.is_set()
    assert json.loads(run("leave", "--url", service.url, "--json").stdout) == {"leaving": True}


def test_healthcheck(service: Service) -> None:
    assert run("healthcheck", "--url", service.url).stdout == "healthy\n"
    assert json.loads(run("healthcheck", "--url", service.url, "--json").stdout) == {"healthy": True}


def test_a_token_is_sent(agent: Any, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    with Service(agent, "s3cret").running() as service:
        assert run("members", "--url", service.url, "--token-file", str(path)).exit_code == 0
        assert run("healthcheck", "--url", service.url).exit_code == 0
        refused = run("members", "--url", service.url)
        assert refused.exit_code == 1
        assert "a token is needed" in refused.stderr and "--token-file" in refused.stderr
        path.write_text("other")
        assert "not the agent's token" in run("members", "--url", service.url, "--token-file", str(path)).stderr
    assert "cannot read the HTTP token" in run("members", "--token-file", str(tmp_path / "none")).stderr


@pytest.mark.parametrize("command", ["members", "state", "watch", "status", "leave", "healthcheck"])
def test_nobody_answers(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = run(command, "--url", f"http://127.0.0.1:{port}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: no agent answers at http://127.0.0.1:{port} (Connection refused); "
        "start one with `python -m priomon_node run`, or say where it is with --url\n"
    )


@contextmanager
def impostor(answer: bytes) -> Iterator[str]:
    """Something else that listens, and answers one request with `answer`, or with nothing until it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                if not answer:
                    connection.recv(1)

        thread = threading.Thread(target=answer_once)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "is no PrioMon agent; is --url right?"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "is no PrioMon agent; is --url right?"),
        (b"HTTP/1.1 404 No\r\n\r\n<html>", "answered 404, but not as a PrioMon agent does"),
        (b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "answered 302, but not as a PrioMon agent does"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is no PrioMon agent; is --url right?"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "is no PrioMon agent; is --url right?"),
    ],
)
def test_somebody_else_answers(answer: bytes, message: str) -> None:
    with impostor(answer) as url:
        result = run("status", "--url", url)
    assert result.exit_code == 1
    assert message in result.stderr


def test_an_agent_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_ask, "PATIENCE", 0.01)
    with impostor(b"") as url:
        result = run("status", "--url", url)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: the agent at {url} does not answer in time; is it stopped or overloaded?\n",
    )


@pytest.mark.parametrize("url", ["127.0.0.1:7947", "file:///etc/passwd", "http://", "ftp://host/"])
def test_what_is_no_url_is_a_usage_error(url: str) -> None:
    result = run("members", "--url", url)
    assert result.exit_code == 2
    assert f"--url {url}: expected something like http://127.0.0.1:7947" in result.stderr


def test_asking_loads_no_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, priomon_node.cli.ask; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert {"starlette", "uvicorn", "asyncio", "urllib.request", "priomon_core.holdings"}.isdisjoint(done.stdout.split())
