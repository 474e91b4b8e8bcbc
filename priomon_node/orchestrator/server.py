"""The orchestrator's pages and API: start a run, watch it, read what runs came to.

    GET  /                     the run that goes on, live (a page)
    GET  /start                the form; POST /start begins a run: scenario, seed, set (PATH=VALUE, one a line), as a form or as JSON
    POST /stop                 end the run
    GET  /runs                 what runs have left: pages; /runs/{name} one folder, /runs/{name}/{path} its report and pictures
    GET  /api/state            the run as JSON: phase, progress, nodes, curves, log
    GET  /api/events           what changes of it, at most once a second, as server-sent events named `state`
    GET  /healthz              the process answers (no token needed)

Browsers get pages, programs JSON; an error is {"error": what was wrong}. `page_access` says who may ask.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from priomon_core.errors import SettingError
from priomon_node.events import EventSource
from priomon_node.experiment.switch import ConflictError
from priomon_node.http_api import EventStream
from priomon_node.orchestrator.archive import AbsentError, Archive
from priomon_node.orchestrator.page_access import Gate, let_in
from priomon_node.orchestrator.pages import explain, page, wants_page
from priomon_node.orchestrator.runs import Runs
from priomon_node.orchestrator.scenarios import UnknownScenarioError, choices, locate
from priomon_results.files import OutputError
from priomon_sim.scenario.problems import ScenarioError

EVERY = 1.0  # seconds between two looks at the run for those who listen
LARGEST_FORM = 64 << 10  # bytes
STATIC = Path(__file__).parent / "page" / "static"
RESULT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"  # a report is one file
STATUS: dict[type[Exception], int] = {
    ConflictError: 409,
    AbsentError: 404,
    UnknownScenarioError: 404,
    ScenarioError: 400,
    SettingError: 400,
    OutputError: 503,
}


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants to be run."""

    scenario: str
    overrides: list[tuple[str, str]]

    @staticmethod
    def read(given: Any) -> Order:
        """From {scenario, seed, set}, of a form or of JSON; `set`: a list of PATH=VALUE, or text with one a line. Raises `SettingError`."""
        if not isinstance(given, dict) or not isinstance(given.get("scenario"), str):
            raise SettingError("scenario: name the scenario to run, such as live10; GET /start lists them")
        if unknown := given.keys() - {"scenario", "seed", "set"}:
            raise SettingError(f"{min(unknown)}: there is no such field; expected scenario, seed, set")
        lines = given.get("set", "")
        if isinstance(lines, str):
            lines = lines.splitlines()
        if not isinstance(lines, list):
            raise SettingError("set: expected a list of PATH=VALUE")
        settings = [str(line).strip().partition("=") for line in lines if str(line).strip()]
        for path, equals, text in settings:
            if not (path and equals):
                raise SettingError(f"set: expected PATH=VALUE, such as network.loss=20%, found {path + equals + text!r}")
        overrides = [(path.strip(), text.strip()) for path, _, text in settings]
        seed = str(given.get("seed", "")).strip()
        return Order(given["scenario"], [*overrides, ("seed", seed)] if seed else overrides)


