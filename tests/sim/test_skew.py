"""Skewed clocks: a node's time runs at its rate, and never backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_sim.driver import Driver
from priomon_sim.faults.skew import Skewed
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import build

SECOND = 1_000_000_000
RATES = st.floats(0.5, 2, exclude_min=True, exclude_max=True)
TIMES = st.integers(0, 10_000 * SECOND)


def clock(rate: float, since: int, local: int) -> Skewed:
    node: Any = None  # the clock alone is looked at
    return Skewed(node, rate, since, local)


@given(RATES, TIMES, TIMES, TIMES)
def test_a_local_time_comes_at_the_first_moment_that_shows_it(rate: float, since: int, local: int, ahead: int) -> None:
    it = clock(rate, since, local)
    moment = it.shared(local + ahead)
    assert it.local(moment) >= local + ahead > it.local(moment - 1) - 2  # floats of this size are exact to a nanosecond


@given(RATES, RATES, TIMES, st.integers(0, 3600 * SECOND), st.integers(0, 3600 * SECOND))
def test_a_new_rate_goes_on_from_where_the_clock_was(first: float, second: float, since: int, length: int, later: int) -> None:
    it = clock(first, since, since)
    changed = clock(second, since + length, it.local(since + length))
    assert changed.local(since + length) == it.local(since + length)
    assert changed.local(since + length + later) >= it.local(since + length)


@pytest.fixture
def driver(scenario: Callable[..., Scenario]) -> Driver:
    return build(scenario("detection.detector=swim", "start=known")).driver


def rounds(driver: Driver, node: int, seconds: int) -> int:
    before = driver.datagrams_sent[node]
    driver.clock.run_to(driver.now + seconds * SECOND)
    return driver.datagrams_sent[node] - before


def test_a_fast_node_takes_more_rounds_and_samples(driver: Driver) -> None:
    driver.clock.run_to(SECOND)
    before = list(driver.samples)
    driver.skew(3, 1.5)
    driver.clock.run_to(61 * SECOND)
    assert driver.samples[3] - before[3] == pytest.approx(90, abs=1)
    assert driver.samples[2] - before[2] == pytest.approx(60, abs=1)
    assert driver.clock_of(3) == 91 * SECOND
    assert driver.clock_of(2) == 61 * SECOND


def test_a_second_skew_replaces_the_first_without_a_jump(driver: Driver) -> None:
    driver.clock.run_to(SECOND)
    driver.skew(3, 1.5)
    driver.clock.run_to(41 * SECOND)
    before = driver.samples[3]
    driver.skew(3, 0.75)
    driver.clock.run_to(81 * SECOND)
    assert driver.samples[3] - before == pytest.approx(30, abs=1)
    assert driver.clock_of(3) == (1 + 60 + 30) * SECOND


def test_a_node_keeps_its_bad_clock_over_a_restart_and_a_standstill(scenario: Callable[..., Scenario]) -> None:
    faults = "[{kind: skew, at: 1 s, nodes: node3, rate: 1.5}, {kind: crash, at: 2 s, nodes: node3, back_after: 1 s}]"
    driver = build(scenario("duration=100 s", "detection.detector=swim", f"faults={faults}")).driver
    driver.clock.run_to(10 * SECOND)
    before = driver.samples[3]
    driver.freeze(3)
    driver.skew(3, 1.8)
    driver.clock.run_to(20 * SECOND)
    assert driver.samples[3] == before
    driver.thaw(3)
    driver.clock.run_to(70 * SECOND)
    assert driver.samples[3] - before == pytest.approx(90, abs=2)


def test_what_a_skewed_node_notices_is_told_in_everybodys_time(scenario: Callable[..., Scenario]) -> None:
    faults = "[{kind: skew, at: 1 s, nodes: all, rate: 1.5}, {kind: crash, at: 20 s, nodes: node3}]"
    driver = build(scenario("duration=60 s", "detection.detector=swim", "start=known", f"faults={faults}")).driver
    noticed = []
    for second in range(1, 61):
        driver.clock.run_to(second * SECOND)
        noticed += [(at, second * SECOND) for at, _, _ in driver.noticed()]
    assert noticed
    ats, looks = np.array(noticed).T
    assert ((looks - SECOND <= ats) & (ats <= looks)).all()
