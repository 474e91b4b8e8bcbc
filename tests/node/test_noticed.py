"""Events of the core as plain values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from priomon_core import events
from priomon_core.errors import SettingError
from priomon_core.events import Died, Event, Flapping, Forgotten, Joined, Left, Refuted, Restarted, Stalled, Suspected
from priomon_node.experiment.noticed import KINDS, fields_of, from_json, kind_of, to_json

EVENTS: list[tuple[Event, str, dict[str, Any]]] = [
    (Joined(1, 2, "a"), "joined", {"name": "a"}),
    (Restarted(1, 2, "a", 3), "restarted", {"name": "a"}),
    (Suspected(1, 2, "a", "b", "silence"), "suspected", {"name": "a", "accuser": "b", "rule": "silence"}),
    (Refuted(1, 2, "a", 4, True), "refuted", {"name": "a", "incarnation": 4, "was_dead": True}),
    (Died(1, 2, "a", "nobody refuted"), "died", {"name": "a", "rule": "nobody refuted"}),
    (Left(1, 2, "a"), "left", {"name": "a"}),
    (Forgotten(1, 2, "a"), "forgotten", {"name": "a"}),
    (Flapping(1, 2, "a", 3), "flapping", {"name": "a", "times": 3}),
    (Stalled(1, 2, "a", 2_500_000_000), "stalled", {"name": "a", "late_seconds": 2.5}),
]


def test_every_kind_of_event_is_among_these() -> None:
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert {type(event) for event, *_ in EVENTS} == declared - {Event} == {*KINDS.values()}


@pytest.mark.parametrize(("event", "kind", "told"), EVENTS)
def test_an_event_is_told_in_words_and_arrives_whole(event: Event, kind: str, told: dict[str, Any]) -> None:
    assert (kind_of(event), fields_of(event)) == (kind, told)
    assert from_json(json.loads(json.dumps(to_json(event)))) == event


@pytest.mark.parametrize(
    "document", [{}, {"event": "rained"}, {"event": "left", "at": 1}, {"event": "left", **to_json(EVENTS[0][0]), "x": 1}]
)
def test_what_is_no_event_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"event: found .*expected one of"):
        from_json(document)
