"""The agent as a process: how it starts, joins, is asked, is stopped, and comes back."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
import pytest

from priomon_node.keys import Key

PATIENCE = 15.0  # seconds until a test that waits for something gives up; it goes on as soon as that has happened
PROMPT = 10.0  # seconds in which an agent that is told to end has to be gone
STARTED = re.compile(r"started name=(\S+) generation=(\d+) address=(\S+):(\d+) ")
UNCOMMON = {name: value for name, value in os.environ.items() if not name.startswith("PRIOMON_")}

Found = TypeVar("Found")


def until(look: Callable[[], Found | Literal[False] | None]) -> Found:
    """What `look` finds, as soon as it finds something true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


class Running:
    """An agent in a process of its own, on free ports of loopback, with fast rounds."""

    def __init__(self, folder: Path, name: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self._log = folder / f"{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "priomon_node", "run", "--name", name, "--bind", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--period", "0.05", *arguments], stdout=log, stderr=log, env=UNCOMMON | (environment or {})
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def started(self) -> re.Match[str]:
        """The line that says so, taken apart: name, generation, host, port."""

        def look() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            found = STARTED.search(self.log)
            assert found or not ended, self.log
            return found

        return until(look)

    @property
    def generation(self) -> int:
        return int(self.started()[2])

    @property
    def address(self) -> str:
        return f"{self.started()[3]}:{self.started()[4]}"

    @property
    def http(self) -> int:
        """The port of the HTTP API. The agent's log does not name it, the system knows it."""
        connections = psutil.Process(self.process.pid).net_connections
        return until(lambda: next((int(each.laddr.port) for each in connections("tcp") if each.status == "LISTEN"), None))

    def get(self, path: str) -> dict[str, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.http, timeout=PATIENCE)) as connection:
            connection.request("GET", path)
            answer: dict[str, Any] = json.load(connection.getresponse())
            return answer

    def nodes(self) -> dict[str, dict[str, Any]]:
        """All that it knows, by name."""
        return {node["name"]: node for node in self.get("/v1/state")["nodes"]}

    def complete(self, *names: str) -> dict[str, dict[str, Any]]:
        """What it knows once that is exactly these nodes, each with a value of cpu and memory."""

        def look() -> dict[str, dict[str, Any]] | None:
            nodes = self.nodes()
            measured = all({"cpu", "memory"} <= node["metrics"].keys() for node in nodes.values())
            return nodes if measured and nodes.keys() == {*names} else None

        return until(look)

    def end(self) -> int:
        """Tell it to end; its exit code."""
        self.process.terminate()
        return self.process.wait(PROMPT)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts agents, and ends those that a test leaves behind."""
    agents: list[Running] = []

    def run(name: str, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        agents.append(Running(tmp_path, name, *arguments, environment=environment))
        return agents[-1]

    yield run
    for agent in agents:
        agent.process.kill()
        agent.process.wait()


@pytest.mark.parametrize("environment", [{}, {"PRIOMON_KEY": Key.generate().text}], ids=["plain", "sealed"])
def test_agents_join_by_a_seed_and_show_each_other(start: Start, environment: dict[str, str]) -> None:
    first = start("first", environment=environment)
    second = start("second", "--seeds", first.address, environment=environment)
    for agent in (first, second):
        known = agent.complete("first", "second")
        for shown in (first, second):
            node = known[shown.name]
            assert (node["address"], node["generation"]) == (shown.address, shown.generation)
            assert node["self"] == (shown is agent)
            assert node["metrics"]["memory"]["low"] <= node["metrics"]["memory"]["value"] <= node["metrics"]["memory"]["high"] <= 110
    assert ("no key" in first.log) == (not environment)


def test_agents_without_the_key_stay_outside(start: Start) -> None:
    inside = start("inside", environment={"PRIOMON_KEY": Key.generate().text})
    stranger = start("stranger", "--seeds", inside.address, environment={"PRIOMON_KEY": Key.generate().text})
    plain = start("plain", "--seeds", inside.address)
    dropped = until(
        lambda: (counters := inside.get("/v1/status")["counters"]).get("dropped_unknown_key") and counters.get("dropped_plain") and counters
    )
    assert dropped["datagrams_received"] == dropped["dropped_unknown_key"] + dropped["dropped_plain"]
    assert [agent.nodes().keys() for agent in (inside, stranger, plain)] == [{"inside"}, {"stranger"}, {"plain"}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_agent_even_while_somebody_listens(start: Start, number: signal.Signals) -> None:
    agent = start("one")
    with closing(http.client.HTTPConnection("127.0.0.1", agent.http, timeout=PATIENCE)) as listener:
        listener.request("GET", "/v1/events")
        events = listener.getresponse()
        assert events.readline() == b": connected\n"
        agent.process.send_signal(number)
        assert agent.process.wait(PROMPT) == 0
        assert events.read() == b"\n"
    assert "stopped name=one" in agent.log
    assert "Traceback" not in agent.log


def test_leave_ends_an_agent(start: Start) -> None:
    agent = start("one")
    verb = [sys.executable, "-m", "priomon_node", "leave", "--url", f"http://127.0.0.1:{agent.http}"]
    asked = subprocess.run(verb, capture_output=True, text=True, env=UNCOMMON, check=False)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert agent.process.wait(PROMPT) == 0
    assert "stopped name=one" in agent.log


@pytest.mark.parametrize(
    ("kind", "flag", "message"),
    [
        (socket.SOCK_DGRAM, "--bind", "cannot gossip at {}: Address already in use"),
        (socket.SOCK_STREAM, "--http", "cannot serve HTTP at {}: Address already in use"),
    ],
)
def test_a_port_in_use_is_said_and_ends_with_1(start: Start, kind: int, flag: str, message: str) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        agent = start("late", flag, address)
        assert agent.process.wait(PATIENCE) == 1
    assert f"Error: {message.format(address)}" in agent.log
    assert flag in agent.log.partition("Error: ")[2]
    assert "Traceback" not in agent.log


@pytest.mark.parametrize("seed", ["nowhere.invalid:7946", "no..name:7946"])
def test_a_seed_that_does_not_resolve_is_no_reason_to_stop(start: Start, seed: str) -> None:
    # .invalid never resolves (RFC 6761); the options keep a machine without a name server from thinking for long.
    agent = start("alone", "--seeds", seed, environment={"RES_OPTIONS": "timeout:1 attempts:1"})
    until(lambda: f"warning priomon_node: seed does not resolve seed={seed}" in agent.log)
    assert agent.complete("alone")["alone"]["self"]
    assert agent.end() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bind", "0.0.0.0:0"], "there is no key, so anyone could join and lie; make one with `python -m priomon_node keygen`"),
        (["--http", "0.0.0.0:0"], "there is no token; name one with http_token_file"),
        (["--fanout", "0"], "flag --fanout: fanout: expected 1 to 99 peers, found '0'"),
        (["--seeds", "10.0.0.1:http"], "flag --seeds: seeds: expected host:port"),
        (["--state-dri", "x"], "--state-dir"),
    ],
)
def test_wrong_settings_end_with_2_before_anything_starts(start: Start, arguments: list[str], message: str) -> None:
    agent = start("wrong", *arguments)
    assert agent.process.wait(PATIENCE) == 2
    assert message in agent.log
    assert "started" not in agent.log


def test_a_restart_is_newer_and_rejoins_through_the_peers_it_remembers(start: Start, tmp_path: Path) -> None:
    stays = start("stays")
    memory = ["--state-dir", str(tmp_path / "state")]
    before = start("returns", *memory, "--seeds", stays.address)
    before.complete("stays", "returns")
    assert before.end() == 0
    after = start("returns", *memory)
    assert after.generation > before.generation
    after.complete("stays", "returns")
    until(lambda: stays.nodes()["returns"]["generation"] > before.generation)
    returned = stays.nodes()["returns"]
    assert (returned["generation"], returned["address"]) == (after.generation, after.address)


def test_a_suspended_agent_catches_up(start: Start, tmp_path: Path) -> None:
    reading = tmp_path / "queue"
    reading.write_text("5")
    settings = tmp_path / "agent.yaml"
    settings.write_text(f"metrics:\n  queue: {{unit: jobs, bound: 1, file: {reading}}}\n")

    def queue(observer: Running) -> float | None:
        metrics = observer.nodes().get("busy", {"metrics": {}})["metrics"]
        return metrics["queue"]["value"] if "queue" in metrics else None

    busy = start("busy", "--config", str(settings))
    sleeper = start("sleeper", "--config", str(settings), "--disable", "queue", "--seeds", busy.address)
    until(lambda: queue(sleeper) == 5)
    sleeper.process.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(sleeper.process.pid).status() == psutil.STATUS_STOPPED)
    reading.write_text("80")
    until(lambda: queue(busy) == 80)
    sleeper.process.send_signal(signal.SIGCONT)
    until(lambda: queue(sleeper) == 80)
    assert sleeper.end() == 0
