"""The verb `saving`: its runs, its table, and the figures that reports compute without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from priomon_results.store import Store
from priomon_sim.cli.main import main
from priomon_sim.experiment import execute
from priomon_sim.saving import ladder
from priomon_sim.scenario.document import Scenario

MakeScenario = Callable[..., Scenario]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_ladder_changes_the_protocol_and_nothing_else(small: Path) -> None:
    settings = [("gossip.strategy", "tree"), ("metrics.cpu.filter", "schedule"), ("detection.detector", "swim"), ("seed", "3")]
    *others, own = ladder(small, settings)
    described = {
        one.name: (one.gossip.strategy, one.gossip.fanout, {metric.filter for metric in one.metrics.values()}, one.detection.detector)
        for one in others
    }
    assert described == {
        "small-prototype": ("demon", 3, {"none"}, "none"),
        "small-scuttlebutt-unfiltered": ("scuttlebutt", 1, {"none"}, "swim"),
        "small-scuttlebutt": ("scuttlebutt", 1, {"bounded", "schedule"}, "swim"),
        "small-unfiltered": ("tree", 1, {"none"}, "swim"),
    }
    assert (own.name, own.gossip.strategy) == ("small", "tree")
    assert {(one.seed, one.nodes, one.duration, one.network) for one in others} == {(3, own.nodes, own.duration, own.network)}


def test_variants_that_are_alike_are_run_once(small: Path) -> None:
    chosen = ("gossip.strategy", "scuttlebutt")
    assert [one.gossip.strategy for one in ladder(small, [chosen])] == ["demon", "scuttlebutt", "scuttlebutt"]
    assert [one.gossip.strategy for one in ladder(small, [chosen, ("filter", "none")])] == [
        "demon",
        "scuttlebutt",
    ]


def test_the_factors_make_the_whole_and_the_report_has_them(small: Path, tmp_path: Path) -> None:
    done = run("saving", small, "--set", "gossip.strategy=tree", "--set", "start=known", "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [rung["ideas"] for rung in document["rungs"]] == [[], ["binary codec"], ["nothing sent twice"], ["filter"], ["no digest"]]
    assert prod(rung["factor"] for rung in document["rungs"][1:]) == pytest.approx(document["total"])
    assert document["total"] > 30
    assert document["by_filter"] > 1
    assert [rung["computed"] for rung in document["rungs"]] == [False, True, False, False, False]
    html = Path(document["report"]).read_text("utf-8")
    assert "<h2>Saving</h2>" in html and "beside: tree, every sample" in html
    assert "python -m priomon_sim saving SCENARIO" not in html  # nothing is left to measure


def test_what_is_stored_is_not_run_again_and_a_later_run_has_the_table(small: Path, tmp_path: Path) -> None:
    assert run("saving", small, "-o", tmp_path / "out", "--quiet").exit_code == 0
    with Store(tmp_path / "out" / "small.db") as store:
        before = [(one.id, one.started) for one in store.runs()]
    told = run("saving", small, "-o", tmp_path / "out")
    assert "all together" in told.stdout
    with Store(tmp_path / "out" / "small.db") as store:
        assert [(one.id, one.started) for one in store.runs()] == before
    assert run("run", small, "-o", tmp_path / "out", "--quiet").exit_code == 0
    assert "scuttlebutt, every sample" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_run_alone_computes_what_it_can_and_says_how_to_measure_the_rest(small: Path, tmp_path: Path) -> None:
    assert run("run", small, "-o", tmp_path / "out", "--quiet").exit_code == 0
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "the prototype (computed)" in html
    assert "python -m priomon_sim saving SCENARIO" in html


def test_the_prototype_has_no_saving(small: Path) -> None:
    done = run("saving", small, "--set", "gossip.strategy=demon")
    assert done.exit_code == 2
    assert "gossip.strategy is demon, which is what savings are measured against" in done.stderr


@pytest.mark.parametrize("nodes", [8, 40])
def test_what_is_computed_of_the_prototype_is_what_it_sends(scenario: MakeScenario, tmp_path: Path, nodes: int) -> None:
    """Up to the names of requested records, which depend on who is ahead."""
    it = scenario(f"nodes={nodes}", "start=known", "duration=30 s", "filter=none", "gossip.strategy=demon", "gossip.fanout=3")
    with Store(tmp_path / "it.db") as store:
        _, summary = execute(it, store, lambda now: None)
    assert summary["prototype_bytes_per_node_per_second"] == pytest.approx(summary["bytes_per_node_per_second"], rel=0.02)
