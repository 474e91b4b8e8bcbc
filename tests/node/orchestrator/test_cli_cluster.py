"""The verb `cluster` as people use it: its answer, its refusals, and what is left when it is interrupted or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from priomon_node.cli.main import main
from priomon_node.orchestrator.diaries import Diaries
from priomon_results.store import Store, StoreError
from priomon_sim.examiner import Examination, Finding
from priomon_sim.experiment import execute
from priomon_sim.scenario.document import load

PATIENCE = 30.0  # seconds until a test that waits for something gives up; it goes on as soon as that has happened
TRACE = Path(__file__).parents[3] / "scenarios/traces/workstation.csv.gz"
SCENARIO = f"""
nodes: 3
duration: 3 s
gossip: {{period: 100 ms, sealed: true}}
network: {{latency: {{kind: uniform, low: 5 ms, high: 20 ms}}, loss: 10 %}}
workload: {{kind: trace, path: {TRACE}}}
measure: {{every: 200 ms, spread_every: 50 ms}}
"""
# As `python -m priomon_node`, with agents that soon miss an orchestrator.
IMPATIENT = "from priomon_node.orchestrator import live; live.PATIENCE = 2.0; from priomon_node.cli.main import main; main()"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "brief.yaml"
    path.write_text(SCENARIO)
    return path


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def in_mid_run(scenario: Path, output: Path, *program: str) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """The verb with a long run, once rows of it are stored, and its agents; none of them outlives the test."""
    command = [sys.executable, *program, "cluster", str(scenario), "--set", "duration=10min", "-o", str(output), "--quiet"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRIOMON_")}
    agents: list[psutil.Process] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as verb:
        try:
            until(lambda: verb.poll() is not None or live_rows(output / "brief.db"))
            assert verb.poll() is None, verb.communicate()[1]
            agents += psutil.Process(verb.pid).children()
            assert len(agents) == 3
            yield verb, agents
        finally:
            for process in (verb, *agents):
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def live_rows(path: Path) -> bool:
    """Whether rows of a live run are committed."""
    with suppress(StoreError), Store(path, readonly=True) as store:  # not there yet, or just being made
        return bool(store.query("SELECT 1 FROM run JOIN sample ON run = id WHERE mode = 'live' LIMIT 1"))
    return False


def test_a_live_run_is_what_its_twin_is(scenario: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["cluster", str(scenario), "-o", str(tmp_path / "out"), "--json"])
    document = json.loads(done.stdout)
    assert done.exit_code == (0 if document["comparison"]["inside"] else 1), done.stderr
    (run,) = document["runs"]
    assert run["live"]["examination"]["finding"] is None
    assert run["simulated"]["examination"] is None
    live, twin = run["live"], run["simulated"]
    assert live["coverage_final"] == twin["coverage_final"] == 1
    # 100 ms rounds on a busy machine, so this is held looser than scenarios/live10.yaml is.
    for measure, tolerance in (("bytes_per_node_per_second", 0.1), ("messages_per_node_per_second", 0.1), ("redundancy", 0.25)):
        assert live[measure] == pytest.approx(twin[measure], rel=tolerance)
    assert live["convergence_rounds"] == pytest.approx(twin["convergence_rounds"], abs=2)
    assert sum(live["published"].values()) == pytest.approx(sum(twin["published"].values()), abs=4)
    assert live["lost"]["loss"] == pytest.approx(twin["lost"]["loss"], abs=10)
    assert live["lost"]["loss"] > 0
    rows = {row["measure"] for row in document["comparison"]["rows"]}
    assert {"convergence", "bytes per node", "lag p99"} <= rows
    assert Path(document["report"]).is_file()
    assert all(Path(picture).is_file() for picture in document["comparison"]["pictures"])


def test_what_a_checker_objects_to_is_told_and_is_a_failure(scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("priomon_sim.cli.compare.Comparison.inside", True)
    found = Examination(Finding("VersionsGrow", 2.0, "at node0 the version of node1 went back from 3 to 1"), None, 9)
    monkeypatch.setattr(Diaries, "examine", lambda self: found)
    done = CliRunner().invoke(main, ["cluster", str(scenario), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "checkers, seed 1: VersionsGrow at 2 s: at node0 the version of node1 went back from 3 to 1" in done.stdout
    with Store(tmp_path / "out/brief.db", readonly=True) as store:
        assert store.runs()[0].summary["examination"]["finding"]["checker"] == "VersionsGrow"
    assert "VersionsGrow at 2 s" in (tmp_path / "out/report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("gossip.strategy=demon", "error: gossip.strategy: found demon, which agents do not speak; expected scuttlebutt, rumor or tree\n"),
        ("start=known", "error: start: found known, but real agents begin knowing nothing; expected cold\n"),
        ("nodes=201", "error: nodes: found 201, but one machine carries at most 200 agents\n"),
        ("nodse=3", "error: --set nodse: unknown key 'nodse'; did you mean 'nodes'?\n"),
    ],
)
def test_what_agents_cannot_run_is_refused_in_one_line(scenario: Path, tmp_path: Path, setting: str, words: str) -> None:
    done = CliRunner().invoke(main, ["cluster", str(scenario), "--set", setting, "-o", str(tmp_path / "out")])
    assert (done.exit_code, done.stderr, done.stdout) == (2, words, "")
    assert not (tmp_path / "out").exists()


def test_a_trace_that_is_missing_is_told_before_agents_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    path = tmp_path / "brief.yaml"
    path.write_text(SCENARIO.replace(str(TRACE), "nothing.csv"))
    done = CliRunner().invoke(main, ["cluster", str(path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "nothing.csv" in done.stderr


def test_a_folder_that_cannot_be_made_is_told(scenario: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["cluster", str(scenario), "-o", str(scenario / "out")])
    assert (done.exit_code, done.stderr) == (
        1,
        f"error: {scenario}/out: cannot make this folder (Not a directory); choose another with -o\n",
    )


def test_ctrl_c_ends_every_process_and_keeps_the_run(scenario: Path, tmp_path: Path) -> None:
    with in_mid_run(scenario, tmp_path, "-m", "priomon_node") as (verb, agents):
        verb.send_signal(signal.SIGINT)
        assert verb.wait(PATIENCE) == 130
        assert not any(agent.is_running() for agent in agents)
        assert verb.stderr is not None
        words = verb.stderr.read()
        assert words.startswith("error: brief: interrupted at ")
        assert words.endswith("/brief.db as run 1, marked as interrupted\n")
    with Store(tmp_path / "brief.db", readonly=True) as store:
        (run,) = store.runs()
        assert (run.mode, run.status) == ("live", "interrupted")
        assert run.summary["nodes"] == 3
        assert len(store.rows(run.id, "sample")["t"]) * 0.2 == pytest.approx(run.virtual_seconds, abs=0.2)


def test_a_writer_that_is_killed_loses_nothing_earlier_and_its_agents_end(scenario: Path, tmp_path: Path) -> None:
    path = tmp_path / "brief.db"
    with Store(path) as store:
        execute(load(scenario, []), store, lambda now: None)
        before = {name: values.tolist() for name, values in store.rows(1, "sample").items()}
    with in_mid_run(scenario, tmp_path, "-c", IMPATIENT) as (verb, agents):
        verb.kill()
        verb.wait()
        assert any(agent.is_running() for agent in agents)
        until(lambda: not any(agent.is_running() for agent in agents))
    with Store(path) as store:
        assert [(run.mode, run.status) for run in store.runs()] == [("sim", "complete"), ("live", "interrupted")]
        assert repr({name: values.tolist() for name, values in store.rows(1, "sample").items()}) == repr(before)
        assert len(store.rows(2, "sample")["t"]) > 0
