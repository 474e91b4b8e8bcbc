"""How updates spread, followed through histories made by hand."""

import math

import numpy as np
import pytest

from priomon_results.spread import SHARES, Spread, SpreadTracker

SECOND = 1_000_000_000


def look(
    tracker: SpreadTracker, held: list[int], published: list[float], now: float, origin: int = 0, stopped: tuple[int, ...] = ()
) -> None:
    """One look at `now` (s): `held` is what each node holds of `origin`, `published` when its versions were published (s)."""
    nodes = len(held)
    versions = np.zeros((nodes, nodes), np.uint16)
    versions[:, origin] = held
    times = np.zeros((nodes, len(published) + 1), np.int64)
    times[origin, 1:] = np.array(published) * SECOND
    newest = np.zeros(nodes, np.int64)
    newest[origin] = len(published)
    live = np.ones(nodes, np.bool_)
    live[list(stopped)] = False
    tracker.look(versions, newest, times, live, round(now * SECOND))


def test_an_update_that_reaches_all() -> None:
    tracker = SpreadTracker([0], 5)
    look(tracker, [1, 0, 0, 0, 0], [1.0], 1.0)
    assert tracker.finished == []
    look(tracker, [1, 1, 1, 0, 0], [1.0], 2.0)  # two of the four others
    look(tracker, [1, 1, 1, 1, 0], [1.0], 3.5)
    look(tracker, [1, 1, 1, 1, 1], [1.0], 4.0)
    assert tracker.all() == [Spread(0, 1, SECOND, [1.0, 3.0, 3.0])]
    assert tracker.finished == tracker.all()


def test_a_newer_update_counts_for_the_older_ones() -> None:
    tracker = SpreadTracker([0], 3)
    look(tracker, [1, 0, 0], [0.0], 0.5)
    look(tracker, [3, 3, 0], [0.0, 1.0, 2.0], 2.5)
    look(tracker, [3, 3, 2], [0.0, 1.0, 2.0], 4.0)
    look(tracker, [3, 3, 3], [0.0, 1.0, 2.0], 5.0)
    reached = {spread.version: spread.reached for spread in tracker.all()}
    assert reached == {1: [2.5, 4.0, 4.0], 2: [1.5, 3.0, 3.0], 3: [0.5, 3.0, 3.0]}


def test_an_update_that_never_arrives_stays_open() -> None:
    tracker = SpreadTracker([0], 3)
    look(tracker, [1, 1, 0], [0.0], 1.0)
    (spread,) = tracker.all()
    assert spread.reached[0] == 1.0
    assert all(math.isnan(seconds) for seconds in spread.reached[1:])
    assert tracker.histogram(0.5).total == 1
    assert tracker.histogram(1.0).total == 0


def test_only_the_chosen_origins_are_followed() -> None:
    tracker = SpreadTracker([2], 3)
    look(tracker, [1, 1, 1], [0.0], 1.0, origin=1)
    assert tracker.all() == []
    look(tracker, [1, 1, 1], [0.0], 1.0, origin=2)
    assert [spread.origin for spread in tracker.all()] == [2]


def test_first_contact_is_when_a_node_was_first_seen_to_know_the_first_origin() -> None:
    tracker = SpreadTracker([0], 4)
    look(tracker, [1, 0, 0, 0], [1.0], 1.0)
    look(tracker, [1, 1, 0, 0], [1.0], 2.0)
    look(tracker, [2, 1, 2, 0], [1.0, 2.0], 4.0)  # the third node skips the first version
    assert tracker.first_contact.tolist() == pytest.approx([0.0, 1.0, 3.0, math.nan], nan_ok=True)


def test_histograms_hold_the_times_of_all_updates() -> None:
    tracker = SpreadTracker([0], 3)
    look(tracker, [1, 1, 1], [0.0], 1.0)
    look(tracker, [2, 2, 2], [0.0, 2.0], 4.0)
    for share in SHARES:
        times = tracker.histogram(share)
        assert times.total == 2
        assert times.quantile(0.5) == pytest.approx(1.0, rel=0.02)
        assert times.maximum == 2.0


def test_only_live_nodes_have_to_be_reached() -> None:
    tracker = SpreadTracker([0], 5)
    look(tracker, [1, 1, 0, 0, 0], [0.0], 1.0, stopped=(2, 4))  # one of the two others
    look(tracker, [1, 1, 1, 0, 1], [0.0], 2.0, stopped=(2, 4))  # what stopped nodes held does not count
    look(tracker, [1, 1, 0, 1, 0], [0.0], 3.0, stopped=(2, 4))
    assert [spread.reached for spread in tracker.all()] == [[1.0, 3.0, 3.0]]


def test_updates_of_an_origin_that_stopped_go_on_spreading() -> None:
    tracker = SpreadTracker([0], 3)
    look(tracker, [1, 0, 0], [0.0], 1.0)
    look(tracker, [1, 1, 0], [0.0], 2.0, stopped=(0,))  # both others run, one of them holds it
    look(tracker, [1, 1, 1], [0.0], 3.0, stopped=(0,))
    assert [spread.reached for spread in tracker.all()] == [[2.0, 3.0, 3.0]]


def test_an_update_reaches_nobody_while_nobody_else_runs() -> None:
    tracker = SpreadTracker([0], 2)
    look(tracker, [1, 1], [0.0], 1.0, stopped=(1,))
    assert all(math.isnan(seconds) for seconds in tracker.all()[0].reached)
    look(tracker, [1, 1], [0.0], 2.0)
    assert tracker.all()[0].reached == [2.0, 2.0, 2.0]


def test_a_node_that_joins_late_has_its_first_contact_then() -> None:
    tracker = SpreadTracker([0], 3)
    look(tracker, [1, 1, 0], [0.0], 1.0, stopped=(2,))
    look(tracker, [1, 1, 1], [0.0], 5.0)  # by now no update is under way
    assert tracker.first_contact.tolist() == [1.0, 1.0, 5.0]


def test_an_origin_in_a_new_life_is_followed_no_more() -> None:
    tracker = SpreadTracker([0, 1], 3)
    look(tracker, [1, 1, 0], [0.0], 1.0)
    tracker.drop(0)
    tracker.drop(2)
    look(tracker, [2, 2, 2], [2.0, 2.5], 3.0)
    look(tracker, [0, 1, 1], [2.0], 3.0, origin=1)
    assert [(spread.origin, spread.version, spread.published_at) for spread in tracker.all()] == [(0, 1, 0), (1, 1, 2 * SECOND)]
    assert tracker.all()[0].reached[:1] + tracker.all()[1].reached[:1] == [1.0, 1.0]
    assert np.isnan(tracker.all()[0].reached[1:]).all()
