"""Rows <-> frames: from a message about a node's own slots to one that any node can read, and back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from priomon_core.holdings import AgentReplica
from priomon_core.messages import Delta, Digest
from priomon_core.push_frames import from_push_frame, to_push_frame
from priomon_core.push_wire import PushFamily
from priomon_core.pushes import PushMessage
from priomon_core.replica import Replica
from priomon_core.wire import KEY_END, DeltaFrame, DigestFrame, Frame, Introduction, News, Plain, age_code


def to_frame(message: Digest | Delta | Plain | PushMessage, replica: Replica, now: int) -> Frame:
    """What `message`, made by `replica` at `now` (ns), says to others."""
    if isinstance(message, Plain):
        return message
    if isinstance(message, PushMessage):
        return to_push_frame(message, replica, now)
    return _digest_frame(message, replica) if isinstance(message, Digest) else _delta_frame(message, replica, now)


def _digest_frame(digest: Digest, replica: Replica) -> DigestFrame:
    keys = replica.values.keys
    stop = digest.start + digest.count
    low = int(keys[digest.start]) if digest.start else 0
    last = int(keys[stop]) - 1 if stop < len(keys) else KEY_END - 1
    assert digest.versions is not None, "a digest that could not be read is never sent on"
    known = [(int(keys[digest.start + i]), int(v)) for i, v in enumerate(digest.versions) if v]
    named = None if digest.roster else tuple(key for key, _ in known)
    roster = digest.roster[1] if digest.roster else None
    return DigestFrame(digest.sender, low, last, roster, named, tuple(v for _, v in known), digest.probe, digest.rumours)


def _delta_frame(delta: Delta, replica: Replica, now: int) -> DeltaFrame:
    values, ask = replica.values, replica.kind.ask
    introductions, news, requests = [], [], []
    for i in range(delta.count):
        entry, slot = int(delta.row[i]), delta.start + i
        if entry >= ask:
            requests.append((int(values.keys[slot]), entry & ask - 1))
        elif entry:
            since = int(delta.since[i]) & ask - 1
            body = (entry, age_code(values.age(slot, entry, now)), values.changes(slot, since, entry))
            if since:
                news.append(News(int(values.keys[slot]), *body))
            else:
                introductions.append(Introduction(values.identity(slot), *body))
    return DeltaFrame(delta.sender, delta.recipient, tuple(introductions), tuple(news), tuple(requests), delta.rumours)


def from_frame(frame: Frame, replica: AgentReplica, size: int) -> Digest | Delta | Plain | PushMessage:
    """The message that a frame of `size` bytes is to `replica`, which makes room for the origins it hears of.

    News of origins that were never introduced, of older generations and of the node itself are left out: they were not asked for.
    """
    if isinstance(frame, Plain):
        return frame
    if isinstance(frame, PushFamily):
        return from_push_frame(frame, replica, size)
    return _digest(frame, replica, size) if isinstance(frame, DigestFrame) else _delta(frame, replica, size)


def _digest(frame: DigestFrame, replica: AgentReplica, size: int) -> Digest:
    if frame.keys is not None:
        for key in frame.keys:
            replica.slot(key)
    keys = replica.holdings.keys
    start, stop = bisect_left(keys, frame.low), bisect_right(keys, frame.last)
    count = stop - start
    row = replica.kind.blank(count)
    if frame.keys is not None:
        for key, version in zip(frame.keys, frame.versions, strict=True):
            if (slot := replica.holdings.find(key)) is not None:
                row[slot - start] = version
        return Digest(frame.sender, start, count, row, None, size, frame.probe, frame.rumours)
    roster = (len(frame.versions), frame.roster or 0)
    if replica.roster_of(start, count) != roster:
        start = max(bisect_right(keys, frame.low) - 1, 0)  # the answer begins at a known key, so it must begin at or before `low`
        return Digest(frame.sender, start, stop - start, None, roster, size, frame.probe, frame.rumours)
    own = replica.interval(start, count)
    versions = iter(frame.versions)
    for i in range(count):
        if own[i]:
            row[i] = next(versions)
    return Digest(frame.sender, start, count, row, roster, size, frame.probe, frame.rumours)


def _delta(frame: DeltaFrame, replica: AgentReplica, size: int) -> Delta:
    admitted = {entry.key: entry for entry in frame.introductions if replica.introduce(entry.identity) is not None}
    holdings, ask = replica.holdings, replica.kind.ask
    count = len(holdings.keys)
    row, since = replica.kind.blank(count), replica.kind.blank(count)
    updates: dict[int, News | Introduction] = {}
    entries: list[News | Introduction] = [*admitted.values(), *frame.news]
    for entry in entries:
        slot = holdings.find(entry.key)
        if slot is not None and slot != replica.own and (isinstance(entry, Introduction) or replica.versions[slot]):
            row[slot] = entry.version
            since[slot] = 0 if isinstance(entry, Introduction) else 1
            updates[slot] = entry
    requests = 0
    for key, version in frame.requests:
        if (slot := holdings.find(key)) is not None:
            row[slot] = version | ask
            requests += 1
    introductions = sum(isinstance(update, Introduction) for update in updates.values())
    counts = (introductions, len(updates) - introductions, requests)
    return Delta(frame.sender, frame.recipient, 0, count, row, since, *counts, size, updates, frame.rumours)
