"""Agents that run somewhere else: those who answer are found, those who do not are named."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from priomon_core.identity import Address
from priomon_node.orchestrator import recruit as module
from priomon_node.orchestrator.recruit import RecruitError, StoppedError, recruit
from priomon_node.orchestrator.remote import AgentError

TOKEN = "s3cret"
Serve = Callable[..., Address]


@contextmanager
def serving(status: dict[str, Any]) -> Iterator[Address]:
    """The part of an agent that is asked: GET /v1/status, for who has the token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == f"Bearer {TOKEN}" and self.path == "/v1/status"
            body = json.dumps(status if known else {"error": "this is not the agent's token"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Address("127.0.0.1", server.server_address[1])
        server.shutdown()
        thread.join()


@pytest.fixture
def agent() -> Iterator[Serve]:
    """Starts an agent of this name and gossip port; its HTTP address."""
    with ExitStack() as servers:
        yield lambda name, port: servers.enter_context(serving({"name": name, "address": f"10.0.0.1:{port}"}))


def nobody() -> Address:
    """An address at which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return Address(*bound.getsockname())


def test_all_who_are_needed_take_part_by_name(agent: Serve) -> None:
    said: list[str] = []
    places = [agent(name, port) for name, port in (("c", 3), ("a", 1), ("b", 2))]
    members = recruit(places, TOKEN, 3, said.append, Event(), 0)
    assert [member.gossip.port for member in members] == [1, 2, 3]
    assert [member.remote.address for member in members] == [places[1], places[2], places[0]]
    assert said == ["3 agents take part, a to c"]


def test_of_more_the_first_by_name_take_part(agent: Serve) -> None:
    said: list[str] = []
    places = [agent(name, port) for name, port in (("c", 3), ("a", 1), ("b", 2))]
    members = recruit(places, TOKEN, 2, said.append, Event(), 0)
    assert [member.gossip.port for member in members] == [1, 2]
    assert said == ["3 agents answer, and 2 are needed: the first by name take part, a to b"]


def test_an_agent_that_is_reached_two_ways_is_one(agent: Serve) -> None:
    places = [agent("a", 1), agent("a", 1)]
    with pytest.raises(RecruitError, match=r"^1 of 2 agents answered within 0 s, all that the given names lead to; .*set nodes=1"):
        recruit(places, TOKEN, 2, print, Event(), 0)


def test_who_does_not_come_is_named(agent: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def look_up(host: str, *rest: Any, **options: Any) -> Any:
        if host == "nowhere":
            raise socket.gaierror(-2, "Name or service not known")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    gone = nobody()
    with pytest.raises(RecruitError) as failure:
        recruit([agent("a", 1), gone, Address("nowhere", 7947)], TOKEN, 3, print, Event(), 0)
    told = str(failure.value)
    assert told.startswith("1 of 3 agents answered within 0 s; missing: ")
    assert f"127.0.0.1:{gone.port} ([Errno 111] Connection refused)" in told
    assert "nowhere:7947 (the name is not known (Name or service not known))" in told


def test_a_name_stands_for_all_its_addresses_and_is_looked_up_again(agent: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [agent("a", 1), agent("b", 2)]
    looks: list[list[Address]] = [[], places[:1], places]
    monkeypatch.setattr(module, "_look_up", lambda names: (looks.pop(0), {}))
    monkeypatch.setattr(module, "AGAIN", 0.001)
    members = recruit([Address("node", 7947)], TOKEN, 2, print, Event())
    assert [member.gossip.port for member in members] == [1, 2]
    assert looks == []


def test_an_agent_that_refuses_is_told_at_once(agent: Serve) -> None:
    place = agent("a", 1)
    with pytest.raises(AgentError, match=f"the agent at 127.0.0.1:{place.port}: this is not the agent's token"):
        recruit([place], "wrong", 1, print, Event())


@pytest.mark.parametrize("status", [{"name": "a"}, {"name": "a", "address": "nowhere"}, {"name": "a", "address": 7}])
def test_an_agent_of_another_version_is_told_at_once(status: dict[str, Any]) -> None:
    with (
        serving(status) as place,
        pytest.raises(RecruitError, match=f"{place.port} does not speak as this PrioMon does.*same version everywhere"),
    ):
        recruit([place], TOKEN, 1, print, Event())


def test_waiting_can_be_stopped() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError, match="stopped while waiting for agents, 0 of 2 were there; nothing was run"):
        recruit([nobody()], TOKEN, 2, print, stop)
