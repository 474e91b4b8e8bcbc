"""Nodes that exchange all they know with `fanout` peers per round need as many rounds as theory says until everyone knows everyone.

The reference gives means of few runs, in steps of 0.05: they are taken to be off by 0.15 at most. Nearly all runs with one setting end
in one of two neighbouring rounds, so a single run's standard deviation is at most 0.5.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest

from priomon_sim.driver import Driver, StrategyFactory

RUNS = {50: 30, 100: 24, 300: 8, 1000: 4}
REFERENCE_ERROR = 0.15
DEVIATION = 0.5

Cluster = Callable[..., Driver]
Strategies = dict[str, StrategyFactory]


def rounds(driver: Driver, together: bool) -> int:
    """The number of the round after which every node knows of every node."""
    period = driver.settings.period
    for number in range(1, 100):
        driver.clock.run_to(number * period + (period // 2 if together else -1))
        if driver.versions.all():
            return number
    raise AssertionError("some node never heard of some other")


def mean_rounds(cluster: Cluster, strategy: StrategyFactory, row: dict[str, str], together: bool) -> tuple[float, float]:
    """The mean number of rounds and how far it may be from the reference's."""
    nodes, fanout = int(row["n"]), int(row["fanout"])
    found = [rounds(cluster(strategy, nodes, seed, together, fanout=fanout), together) for seed in range(RUNS[nodes])]
    print(f"\n{strategy.__name__:12} n={nodes:4} fan-out {fanout}: {np.mean(found):.2f} rounds", end="")
    return float(np.mean(found)), REFERENCE_ERROR + 3 * DEVIATION / sqrt(len(found))


@pytest.mark.reference("full_state_rounds.csv")
def test_in_synchronous_rounds(row: dict[str, str], cluster: Cluster, strategies: Strategies) -> None:
    mean, tolerance = mean_rounds(cluster, strategies["pushpull"], row, together=True)
    assert mean == pytest.approx(float(row["sync_rounds"]), abs=tolerance)


@pytest.mark.reference("full_state_rounds.csv")
def test_one_after_another(row: dict[str, str], cluster: Cluster, strategies: Strategies) -> None:
    mean, tolerance = mean_rounds(cluster, strategies["in turn"], row, together=False)
    assert mean == pytest.approx(float(row["async_rounds"]), abs=tolerance)


@pytest.mark.reference("full_state_rounds.csv")
def test_scuttlebutt_lies_between(row: dict[str, str], cluster: Cluster, strategies: Strategies) -> None:
    """Its nodes act one after another, but the contacts of one node's round are simultaneous: they tell what it knew before them all."""
    mean, tolerance = mean_rounds(cluster, strategies["scuttlebutt"], row, together=False)
    assert float(row["async_rounds"]) - tolerance <= mean <= float(row["sync_rounds"])
