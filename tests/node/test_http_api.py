"""The HTTP interface: answers, refusals, events to clients that come, go and stall, and an end in good time."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette

from priomon_core.config import SECOND
from priomon_core.identity import Address, Identity
from priomon_node import http_api, view
from priomon_node.events import EventSource
from priomon_node.http_api import HttpError, create_app, serve

HOME = Address("10.0.0.1", 7946)
PATIENCE = 20.0  # seconds until a test that waits for something gives up
New = Callable[..., Any]
Answer = tuple[int, dict[str, str], Any]


def ask(app: Starlette, path: str, method: str = "GET", **headers: str) -> Answer:
    """Status, headers and body (JSON where it is) of one request, without a socket."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope(path, method, {"host": "localhost", **headers}), receive, send))
    start, *rest = sent
    answered = {name.decode(): content.decode() for name, content in start["headers"]}
    body = b"".join(message["body"] for message in rest).decode()
    return start["status"], answered, json.loads(body) if answered["content-type"] == "application/json" else body


def scope(path: str, method: str, headers: dict[str, str]) -> dict[str, Any]:
    raw = [(name.encode(), content.encode()) for name, content in headers.items()]
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw}


@pytest.fixture
def agent(still_agent: New) -> Any:
    """An agent that knows one other node."""
    agent = still_agent()
    agent.hear(Identity("a/b", 2, HOME), 3, ((0, 10),))
    agent.now = SECOND
    return agent


@pytest.fixture
def app(agent: Any) -> Starlette:
    return create_app(SimpleNamespace(agent=agent), None, EventSource(), lambda: None)


def as_json(found: Any) -> Any:
    return json.loads(json.dumps(found))


def test_what_the_agent_knows(agent: Any, app: Starlette) -> None:
    assert ask(app, "/v1/nodes")[2] == {"nodes": as_json(view.nodes(agent))}
    assert ask(app, "/v1/state")[2] == {"nodes": as_json(view.state(agent))}
    assert ask(app, "/v1/nodes/a/b")[2] == {"nodes": as_json(view.state(agent, "a/b"))}
    assert ask(app, "/v1/status")[2] == as_json(view.status(agent))
    assert ask(app, "/v1/telemetry")[2] == as_json(view.telemetry(agent))


def test_metrics_for_prometheus(app: Starlette) -> None:
    status, headers, page = ask(app, "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'priomon_node_cpu_percent{node="a/b"} 5.0\n' in page
    assert 'priomon_agent_dropped_total{cause="slow_listener"} 0\n' in page


def test_health_and_readiness_need_no_token(agent: Any) -> None:
    left: list[bool] = []
    app = create_app(SimpleNamespace(agent=agent), "s3cret", EventSource(), lambda: left.append(True))
    assert ask(app, "/healthz")[::2] == (200, {"healthy": True})
    assert ask(app, "/readyz")[::2] == (503, {"ready": False, "error": "not ready: it has published no sample of its own yet"})
    agent.replica.publish(((0, 1),), 0)
    assert ask(app, "/readyz", host="10.0.0.1")[::2] == (200, {"ready": True})
    assert ask(app, "/v1/leave", "POST")[0] == 401
    assert not left
    assert ask(app, "/v1/leave", "POST", authorization="Bearer s3cret")[::2] == (202, {"leaving": True})
    assert left == [True]
    assert ask(app, "/readyz")[::2] == (503, {"ready": False, "error": "not ready: it is leaving"})


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/nodes/me", "/v1/state", "/v1/status", "/v1/events", "/v1/telemetry", "/metrics", "/x"])
def test_everything_else_needs_the_token(agent: Any, path: str) -> None:
    app = create_app(SimpleNamespace(agent=agent), "s3cret", EventSource(), lambda: None)
    status, headers, body = ask(app, path)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert body == {"error": "a token is needed: send it as `Authorization: Bearer TOKEN`"}


def test_a_web_page_cannot_make_the_agent_leave(agent: Any) -> None:
    left: list[bool] = []
    app = create_app(SimpleNamespace(agent=agent), None, EventSource(), lambda: left.append(True))
    assert ask(app, "/v1/leave", "POST", origin="http://evil.example")[0] == 403
    assert ask(app, "/v1/state", host="evil.example")[0] == 403
    assert ask(app, "/v1/leave")[::2] == (405, {"error": "GET /v1/leave: use POST"})
    assert not left


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/nodes/a-b", "no node 'a-b' is known here; did you mean 'a/b'?"),
        ("/v1/nodes/xyz", "no node 'xyz' is known here; see /v1/nodes"),
        ("/v1/node", "there is no /v1/node; there are /healthz, /readyz, /v1/nodes,"),
        ("/v1/state/", "there is no /v1/state/; there are"),
    ],
)
def test_what_is_not_there(app: Starlette, path: str, error: str) -> None:
    status, _, body = ask(app, path)
    assert status == 404
    assert body["error"].startswith(error)


