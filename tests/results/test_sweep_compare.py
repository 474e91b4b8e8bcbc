"""Two sweeps side by side: what is noise, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from priomon_results.compare import CompareError
from priomon_results.store import Store
from priomon_results.sweep.compare import EVERYWHERE, Difference, SweepComparison, compare_sweeps, holds_sweeps

MakeSweep = Callable[..., Path]


def compared(first: Path, second: Path) -> SweepComparison:
    with Store(first, readonly=True) as a, Store(second, readonly=True) as b:
        return compare_sweeps(a, b)


def of_traffic(comparison: SweepComparison) -> dict[str, Difference]:
    return {one.point: one for one in comparison.differences if one.measure == "bytes per node"}


def noisy(shift: float, stream: int) -> Callable[..., float]:
    """Traffic with 5 % of noise, which rises by `shift` where the fan-out is 2."""
    random = Random(stream)
    return lambda fanout, seed: 100 * (1 + (shift if fanout == 2 else 0)) * random.gauss(1, 0.05)


AXES = {"gossip.fanout": [1, 2, 3, 4]}


def test_equal_sweeps_do_not_differ(make_sweep: MakeSweep) -> None:
    first, second = (make_sweep(AXES, noisy(0, 1), name=name) for name in "ab")
    comparison = compared(first, second)
    assert (comparison.points, comparison.runs) == (4, 12)
    assert not any(one.exceeds for one in comparison.differences)
    assert comparison.differences[0].point == EVERYWHERE


def test_noise_alone_is_seldom_more_than_noise(make_sweep: MakeSweep) -> None:
    found = 0
    for stream in range(20):
        first, second = (make_sweep(AXES, noisy(0, 2 * stream + side), name=f"{stream}-{side}", seeds=5) for side in (0, 1))
        found += sum(one.exceeds for one in of_traffic(compared(first, second)).values())
    assert found <= 3  # of 100


def test_a_point_that_changed_is_found_and_others_are_not(make_sweep: MakeSweep) -> None:
    first = make_sweep(AXES, noisy(0, 1), name="a", seeds=5)
    second = make_sweep(AXES, noisy(0.3, 2), name="b", seeds=5)
    exceeding = {point: one for point, one in of_traffic(compared(first, second)).items() if one.exceeds}
    assert '{"gossip.fanout": 2}' in exceeding
    assert set(exceeding) <= {'{"gossip.fanout": 2}', EVERYWHERE}
    assert exceeding['{"gossip.fanout": 2}'].relative == pytest.approx(0.26, abs=0.08)


def test_with_one_seed_every_difference_is_shown(make_sweep: MakeSweep) -> None:
    first = make_sweep(AXES, lambda fanout, seed: 100.0, name="a", seeds=1)
    second = make_sweep(AXES, lambda fanout, seed: 100.0 + (fanout == 3), name="b", seeds=1)
    differences = of_traffic(compared(first, second))
    assert differences['{"gossip.fanout": 3}'].limit is None
    assert differences['{"gossip.fanout": 3}'].exceeds
    assert not differences['{"gossip.fanout": 1}'].exceeds


def test_what_only_one_side_came_to_is_a_difference(make_sweep: MakeSweep) -> None:
    def never(summary: dict[str, object], fanout: int, seed: int) -> None:
        if fanout == 1:
            summary["convergence_rounds"] = None

    first = make_sweep(AXES, lambda fanout, seed: 1.0, name="a")
    second = make_sweep(AXES, lambda fanout, seed: 1.0, name="b", change=never)
    found = {one.point: one for one in compared(first, second).differences if one.measure == "convergence" and one.exceeds}
    assert set(found) == {EVERYWHERE, '{"gossip.fanout": 1}'}
    assert found['{"gossip.fanout": 1}'].never == 3


def test_only_runs_that_both_have_are_compared(make_sweep: MakeSweep) -> None:
    first = make_sweep({"gossip.fanout": [1, 2]}, lambda fanout, seed: 1.0, name="a", seeds=2)
    second = make_sweep({"gossip.fanout": [2, 3]}, lambda fanout, seed: 1.0, name="b", seeds=3)
    assert (compared(first, second).points, compared(first, second).runs) == (1, 2)


def test_sweeps_without_a_common_run_are_refused(make_sweep: MakeSweep) -> None:
    first = make_sweep({"gossip.fanout": [1]}, lambda fanout, seed: 1.0, name="a")
    second = make_sweep({"network.loss": [1]}, lambda loss, seed: 1.0, name="b")
    with pytest.raises(CompareError, match=r"share no point and seed \(they vary gossip\.fanout and network\.loss\)"):
        compared(first, second)


def test_stores_of_sweeps_are_told_from_others(make_sweep: MakeSweep, tmp_path: Path) -> None:
    with Store(make_sweep({"a": [1]}, lambda a, seed: 1.0)) as store, Store(tmp_path / "runs.db") as other:
        assert holds_sweeps(store)
        assert not holds_sweeps(other)
