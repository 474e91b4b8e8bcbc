"""Events reach everybody who listens; who does not keep up is dropped, and nobody waits for him."""

import asyncio
import json

from priomon_node.events import EventSource


def test_all_listeners_hear_all_events_in_order() -> None:
    async def listen() -> None:
        source = EventSource()
        source.publish("unheard")
        first, second = source.subscribe(), source.subscribe()
        source.publish("joined", node="a", kind="agent", self=1)
        source.publish("left", node="b")
        for listener in (first, second):
            heard = [await listener.next(), await listener.next()]
            assert [(number, kind) for number, kind, _ in heard] == [(2, "joined"), (3, "left")]
            assert json.loads(heard[0][2]) == {"node": "a", "kind": "agent", "self": 1}

    asyncio.run(listen())


def test_a_listener_waits_for_the_next_event() -> None:
    async def listen() -> None:
        source = EventSource()
        subscription = source.subscribe()
        waiting = asyncio.ensure_future(subscription.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        source.publish("joined")
        assert await waiting == (1, "joined", "{}")

    asyncio.run(listen())


def test_the_slow_are_dropped_and_the_others_not() -> None:
    async def listen() -> None:
        source = EventSource(limit=2)
        slow, quick = source.subscribe(), source.subscribe()
        for number in (1, 2, 3):
            source.publish("tick")
            assert (await quick.next())[0] == number
            assert slow.ended.is_set() == (number == 3)
        assert not quick.ended.is_set()
        assert len(slow.waiting) == 2
        assert source.counters() == {"queued_events": 0, "dropped_slow_listener": 1}
        source.unsubscribe(slow)
        assert source.counters()["dropped_slow_listener"] == 1

    asyncio.run(listen())


def test_what_waits_is_counted_and_closing_ends_all() -> None:
    source = EventSource()
    listeners = [source.subscribe(), source.subscribe()]
    source.publish("joined")
    assert source.counters()["queued_events"] == 2
    source.close()
    assert all(listener.ended.is_set() for listener in listeners)
    assert source.counters() == {"queued_events": 0, "dropped_slow_listener": 0}


def test_fields_that_json_does_not_know_become_text() -> None:
    source = EventSource()
    subscription = source.subscribe()
    source.publish("failed", error=ValueError("why"))
    assert json.loads(subscription.waiting[0][2]) == {"error": "why"}
