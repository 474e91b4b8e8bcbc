"""One source, two speeds: where numba is missing the same functions run as they are, and a run comes to the same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from priomon_results.store import Store
from priomon_sim import compiled, provenance
from priomon_sim.cli.tables import LARGE, summary_table
from priomon_sim.experiment import execute
from priomon_sim.scenario.document import Scenario

ROOT = Path(__file__).parents[2]
HIDDEN = "import sys; sys.modules['numba'] = None"
RUNS = """
import json, sys
from pathlib import Path
from priomon_sim.compiled import HAS_NUMBA
from priomon_sim.scenario.document import load
from priomon_sim.topology import layout
from priomon_sim.world import build

traces, pictures = {}, {}
for name, settings in json.loads(sys.argv[1]).items():
    scenario = load(Path("scenarios", name), list(settings.items()))
    world = build(scenario)
    world.driver.clock.run_to(scenario.duration)
    traces[name], pictures[name] = world.driver.trace_hash(), layout(world.graph, scenario.seed)
print(json.dumps({"numba": HAS_NUMBA, "traces": traces, "pictures": pictures}))
"""
SCENARIOS = {
    "quick.yaml": {"duration": "5 s"},
    "loss20.yaml": {"nodes": "60", "duration": "10 s", "gossip.datagram_limit": "256", "gossip.burst": "1"},  # cuts and sheds
    "baseline-demon.yaml": {"nodes": "40", "duration": "5 s"},  # streams
    "wan.yaml": {"nodes": "60", "duration": "5 s", "topology.radius": "0.3"},  # hops, bursts of loss
}


def test_runs_without_numba_come_to_the_same_bits() -> None:
    with_numba, without = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", f"{first}\n{RUNS}", json.dumps(SCENARIOS)], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
        )
        for first in ("", HIDDEN)
    )
    assert with_numba.pop("numba") and not without.pop("numba")
    assert without == with_numba
    assert len(set(without["traces"].values())) == len(SCENARIOS)


def test_interpreted_functions_do_not_overflow_at_the_width_of_a_row() -> None:
    double = compiled.interpreted(lambda row, out, table: (row[0] + row[0], out.__setitem__(1, row[0]), table.shape))
    out = np.zeros(2, np.uint16)
    assert double(np.array([40_000], np.uint16), out, np.zeros((2, 3)))[::2] == (80_000, (2, 3))
    assert out.tolist() == [0, 40_000]


def test_results_say_which_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert provenance.machine()["numpy"] == np.__version__

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(provenance, "version", absent)
    assert provenance.machine()["numba"] == "not installed"


def test_the_table_of_a_large_run_recommends_numba_to_those_without(
    scenario: Callable[..., Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(tmp_path / "small.db") as store:
        _, summary = execute(scenario(), store, lambda now: None)

    def notes(nodes: int, has_numba: bool) -> list[str]:
        monkeypatch.setattr(compiled, "HAS_NUMBA", has_numba)
        summary_table([summary | {"nodes": nodes}] * 2)
        return capsys.readouterr().err.splitlines()

    assert notes(LARGE, has_numba=True) == notes(LARGE - 1, has_numba=False) == []
    (note,) = notes(LARGE, has_numba=False)
    assert "pip install 'priomon[sim]'" in note
