"""The benchmarks measure what they say; how fast they are is no matter of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from priomon_results.store import Store
from priomon_sim import bench


def test_an_exchange_carries_everything_to_everybody() -> None:
    figures = bench.exchange(nodes=40, seconds=20, loss=0.2)
    assert figures["coverage"] == 1.0
    rounds, most = 40 * 20, 40 * 20 * 4  # a round and at most three messages
    assert rounds + 0.8 * rounds * 0.9 < figures["events"] < most
    assert figures["trace_hash"] == bench.exchange(nodes=40, seconds=20, loss=0.2)["trace_hash"]


@pytest.mark.parametrize(("loss", "events_per_round"), [(0.0, 4.0), (0.2, 1 + 0.8 + 0.64 + 0.512), (1.0, 1.0)])
def test_the_clock_has_the_events_of_an_exchange(loss: float, events_per_round: float) -> None:
    figures = bench.clock(nodes=100, seconds=50, loss=loss)
    assert figures["events"] == pytest.approx(100 * 50 * events_per_round, rel=0.03)


def test_the_store_keeps_every_row_either_way(tmp_path: Path) -> None:
    figures = bench.store(nodes=5, seconds=4, folder=tmp_path)
    assert figures["row_by_row"]["commits"] == 5 * 4 + 1  # and the end of the run
    assert figures["batched"]["commits"] < 5
    for name in ("batched", "row_by_row"):
        with Store(tmp_path / f"{name}.db", readonly=True) as stored:
            rows = stored.rows(1, "node_sample")
        assert sorted(zip(rows["t"].tolist(), rows["node"].tolist(), strict=True)) == [(float(t), n) for t in range(4) for n in range(5)]
