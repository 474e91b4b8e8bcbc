"""The verb `tune`: what it prints, what it leaves behind, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from priomon_node.settings import load as load_agent
from priomon_sim.cli.main import main
from priomon_sim.experiment import InterruptedRunError
from priomon_sim.scenario.document import load
from priomon_sim.sweep import task as sweep_task
from priomon_sim.tune import sampler as tune_sampler

EASY = "lag_p99 <= 5 s, error_max <= 1 bound"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(file: Path, folder: Path, *arguments: object, goal: str = EASY, trials: int = 4) -> Result:
    words = ["tune", file, "--goal", goal, "--on", "serial", "--trials", trials, "--seeds", "1..2", "-o", folder, *arguments]
    return CliRunner().invoke(main, [str(word) for word in words])


def without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tune_sampler, "import_module", missing)


@pytest.mark.parametrize("sampler", ["tpe", "latin"])
def test_tuning_leaves_a_store_a_picture_a_scenario_and_an_agents_file(small: Path, folder: Path, sampler: str) -> None:
    done = run(small, folder, "--sampler", sampler)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert "small: the frontier" in done.stdout and "chosen" in done.stdout and "bytes per node" in done.stdout
    assert "4 trials" in done.stdout
    files = {path.name for path in folder.iterdir()}
    assert files == {"small-tune.db", "small-tune.db-lock", "plots", "small-tuned.yaml", "small-agent.yaml"}
    assert {path.name for path in (folder / "plots").iterdir()} == {"frontier.svg", "frontier.png"}


def test_the_chosen_settings_meet_the_goals_when_they_are_run(small: Path, folder: Path) -> None:
    document = json.loads(run(small, folder, "--json").stdout)
    assert document["feasible"] and document["goals"] == ["lag_p99 <= 5 s", "settled_error <= 1 bound"]
    tuned = load(folder / "small-tuned.yaml")
    assert tuned.name == "small-tuned"
    for name, value in document["best"]["choices"].items():
        assert tuned.dump()["gossip"][name] == value
    agent, _ = load_agent({}, {}, folder / "small-agent.yaml") if tuned.gossip.strategy == "scuttlebutt" else (None, None)
    assert agent is None or agent.gossip.period == tuned.gossip.period
    again = CliRunner().invoke(main, [str(folder / "small-tuned.yaml"), "--seeds", "1..2", "--json", "-o", str(folder / "run")])
    runs = json.loads(again.stdout)["runs"]
    measures = document["best"]["measures"]
    assert max(one["lag_seconds"]["p99"] for one in runs) == measures["lag_p99"]
    assert sum(one["bytes_per_node_per_second"] for one in runs) / 2 == pytest.approx(measures["bytes_per_node"])


def test_the_same_command_runs_nothing_again(small: Path, folder: Path) -> None:
    first, again = (json.loads(run(small, folder, "--json").stdout) for _ in range(2))
    assert (first["runs"] >= 5, again["runs"]) == (True, 0)
    assert again | {"runs": first["runs"]} == first


def test_goals_that_cannot_be_met_end_with_3_and_say_by_how_much(small: Path, folder: Path) -> None:
    done = run(small, folder, goal="lag_p99 <= 1 ms, coverage_at_the_end >= 50 %, bytes <= 1 B/s")
    assert done.exit_code == 3, done.output
    assert "no trial met all goals; the best one missed" in done.stderr
    assert "bytes_per_node <= 1 B/s: it was " in done.stderr and "% off" in done.stderr
    assert "coverage" not in done.stderr
    assert "missed" in done.stdout and "chosen" not in done.stdout
    assert not list(folder.glob("*.yaml"))


def test_without_optuna_a_plain_search_does(small: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_optuna(monkeypatch)
    assert run(small, folder).exit_code == 0
    refused = run(small, folder, "--sampler", "tpe")
    assert refused.exit_code == 2
    assert "pip install 'priomon[tune]'" in refused.stderr


def test_what_is_kept_stays(small: Path, folder: Path) -> None:
    document = json.loads(run(small, folder, "--json", "--keep", "strategy", "--keep", "period", "--set", "gossip.strategy=tree").stdout)
    assert {*document["best"]["choices"]} == {"fanout", "flushes", "degree"}
    assert load(folder / "small-tuned.yaml").gossip.strategy == "tree"


def test_after_the_time_limit_nothing_new_is_tried(small: Path, folder: Path) -> None:
    document = json.loads(run(small, folder, "--json", "--time-limit", "1ns", trials=20).stdout)
    assert document["trials"] == tune_sampler.BATCH
    assert document["best"]["seeds"] == 2


def test_an_interrupted_search_says_how_to_go_on(small: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise InterruptedRunError("interrupted at some time")

    with monkeypatch.context() as patch:
        patch.setattr(sweep_task, "execute", interrupted)
        done = run(small, folder)
    assert done.exit_code == 130
    assert "the same command goes on from there" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--goal", "lag <= 3 s"], "goal 'lag <= 3 s': unknown measure 'lag'"),
        (["--minimise", "pain"], "--minimise pain: unknown measure 'pain'"),
        (["--time-limit", "soon"], "expected a duration"),
        (["--seeds", "5"], "expected FIRST..LAST"),
        (["--set", "gossip.fanout=0"], "gossip.fanout"),
        (["--on", "moon"], "expected processes, serial, dask"),
    ],
)
def test_wrong_usage_ends_with_2(small: Path, folder: Path, arguments: list[str], message: str) -> None:
    done = run(small, folder, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not folder.exists()
