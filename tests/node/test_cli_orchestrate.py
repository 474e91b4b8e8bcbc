"""The verb `orchestrate`: what it refuses, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from priomon_node.cli.main import main
from priomon_results.store import Store

Orchestrating = Callable[..., AbstractContextManager[Any]]

ROOT = Path(__file__).parents[2]
TRACE = ROOT / "scenarios/traces/workstation.csv.gz"
SCENARIO = f"""
nodes: 2
duration: 100 s
gossip: {{period: 100 ms}}
workload: {{kind: trace, path: {TRACE}}}
measure: {{every: 200 ms, spread_every: 50 ms}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "two.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_keeps_the_run_as_interrupted(orchestrating: Orchestrating, folder: Path, number: signal.Signals) -> None:
    with orchestrating(folder, "scenarios/two.yaml") as process, closing(HTTPConnection("127.0.0.1", process.port)) as listener:
        listener.request("GET", "/api/events")  # a page that stays open must not hold up the end
        assert listener.getresponse().status == 200
        process.until("every node knows every other")
        process.send_signal(number)
        assert process.wait(20) == 0
    with Store(folder / "results/two/two.db", readonly=True) as store:
        assert [(run.mode, run.status) for run in store.runs()] == [("live", "interrupted")]


def test_pages_are_served_without_a_scenario(orchestrating: Orchestrating, folder: Path) -> None:
    with orchestrating(folder) as process, closing(HTTPConnection("127.0.0.1", process.port)) as client:
        client.request("GET", "/api/state")
        assert json.loads(client.getresponse().read())["phase"] == "idle"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--agents", "node"], 2, "name its file with --token-file"),
        (["--http", "0.0.0.0:4000"], 2, "can be reached from other machines, but there is no token"),
        (["--http", "localhost:http"], 2, "expected host:port"),
        (["--agents", "a:b:c", "--token-file", "x"], 2, "expected host:port"),
        (["--token-file", "nowhere"], 1, "cannot read the HTTP token in nowhere"),
        (["--results", "scenarios/two.yaml"], 1, "scenarios/two.yaml: results cannot be written here"),
        (["nowhere.yaml"], 2, "'nowhere.yaml' does not exist"),
        (["broken.yaml"], 1, "broken.yaml:1:1: nods: unknown key"),
    ],
)
def test_what_cannot_start(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str) -> None:
    monkeypatch.chdir(folder)
    Path("broken.yaml").write_text("nods: 3\nduration: 1 s\n")
    done = CliRunner().invoke(main, ["orchestrate", *arguments])
    assert (done.exit_code, told in done.output) == (code, True), done.output


def test_a_port_in_use_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = CliRunner().invoke(main, ["orchestrate", "--http", f"127.0.0.1:{taken.getsockname()[1]}"])
    assert done.exit_code == 1
    assert "cannot serve HTTP at 127.0.0.1" in done.output
