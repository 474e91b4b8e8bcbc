"""What a node noticed about others, in words and plain values: for the log, for those who listen, and for the diary of an experiment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from priomon_core.config import SECOND
from priomon_core.errors import SettingError
from priomon_core.events import Died, Event, Flapping, Forgotten, Joined, Left, Refuted, Restarted, Stalled, Suspected

KINDS: dict[str, type[Event]] = {
    kind.__name__.lower(): kind for kind in (Joined, Restarted, Suspected, Refuted, Died, Left, Forgotten, Flapping, Stalled)
}


def kind_of(event: Event) -> str:
    """The event's kind in a word: joined, restarted, suspected, refuted, died, left, forgotten, flapping or stalled."""
    return type(event).__name__.lower()


def fields_of(event: Event) -> dict[str, Any]:
    """What there is to tell of an event to people: all but when and the keys, which only programs know nodes by."""
    told = {name: value for name, value in asdict(event).items() if name not in ("at", "key", "before", "late")}
    return told | {"late_seconds": event.late / SECOND} if isinstance(event, Stalled) else told


def to_json(event: Event) -> dict[str, Any]:
    """The whole event as a JSON object."""
    return {"event": kind_of(event), **asdict(event)}


def from_json(document: dict[str, Any]) -> Event:
    """The event that `to_json` gave this document. Raises `SettingError` for anything else."""
    values = dict(document)
    kind = KINDS.get(values.pop("event", ""))
    try:
        if kind is not None:
            return kind(**values)
    except TypeError:
        pass
    raise SettingError(f"event: found {document!r}, expected one of {', '.join(KINDS)} with its fields; is it from another version?")
