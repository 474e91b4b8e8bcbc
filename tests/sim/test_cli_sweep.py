"""The verbs of sweeps: what they print, what they leave behind, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from click.testing import CliRunner, Result

from priomon_sim.cli.main import main
from priomon_sim.experiment import InterruptedRunError
from priomon_sim.sweep import dask as sweep_dask
from priomon_sim.sweep import task as sweep_task

SWEEP = """
nodes: 6
duration: 3 s
workload: {kind: synthetic}
sweep:
  seeds: 2
  grid: {gossip.fanout: [1, 2]}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP)
    return path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "small.yaml").write_text(SWEEP)
    done = run("sweep", folder / "small.yaml", "--on", "serial", "-o", folder)
    assert done.exit_code == 0, done.output
    assert "4 runs done now, 0 were stored already" in done.stdout
    return folder / "small-sweep.db"


def fail_at_two(monkeypatch: pytest.MonkeyPatch) -> None:
    execute = sweep_task.execute

    def crash(scenario: Any, *more: Any) -> Any:
        if scenario.gossip.fanout == 2:
            raise ZeroDivisionError("no")
        return execute(scenario, *more)

    monkeypatch.setattr(sweep_task, "execute", crash)


def test_a_sweep_leaves_a_store_pictures_and_a_report(database: Path) -> None:
    folder = database.parent
    assert {path.name for path in folder.iterdir()} == {"small.yaml", "small-sweep.db", "small-sweep.db-lock", "sweep.html", "plots"}
    assert {path.name for path in (folder / "plots").iterdir()} == {"sweep.svg", "sweep.png"}


