"""The orchestrator's pages and API: answers for people and for programs, refusals, and events for any number of readers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from priomon_core.identity import Address
from priomon_node.events import EventSource
from priomon_node.http_api import serve
from priomon_node.orchestrator.live import Glance, Member, Picture
from priomon_node.orchestrator.page_access import COOKIE, cookie
from priomon_node.orchestrator.recruit import StoppedError
from priomon_node.orchestrator.runs import Runs, Say
from priomon_node.orchestrator.server import create_app, tell
from priomon_sim.scenario.document import Scenario

TOKEN = "s3cret"
BROWSER = {"accept": "text/html,application/xhtml+xml"}
PATIENCE = 20.0  # seconds until a test that waits for something gives up
SCENARIO = "nodes: 3\nduration: 2 s\ndescription: Three <nodes>.\nworkload: none\n"


@contextmanager
def never(scenario: Scenario, say: Say, stop: Event) -> Iterator[Sequence[Member]]:
    """Agents that do not come, until somebody stops to wait for them."""
    stop.wait()
    raise StoppedError("stopped while waiting for agents")
    yield []


class Site:
    """An application over folders of its own, and one request to it without a socket."""

    def __init__(self, folder: Path, token: str | None = None) -> None:
        self.scenarios, self.results = folder / "scenarios", folder / "results"
        self.scenarios.mkdir()
        (self.scenarios / "three.yaml").write_text(SCENARIO)
        (self.scenarios / "broken.yaml").write_text("nodes: 3\nduratoin: 2 s\n")
        (self.scenarios / "old.yaml").write_text(SCENARIO + "gossip: {strategy: demon}\n")
        self.runs = Runs(self.results, never)
        self.events = EventSource()
        self.app = create_app(self.runs, self.scenarios, self.results, self.events, token)

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], str]:
        sent: list[MutableMapping[str, Any]] = []
        raw = [(name.replace("_", "-").encode(), content.encode()) for name, content in {"host": "localhost:4000", **headers}.items()]
        scope = {"type": "http", "method": method, "path": path, "root_path": "", "query_string": b"", "headers": raw}

        asked = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            return asked.pop() if asked else await asyncio.get_running_loop().create_future()  # it stays connected

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        start, *rest = sent
        answered = {name.decode(): content.decode() for name, content in start["headers"]}
        return start["status"], answered, b"".join(message["body"] for message in rest).decode()

    def error(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, str]:
        status, _, text = self.ask(path, method, body, **headers)
        return status, json.loads(text)["error"]

    def start(self, **fields: str) -> tuple[int, dict[str, str], str]:
        return self.ask("/start", "POST", urlencode(fields).encode())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.runs.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, TOKEN)
    yield made
    made.runs.close()


def test_pages_for_people(site: Site) -> None:
    for path, told in [("/", "Nothing has run yet"), ("/start", "Three &lt;nodes&gt;."), ("/runs", "No run has left results yet")]:
        status, headers, text = site.ask(path, **BROWSER)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert told in text


def test_the_form_offers_what_agents_can_run_and_says_why_not(site: Site) -> None:
    text = site.ask("/start", **BROWSER)[2]
    assert 'value="three"' in text
    assert 'value="old"' not in text and 'value="broken"' not in text
    assert "which agents do not speak; expected scuttlebutt, rumor or tree" in text
    assert "broken.yaml:2:1: duratoin: " in text
    listed = {choice["name"]: choice for choice in json.loads(site.ask("/start")[2])["scenarios"]}
    assert (listed["three"]["nodes"], listed["three"]["problem"]) == (3, None)
    assert set(listed) == {"three", "old", "broken"}


def test_a_form_starts_a_run_and_leads_to_it(site: Site) -> None:
    body = urlencode({"scenario": "three", "seed": "7", "set": "nodes=5\r\n\r\n duration = 4 s "}).encode()
    status, headers, _ = site.ask("/start", "POST", body, origin="http://localhost:4000", sec_fetch_site="same-origin", **BROWSER)
    assert (status, headers["location"]) == (303, "/")
    progress = site.runs.progress
    assert (progress.scenario, progress.seed, progress.nodes, progress.duration) == ("three", 7, 5, 4.0)


def test_a_program_starts_a_run_and_stops_it(site: Site) -> None:
    body = json.dumps({"scenario": "three", "seed": 3, "set": ["nodes=4"]}).encode()
    status, _, text = site.ask("/start", "POST", body, content_type="application/json")
    begun = json.loads(text)
    assert (status, begun["phase"], begun["seed"], begun["node_count"]) == (202, "gathering", 3, 4)
    assert json.loads(site.ask("/api/state")[2])["running"]
    assert site.ask("/stop", "POST")[0] == 202
    site.runs.close()
    assert json.loads(site.ask("/api/state")[2])["phase"] == "interrupted"
    assert site.error("/stop", "POST") == (409, "nothing is running")


def test_start_pressed_twice(site: Site) -> None:
    assert site.start(scenario="three")[0] == 202
    status, _, text = site.start(scenario="three")
    assert (status, json.loads(text)["error"]) == (409, "three is running already; stop it first, or wait until it has ended")
    status, _, page = site.ask("/start", "POST", b"scenario=three", **BROWSER)
    assert status == 409 and "Not now" in page and "three is running already" in page
    assert site.runs.progress.number == 1


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 400, "scenario: name the scenario to run"),
        ({"scenario": "thre"}, 404, "there is no scenario 'thre' in "),
        ({"scenario": "thre"}, 404, "did you mean 'three'?"),
        ({"scenario": "../secret"}, 404, "there is no scenario '../secret'"),
        ({"scenario": "broken"}, 400, "broken.yaml:2:1: duratoin: "),
        ({"scenario": "old"}, 400, "which agents do not speak; expected scuttlebutt, rumor or tree"),
        ({"scenario": "three", "set": "nodes"}, 400, "set: expected PATH=VALUE, such as network.loss=20%, found 'nodes'"),
        ({"scenario": "three", "set": "nodes=none"}, 400, "--set nodes"),
        ({"scenario": "three", "seed": "-1"}, 400, "--set seed"),
        ({"scenario": "three", "sed": "1"}, 400, "sed: there is no such field; expected scenario, seed, set"),
    ],
)
def test_orders_that_cannot_be_carried_out(site: Site, fields: dict[str, str], status: int, told: str) -> None:
    answered, _, text = site.start(**fields)
    assert answered == status
    assert told in json.loads(text)["error"]
    assert site.runs.progress.number == 0


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"[]", b'{"scenario": 3}', b'{"scenario": "three", "set": 3}', b"\xff"])
def test_a_body_that_is_no_order(site: Site, body: bytes) -> None:
    status, _ = site.error("/start", "POST", body, content_type="application/json")
    assert status in (400, 413)
    assert site.runs.progress.number == 0


def test_a_body_that_is_too_large(site: Site) -> None:
    assert site.error("/start", "POST", b"x" * 70_000) == (413, "expected at most 64 KiB")


def test_results_that_cannot_be_kept(site: Site) -> None:
    site.results.write_text("a file where the folder should be")
    status, _, text = site.start(scenario="three")
    assert status == 503
    assert "results cannot be written here" in json.loads(text)["error"]


def test_what_is_not_there(site: Site) -> None:
    assert site.error("/nothing") == (404, "there is no /nothing here")
    assert site.error("/start", "DELETE") == (405, "Method Not Allowed")
    assert site.error("/runs/four") == (404, "there are no results called 'four'; see /runs")
    status, _, page = site.ask("/runs/four", **BROWSER)
    assert status == 404 and "Nothing here" in page


@pytest.mark.parametrize(
    "path", ["/runs/../../secret.html", "/runs/three/../../secret.html", "/runs//etc/hostname", "/static/../live.html"]
)
def test_paths_that_lead_out(site: Site, path: str) -> None:
    (site.results / "three").mkdir(parents=True)
    (site.results.parent / "secret.html").write_text("secret")
    status, _, text = site.ask(path)
    assert status == 404
    assert "secret<" not in text and text != "secret"


def test_a_report_is_served_and_may_run_no_script(site: Site) -> None:
    (site.results / "three").mkdir(parents=True)
    (site.results / "three" / "report.html").write_text("<p>report</p>")
    status, headers, text = site.ask("/runs/three/report.html")
    assert (status, text, headers["content-type"]) == (200, "<p>report</p>", "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_every_answer_makes_browsers_careful(site: Site) -> None:
    for path in ("/", "/nothing", "/healthz", "/static/page.js"):
        _, headers, _ = site.ask(path)
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"origin": "http://evil.example"}),
        ("POST", {"origin": "null"}),
        ("POST", {"origin": "http://localhost:8000"}),
        ("POST", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}),
        ("GET", {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}),
        ("GET", {"origin": "http://evil.example"}),
    ],
)
def test_pages_of_other_sites_are_refused(site: Site, guarded_headers: dict[str, str], method: str, headers: dict[str, str]) -> None:
    status, told = site.error("/start", method, b"scenario=three", **headers, **guarded_headers)
    assert (status, told) == (403, "a page of another site made this request; use the orchestrator's own pages")
    assert site.runs.progress.number == 0


@pytest.fixture(params=[{}, {"cookie": f"{COOKIE}={cookie(TOKEN)}"}], ids=["without a cookie", "with a cookie"])
def guarded_headers(request: pytest.FixtureRequest) -> dict[str, str]:
    found: dict[str, str] = request.param
    return found


def test_a_link_from_another_site_may_be_followed(site: Site) -> None:
    assert site.ask("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate", **BROWSER)[0] == 200


def test_a_name_that_somebody_else_pointed_here_is_refused(site: Site) -> None:
    status, told = site.error("/api/state", host="evil.example:4000")
    assert status == 403 and "'evil.example:4000' is no loopback address" in told


@pytest.mark.parametrize("path", ["/", "/start", "/runs", "/runs/three/report.html", "/api/state", "/api/events", "/nothing"])
def test_without_the_token_nothing_is_told(guarded: Site, path: str) -> None:
    status, headers, text = guarded.ask(path)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(text)["error"].startswith("a token is needed")
    assert guarded.ask(path, authorization="Bearer wrong")[0] == 401
    assert guarded.ask(path, cookie=f"{COOKIE}={TOKEN}")[0] == 401  # the cookie is not the token itself
    status, _, page = guarded.ask(path, **BROWSER)
    assert status == 401 and "A token is needed" in page


def test_without_the_token_nothing_starts(guarded: Site) -> None:
    assert guarded.start(scenario="three")[0] == 401
    assert guarded.ask("/stop", "POST")[0] == 401
    assert guarded.runs.progress.number == 0


def test_a_program_sends_the_token(guarded: Site) -> None:
    assert guarded.ask("/api/state", host="10.0.0.1:4000", authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_person_types_the_token_once(guarded: Site) -> None:
    status, headers, page = guarded.ask("/login", "POST", b"token=wrong", **BROWSER)
    assert status == 401 and "This is not the token." in page and "set-cookie" not in headers
    status, headers, _ = guarded.ask("/login", "POST", f"token={TOKEN}".encode(), origin="http://localhost:4000", **BROWSER)
    assert (status, headers["location"]) == (303, "/")
    given, *marks = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(marks)
    assert TOKEN not in given
    assert guarded.ask("/", cookie=given, **BROWSER)[0] == 200
    assert guarded.ask("/start", "POST", b"scenario=three", cookie=given, **BROWSER)[0] == 303


def test_whoever_looks_after_the_process_needs_no_token(guarded: Site) -> None:
    assert json.loads(guarded.ask("/healthz", host="10.0.0.1")[2]) == {"healthy": True}
    assert guarded.ask("/static/style.css")[0] == 200


def test_a_fault_is_told_as_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.runs, "stop", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # for the server's log
        site.ask("/stop", "POST")


def served(app: Starlette, talk: Callable[[Address, asyncio.Event, asyncio.Future[None]], Any]) -> None:
    """Serve `app` on a free port while `talk(address, stop, serving)` runs, and see that the end comes in good time."""

    async def run() -> None:
        stop = asyncio.Event()
        place: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(PATIENCE):
            serving = asyncio.ensure_future(serve(app, "127.0.0.1", 0, stop, place.set_result))
            await talk(await place, stop, serving)
            stop.set()
            await serving

    asyncio.run(run())


def test_fifty_readers_hear_of_a_change_once(site: Site) -> None:
    async def talk(address: Address, stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
        streams = [await asyncio.open_connection(*address) for _ in range(50)]
        for reader, writer in streams:
            writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b": connected\n\n")
        telling = asyncio.ensure_future(tell(site.runs, site.events, 0.01))
        await asyncio.sleep(0)  # it has looked at the run before it changes
        picture = Picture(["node0"], [Address("10.0.0.1", 7947)], [(0.0, 0.0)], [])
        glance = Glance(10**9, 1.0, [True], [1], [500], [0.0])
        site.runs.progress = site.runs.progress.enter("live", "the agents begin")
        site.runs.progress = type(site.runs.progress)(number=1, phase="live", picture=picture).see(glance)
        for reader, _ in streams:
            text = await reader.readuntil(b"}\n\n")
            assert b"id: 1\nevent: state\n" in text
            news = json.loads(text.partition(b"data: ")[2])
            assert (news["coverage"], news["nodes"][0]["bytes_per_second"]) == (1.0, 500.0)
        telling.cancel()
        for _, writer in streams:
            writer.close()

    served(site.app, talk)


def test_readers_that_never_read_hold_up_neither_the_end_nor_the_run(site: Site) -> None:
    async def talk(address: Address, stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
        _, writer = await asyncio.open_connection(*address, limit=1)  # what is not read is soon not taken from the socket either
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not site.events._listeners:
            await asyncio.sleep(0)
        site.runs.start(site.scenarios / "three.yaml")
        while site.events._listeners:  # until the reader is dropped
            site.events.publish("state", log="x" * 100_000)
            await asyncio.sleep(0)
        site.runs.stop()
        await asyncio.to_thread(site.runs.close)
        assert site.runs.progress.phase == "interrupted"
        stop.set()
        await serving
        writer.close()

    served(site.app, talk)