def test_a_fault_is_told_as_one(agent: Any) -> None:
    app = create_app(SimpleNamespace(agent=agent), None, EventSource(), lambda: None)
    answers: list[Any] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    del agent.counters
    with pytest.raises(AttributeError):  # for the server's log
        asyncio.run(app(scope("/v1/status", "GET", {"host": "localhost"}), receive, send))
    assert answers[0]["status"] == 500
    assert json.loads(answers[1]["body"]) == {"error": "a fault of the agent: AttributeError; its log has more"}


Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def with_server(app: Starlette, talk: Callable[[Address, asyncio.Event, asyncio.Future[None]], Awaitable[None]]) -> None:
    """Serve `app` on a free port while `talk(address, stop, serving)` runs."""

    async def run() -> None:
        stop = asyncio.Event()
        place: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(PATIENCE):
            serving = asyncio.ensure_future(serve(app, "127.0.0.1", 0, stop, place.set_result))
            await talk(await place, stop, serving)
            stop.set()
            await serving

    asyncio.run(run())


async def request(address: Address, path: str) -> tuple[Reader, Writer]:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return reader, writer


def test_a_stream_of_events_ends_with_the_server(agent: Any) -> None:
    events = EventSource()

    async def talk(address: Address, stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
        reader, writer = await request(address, "/v1/events")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head and b"content-type: text/event-stream" in head
        await reader.readuntil(b": connected\n\n")
        events.publish("joined", node="a")
        assert (await reader.readuntil(b"}\n\n")).endswith(b'id: 1\nevent: joined\ndata: {"node": "a"}\n\n')
        stop.set()
        await serving
        assert (await reader.read()).endswith(b"0\r\n\r\n")  # the end of a whole answer
        writer.close()

    with_server(create_app(SimpleNamespace(agent=agent), None, events, lambda: None), talk)


def test_a_client_that_goes_is_forgotten(agent: Any) -> None:
    class Told(EventSource):
        def __init__(self) -> None:
            super().__init__()
            self.gone = asyncio.Event()

        def unsubscribe(self, subscription: Any) -> None:
            super().unsubscribe(subscription)
            self.gone.set()

    events = Told()

    async def talk(address: Address, stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
        reader, writer = await request(address, "/v1/events")
        await reader.readuntil(b": connected\n\n")
        writer.close()
        await events.gone.wait()
        events.publish("joined")
        assert events.counters() == {"queued_events": 0, "dropped_slow_listener": 0}

    with_server(create_app(SimpleNamespace(agent=agent), None, events, lambda: None), talk)


def test_a_client_that_stalls_is_dropped(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "GRACE", 0.001)
    events = EventSource(limit=3)

    async def run() -> None:
        stalled = asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                stalled.set()
                await asyncio.Event().wait()

        async def receive() -> MutableMapping[str, Any]:
            await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        app = create_app(SimpleNamespace(agent=agent), None, events, lambda: None)
        streaming = asyncio.ensure_future(app(scope("/v1/events", "GET", {"host": "localhost"}), receive, send))
        async with asyncio.timeout(PATIENCE):
            await stalled.wait()
            for _ in range(4):
                events.publish("tick")
            await streaming

    asyncio.run(run())
    assert events.counters() == {"queued_events": 0, "dropped_slow_listener": 1}


def test_a_silent_stream_says_that_it_lives(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "HEARTBEAT", 0.001)

    async def talk(address: Address, stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
        reader, writer = await request(address, "/v1/events")
        await reader.readuntil(b": alive\n\n")
        await reader.readuntil(b": alive\n\n")
        writer.close()

    with_server(create_app(SimpleNamespace(agent=agent), None, EventSource(), lambda: None), talk)


def test_the_servers_signals_stay_the_agents(app: Starlette) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    async def talk(address: Address, stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
        reader, writer = await request(address, "/healthz")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert signal.getsignal(signal.SIGTERM) == before[signal.SIGTERM]
        writer.close()

    with_server(app, talk)


def test_a_port_in_use_is_named(app: Starlette) -> None:
    async def talk(address: Address, stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
        with pytest.raises(HttpError, match=f"cannot serve HTTP at 127.0.0.1:{address.port}: .*in use.*choose another address with --http"):
            await serve(app, *address, asyncio.Event())

    with_server(app, talk)


def test_an_address_that_is_not_here_is_named(app: Starlette) -> None:
    with pytest.raises(HttpError, match=r"cannot serve HTTP at 203.0.113.7:1: "):
        asyncio.run(serve(app, "203.0.113.7", 1, asyncio.Event()))
