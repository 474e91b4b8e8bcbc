"""The verb `compare`: which runs it takes, what it prints, exit codes, and what it says where there is nothing to compare."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from shutil import copy

import pytest
from click.testing import CliRunner, Result

from priomon_results.plots.compare import PLOTS
from priomon_sim import experiment
from priomon_sim.cli.main import main

PICTURES = {f"{name}.{kind}" for name, _ in PLOTS for kind in ("svg", "png")}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs 1 and 2 of one scenario, and 3 and 4 of one that gossips twice as much."""
    folder = tmp_path_factory.mktemp("results")
    scenario = folder / "small.yaml"
    scenario.write_text("nodes: 8\nduration: 6 s\nworkload: {kind: synthetic}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "draw", lambda *arguments: None)
        for fanout in (1, 2):
            done = run(scenario, "--seeds", "1..2", "--set", f"gossip.fanout={fanout}", "-o", folder, "--quiet")
            assert done.exit_code == 0, done.output
    return folder / "small.db"


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(copy(store, tmp_path / "own.db"))


def change(database: Path, sql: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(sql)
    connection.close()


def test_a_measure_outside_its_tolerance_exits_with_1(store: Path, tmp_path: Path) -> None:
    done = run("compare", store, "-o", tmp_path)
    assert (done.exit_code, done.stderr) == (1, "")
    assert "gossip.fanout=1" in done.stdout and "gossip.fanout=2" in done.stdout
    (traffic,) = [line for line in done.stdout.splitlines() if "bytes per node" in line and "│" in line]
    assert "OUTSIDE" in traffic and "5 %" in traffic
    assert "outside: " in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == PICTURES


def test_live_runs_like_simulated_ones_are_inside(own: Path, tmp_path: Path) -> None:
    same = "SET mode = 'live', scenario_hash = (SELECT scenario_hash FROM run WHERE id = 1), summary = "
    change(own, f"UPDATE run {same} (SELECT summary FROM run AS twin WHERE twin.id = run.id - 2) WHERE id > 2")
    done = run("compare", own)
    assert done.exit_code == 0, done.output
    assert "simulated" in done.stdout and "live" in done.stdout
    assert "all measures with a tolerance are inside it" in done.stdout
    assert {path.name for path in (tmp_path / "compare").iterdir()} == PICTURES


def test_json_is_one_document(store: Path, own: Path, tmp_path: Path) -> None:
    change(own, "UPDATE run SET summary = json_set(summary, '$.convergence_rounds', NULL) WHERE id > 2")
    done = run("compare", own, "--json", "-o", tmp_path / "pictures")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert document["inside"] is False
    assert [document[side]["runs"] for side in "ab"] == [[1, 2], [3, 4]]
    assert document["b"]["label"] == "gossip.fanout=2"
    rows = {row["measure"]: row for row in document["rows"]}
    assert rows["convergence"]["b"] == {"low": None, "median": None, "high": None}
    assert rows["convergence"]["tolerance"] == {"limit": 1, "unit": "round"}
    assert rows["bytes per node"]["difference"] > 0.05
    assert rows["redundancy"]["inside"] is None
    assert {Path(path).name for path in document["pictures"]} == PICTURES


def test_two_stores_give_the_latest_scenario_of_each(store: Path, own: Path, tmp_path: Path) -> None:
    change(own, "DELETE FROM run WHERE id = 1 OR id > 2")
    document = json.loads(run("compare", store, own, "--json", "-o", tmp_path / "pictures").stdout)
    assert (document["a"]["database"], document["a"]["runs"]) == (str(store), [3, 4])
    assert (document["b"]["database"], document["b"]["runs"]) == (str(own), [2])


def test_equal_runs_of_two_stores_are_told_apart_by_their_paths(store: Path, own: Path, tmp_path: Path) -> None:
    done = run("compare", store, own, "--json", "-o", tmp_path / "pictures")
    document = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [document[side]["label"] for side in "ab"] == [str(store), str(own)]
    assert all(row["difference"] == 0 for row in document["rows"])


def test_runs_can_be_chosen(store: Path, tmp_path: Path) -> None:
    document = json.loads(run("compare", store, "--run", 2, "--run", 3, "--json", "-o", tmp_path).stdout)
    assert [document[side]["runs"] for side in "ab"] == [[2], [3]]


def test_what_cannot_be_compared_is_refused(store: Path, own: Path, tmp_path: Path) -> None:
    def told(*arguments: object) -> tuple[int, str]:
        done = run("compare", *arguments, "-o", tmp_path / "pictures")
        assert done.stdout == ""
        return done.exit_code, done.stderr

    def expect(code: int, text: str, *arguments: object) -> None:
        exit_code, stderr = told(*arguments)
        assert (exit_code, text in stderr) == (code, True), stderr

    expect(2, "only one group", store, "--run", 1, "--run", 2)
    expect(2, "--run chooses runs of one store", store, own, "--run", 1)
    expect(2, "both stores are the same", store, store.parent / "." / store.name)
    expect(1, "holds no run 9", store, "--run", 9)
    expect(1, "there is no such file", tmp_path / "missing.db")
    change(own, "UPDATE run SET nodes = 9 WHERE id > 2")
    expect(2, "number of nodes: 8 and 9", own)
    change(own, "UPDATE run SET nodes = 8, virtual_seconds = 12 WHERE id > 2")
    expect(2, "duration: 6 s and 12 s", own)
    change(own, "UPDATE run SET status = 'interrupted'")
    expect(2, "no complete run", own)
    expect(2, "run 1 is interrupted", own, "--run", 1, "--run", 3)
    assert not (tmp_path / "pictures").exists()


def test_a_folder_that_cannot_be_made_is_told_in_one_line(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("compare", store, "-o", tmp_path / "file" / "pictures")
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and "file" in done.stderr
