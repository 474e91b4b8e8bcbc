"""The verbs `check` and `fuzz`: what they print, write and return."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from priomon_core.replica import Replica
from priomon_sim.cli.main import main
from priomon_sim.fuzz import campaign as fuzz


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replica, "_sift", lambda self: None)


CRASH = ("--set", "duration=20 s", "--set", "faults=[{kind: crash, at: 2 s, nodes: 4, back_after: 1 s}]")


def test_check_says_that_all_is_well(small: Path) -> None:
    done = invoke("check", str(small), *CRASH)
    assert done.exit_code == 0
    assert f"{small}: ok: " in done.output and "after its last fault" in done.output
    short = invoke("check", str(small), "--set", "faults=[{kind: partition, at: 1 s, nodes: 50 %}]")
    assert short.exit_code == 0 and "it did not converge before its end" in short.output
    document = json.loads(invoke("check", str(small), "--json").output)
    assert document["finding"] is None and document["messages"] > 0


def test_check_says_what_a_checker_objects_to(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    done = invoke("check", str(small), *CRASH)
    assert done.exit_code == 1
    assert f"{small}: NoResurrection at " in done.output
    document = json.loads(invoke("check", str(small), *CRASH, "--json").output)
    assert document["finding"]["checker"] == "NoResurrection"
    assert document["verdict"].startswith("NoResurrection at ")


def test_check_refuses_a_bad_scenario(small: Path) -> None:
    done = invoke("check", str(small), "--set", "nodes=1")
    assert done.exit_code == 2 and "nodes" in done.output
    assert invoke("check", str(small), "--set", "faults=[{kind: crash, at: 1 s, nodes: nobody}]").exit_code == 2


def test_fuzz_without_failures(tmp_path: Path) -> None:
    done = invoke("fuzz", "--seeds", "6..7", "--jobs", "1", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "2 seeds in " in done.output and "none failed" in done.output and "converged after the last fault: median" in done.output
    assert not (tmp_path / "out").exists()
    document = json.loads(invoke("fuzz", "--seeds", "6..7", "--jobs", "1", "--json").output)
    assert (document["seeds"], document["failures"]) == (2, [])


def test_fuzz_writes_what_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    done = invoke("fuzz", "--seeds", "6..7", "--jobs", "1", "-o", str(tmp_path))
    assert done.exit_code == 1
    written = sorted(tmp_path.iterdir())
    assert written and f"{len(written)} failed" in done.output
    for path in written:
        assert f"seed {path.stem.removeprefix('seed-')}: NoResurrection at " in done.output and str(path) in done.output
        again = invoke("check", str(path))
        assert again.exit_code == 1 and "NoResurrection" in again.output
    document = json.loads(invoke("fuzz", "--seeds", "6..7", "--jobs", "1", "--json", "-o", str(tmp_path)).output)
    assert [failure["scenario"] for failure in document["failures"]] == [str(path) for path in written]
    monkeypatch.undo()
    assert all(invoke("check", str(path)).exit_code == 0 for path in written)


def test_fuzz_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(data: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fuzz, "examine", interrupted)
    done = invoke("fuzz", "--seeds", "1..3", "--jobs", "1")
    assert done.exit_code == 130 and "interrupted" in done.output


@pytest.mark.parametrize("seeds", ["1", "5..1", "a..b", "1..", "-1..3"])
def test_fuzz_refuses_what_is_no_range(seeds: str) -> None:
    done = invoke("fuzz", "--seeds", seeds)
    assert done.exit_code == 2 and "FIRST..LAST" in done.output
