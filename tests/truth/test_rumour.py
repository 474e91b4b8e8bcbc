"""One rumour on a complete graph takes as many rounds as theory says: the driver, the links and the peer choice add no bias.

Every node starts a rumour of its own, so one run gives as many samples as it has nodes. They share their contacts, so the standard
error is taken over runs, each with the mean of its rumours as one number.
"""

from collections.abc import Callable
from math import hypot, sqrt

import numpy as np
import pytest

from priomon_sim.driver import Driver, StrategyFactory

RUNS = {100: 40, 1000: 6}
FEWEST_REFERENCE_RUNS = 800  # of all rows; see the table's README


@pytest.mark.reference("rumor_rounds.csv")
@pytest.mark.parametrize("style", ["push", "pull", "pushpull"])
def test_mean_rounds_agree_with_theory(
    row: dict[str, str], style: str, cluster: Callable[..., Driver], strategies: dict[str, StrategyFactory]
) -> None:
    nodes, loss = int(row["n"]), float(row["loss"])
    means = [mean_rounds(cluster(strategies[style], nodes, seed, together=True, loss=loss)) for seed in range(RUNS[nodes])]
    ours = np.std(means, ddof=1) / sqrt(len(means))
    theirs = float(row[f"{style}_sd"]) / sqrt(FEWEST_REFERENCE_RUNS)
    print(f"\n{style:8} n={nodes:4} loss={loss:.1f}: {np.mean(means):5.2f} rounds +-{ours:.2f}, reference {row[f'{style}_mean']}", end="")
    assert np.mean(means) == pytest.approx(float(row[f"{style}_mean"]), abs=3 * hypot(ours, theirs))


def mean_rounds(driver: Driver) -> float:
    """The mean over all rumours of the rounds that each took to reach every node."""
    rounds = np.zeros(len(driver.nodes), int)
    for number in range(1, 100):
        driver.clock.run_to(number * driver.settings.period + driver.settings.period // 2)
        rounds[(rounds == 0) & driver.versions.all(axis=0)] = number
        if rounds.all():
            break
    assert rounds.all(), "a rumour died out"
    return float(rounds.mean())
