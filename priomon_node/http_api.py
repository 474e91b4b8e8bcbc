"""The HTTP interface of an agent, in the agent's own event loop.

    GET  /healthz              the process answers (no token needed)
    GET  /readyz               it does its work: 200, or 503 with the reason (no token needed)
    GET  /v1/nodes             who is known
    GET  /v1/nodes/{name}      one name's values, ages and error bounds
    GET  /v1/state             everybody's
    GET  /v1/why/{name}        why a node is held for what it is
    GET  /v1/query/{name}      a node's state, read through others: ?level=majority&deadline=2
    GET  /v1/status            the agent itself
    GET  /v1/events            what happens, as server-sent events
    GET  /v1/telemetry         versions and counters, exact, for whoever measures the cluster
    PUT  /v1/experiment        become the subject of an experiment (only with the setting `experiment`)
    GET  /v1/experiment        its diary, ?since=N from entry N on
    DELETE /v1/experiment      end it
    GET  /metrics              for Prometheus
    POST /v1/leave             leave the cluster and end

Answers are JSON; an error is {"error": what was wrong}. `access` says who may ask.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from difflib import get_close_matches
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from priomon_core.config import SECOND
from priomon_core.errors import PriomonError, QueryError, SettingError
from priomon_core.identity import Address
from priomon_core.quorum_level import parse_level
from priomon_core.why import told
from priomon_node import prometheus, view
from priomon_node.access import refusal
from priomon_node.events import Event, EventSource, Subscription
from priomon_node.experiment.switch import ConflictError, Experiment

OPEN_PATHS = {"/healthz", "/readyz"}  # who looks after containers has no token, and learns nothing here
HEARTBEAT = 15.0  # seconds of silence after which a stream says that it lives
GRACE = 2  # seconds that requests under way have when the agent ends
MOST_CONNECTIONS = 64
LONGEST_READ = 60.0  # seconds
LARGEST_BODY = 16 << 20  # bytes; an hour of samples and more


class HttpError(PriomonError):
    """The interface cannot be served at the address it was given."""


class Stage(Protocol):
    """Who is spoken of: the agent may change."""

    @property
    def agent(self) -> view.Observed: ...


class EventStream(Response):
    """Server-sent events of a subscription, until the client goes or the subscription ends."""

    media_type = "text/event-stream"

    def __init__(self, events: EventSource) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        subscription = self._events.subscribe()

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        # A client that does not read blocks the sending for ever, so its end must not depend on the sending.
        sending = asyncio.ensure_future(self._send(subscription, send))
        tasks = {sending, asyncio.ensure_future(gone()), asyncio.ensure_future(subscription.ended.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._events.unsubscribe(subscription)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await send({"type": "http.response.body", "body": b""})

    async def _send(self, subscription: Subscription, send: Send) -> None:
        text = ": connected\n\n"
        while True:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            try:
                async with asyncio.timeout(HEARTBEAT):
                    text = _as_text(await subscription.next())
            except TimeoutError:
                text = ": alive\n\n"


def _as_text(event: Event) -> str:
    number, kind, fields = event
    return f"id: {number}\nevent: {kind}\ndata: {fields}\n\n"


class Guard:
    """Refuses requests before they reach a route."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            headers = Headers(scope=scope)
            refused = refusal(self._token, headers.get("authorization"), headers.get("host"), headers.get("origin"))
            if refused is not None:
                status, reason = refused
                challenge = {"www-authenticate": "Bearer"} if status == 401 else None
                await JSONResponse({"error": reason}, status, challenge)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Api:
    """The answers; one method per path."""

    def __init__(self, stage: Stage, events: EventSource, leave: Callable[[], None], experiment: Experiment | None) -> None:
        self._stage = stage
        self._events = events
        self._leave = leave
        self._leaving = False
        self._experiment = experiment
        prometheus.families(stage.agent.metrics)

    @property
    def _agent(self) -> view.Observed:
        return self._stage.agent

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"healthy": True})

    async def readyz(self, request: Request) -> Response:
        reason = "it is leaving" if self._leaving else view.unready(self._agent)
        return JSONResponse({"ready": True}) if reason is None else JSONResponse({"ready": False, "error": f"not ready: {reason}"}, 503)

    async def nodes(self, request: Request) -> Response:
        return JSONResponse({"nodes": view.nodes(self._agent)})

    async def node(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = view.state(self._agent, name)
        if not found:
            raise self._unknown(name)
        return JSONResponse({"nodes": found})

    async def why(self, request: Request) -> Response:
        reasons = view.why(self._agent, name := request.path_params["name"])
        if reasons is None:
            raise HTTPException(409, "this agent judges nobody, as its setting `detector` says")
        if reasons["state"] == "unknown":
            raise self._unknown(name)
        return JSONResponse({"why": reasons, "told": told(reasons)})

    async def query(self, request: Request) -> Response:
        name, asked = request.path_params["name"], request.query_params
        if name not in [node["name"] for node in view.nodes(self._agent)]:
            raise self._unknown(name)
        within = _seconds(asked.get("deadline", "2"))
        try:
            outcome = await self._agent.read(name, parse_level(asked.get("level", "majority")), round(within * SECOND))
        except QueryError as error:
            raise HTTPException(409, str(error)) from None
        return JSONResponse({"query": view.answer(self._agent, name, outcome)})

    def _unknown(self, name: str) -> HTTPException:
        near = get_close_matches(name, [node["name"] for node in view.nodes(self._agent)], 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; see /v1/nodes"
        return HTTPException(404, f"no node {name!r} is known here{hint}")

    async def state(self, request: Request) -> Response:
        return JSONResponse({"nodes": view.state(self._agent)})

    async def status(self, request: Request) -> Response:
        return JSONResponse(view.status(self._agent))

    async def telemetry(self, request: Request) -> Response:
        return JSONResponse(view.telemetry(self._agent))

    async def events(self, request: Request) -> Response:
        return EventStream(self._events)

    async def metrics(self, request: Request) -> Response:
        counters = {**self._agent.counters, **self._events.counters()}
        families = prometheus.families(self._agent.metrics)
        return PlainTextResponse(prometheus.exposition(self._agent, families, counters), headers={"content-type": prometheus.CONTENT_TYPE})

    async def begin_experiment(self, request: Request) -> Response:
        return JSONResponse(self._switch.begin(await _document(request)), 201)

    async def read_experiment(self, request: Request) -> Response:
        since = request.query_params.get("since", "0")
        if not (since.isdecimal() and len(since) < 20):
            raise HTTPException(400, f"since: expected the number of an entry, found {since!r}")
        return JSONResponse(self._switch.read(int(since)))

    async def end_experiment(self, request: Request) -> Response:
        return JSONResponse(self._switch.end())

    @property
    def _switch(self) -> Experiment:
        if self._experiment is None:
            raise HTTPException(403, "this agent takes no part in experiments; the setting `experiment` would let it")
        return self._experiment

    async def leave(self, request: Request) -> Response:
        self._leaving = True
        self._leave()
        return JSONResponse({"leaving": True}, 202)


def _seconds(text: str) -> float:
    """A deadline as it stands in a request."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_READ:
        raise HTTPException(400, f"deadline: expected more than 0 and up to {LONGEST_READ:g} seconds, found {text!r}")
    return seconds


async def _document(request: Request) -> object:
    """The JSON body of a request, if it is not too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"expected at most {LARGEST_BODY >> 20} MiB")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "expected a JSON document") from None


