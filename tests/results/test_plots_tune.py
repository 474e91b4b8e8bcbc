"""The picture of a search: every trial, the frontier, the limit, and which two are ringed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from priomon_results.frontier import Mark
from priomon_results.plots.tune import draw_frontier, frontier_plot

MARKS = [
    Mark(1, "scuttlebutt", 4.0, 200.0, False, True, 1),
    Mark(2, "scuttlebutt", 2.0, 300.0, True, True, 3),
    Mark(3, "tree", 1.0, 900.0, True, True, 3),
    Mark(4, "tree", 1.5, 100.0, False, False, 1),
    Mark(5, "rumor", math.inf, 100.0, False, False, 1),
]
HOW: dict[str, Any] = {
    "title": "Tuning of edge",
    "note": "5 trials",
    "x": "lag p99 (s)",
    "y": "bytes per node (B/s)",
    "limit": (3.0, "goal: lag_p99 <= 3 s"),
    "own": 1,
    "chosen": 2,
    "rising": False,
}


def drawn(marks: list[Mark] = MARKS, **changes: Any) -> Axes:
    (axes,) = frontier_plot(marks, **HOW | changes).axes
    return axes


def places(axes: Axes, label: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for some in axes.collections
        if isinstance(some, PathCollection) and some.get_label() == label
        for x, y in some.get_offsets()
    ]


def test_every_trial_with_both_measures_is_drawn_once() -> None:
    axes = drawn()
    dots = [
        some for some in axes.collections if isinstance(some, PathCollection) and some.get_label() not in ("chosen", "the scenario's own")
    ]
    assert sorted((float(x), float(y)) for some in dots for x, y in some.get_offsets()) == sorted((m.x, m.y) for m in MARKS[:4])
    filled = {(float(x), float(y)) for some in dots if len(some.get_facecolors()) for x, y in some.get_offsets()}
    assert filled == {(2.0, 300.0), (1.0, 900.0)}


def test_the_frontier_leaves_out_what_misses_another_goal() -> None:
    (line,) = [line for line in drawn().lines if line.get_label() == "frontier"]
    assert [*zip(line.get_xdata(), line.get_ydata(), strict=True)] == [(1.0, 900.0), (2.0, 300.0), (4.0, 200.0)]


def test_the_chosen_one_and_the_scenarios_own_are_ringed() -> None:
    assert places(drawn(), "chosen") == [(2.0, 300.0)]
    assert places(drawn(), "the scenario's own") == [(4.0, 200.0)]
    assert places(drawn(chosen=None), "chosen") == []


def test_the_limit_and_the_labels_say_what_is_seen() -> None:
    axes = drawn()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lag p99 (s)", "bytes per node (B/s)")
    assert [text.get_text() for text in axes.texts] == ["goal: lag_p99 <= 3 s"]
    legend = axes.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"frontier", "scuttlebutt", "tree", "chosen", "the scenario's own"}


@pytest.mark.parametrize(("largest", "scale"), [(500.0, "linear"), (9000.0, "log")])
def test_a_wide_measure_gets_a_log_axis(largest: float, scale: str) -> None:
    assert drawn([*MARKS[:2], Mark(3, "tree", 1.0, largest, True, True, 3)]).get_yscale() == scale


def test_without_any_trial_it_says_so() -> None:
    figure = frontier_plot(MARKS[4:], **HOW)
    assert [text.get_text() for text in figure.texts if "No trial" in text.get_text()]


def test_the_picture_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    files = [draw_frontier(MARKS, tmp_path / name, **HOW) for name in ("a", "b")]
    assert [file.name for file in files[0]] == ["frontier.svg", "frontier.png"]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
