"""A run is a function of scenario and seed: everything that is delivered is the same in any process, however closely it is watched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from priomon_results.store import Store
from priomon_sim.experiment import execute
from priomon_sim.scenario.document import load

SCENARIO = """
nodes: 40
duration: 10 s
gossip: {fanout: 2}
topology: {kind: random-regular, degree: 6}
network:
  latency: {kind: lognormal, median: 40 ms, sigma: 0.7}
  loss: 20 %
  duplicate: 5 %
workload: {kind: synthetic}
"""
HASH = """
import sys
from pathlib import Path
from priomon_sim.scenario.document import load
from priomon_sim.world import build
scenario = load(Path(sys.argv[1]), [("seed", sys.argv[2])])
driver = build(scenario).driver
driver.clock.run_to(scenario.duration)
print(driver.trace_hash())
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "traced.yaml"
    path.write_text(SCENARIO)
    return path


def trace_hash(scenario: Path, seed: int, hash_seed: str) -> str:
    """The trace hash of a run in a process of its own."""
    command = [sys.executable, "-c", HASH, str(scenario), str(seed)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_equal_in_two_processes_and_other_with_another_seed(scenario: Path) -> None:
    first, again, other = trace_hash(scenario, 1, "1"), trace_hash(scenario, 1, "2"), trace_hash(scenario, 2, "1")
    assert len(first) == 32
    assert first == again
    assert first != other


def test_watching_changes_nothing(scenario: Path, tmp_path: Path) -> None:
    hashes = set()
    with Store(tmp_path / "traced.db") as store:
        for every in ("100 ms", "1 s", "7 s"):
            watched = load(scenario, [("measure.every", every), ("measure.spread_every", every)])
            hashes.add(execute(watched, store, lambda world: None)[1]["trace_hash"])
    assert len(hashes) == 1
    assert hashes == {trace_hash(scenario, 1, "0")}
