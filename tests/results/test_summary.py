"""The summary of a run, from an observer and an ending made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from priomon_core.metrics import CPU
from priomon_results.measures import Publications
from priomon_results.observer import Look, Observer, Traffic
from priomon_results.summary import Ending, saving, summarise
from priomon_results.verdicts import Verdicts

SECOND = 1_000_000_000
ENDING = Ending(
    scenario="pair",
    seed=7,
    nodes=2,
    strategy="scuttlebutt",
    period=SECOND // 2,
    now=10 * SECOND,
    traffic=Traffic([600, 400], [6, 4], [400, 600], 20, 6, 3, {"cpu": (5, 15)}),
    lost={"loss": 2, "queue": 0},
)


def observer(verdicts: Verdicts | None = None) -> Observer:
    class Ignored:
        """Takes rows."""

        def add(self, table: str, rows: Any) -> None:
            """No store."""

    writer: Any = Ignored()
    return Observer(writer, (CPU,), 2, 2, verdicts)


def converged() -> Observer:
    """One that saw two nodes meet after 3 s."""
    it = observer()
    level = np.array([[[0], [CPU.level(40.0)]]] * 2, np.int64)
    publications = Publications(np.array([1, 1]), np.array([[0, SECOND]] * 2), np.array([[[0], [1]]] * 2), level)
    for now, versions in ((2, [[1, 0], [0, 1]]), (3, [[1, 1], [1, 1]])):
        look = Look(now * SECOND, np.array(versions), publications, np.ones(2, np.bool_))
        it.follow(look)
        it.probe(look, np.array([[40.0], [42.5]]), ENDING.traffic)
    return it


def test_what_the_driver_counted_becomes_rates() -> None:
    summary = summarise(observer(), ENDING)
    assert summary["virtual_seconds"] == 10
    assert summary["bytes_per_node_per_second"] == 1_000 / 2 / 10
    assert summary["messages_per_node_per_second"] == 20 / 2 / 10
    assert summary["redundancy"] == 3 / 6
    assert (summary["published"], summary["filtered"]) == ({"cpu": 5}, {"cpu": 15})
    assert summary["lost"] == {"loss": 2, "queue": 0}


def test_what_the_observer_saw_is_in_seconds_and_rounds() -> None:
    summary = summarise(converged(), ENDING)
    assert summary["convergence_seconds"] == 3
    assert summary["convergence_rounds"] == 6
    assert summary["coverage_final"] == 1
    assert summary["lag_seconds"]["max"] == 1.0
    assert summary["age_seconds"]["p99"] == pytest.approx(2, rel=0.02)
    assert summary["error"]["cpu"]["max"] == pytest.approx(2.5)
    assert summary["error_in_bounds"]["cpu"]["max"] == pytest.approx(2.5 / CPU.bound)
    assert summary["dissemination_seconds"] == {"t50": 2, "t99": 2, "t100": 2}


def test_what_did_not_happen_is_null_also_in_json() -> None:
    summary = summarise(observer(), replace(ENDING, now=0, traffic=replace(ENDING.traffic, published=0)))
    for name in ("convergence_seconds", "convergence_rounds", "bytes_per_node_per_second", "redundancy"):
        assert summary[name] is None
    assert summary["lag_seconds"] == {"p50": None, "p99": None, "max": None}
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_both_modes_have_the_same_keys() -> None:
    live, simulated = (summarise(converged(), ending) for ending in (ENDING, replace(ENDING, events=99, trace_hash="5eed")))
    assert list(live) == list(simulated)
    assert {name for name in live if live[name] != simulated[name]} == {"events", "trace_hash"}
    assert (live["events"], live["trace_hash"]) == (None, "")


def test_rates_are_per_second_that_a_node_ran() -> None:
    verdicts = Verdicts([0, 1], [0, 1], SECOND)
    verdicts.stopped(0, 4 * SECOND, announced=False, knowing=[1])
    summary = summarise(observer(verdicts), replace(ENDING, faults=1))
    assert summary["bytes_per_node_per_second"] == 1_000 / 14
    assert (summary["faults"], summary["detection"]) == (1, None)


def test_detection_is_summed_up_if_nodes_judge_each_other() -> None:
    verdicts = Verdicts([0, 1], [0, 1], SECOND)
    verdicts.stopped(0, 4 * SECOND, announced=False, knowing=[1])
    verdicts.died(6 * SECOND, 1, 0)
    detection = summarise(observer(verdicts), replace(ENDING, detects=True))["detection"]
    assert detection["seconds"]["first"]["p50"] == 2.0
    assert detection["periods"]["first"]["p50"] == 2.0 * SECOND / ENDING.period


def test_a_saving_is_the_baselines_bytes_over_ours_with_its_accuracy() -> None:
    ours = summarise(converged(), ENDING)
    traffic = replace(ENDING.traffic, bytes_sent=[3_000, 2_000])
    theirs = summarise(converged(), replace(ENDING, scenario="old", traffic=traffic))
    told = saving(ours, theirs)
    assert told == {
        "scenario": "old",
        "bytes_ratio": 5.0,
        **{key: theirs[key] for key in ("bytes_per_node_per_second", "lag_seconds", "age_seconds", "error_in_bounds")},
    }


def test_a_run_that_sent_nothing_has_no_saving() -> None:
    silent = summarise(observer(), replace(ENDING, traffic=replace(ENDING.traffic, bytes_sent=[0, 0])))
    assert saving(silent, summarise(observer(), ENDING)) is None
