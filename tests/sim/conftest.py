"""Scenarios for tests of what runs them."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from priomon_sim.scenario.document import Scenario, load

SMALL = """
nodes: 8
duration: 6 s
workload: {kind: synthetic}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The file of a scenario that runs in a moment."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def scenario(small: Path) -> Callable[..., Scenario]:
    """A function that loads the small scenario with `path=value` settings changed."""

    def change(*settings: str) -> Scenario:
        return load(small, [(path, value) for path, _, value in (setting.partition("=") for setting in settings)])

    return change


@pytest.fixture
def dask() -> Iterator[None]:
    """For tests that start Dask: it leaves sockets to the garbage collector, which must not be told of another test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
