"""One run at a time: what starts it, what stops it, and what it says when it cannot go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from priomon_core.errors import SettingError
from priomon_node.experiment.switch import ConflictError
from priomon_node.orchestrator import runs as runs_module
from priomon_node.orchestrator.fleet import Fleet
from priomon_node.orchestrator.live import Member
from priomon_node.orchestrator.recruit import RecruitError, StoppedError
from priomon_node.orchestrator.runs import Runs, Say
from priomon_results.files import OutputError
from priomon_results.store import Store
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.problems import ScenarioError

TRACE = Path(__file__).parents[3] / "scenarios/traces/workstation.csv.gz"
SCENARIO = f"""
nodes: 3
duration: 2 s
gossip: {{period: 100 ms}}
workload: {{kind: trace, path: {TRACE}}}
measure: {{every: 200 ms, spread_every: 50 ms}}
"""


@contextmanager
def never(scenario: Scenario, say: Say, stop: Event) -> Iterator[Sequence[Member]]:
    """Agents that do not come, until somebody stops to wait for them."""
    stop.wait()
    raise StoppedError("stopped while waiting for agents")
    yield []


@contextmanager
def local(scenario: Scenario, say: Say, stop: Event) -> Iterator[Sequence[Member]]:
    with Fleet(scenario.nodes, scenario.gossip.sealed) as fleet:
        yield fleet.members


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "three.yaml"
    path.write_text(SCENARIO)
    return path


@contextmanager
def running(recruit: Any, tmp_path: Path) -> Iterator[Runs]:
    runs = Runs(tmp_path / "results", recruit)
    try:
        yield runs
    finally:
        runs.close()


def ended(runs: Runs) -> Runs:
    assert runs._thread is not None
    runs._thread.join()
    return runs


def test_a_run_is_live_then_simulated_then_compared(scenario: Path, tmp_path: Path) -> None:
    with running(local, tmp_path) as runs:
        runs.start(scenario)
        progress = ended(runs).progress
    assert progress.phase == "complete", progress.log
    assert progress.inside is not None
    assert progress.curve.points[-1][1] == 1.0
    assert progress.glance is not None and list(progress.glance.known) == [3, 3, 3]
    assert progress.picture is not None and sorted(progress.picture.names) == ["node0", "node1", "node2"]
    lines = [line for _, line in progress.log]
    assert lines[:2] == ["waiting for 3 agents", "the agents begin"]
    assert any(line.startswith("every node knows every other, at ") for line in lines)
    assert any(line.startswith("checkers: ok: ") for line in lines)
    folder = tmp_path / "results" / "three"
    with Store(folder / "three.db", readonly=True) as store:
        assert [(run.mode, run.status) for run in store.runs()] == [("live", "complete"), ("sim", "complete")]
    assert "cluster" in (folder / "report.html").read_text("utf-8")
    assert list((folder / "compare").glob("*.svg"))


def test_a_run_to_which_a_checker_objects_has_failed(scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examination = {"finding": {"checker": "VersionsGrow"}, "verdict": "VersionsGrow at 3 s: a version went back"}
    monkeypatch.setattr(runs_module, "validate", lambda *arguments: [({"examination": examination}, {})])
    monkeypatch.setattr(runs_module, "_compare", lambda scenario, folder: [])
    with running(never, tmp_path) as runs:
        runs.start(scenario)
        progress = ended(runs).progress
    assert (progress.phase, progress.inside, progress.problem) == ("complete", True, examination["verdict"])


def test_a_run_that_is_stopped_is_kept_as_interrupted(scenario: Path, tmp_path: Path) -> None:
    seen = Event()
    with running(local, tmp_path) as runs:

        def echo(line: str) -> None:
            if line.startswith("every node knows"):
                seen.set()

        runs._echo = echo
        runs.start(scenario, [("duration", "100 s")])
        assert seen.wait(60)
        runs.stop()
        progress = ended(runs).progress
    assert progress.phase == "interrupted"
    with Store(tmp_path / "results/three/three.db", readonly=True) as store:
        (run,) = store.runs()
    assert (run.mode, run.status) == ("live", "interrupted")
    assert 0 < (run.virtual_seconds or 0) < 90


def test_a_second_start_is_told_that_one_runs(scenario: Path, tmp_path: Path) -> None:
    with running(never, tmp_path) as runs:
        first = runs.start(scenario)
        with pytest.raises(ConflictError, match="three is running already; stop it first"):
            runs.start(scenario)
        assert runs.progress.number == first.number
        runs.stop()
        assert ended(runs).progress.phase == "interrupted"
        assert runs.start(scenario).number == first.number + 1


def test_stop_without_a_run(scenario: Path, tmp_path: Path) -> None:
    with running(never, tmp_path) as runs:
        with pytest.raises(ConflictError, match="nothing is running"):
            runs.stop()
        runs.start(scenario)
        runs.stop()
        ended(runs)
        with pytest.raises(ConflictError, match="nothing is running"):
            runs.stop()


def test_agents_that_do_not_come_are_told(scenario: Path, tmp_path: Path) -> None:
    @contextmanager
    def too_few(scenario: Scenario, say: Say, stop: Event) -> Iterator[Sequence[Member]]:
        raise RecruitError("2 of 3 agents answered within 60 s; missing: node:7947 (refused)")
        yield []

    with running(too_few, tmp_path) as runs:
        runs.start(scenario)
        progress = ended(runs).progress
    assert progress.phase == "failed"
    assert progress.problem == progress.log[-1][1] == "2 of 3 agents answered within 60 s; missing: node:7947 (refused)"
    assert not progress.running


@pytest.mark.parametrize(
    ("overrides", "error", "told"),
    [
        ([("nodes", "many")], ScenarioError, "--set nodes"),
        ([("gosip.period", "1 s")], ScenarioError, "gossip"),
        ([("gossip.strategy", "demon")], SettingError, "which agents do not speak; expected scuttlebutt, rumor or tree"),
        ([("start", "known")], SettingError, "real agents begin knowing nothing"),
    ],
)
def test_a_scenario_that_cannot_be_run_starts_nothing(
    scenario: Path, tmp_path: Path, overrides: list[tuple[str, str]], error: type[Exception], told: str
) -> None:
    with running(never, tmp_path) as runs:
        with pytest.raises(error, match=told):
            runs.start(scenario, overrides)
        assert runs.progress.number == 0
        runs.start(scenario)


def test_results_that_cannot_be_kept_start_nothing(scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with running(never, tmp_path) as runs:
        with pytest.raises(OutputError, match=r"results/three: results cannot be written here \(.*--results"):
            runs.start(scenario)
        assert runs.progress.number == 0


def test_settings_and_seed_reach_the_run(scenario: Path, tmp_path: Path) -> None:
    with running(never, tmp_path) as runs:
        progress = runs.start(scenario, [("nodes", "5"), ("seed", "7")])
    assert (progress.nodes, progress.seed, progress.duration) == (5, 7, 2.0)
    assert progress.log[0][1] == "waiting for 5 agents"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_program_is_told_as_one(scenario: Path, tmp_path: Path) -> None:
    @contextmanager
    def broken(scenario: Scenario, say: Say, stop: Event) -> Iterator[Sequence[Member]]:
        raise ZeroDivisionError("by zero")
        yield []

    with running(broken, tmp_path) as runs:
        runs.start(scenario)
        progress = ended(runs).progress
    assert (progress.phase, progress.problem) == ("failed", "a fault of the orchestrator: ZeroDivisionError: by zero")
