"""The clock: SimPy's semantics, an inclusive horizon, timers that go off again."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
import simpy

from priomon_sim.clock import Clock


def test_events_at_the_horizon_are_worked_off_and_later_ones_are_not() -> None:
    clock = Clock()
    seen: list[int] = []
    for time in (30, 10, 20, 21):
        clock.call_at(time, lambda _: seen.append(clock._now))
    clock.run_to(20)
    assert (seen, clock.now, clock.events) == ([10, 20], 20, 2)
    clock.run_to(40)
    assert (seen, clock.now) == ([10, 20, 21, 30], 40)


def test_events_of_one_time_keep_the_order_in_which_they_were_put() -> None:
    clock = Clock()
    seen: list[str] = []
    for name in "abc":
        clock.call_at(5, lambda _, name=name: seen.append(name))
    clock.run_to(5)
    assert seen == ["a", "b", "c"]


def test_an_event_may_be_put_again_by_its_own_callback() -> None:
    clock = Clock()
    seen: list[int] = []

    def tick(event: Any) -> None:
        seen.append(clock._now)
        event.callbacks = [tick]
        clock.put(event, clock._now + 10)

    clock.call_at(3, tick)
    clock.run_to(35)
    assert seen == [3, 13, 23, 33]


def test_processes_and_timeouts_work_beside_timers() -> None:
    clock = Clock()
    seen: list[tuple[str, int]] = []

    def process() -> Generator[simpy.Event, Any, None]:
        while True:
            yield clock.timeout(4)
            seen.append(("process", clock._now))

    clock.process(process())
    clock.call_at(5, lambda _: seen.append(("timer", clock._now)))
    clock.run_to(9)
    assert seen == [("process", 4), ("timer", 5), ("process", 8)]


def test_an_error_in_a_process_ends_the_run_where_it_happened() -> None:
    clock = Clock()

    def process() -> Generator[simpy.Event, Any, None]:
        yield clock.timeout(4)
        raise ValueError("told")

    clock.process(process())
    with pytest.raises(ValueError, match="told"):
        clock.run_to(9)
    assert clock._now == 4