def create_app(
    stage: Stage, token: str | None, events: EventSource, leave: Callable[[], None], experiment: Experiment | None = None
) -> Starlette:
    """The application for the agent on `stage`. `leave` begins the end of the agent and returns at once.

    Raises `SettingError` when two metrics would have one name at /metrics.
    """
    api = Api(stage, events, leave, experiment)
    routes = [
        Route("/healthz", api.healthz),
        Route("/readyz", api.readyz),
        Route("/v1/nodes", api.nodes),
        Route("/v1/nodes/{name:path}", api.node),
        Route("/v1/state", api.state),
        Route("/v1/why/{name:path}", api.why),
        Route("/v1/query/{name:path}", api.query),
        Route("/v1/status", api.status),
        Route("/v1/telemetry", api.telemetry),
        Route("/v1/events", api.events),
        Route("/v1/experiment", api.begin_experiment, methods=["PUT"]),
        Route("/v1/experiment", api.read_experiment, methods=["GET"]),
        Route("/v1/experiment", api.end_experiment, methods=["DELETE"]),
        Route("/v1/leave", api.leave, methods=["POST"]),
        Route("/metrics", api.metrics),
    ]
    paths = ", ".join(dict.fromkeys(route.path for route in routes))

    async def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404 and error.detail == "Not Found":
            return JSONResponse({"error": f"there is no {request.url.path}; there are {paths}"}, 404)
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            return JSONResponse({"error": f"{request.method} {request.url.path}: use {allowed}"}, 405, error.headers)
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    async def conflict(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 409)

    async def refuse(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    async def apologise(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": f"a fault of the agent: {type(error).__name__}; its log has more"}, 500)

    handlers: Any = {HTTPException: explain, ConflictError: conflict, SettingError: refuse, 500: apologise}
    app = Starlette(routes=routes, middleware=[Middleware(Guard, token=token)], exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.events = events
    return app


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own, which would take the agent's place, and without looking ten times a second whether to
    stop."""

    def __init__(self, app: Starlette, stop: asyncio.Event) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._stop = stop
        self._events: EventSource = app.state.events

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def main_loop(self) -> None:
        await self._stop.wait()
        self._events.close()  # or the shutdown would wait for clients that listen for ever


async def serve(app: Starlette, host: str, port: int, stop: asyncio.Event, bound: Callable[[Address], None] = lambda _: None) -> None:
    """Serve until `stop` is set, then end within a few seconds. Port 0 takes a free one; `bound` is told which.

    Raises `HttpError` when the address cannot be had.
    """
    with listen(host, port) as listener:
        bound(Address(*listener.getsockname()[:2]))
        await _Server(app, stop).serve([listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises `HttpError`."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except OSError as error:
        where = view.endpoint(Address(host, port))
        raise HttpError(f"cannot serve HTTP at {where}: {error.strerror or error}; choose another address with --http, or off") from error
