"""The fuzz: its scenarios are sound and repeatable, dozens of them are clean, and what fails is found again and shrunk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from priomon_core.replica import Replica
from priomon_sim.examine import examine
from priomon_sim.examiner import Examination, Finding
from priomon_sim.fuzz.campaign import FuzzError, examine_seed, fuzz
from priomon_sim.fuzz.scenario import calm, random_scenario, scenario_of, sound
from priomon_sim.fuzz.shrink import MOST_RUNS, shrink
from priomon_sim.scenario.document import load
from priomon_sim.scenario.faults import Fault

SEEDS = range(1, 61)
SMALL = 12  # nodes: seconds for dozens


@pytest.fixture(scope="module")
def drawn() -> dict[int, dict[str, Any]]:
    """Scenarios by their seed, as plain values."""
    return {seed: random_scenario(seed) for seed in SEEDS}


def test_a_seed_always_gives_the_same_scenario(drawn: dict[int, dict[str, Any]]) -> None:
    assert random_scenario(7) == drawn[7]
    assert len({str(data) for data in drawn.values()}) == len(drawn)


def test_scenarios_can_be_written_and_read_again(drawn: dict[int, dict[str, Any]], tmp_path: Path) -> None:
    for seed, data in drawn.items():
        path = tmp_path / f"{seed}.yaml"
        path.write_text(yaml.safe_dump(data), "utf-8")
        assert load(path).dump() == scenario_of(data).dump()


def test_faults_of_all_kinds_are_drawn(drawn: dict[int, dict[str, Any]]) -> None:
    kinds = {kind.model_fields["kind"].annotation.__args__[0] for kind in every(Fault) if "kind" in kind.model_fields}  # type: ignore[union-attr]
    assert len(kinds) == 9
    assert {fault["kind"] for data in drawn.values() for fault in data["faults"]} == kinds
    assert {data["detection"]["detector"] for data in drawn.values()} == {"swim", "phi", "count", "none"}
    assert {data["gossip"]["strategy"] for data in drawn.values()} == {"scuttlebutt", "rumor", "tree", "demon"}


def every(kind: type[Fault]) -> list[type[Fault]]:
    return [one for child in kind.__subclasses__() for one in (child, *every(child))]


def test_calm_lasts_until_all_must_agree(drawn: dict[int, dict[str, Any]]) -> None:
    for data in drawn.values():
        scenario = scenario_of(data)
        last = max((fault.at + (getattr(fault, "lasts", None) or 0) for fault in scenario.faults), default=0)
        assert scenario.duration / 1e9 >= last / 1e9 + calm(scenario) - 0.01


def test_dozens_of_seeds_are_clean(drawn: dict[int, dict[str, Any]]) -> None:
    small = [seed for seed, data in drawn.items() if data["nodes"] <= SMALL]
    assert len(small) >= 24
    for outcome in fuzz(small, 1):
        assert outcome.failure is None, f"seed {outcome.seed}: {outcome.failure}"
        assert outcome.examination.converged_after is not None


def test_what_fails_is_shrunk_and_fails_still(drawn: dict[int, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replica, "_sift", lambda self: None)
    small = (seed for seed, data in drawn.items() if data["nodes"] <= SMALL)
    outcome = next(one for one in map(examine_seed, small) if one.failure is not None)
    failure, data = outcome.failure, drawn[outcome.seed]
    assert failure is not None
    assert failure.finding.checker == failure.shrunk_finding.checker == "NoResurrection"
    assert (len(failure.shrunk["faults"]), failure.shrunk["topology"], failure.shrunk["gossip"]) == (1, {"kind": "complete"}, {})
    assert failure.shrunk["nodes"] < data["nodes"]
    assert scenario_of(failure.shrunk).duration < scenario_of(data).duration
    assert examine(scenario_of(failure.shrunk)).finding == failure.shrunk_finding


@pytest.mark.parametrize("found", [None, Finding("VersionsGrow", 3.0, "something else"), Finding("Converges", 20.0, "somebody is missing")])
def test_shrinking_ends(drawn: dict[int, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, found: Finding | None) -> None:
    """Nothing is smaller where all smaller scenarios are clean or fail otherwise; and where all fail alike there is a smallest one."""
    runs: list[Any] = []

    def examined(scenario: Any) -> Examination:
        runs.append(scenario)
        return Examination(found, None, 0)

    monkeypatch.setattr("priomon_sim.fuzz.shrink.examine", examined)
    looked_for = Finding("Converges", 30.0, "somebody is missing")
    smallest, last = shrink(drawn[7], looked_for)
    assert 0 < len(runs) <= MOST_RUNS
    if found is None or found.checker != looked_for.checker:
        assert (smallest, last) == (drawn[7], looked_for)
        assert len(runs) > 10
    else:
        assert last == found
        assert (smallest["faults"], smallest["nodes"], smallest["gossip"], smallest["network"]) == ([], 2, {}, {})
        assert smallest["topology"] == {"kind": "complete"}


@pytest.mark.parametrize("change", [{"nodes": 1}, {"faults": [{"kind": "crash", "at": "1 s", "nodes": "999"}]}, {"duration": "1 parsec"}])
def test_a_scenario_that_cannot_be_run_is_not_sound(drawn: dict[int, dict[str, Any]], change: dict[str, Any]) -> None:
    assert sound(drawn[7]) is not None
    assert sound({**drawn[7], **change}) is None


def test_processes_say_the_same_as_one() -> None:
    assert sorted(fuzz([3, 6], 2), key=lambda one: one.seed) == [examine_seed(3), examine_seed(6)]


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(FuzzError, match="fewer --jobs"):
        list(fuzz([1, 2], 2, os._exit))
