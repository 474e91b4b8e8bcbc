"""Experiments: what a run leaves in its store and folder, whole, repeated, compared, interrupted or failed."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from priomon_core.errors import SettingError
from priomon_results.store import Store
from priomon_sim import experiment
from priomon_sim.experiment import InterruptedRunError, check_baseline, execute, run_all, save_scenario, stored
from priomon_sim.provenance import code_version
from priomon_sim.scenario.document import Scenario, load

MakeScenario = Callable[..., Scenario]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "it.db") as opened:
        yield opened


def ignore(now: int) -> None:
    """No progress."""


def after(seconds: float, error: BaseException) -> Callable[[int], None]:
    """A progress function that fails at the first probe from then on."""

    def fail(now: int) -> None:
        if now >= seconds * 1e9:
            raise error

    return fail


def unwatched(scenario: Scenario) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(ignore)


def test_a_complete_run_says_where_it_comes_from(scenario: MakeScenario, store: Store) -> None:
    it = scenario()
    number, summary = execute(it, store, ignore)
    run = store.run(number)
    assert run.status == "complete"
    assert (run.mode, run.scenario, run.scenario_hash, run.seed, run.nodes) == ("sim", "small", it.hash, 1, 8)
    assert run.parameters == json.loads(json.dumps(it.dump()))
    assert run.code_version == code_version()
    assert {"system", "processors", "python", "numpy", "numba", "simpy", "networkx"} <= run.machine.keys()
    assert run.summary == summary
    assert run.trace_hash == summary["trace_hash"]
    assert run.virtual_seconds == summary["virtual_seconds"] == 6
    assert run.wall_seconds == summary["wall_seconds"] > 0


def test_a_twin_replays_what_was_measured_and_says_so(scenario: MakeScenario, store: Store) -> None:
    measured = [np.full((5, 4), 40.0)] * 8
    number, summary = execute(scenario("workload=none"), store, ignore, series=measured)
    assert "replay what live nodes measured" in store.run(number).notes[0]
    assert summary["published"] == dict.fromkeys(("cpu", "memory", "network", "storage"), 8)  # a value that rests is told once


def test_running_again_replaces_and_another_seed_adds(scenario: MakeScenario, store: Store) -> None:
    first = execute(scenario(), store, ignore)[1]
    again = execute(scenario(), store, ignore)[1]
    assert first["trace_hash"] == again["trace_hash"]
    assert len(store.runs()) == 1
    other = execute(scenario("seed=2"), store, ignore)[1]
    assert other["trace_hash"] != first["trace_hash"]
    assert [run.seed for run in store.runs()] == [1, 2]


def test_an_interrupted_run_keeps_its_rows_and_is_no_whole_one(scenario: MakeScenario, store: Store) -> None:
    with pytest.raises(InterruptedRunError, match=r"small: interrupted at 3 s of 6 s; what was computed is kept in .*it\.db as run 1"):
        execute(scenario(), store, after(3, KeyboardInterrupt()))
    (run,) = store.runs()
    assert run.status == "interrupted"
    assert run.summary["virtual_seconds"] == 3
    assert store.rows(run.id, "sample")["t"].tolist() == [1, 2, 3]
    assert len(store.rows(run.id, "node")["node"]) == 8
    assert stored(scenario(), store) is None


def test_a_repetition_that_is_interrupted_does_not_cost_the_whole_run(scenario: MakeScenario, store: Store) -> None:
    number, summary = execute(scenario(), store, ignore)
    with pytest.raises(InterruptedRunError):
        execute(scenario(), store, after(1, KeyboardInterrupt()))
    assert [run.status for run in store.runs()] == ["complete", "interrupted"]
    assert stored(scenario(), store) == (number, summary)


def test_a_run_that_fails_is_marked_and_the_error_goes_on(scenario: MakeScenario, store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        execute(scenario(), store, after(2, ZeroDivisionError()))
    (run,) = store.runs()
    assert (run.status, run.virtual_seconds) == ("failed", 2)


def test_a_scenario_that_cannot_be_built_stores_nothing(scenario: MakeScenario, store: Store) -> None:
    with pytest.raises(SettingError):
        execute(scenario("gossip.fanout=2", "topology={kind: star}"), store, ignore)
    assert store.runs() == []


def test_the_collector_of_cycles_is_back_at_work_after_any_run(scenario: MakeScenario, store: Store) -> None:
    states: list[bool] = []
    execute(scenario(), store, lambda now: states.append(gc.isenabled()))
    assert not any(states)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        execute(scenario(), store, after(1, ZeroDivisionError()))
    assert gc.isenabled()


def test_the_saved_scenario_loads_to_an_equal_one(scenario: MakeScenario, tmp_path: Path) -> None:
    it = scenario("gossip.fanout=3", "network.loss=20 %")
    save_scenario(it, tmp_path)
    assert load(tmp_path / "scenario.yaml") == it


@pytest.mark.parametrize("change", ["nodes=9", "duration=7 s", "network.loss=1 %", "topology={kind: ring}", "seed=2"])
def test_a_baseline_of_other_conditions_is_refused(scenario: MakeScenario, change: str) -> None:
    with pytest.raises(SettingError, match=rf"--baseline small: its {change.split('=')[0].split('.')[0]} differs from that of small"):
        check_baseline(scenario(), scenario(change))
    check_baseline(scenario(), scenario("gossip.strategy=demon", "filter=none"))


def test_runs_are_compared_with_their_baseline_which_runs_once(
    scenario: MakeScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(experiment, "draw", lambda store, runs, folder, command: drawn.append(list(runs)))
    baseline = scenario("gossip.strategy=demon", "filter=none")
    for _ in range(2):
        (summary,) = run_all([scenario()], [baseline], tmp_path, unwatched, ["it"])
    with Store(tmp_path / "small.db", readonly=True) as store:
        runs = {run.strategy: run for run in store.runs()}
        assert len(store.runs()) == 2
    saving = summary["saving_vs_baseline"]
    theirs = runs["demon"].summary["bytes_per_node_per_second"]
    assert saving["bytes_ratio"] == pytest.approx(theirs / summary["bytes_per_node_per_second"])
    assert saving["lag_seconds"] == runs["demon"].summary["lag_seconds"]
    assert drawn[0] == [1, 2]
    assert drawn[1] == [1, 3]  # the baseline was found in the store
    assert summary["database"] == str(tmp_path / "small.db")
    assert summary["report"] == str(tmp_path / "report.html")


def test_a_report_and_plots_are_drawn_of_all_runs(scenario: MakeScenario, tmp_path: Path) -> None:
    command = ["python", "-m", "priomon_sim", "my scenario.yaml"]
    run_all([scenario("seed=1"), scenario("seed=2")], [], tmp_path, unwatched, command)
    report = (tmp_path / "report.html").read_text()
    assert "python -m priomon_sim &#39;my scenario.yaml&#39;" in report
    pictures = {path.suffix for path in (tmp_path / "plots").iterdir()}
    assert pictures == {".svg"}
