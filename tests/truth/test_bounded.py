"""What the filter `bounded` promises: who lacks no publication is off by less than the bound. `schedule` promises no such thing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from priomon_core.config import SECOND, GossipSettings
from priomon_core.latency import Uniform
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.metrics import BUILT_IN, Filter, Metric
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_sim.clock import Clock
from priomon_sim.compiled_draws import COMPILED_DRAWS
from priomon_sim.driver import Driver

NODES = 5
SAMPLES = 60


def walk(random: np.random.Generator, step: float) -> NDArray[np.float64]:
    """Positions, in bounds, of a random walk."""
    return np.asarray(np.abs(random.normal(0, step, SAMPLES).cumsum() + 50))


def jumps(random: np.random.Generator, step: float) -> NDArray[np.float64]:
    """Positions that rest and then jump."""
    return np.asarray(random.choice([1.0, 1 + step, 20.0], SAMPLES).repeat(3)[:SAMPLES])


def drift(random: np.random.Generator, step: float) -> NDArray[np.float64]:
    """Positions that grow by less than a bound per sample."""
    return np.asarray(random.uniform(0, 10) + min(step, 0.9) * np.arange(SAMPLES))


def values(metric: Metric, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a sensor shows at these positions on the metric's scale."""
    return metric.floor * metric.bound**positions if metric.scale == "log" else positions * metric.bound


def worst_error(metrics: list[Metric], series: list[NDArray[np.float64]], loss: float, seed: int) -> float:
    """The largest error, in bounds, at any probe, over all pairs without lag."""
    driver = Driver(
        Clock(),
        metrics,
        GossipSettings(period=SECOND),
        Scuttlebutt,
        [[peer for peer in range(NODES) if peer != node] for node in range(NODES)],
        Links(NODES, seed, LinkModel(Uniform(10_000_000, 300_000_000), Bernoulli(loss)), draws=COMPILED_DRAWS),
        series,
        SECOND,
        seed,
    )
    worst = 0.0
    pairs = 0
    for probe in range(1, 4 * SAMPLES):
        driver.clock.run_to(probe * SECOND // 4)
        truth = driver.truth()
        for observer, origin in np.argwhere((driver.versions == driver.ledger.newest) & (driver.versions > 0)):
            pairs += observer != origin
            for index, level in driver.ledger.changes(origin, 0, int(driver.versions[observer, origin])):
                worst = max(worst, metrics[index].error(level, truth[origin, index]))
    assert pairs > SAMPLES
    return worst


def series_of(model: Any, step: float, seed: int) -> list[NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    return [np.column_stack([values(metric, model(random, step)) for metric in BUILT_IN]) for _ in range(NODES)]


def filtered(filter: Filter) -> list[Metric]:
    return [replace(metric, filter=filter) for metric in BUILT_IN]


@settings(max_examples=30)
@given(st.sampled_from([walk, jumps, drift]), st.floats(0.01, 5), st.sampled_from([0.0, 0.2, 0.5]), st.integers(0, 2**32 - 1))
def test_bounded_keeps_every_error_under_its_bound(model: Any, step: float, loss: float, seed: int) -> None:
    assert worst_error(filtered("bounded"), series_of(model, step, seed), loss, seed) < 1


@pytest.mark.parametrize("step", [0.2, 0.5, 0.9])
def test_schedule_lets_a_slow_drift_grow_past_the_bound(step: float) -> None:
    # storage is published at the latest with every tenth sample, so nine steps of drift can go unseen
    assert worst_error(filtered("schedule"), series_of(drift, step, 1), 0.0, 1) == pytest.approx(9 * step, abs=0.05 + 1e-9)
