"""Tournaments: who wins a setting, who wins overall, what the filter saves, and how that is told and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from priomon_results.plots.tournament import draw_tournament, frontier, growth, layouts, told
from priomon_results.report_tournament import BY_FILTER, cells, columns, median, verdict, write_tournament_report
from priomon_results.store import Store
from priomon_results.sweep.store import SweepError
from priomon_results.sweep.table import Value, read_table
from priomon_results.tournament import Goal, Tournament, read_tournament

MakeSweep = Callable[..., Path]
STRATEGY, NODES, LOSS = "gossip.strategy", "nodes", "network.loss"
LAGGARD = Goal("lag p99", 3.0, "s")
BYTES = {("digests", 10): 100.0, ("digests", 40): 400.0, ("tree", 10): 200.0, ("tree", 40): 300.0, ("old", 10): 9e3, ("old", 40): 4e4}
LATE = {("digests", 40)}  # where a strategy misses the goal


def traffic(strategy: str, nodes: int, seed: int, **others: Value) -> float:
    unfiltered = others.get("filter") == "none"
    return BYTES[strategy, nodes] * (5 if unfiltered else 1) + seed - 2


def change(summary: dict[str, Any], strategy: str, nodes: int, seed: int, **others: Value) -> None:
    late = (strategy, nodes) in LATE
    summary["lag_seconds"] = {"p50": 0.5, "p99": 4.0 if late else 1.0, "max": 9.0}
    summary["lower_bound_bytes_per_node_per_second"] = nodes * 5.0


def hold(make_sweep: MakeSweep, goals: tuple[Goal, ...] = (LAGGARD,), **axes: list[Value]) -> Tournament:
    every: Mapping[str, Any] = {STRATEGY: ["digests", "tree", "old"], NODES: [10, 40], **axes}
    with Store(make_sweep(every, traffic, change=change), readonly=True) as store:
        return read_tournament(read_table(store), goals)


def test_the_fewest_bytes_among_those_that_hold_the_goal_win_a_setting(make_sweep: MakeSweep) -> None:
    it = hold(make_sweep)
    assert it.settings == [(10,), (40,)]
    winners = [it.winner(setting) for setting in it.settings]
    assert [winner and winner.strategy for winner in winners] == ["digests", "tree"]


def test_without_a_goal_bytes_decide(make_sweep: MakeSweep) -> None:
    it = hold(make_sweep, ())
    assert all(not entry.missed for entry in it.entries)
    assert it.default() == "digests"
    by_name = {one.strategy: one for one in it.standings()}
    assert by_name["digests"].excess == pytest.approx(sqrt(400 / 300))
    assert by_name["tree"].excess == pytest.approx(sqrt(200 / 100))


def test_a_default_holds_the_goal_everywhere(make_sweep: MakeSweep) -> None:
    it = hold(make_sweep)
    first, second, third = it.standings()
    assert (first.strategy, first.held, first.won) == ("tree", 2, 1)
    assert first.excess == pytest.approx(sqrt(2))
    assert second.strategy == "old" and second.won == 0
    assert (third.strategy, third.held, third.won, third.excess) == ("digests", 1, 1, 1.0)
    assert it.default() == "tree"


def test_nobody_is_the_default_where_nobody_holds_the_goal(make_sweep: MakeSweep) -> None:
    it = hold(make_sweep, (Goal("lag p99", 0.1, "s"),))
    assert it.default() is None
    assert it.winner((10,)) is None
    assert {entry.missed for entry in it.entries} == {("lag p99",)}
    assert all(one.excess == float("inf") for one in it.standings())
    assert "No strategy holds it in all 2 settings; digests does in 0." in verdict(it)
    assert "In 2 of 2 settings nobody holds it." in verdict(it)


def test_what_was_never_reached_or_is_not_there_does_not_hold(make_sweep: MakeSweep) -> None:
    for name in ("dissemination to 100 %", "99 % hold it dead"):
        assert hold(make_sweep, (Goal(name, 1e9, "s"),)).default() is None


def test_points_without_a_filter_take_no_part_and_tell_what_it_saves(make_sweep: MakeSweep) -> None:
    it = hold(make_sweep, filter=["bounded", "none"])
    assert it.paths == (NODES,)
    assert len(it.entries) == 6
    assert [entry.filter_saving for entry in it.entries] == [pytest.approx(5)] * 6
    assert columns(it)[-2] == f"{BY_FILTER} (times)"
    assert cells(it, it.entries[0], median)[-2:] == ["5", "wins"]
    assert hold(make_sweep).entries[0].filter_saving is None


def test_a_tournament_needs_two_strategies(make_sweep: MakeSweep) -> None:
    with (
        pytest.raises(SweepError, match="two strategies or more"),
        Store(make_sweep({STRATEGY: ["tree"], NODES: [10, 40]}, traffic), readonly=True) as store,
    ):
        read_tournament(read_table(store), ())


def test_the_verdict_is_told_in_words(make_sweep: MakeSweep) -> None:
    told = verdict(hold(make_sweep))
    assert told[0] == "Goal: lag p99 at most 3 s."
    assert told[1] == "tree wins: it holds the goal in all 2 settings and sends 1.41 times the fewest bytes (geometric mean) there."
    assert "digests holds it in 1 and sends the fewest bytes of all where it does." in told


def test_the_report_has_the_verdict_every_entry_and_the_pictures(make_sweep: MakeSweep, tmp_path: Path) -> None:
    it = hold(make_sweep)
    pictures = draw_tournament(it, tmp_path / "plots")
    assert {path.name for path in pictures} == {"frontier.svg", "frontier.png", "growth.svg", "growth.png"}
    with Store(tmp_path / "sweep.db", readonly=True) as store:
        write_tournament_report(store, it, tmp_path / "tournament.html", pictures=pictures, command="python -m it")
    html = (tmp_path / "tournament.html").read_text("utf-8")
    for part in (*verdict(it), "2 of 2", "misses lag p99", "python -m it", "10 nodes", "a point for each strategy", "PrioMon tournament"):
        assert part in html, part
    assert html.count("data:image/svg+xml;base64,") == 2


def test_the_frontier_has_a_panel_per_setting_with_the_bound_and_the_goal(make_sweep: MakeSweep) -> None:
    it = hold(make_sweep, **{LOSS: [0.0, 0.2]})
    (layout,) = layouts(it)
    figure = frontier(it, layout)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "10 nodes, 0 % loss",
        "40 nodes, 0 % loss",
        "10 nodes, 20 % loss",
        "40 nodes, 20 % loss",
    ]
    bound, goal = (line for line in figure.axes[1].lines if line.get_linestyle() in ("--", ":"))
    assert list(bound.get_xdata()) == [200.0, 200.0]
    assert list(goal.get_ydata()) == [3.0, 3.0]
    points = {(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[1].lines if line.get_marker() == "o"}
    assert points == {(400.0, 4.0), (300.0, 1.0), (40_000.0, 1.0)}


def test_growth_has_a_line_per_strategy_and_the_bound(make_sweep: MakeSweep) -> None:
    it = hold(make_sweep)
    (layout,) = layouts(it)
    (axes,) = growth(it, layout).axes
    drawn = {str(line.get_label()): [float(y) for y in line.get_ydata()] for line in axes.lines}
    assert drawn == {"digests": [100, 400], "tree": [200, 300], "old": [9e3, 4e4], "lower bound": [50, 200]}


def test_settings_beyond_two_get_pictures_of_their_own(make_sweep: MakeSweep, tmp_path: Path) -> None:
    it = hold(make_sweep, **{LOSS: [0.0, 0.2], "workload.kind": ["trace", "synthetic"]})
    assert [layout.fixed for layout in layouts(it)] == [{"workload.kind": "trace"}, {"workload.kind": "synthetic"}]
    names = {path.name for path in draw_tournament(it, tmp_path) if path.suffix == ".svg"}
    assert names == {"frontier-trace.svg", "frontier-synthetic.svg", "growth-trace.svg", "growth-synthetic.svg"}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (NODES, 1000, "1,000 nodes"),
        (LOSS, 0.2, "20 % loss"),
        ("gossip.period", 0.5, "period 0.5"),
        ("workload.kind", "trace", "workload trace"),
    ],
)
def test_settings_are_told_for_people(path: str, value: Value, words: str) -> None:
    assert told(path, value) == words
