"""What happens in an agent, told to everybody who listens, without ever waiting for one of them.

Each listener has a queue of its own with a limit. Who falls behind it is dropped: the alternatives, to hold events back or to leave
some out in silence, would harm the others or tell a false story.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

Event = tuple[int, str, str]  # number since the start, kind, fields as JSON


class Subscription:
    """One listener's events. `ended` is set when no more will come: the source was closed, or the listener was dropped."""

    def __init__(self, limit: int) -> None:
        self.waiting: deque[Event] = deque()
        self.limit = limit
        self.ended = asyncio.Event()
        self._arrived = asyncio.Event()

    def offer(self, event: Event) -> bool:
        """Take an event; False if the queue is full."""
        if len(self.waiting) >= self.limit:
            return False
        self.waiting.append(event)
        self._arrived.set()
        return True

    async def next(self) -> Event:
        """The oldest event that was not taken yet, when there is one."""
        while not self.waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self.waiting.popleft()


class EventSource:
    """Publishes events to its subscriptions. `limit` is the number of events that one may leave waiting."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._listeners: set[Subscription] = set()
        self._published = 0
        self._dropped = 0

    def publish(self, kind: str, /, **fields: Any) -> None:
        """Tell all listeners; returns at once. Fields that JSON cannot hold are told as text."""
        self._published += 1
        if not self._listeners:
            return
        event = (self._published, kind, json.dumps(fields, default=str))
        for listener in [listener for listener in self._listeners if not listener.offer(event)]:
            self._dropped += 1
            self.unsubscribe(listener)

    def subscribe(self) -> Subscription:
        """Hear what is published from now on."""
        subscription = Subscription(self._limit)
        self._listeners.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; ending it twice is no error."""
        self._listeners.discard(subscription)
        subscription.ended.set()

    def close(self) -> None:
        """End all subscriptions."""
        for listener in list(self._listeners):
            self.unsubscribe(listener)

    def counters(self) -> dict[str, int]:
        """As an agent's counters: events that wait now, and listeners that were dropped since the start."""
        return {
            "queued_events": sum(len(listener.waiting) for listener in self._listeners),
            "dropped_slow_listener": self._dropped,
        }
