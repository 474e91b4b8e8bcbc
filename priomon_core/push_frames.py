"""Rows <-> frames, for the messages of strategies that push; see frames.py."""

from __future__ import annotations

from collections.abc import Sequence

from priomon_core.holdings import AgentReplica
from priomon_core.identity import KEY_BYTES
from priomon_core.messages import Row
from priomon_core.push_wire import BucketsFrame, Entry, FeedbackFrame, PushFamily, PushFrame, SelectionFrame, SummaryFrame
from priomon_core.pushes import Buckets, Feedback, Pulse, Push, PushMessage, Selection, Summary
from priomon_core.replica import Replica
from priomon_core.wire import News, age_code


def to_push_frame(message: PushMessage, replica: Replica, now: int) -> PushFamily:
    """What `message`, made by `replica` at `now` (ns), says to others."""
    match message:
        case Push():
            return _push_frame(message, replica, now)
        case Feedback():
            return FeedbackFrame(message.sender, message.number, tuple(bool(mark) for mark in message.marks), message.rumours)
        case Summary():
            pulse = _written(message.pulse)
            return SummaryFrame(message.sender, message.checksum, pulse, message.asks, message.firm, message.probe, message.rumours)
        case Buckets():
            return BucketsFrame(message.sender, tuple(int(each) for each in message.sums), message.rumours)
        case Selection():
            assert message.row is not None, "a selection that could not be read is never sent on"
            keys, known = replica.values.keys, [i for i, version in enumerate(message.row) if version]
            named = tuple(int(keys[i]) for i in known) if message.roster is None else None
            roster = None if message.roster is None else message.roster[1]
            marks = tuple(bool(mark) for mark in message.marks)
            return SelectionFrame(message.sender, marks, roster, named, tuple(int(message.row[i]) for i in known), message.rumours)


def _push_frame(push: Push, replica: Replica, now: int) -> PushFrame:
    values, entries = replica.values, []
    ranks = _ranks(replica) if push.positional else ()
    for i in range(push.count):
        slot, version, base = int(push.slots[i]), int(push.versions[i]), int(push.bases[i])
        name = ranks[slot] if push.positional else int(values.keys[slot])
        age = age_code(values.age(slot, version, now))
        entries.append(Entry(name, version - base if base else 0, version, age, values.changes(slot, base, version)))
    flags = push.begin, push.prune, push.wants
    numbers = push.number, push.since, push.got
    return PushFrame(push.sender, push.checksum, *numbers, tuple(entries), push.positional, _written(push.pulse), *flags, push.rumours)


def _ranks(replica: Replica) -> Sequence[int]:
    """The place of each slot among the known origins."""
    ranks, rank = [], -1
    for version in replica.versions:
        rank += version > 0
        ranks.append(rank)
    return ranks


def _written(pulse: Pulse | None) -> tuple[int, int, int] | None:
    return None if pulse is None else (pulse.root, pulse.number, pulse.hops)


def from_push_frame(frame: PushFamily, replica: AgentReplica, size: int) -> PushMessage:
    """The message that a frame of `size` bytes is to `replica`. Entries for which there is no room are left out."""
    match frame:
        case PushFrame():
            return _push(frame, replica, size)
        case FeedbackFrame():
            return Feedback(frame.sender, frame.number, _row(replica, frame.marks), len(frame.marks), size, frame.rumours)
        case SummaryFrame():
            pulse = None if frame.pulse is None else Pulse(*frame.pulse)
            return Summary(frame.sender, frame.checksum, size, pulse, frame.asks, frame.firm, frame.probe, frame.rumours)
        case BucketsFrame():
            return Buckets(frame.sender, len(frame.sums).bit_length() - 1, _row(replica, frame.sums), size, frame.rumours)
        case SelectionFrame():
            return _selection(frame, replica, size)


def _push(frame: PushFrame, replica: AgentReplica, size: int) -> Push:
    holdings = replica.holdings
    if not frame.ranked:
        for entry in frame.entries:
            replica.slot(entry.name)  # an origin that is not known yet is a gap, and will be asked for
    known = [slot for slot, version in enumerate(replica.versions) if version] if frame.ranked else []
    slots: list[int] = []
    versions: list[int] = []
    bases: list[int] = []
    updates: dict[int, News] = {}
    for entry in frame.entries:
        slot = known[entry.name] if entry.name < len(known) else None if frame.ranked else holdings.find(entry.name)
        if slot is not None and (slot != replica.own or entry.version <= replica.versions[slot]):  # nobody knows it better than itself
            slots.append(slot)
            versions.append(entry.version)
            bases.append(entry.version - entry.steps if entry.steps else 0)
            updates[slot] = News(int(holdings.keys[slot]), entry.version, entry.age, entry.levels)
    return Push(
        frame.sender,
        frame.number,
        frame.since,
        frame.got,
        frame.checksum,
        frame.ranked,
        len(slots),
        _row(replica, slots),
        _row(replica, versions),
        _row(replica, bases),
        size,
        None if frame.pulse is None else Pulse(*frame.pulse),
        frame.begin,
        frame.prune,
        frame.wants,
        updates,
        frame.rumours,
    )


def _selection(frame: SelectionFrame, replica: AgentReplica, size: int) -> Selection:
    bits = len(frame.marks).bit_length() - 1
    for key in frame.keys or ():
        replica.slot(key)
    keys, count = replica.holdings.keys, len(replica.versions)
    row: Row | None = replica.kind.blank(count)
    assert row is not None
    marks = _row(replica, frame.marks)
    roster = None if frame.roster is None else (replica.roster[0], frame.roster)
    if frame.keys is not None:
        for key, version in zip(frame.keys, frame.versions, strict=True):
            if (slot := replica.holdings.find(key)) is not None:
                row[slot] = version
    else:
        covered = [i for i in range(count) if replica.versions[i] and marks[keys[i] >> 8 * KEY_BYTES - bits]]
        if roster != replica.roster or len(covered) != len(frame.versions):
            row = None
        else:
            for slot, version in zip(covered, frame.versions, strict=True):
                row[slot] = version
    return Selection(frame.sender, bits, marks, row, len(frame.versions), roster, size, frame.rumours)


def _row(replica: Replica, numbers: Sequence[int]) -> Row:
    row = replica.kind.zeros(len(numbers))
    for i, number in enumerate(numbers):
        row[i] = int(number)
    return row