class Site:
    """The answers; one method per path."""

    def __init__(self, runs: Runs, scenarios: Path, results: Path, events: EventSource, token: str | None) -> None:
        self._runs = runs
        self._scenarios = scenarios
        self._archive = Archive(results)
        self._events = events
        self._token = token

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"healthy": True})

    async def live(self, request: Request) -> Response:
        return page("live")

    async def state(self, request: Request) -> Response:
        return JSONResponse(self._runs.progress.document())

    async def events(self, request: Request) -> Response:
        return EventStream(self._events)

    def start_form(self, request: Request) -> Response:
        found = choices(self._scenarios)
        if not wants_page(request):
            names = ("name", "description", "nodes", "seconds", "seed", "problem")
            return JSONResponse({"scenarios": [{name: getattr(choice, name) for name in names} for choice in found]})
        return page("start", choices=found, folder=self._scenarios, progress=self._runs.progress)

    async def start(self, request: Request) -> Response:
        order = Order.read(await _fields(request))
        begun = await run_in_threadpool(lambda: self._runs.start(locate(self._scenarios, order.scenario), order.overrides))
        return RedirectResponse("/", 303) if wants_page(request) else JSONResponse(begun.document(), 202)

    async def stop(self, request: Request) -> Response:
        self._runs.stop()
        return RedirectResponse("/", 303) if wants_page(request) else JSONResponse({"stopping": True}, 202)

    def runs(self, request: Request) -> Response:
        shelves = self._archive.shelves()
        if not wants_page(request):
            return JSONResponse({"results": [{"name": shelf.name, "runs": len(shelf.runs), "problem": shelf.problem} for shelf in shelves]})
        return page("runs", shelves=shelves)

    def shelf(self, request: Request) -> Response:
        shelf = self._archive.shelf(request.path_params["name"])
        comparison = self._archive.comparison(shelf)
        pictures = sorted(file for file in shelf.files if file.startswith("compare/") and file.endswith(".svg"))
        return page("shelf", shelf=shelf, comparison=comparison, pictures=pictures)

    def result(self, request: Request) -> Response:
        path, media_type = self._archive.file(request.path_params["name"], request.path_params["path"])
        return FileResponse(path, media_type=media_type, headers={"content-security-policy": RESULT_POLICY})

    async def login_form(self, request: Request) -> Response:
        return page("login", problem=None)

    async def login(self, request: Request) -> Response:
        given = (await _fields(request)).get("token", "").strip()
        if self._token is None or not compare_digest(given.encode(), self._token.encode()):
            return page("login", 401, problem="This is not the token.")
        answer = RedirectResponse("/", 303)
        let_in(answer, self._token)
        return answer


async def _fields(request: Request) -> dict[str, Any]:
    """The fields of a form, or a JSON object. Raises `SettingError`."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, f"expected at most {LARGEST_FORM >> 10} KiB")
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            given = json.loads(body)
            return given if isinstance(given, dict) else {}
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except (ValueError, RecursionError):
        raise SettingError("the body is neither a form nor a JSON object") from None


async def tell(runs: Runs, events: EventSource, every: float = EVERY) -> None:
    """Tell listeners of the run, when something has changed. So listeners cost the run nothing, however many or slow they are."""
    told = runs.progress
    while True:
        await asyncio.sleep(every)
        if runs.progress is not told:
            told = runs.progress
            events.publish("state", **told.news())


def create_app(runs: Runs, scenarios: Path, results: Path, events: EventSource, token: str | None) -> Starlette:
    """The application. Without a `token`, only who speaks to a loopback name may use it."""
    site = Site(runs, scenarios, results, events, token)
    routes = [
        Route("/", site.live),
        Route("/start", site.start_form),
        Route("/start", site.start, methods=["POST"]),
        Route("/stop", site.stop, methods=["POST"]),
        Route("/runs", site.runs),
        Route("/runs/{name}", site.shelf),
        Route("/runs/{name}/{path:path}", site.result),
        Route("/login", site.login_form),
        Route("/login", site.login, methods=["POST"]),
        Route("/api/state", site.state),
        Route("/api/events", site.events),
        Route("/healthz", site.healthz),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]

    async def refuse(request: Request, error: Exception) -> Response:
        return explain(request, STATUS[type(error)], str(error))

    async def unanswered(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = f"there is no {request.url.path} here" if error.detail == "Not Found" else str(error.detail)
        return explain(request, error.status_code, reason)

    async def apologise(request: Request, error: Exception) -> Response:
        return explain(request, 500, f"a fault of the orchestrator: {type(error).__name__}; its log has more")

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = dict.fromkeys(STATUS, refuse)
    handlers |= {HTTPException: unanswered, 500: apologise}
    app = Starlette(routes=routes, middleware=[Middleware(Gate, token=token, explain=explain)], exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.events = events
    return app
