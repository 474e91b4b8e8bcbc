"""The ladder of a saving: which runs are its rungs, what is computed, and that its factors make the whole."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest

from priomon_core.metrics import Metric
from priomon_results import prototype
from priomon_results.bound import FULL
from priomon_results.measures import Publications
from priomon_results.report_saving import conditions, lines, sentence
from priomon_results.saving import CODEC, DIGEST, FILTER, RESENDING, saving_of
from priomon_results.schema import Run, RunHeader

MakeHeader = Callable[..., RunHeader]


@pytest.fixture
def run(make_header: MakeHeader) -> Callable[..., Run]:
    def make(strategy: str, sent: float, *, filter: str = "bounded", fanout: int = 1, seed: int = 1, **parameters: Any) -> Run:
        settings = {
            "nodes": 40,
            "gossip": {"strategy": strategy, "fanout": fanout, "period": "1 s"},
            "network": {"loss": {"kind": "bernoulli", "share": "5 %"}},
            "metrics": {"cpu": {"unit": "%", "bound": 5.0, "filter": filter}, "storage": {"enabled": False, "filter": "bounded"}},
            **parameters,
        }
        known = make_header(strategy=strategy, seed=seed, parameters=settings)
        summary = {
            "bytes_per_node_per_second": sent,
            "prototype_bytes_per_node_per_second": 90_000.0,
            "prototype_in_our_codec_bytes_per_node_per_second": 3_000.0,
            "lag_seconds": {"p50": 0.5, "p99": 2.0, "max": 3.0},
            "error_in_bounds": {"cpu": {"p50": 0.25, "p99": 1.5, "max": 2.0}, "memory": {"p50": 0.5, "p99": None, "max": None}},
        }
        fields = {name: getattr(known, name) for name in RunHeader.__slots__}
        return Run(
            **fields, id=1, started="", wall_seconds=1.0, virtual_seconds=1.0, status="complete", trace_hash="", summary=summary
        )  # fmt: skip

    return make


MakeRun = Callable[..., Run]


def test_every_idea_has_a_rung_and_the_factors_make_the_whole(run: MakeRun) -> None:
    own = run("tree", 50.0)
    others = [
        run("tree", 400.0, filter="none"),
        run("scuttlebutt", 500.0, filter="none"),
        run("scuttlebutt", 100.0),
        run("demon", 100_000.0, filter="none", fanout=3),
    ]
    found = saving_of(own, [own, *others])
    assert found is not None
    assert [rung.ideas for rung in found.rungs] == [(), (CODEC,), (RESENDING,), (FILTER,), (DIGEST,)]
    assert [rung.bytes for rung in found.rungs] == [100_000, 3_000, 500, 100, 50]
    assert prod(factor for factor in found.factors() if factor) == pytest.approx(found.total) == 2_000
    assert found.complete
    assert found.by_filter == 8
    assert found.rungs[0].lag == {"p50": 0.5, "p99": 2.0, "max": 3.0}
    assert found.rungs[0].error == {"p50": 0.5, "p99": 1.5}
    assert sentence(found) == "A node sends 2,000 times fewer bytes than the prototype's protocol (measured on the same workload)."


def test_alone_a_run_has_what_can_be_computed(run: MakeRun) -> None:
    found = saving_of(run("tree", 50.0), [])
    assert found is not None
    assert [(rung.ideas, rung.bytes) for rung in found.rungs] == [((), 90_000), ((CODEC,), 3_000), ((RESENDING, FILTER, DIGEST), 50)]
    assert found.rungs[0].lag is None
    assert found.unfiltered is None and not found.complete
    assert "computed" in sentence(found)


def test_digests_and_unfiltered_runs_have_shorter_ladders(run: MakeRun) -> None:
    ideas = {}
    for name, own in {
        "digests": run("scuttlebutt", 9.0),
        "digests, all": run("scuttlebutt", 9.0, filter="none"),
        "all": run("tree", 9.0, filter="none"),
    }.items():
        found = saving_of(own, [run("scuttlebutt", 20.0, filter="none")])
        assert found is not None
        ideas[name] = [rung.ideas for rung in found.rungs[2:]]
    assert ideas == {"digests": [(RESENDING,), (FILTER,)], "digests, all": [(RESENDING,)], "all": [(RESENDING,), (DIGEST,)]}


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"nodes": 41},
        {"network": {"loss": "none"}},
        {"detection": {"detector": "swim"}},
        {"metrics": {"cpu": {"unit": "%", "bound": 4.0, "filter": "none"}}},
        {"fanout": 2},
    ],
    ids=str,
)
def test_runs_of_another_load_are_no_rungs(run: MakeRun, other: dict[str, Any]) -> None:
    found = saving_of(run("scuttlebutt", 50.0), [run("scuttlebutt", 400.0, filter="none", **other)])
    assert found is not None
    assert (len(found.rungs), found.unfiltered) == (3, None)


def test_the_prototype_and_a_silent_run_save_nothing(run: MakeRun) -> None:
    assert saving_of(run("demon", 50.0), []) is None
    assert saving_of(run("tree", 0.0), []) is None


def test_lines_and_conditions_are_for_people(run: MakeRun) -> None:
    own = run("tree", 50.0)
    found = saving_of(own, [run("tree", 400.0, filter="none")])
    assert found is not None
    told = lines(found)
    assert told[0] == ("the prototype (computed)", "90 kB/s", "", "", "-", "-")
    assert told[2] == (
        "tree (this run)",
        "50 B/s",
        "nothing sent twice + filter + no digest",
        "60",
        "0.5 s (p50), 2 s (p99)",
        "0.5 (p50), 1.5 (p99)",
    )
    assert told[3][3] == "1,800"
    assert told[4][2] == "its filter saves 8 times"
    assert conditions(own) == "40 nodes; a round per 1 s, a sample per round; loss 5 %; bounds: cpu 5 %."


def test_what_the_prototype_sends_is_what_was_measured() -> None:
    assert prototype.in_json(20, 1_000_000_000) == 3 * (2780 + 20 * 648)
    assert prototype.in_json(2, 2_000_000_000) == (2780 + 2 * 648) / 2


def test_its_state_in_our_codec_is_counted_as_on_the_wire() -> None:
    newest = np.array([1, 2], np.int64)
    levels = np.zeros((2, 3, 2), np.int64)
    levels[0, 1] = 10, -64  # 1 B and, zigzag-coded, 1 B
    levels[1, 2] = 200, 64  # 2 B and 2 B
    table = Publications(newest, np.zeros((2, 3), np.int64), np.zeros((2, 3, 2), np.int64), levels)
    metrics = [Metric("a", "u", 1.0), Metric("b", "u", 1.0, signed=True)]
    digest, records = 7 + 1 + 4 + 2 + 2 * 1, (4 + 1 + 1 + 1 + 2) + (4 + 1 + 1 + 1 + 4)
    assert prototype.in_our_codec(table, metrics, 2, 1_000_000_000) == pytest.approx((digest + records) * FULL)
