"""What a page shows of a run is what was seen of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import SECOND
from priomon_core.identity import Address
from priomon_node.orchestrator.live import Glance, Picture
from priomon_node.orchestrator.progress import MOST_LINES, MOST_POINTS, Curve, Progress


def glance(seconds: float, sent: list[int], coverage: float = 0.5) -> Glance:
    count = len(sent)
    return Glance(round(seconds * SECOND), coverage, [True] * count, [1] * count, sent, [0.1] * count)


@given(st.integers(0, 6 * MOST_POINTS))
def test_a_long_curve_is_thinned_evenly_and_keeps_its_ends(count: int) -> None:
    curve = Curve()
    for number in range(count):
        curve = curve.add((float(number), 0.0, 0.0, 0.0))
    times = [point[0] for point in curve.points]
    assert times == [float(number) for number in range(0, count, curve.every)]
    assert len(times) <= MOST_POINTS
    assert curve.every == 1 or len(times) >= MOST_POINTS // 2


def test_rates_are_those_since_the_glance_before() -> None:
    progress = Progress(phase="live", duration=10.0).see(glance(2, [100, 300])).see(glance(4, [500, 400]))
    assert progress.rates == (200.0, 50.0)
    assert progress.curve.points == ((2.0, 0.5, 100.0, 150.0), (4.0, 0.5, 125.0, 200.0))
    assert progress.left(0.0) == 6.0


def test_a_glance_at_the_same_instant_adds_no_point() -> None:
    progress = Progress(phase="live").see(glance(2, [100, 300])).see(glance(2, [100, 300]))
    assert progress.rates == (50.0, 150.0)
    assert len(progress.curve.points) == 1


@pytest.mark.parametrize(
    ("phase", "left"), [("gathering", None), ("live", 15.0), ("simulated", 9.0), ("reporting", None), ("complete", None)]
)
def test_the_time_that_is_left(phase: str, left: float | None) -> None:
    progress = Progress(phase=phase, since=100.0, duration=20.0, t=5.0)  # type: ignore[arg-type]
    assert progress.left(103.0) == left


def test_the_log_is_bounded_and_keeps_the_newest() -> None:
    progress = Progress()
    for number in range(MOST_LINES + 5):
        progress = progress.say(f"line {number}")
    assert len(progress.log) == MOST_LINES
    assert progress.log[-1][1] == f"line {MOST_LINES + 4}"


def test_the_document_is_json_with_a_row_for_each_node() -> None:
    picture = Picture(["node0", "node1"], [Address("10.0.0.1", 7947), Address("10.0.0.2", 7947)], [(0.0, 1.0), (0.0, -1.0)], [(0, 1)])
    progress = Progress(number=1, phase="live", nodes=2, duration=10.0, picture=picture).see(glance(2, [100, 300]))
    document = json.loads(json.dumps(progress.document(), allow_nan=False))
    assert document["nodes"][1] == {
        "name": "node1",
        "agent": "10.0.0.2:7947",
        "live": True,
        "known": 1,
        "bytes_sent": 300,
        "bytes_per_second": 150.0,
        "unheard_seconds": 0.1,
    }
    assert document["picture"] == {"names": ["node0", "node1"], "places": [[0.0, 1.0], [0.0, -1.0]], "edges": [[0, 1]]}
    assert document["points"] == [document["point"]] == [[2.0, 0.5, 100.0, 150.0]]
    assert set(document) - set(progress.news()) == {"picture", "points"}


def test_nothing_seen_yet_is_no_rows() -> None:
    assert Progress().document()["nodes"] == []
    assert Progress().document()["point"] is None
