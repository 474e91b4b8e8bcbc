"""Virtual time: SimPy's environment in integer nanoseconds, with a leaner main loop."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL


class Clock(simpy.Environment):
    """A SimPy environment for events by the million; `events` counts those worked off.

    `run_to` does what `run(until=...)` does, a fifth faster, for it does not call `step` for every event; and it includes the events at
    its horizon. Processes, timeouts and conditions work as in any environment.
    """

    _now: int

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self.events = 0

    def run_to(self, horizon: int) -> None:
        """Work off all events up to and including `horizon` (ns)."""
        queue = self._queue
        while queue and queue[0][0] <= horizon:
            self._now, _, _, event = heappop(queue)  # type: ignore[assignment]
            self.events += 1
            callbacks = event.callbacks
            event.callbacks = None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not event._ok and not event.defused:
                raise event._value
        self._now = horizon

    def put(self, event: Any, time: int) -> None:
        """Schedule a triggered event at a time; among events of one time, the first put is the first worked off."""
        heappush(self._queue, (time, NORMAL, next(self._eid), event))

    def call_at(self, time: int, callback: Callable[[Any], None]) -> None:
        """Call `callback(event)` at a time; it may `put` the event again, with callbacks of its own."""
        event = simpy.Event(self)
        event._ok, event._value, event.callbacks = True, None, [callback]
        self.put(event, time)
