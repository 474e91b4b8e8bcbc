"""Virtual time: SimPy's environment in integer nanoseconds, with a leaner main loop."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop
from typing import Any

import simpy


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

    def call_at(self, time: int, callback: Callable[[Any], None]) -> None:
        """Call `callback(event)` at `time`; it may schedule the event again with `again`."""
        event = simpy.Event(self)
        event._ok, event._value, event.callbacks = True, None, [callback]
        self.schedule(event, delay=time - self._now)

    def again(self, event: Any, callbacks: Any, delay: int) -> None:
        """Schedule an event whose callback runs just now once more, `delay` ns from now."""
        event.callbacks = callbacks
        self.schedule(event, delay=delay)
