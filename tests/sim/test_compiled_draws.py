"""Compiled functions: kept between processes where there is a place for them, and right where there is none."""

import os
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

from priomon_core import draws
from priomon_sim.compiled import compiled

ROOT = Path(__file__).parent.parent.parent
COUNT = """
from priomon_sim.compiled_draws import COMPILED_DRAWS as draws, delay, normal_quantile
functions = [normal_quantile, delay, draws.child, draws.uniform, draws.path, draws.transit, draws.transfer]
print(*(sum(sum(getattr(each.stats, kind).values()) for each in functions) for kind in ("cache_misses", "cache_hits")))
"""


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", COUNT], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stdout.split() for run in runs] == [["7", "0"], ["0", "7"]]


def test_without_a_place_for_a_cache_functions_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    homeless = FunctionType(draws.child.__code__.replace(co_filename="/nowhere/draws.py"), vars(draws))
    with pytest.warns(UserWarning, match="set NUMBA_CACHE_DIR"):
        fast = compiled(homeless, "uint64(uint64, uint64)")
    assert fast(1, 2) == draws.child(1, 2)
