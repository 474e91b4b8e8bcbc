"""The verb `tournament`: its verdict, what it leaves behind, and goals that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from priomon_sim.cli.main import main

TOURNAMENT = """
nodes: 6
duration: 4 s
start: known
workload: {kind: synthetic}
sweep:
  seeds: 2
  grid: {gossip.strategy: [scuttlebutt, tree, demon], nodes: [4, 6]}
  goal: lag_p99 <= 1 min, settled_error <= 1 bound
  baseline: {gossip.strategy: demon, filter: none}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tournament")
    (folder / "cup.yaml").write_text(TOURNAMENT)
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> Result:
    return run("tournament", folder / "cup.yaml", "--on", "serial", "-o", folder / "out")


def test_it_tells_who_wins(told: Result) -> None:
    assert told.exit_code == 0, told.output
    assert "Goal: lag p99 at most 60 s and settled error at most 1 bounds." in told.stdout
    assert "wins: it holds the goal in all 2 settings" in told.stdout
    assert "16 runs done now, 0 were stored already" in told.stdout


def test_it_leaves_a_report_and_pictures_and_the_store_of_a_sweep(told: Result, folder: Path) -> None:
    assert told.exit_code == 0, told.output
    names = {str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*") if path.is_file()}
    pictures = {f"plots/{name}.{kind}" for name in ("frontier", "growth") for kind in ("svg", "png")}
    assert {"cup-sweep.db", "tournament.html"} | pictures <= names
    again = run("sweep", folder / "cup.yaml", "--on", "serial", "-o", folder / "out", "--json")
    assert json.loads(again.stdout)["runs"] == 0


def test_json_is_one_document_with_medians(told: Result, folder: Path) -> None:
    assert told.exit_code == 0, told.output
    document = json.loads(run("tournament", folder / "cup.yaml", "--on", "serial", "-o", folder / "out", "--json").stdout)
    assert document["runs"] == 0
    assert document["default"] == document["standings"][0]["strategy"] != "demon"
    assert {(entry["strategy"], entry["setting"]["nodes"]) for entry in document["entries"]} == {
        (strategy, nodes) for strategy in ("scuttlebutt", "tree", "demon") for nodes in (4, 6)
    }
    ours = document["entries"][0]
    assert ours["missed"] == []
    assert ours["figures"]["saving"] > 10
    assert 0 < ours["figures"]["lower bound"] < ours["figures"]["bytes per node"]


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ("lag_p98 <= 3 s", "sweep.goal: goal 'lag_p98 <= 3 s': unknown measure 'lag_p98'; did you mean lag_p99?"),
        ("lag_p99 <= soon", "sweep.goal: goal 'lag_p99 <= soon': expected a measure, <= or >=, and a limit"),
        (
            "coverage_at_the_end >= 1",
            "sweep.goal: goal 'coverage_at_the_end >= 1': expected <=, for a tournament weighs what should be small",
        ),
    ],
)
def test_goals_that_cannot_be_held_against_a_measure_are_told(folder: Path, goal: str, message: str) -> None:
    done = run("tournament", folder / "cup.yaml", "--set", f"sweep.goal={goal}", "--on", "serial", "-o", folder / "bad")
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (folder / "bad").exists()


def test_one_strategy_makes_no_tournament(folder: Path) -> None:
    done = run(
        "tournament", folder / "cup.yaml", "--set", "sweep={grid: {nodes: [4, 6]}, seeds: 1}", "--on", "serial", "-o", folder / "one"
    )
    assert done.exit_code == 2
    assert "a tournament needs" in done.stderr and "gossip.strategy" in done.stderr