def test_the_same_command_runs_nothing_again_and_json_is_one_document(database: Path) -> None:
    done = run("sweep", database.parent / "small.yaml", "--on", "serial", "-o", database.parent, "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, done.stderr) == (0, "")
    assert (document["points"], document["runs"], document["failures"]) == (2, 0, [])
    assert document["database"] == str(database)


def test_a_dry_run_lists_points_and_stores_nothing(file: Path, tmp_path: Path) -> None:
    done = run("sweep", file, "--dry-run", "--jobs", 2, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "gossip.fanout=1" in done.stdout and "gossip.fanout=2" in done.stdout
    assert "2 points, 2 seeds each: 4 runs" in done.stdout
    assert not (tmp_path / "out").exists()


def test_the_estimate_scales_with_the_work(file: Path) -> None:
    document = json.loads(run("sweep", file, "--dry-run", "--jobs", 2, "--json").stdout)
    assert document["runs"] == 4
    # Of two points with one and two peers a round, the pilot is the second: half as much again is the mean work of both.
    assert document["seconds"] == pytest.approx(document["pilot_seconds"] * 0.75 * 4 / 2)
    assert [point["parameters"] for point in document["points"]] == [{"gossip.fanout": 1}, {"gossip.fanout": 2}]


def test_a_pilot_that_fails_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at_two(monkeypatch)
    done = run("sweep", file, "--dry-run")
    assert done.exit_code == 1
    assert "the pilot run (gossip.fanout=2) failed: crashed in" in done.stderr


def test_failures_are_shown_and_exit_with_3(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fail_at_two(patch)
        done = run("sweep", file, "--on", "serial", "-o", tmp_path)
        assert done.exit_code == 3
        assert "2 runs failed; they are kept as failed, and --only-failed repeats them:" in done.stderr
        assert "gossip.fanout=2, seed 2: crashed in" in done.stderr
    again = run("sweep", file, "--on", "serial", "-o", tmp_path, "--only-failed")
    assert (again.exit_code, again.stderr) == (0, "")
    assert "2 runs done now, 2 were stored already" in again.stdout


def test_an_interrupted_sweep_says_how_to_go_on(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise InterruptedRunError("interrupted at some time")

    monkeypatch.setattr(sweep_task, "execute", interrupted)
    done = run("sweep", file, "--on", "serial", "-o", tmp_path)
    assert done.exit_code == 130
    assert "the same command goes on from there" in done.stderr


def test_settings_and_limits_are_taken(file: Path) -> None:
    document = json.loads(run("sweep", file, "--dry-run", "--json", "--set", "sweep.seeds=1", "--set", "seed=9", "--limit", 1).stdout)
    assert (document["seeds"], len(document["points"])) == ([9], 1)


def test_a_bad_sweep_exits_with_2_and_its_place(file: Path) -> None:
    file.write_text(SWEEP.replace("gossip.fanout", "gossip.fanuot"))
    done = run("sweep", file, "--on", "serial")
    assert done.exit_code == 2
    assert f"{file}:7:10: gossip.fanuot: unknown key 'fanuot'; did you mean 'fanout'?" in done.stderr


@pytest.mark.parametrize("where", ["threads", "dask://", "tcp://x:1"])
def test_other_places_to_run_are_refused(file: Path, where: str) -> None:
    done = run("sweep", file, "--on", where)
    assert done.exit_code == 2
    assert "expected processes, serial, dask or dask://HOST:PORT" in done.stderr


@pytest.mark.usefixtures("dask")
def test_a_scheduler_that_does_not_answer_is_told(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_dask, "CONNECT_SECONDS", 0.1)
    done = run("sweep", file, "--on", "dask://127.0.0.1:9", "-o", tmp_path)
    assert done.exit_code == 1
    assert "--on dask://127.0.0.1:9: no Dask scheduler answers there within 0.1 s" in done.stderr


def test_without_dask_the_extra_is_named(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(sweep_dask, "import_module", missing)
    done = run("sweep", file, "--on", "dask", "-o", tmp_path)
    assert done.exit_code == 1
    assert "pip install 'priomon[dask]'" in done.stderr


def test_points_on_the_screen_and_in_files(database: Path, tmp_path: Path) -> None:
    shown = run("points", database)
    assert shown.exit_code == 0, shown.output
    assert "gossip.fanout" in shown.stdout and "bytes per node (B/s)" in shown.stdout
    rows = json.loads(run("points", database, "--format", "json").stdout)
    assert {row["gossip.fanout"] for row in rows} == {1, 2}
    assert run("points", database, "--format", "csv", "-o", tmp_path / "points.csv").exit_code == 0
    assert len((tmp_path / "points.csv").read_text().splitlines()) == len(rows) + 1
    assert "a table is for the screen" in run("points", database, "-o", tmp_path / "x").stderr
    assert "holds no sweep 7" in run("points", database, "--sweep", 7).stderr


def test_a_picture_of_what_was_chosen(database: Path, tmp_path: Path) -> None:
    done = run("sweep-plot", database, "--x", "gossip.fanout", "--y", "lag p99", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} == {f"sweep-lag-p99-over-gossip-fanout.{kind}" for kind in ("svg", "png")}
    assert run("sweep-plot", database, "-o", tmp_path).stdout.split() == [str(tmp_path / f"sweep.{kind}") for kind in ("svg", "png")]
    assert "--x and --y go together" in run("sweep-plot", database, "--x", "gossip.fanout").stderr
    unknown = run("sweep-plot", database, "--x", "nodes", "--y", "lag p99", "-o", tmp_path)
    assert (unknown.exit_code, "it varies gossip.fanout" in unknown.stderr) == (2, True)


def test_two_sweeps_are_compared_by_their_runs(database: Path, file: Path, tmp_path: Path) -> None:
    assert run("sweep", file, "--on", "serial", "-o", tmp_path, "--set", "filter=none", "--quiet").exit_code == 0
    other = tmp_path / "small-sweep.db"
    done = run("compare", database, other)
    assert done.exit_code == 1, done.output
    assert "2 points and 4 runs are in both" in done.stdout
    assert "Differences over all points" in done.stdout and "published" in done.stdout
    document = json.loads(run("compare", database, other, "--json").stdout)
    assert (document["points"], document["runs"]) == (2, 4)
    assert {difference["measure"] for difference in document["differences"]} >= {"published"}


def test_a_sweep_equals_itself(database: Path, tmp_path: Path) -> None:
    done = run("compare", database, copy(database, tmp_path / "copy.db"))
    assert done.exit_code == 0, done.output
    assert "no measure differs by more than chance explains" in done.stdout
