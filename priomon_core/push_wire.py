"""The frames of strategies that push, and their bytes. They come after the header of wire.py, with a format of their own in it.

    push       1 B flags, 4 B roster checksum, varint number, varint numbers since the push before, varint 1 + number of the
               recipient's push got (0: none), [pulse], varint count, then the entries
    pulse      4 B key of the root, varint number, 1 B hops
    entry      by rank: varint (ranks between this and the one before) * 2 + 1 if versions since the base are not 1, [varint versions];
               by key: 4 B key, varint versions; then as news: varint version, 1 B age, bit mask of the metrics, a varint level for each.
               0 versions since the base stand for all values
    feedback   varint number of the push, varint count of its entries, a bit for each
    summary    1 B flags, [4 B hash], [pulse]
    buckets    1 B exponent, then 2 B hash for each of that power of two
    selection  1 B exponent, and 128 if positional, a bit for each bucket, [4 B roster checksum], varint count, then per origin [4 B key]
               and a varint version

As everywhere a frame has one encoding, and `take` raises `WireError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from priomon_core.errors import WireError
from priomon_core.identity import KEY_BYTES
from priomon_core.octets import Reader, put_varint
from priomon_core.rumours import Rumour

BUCKET_BYTES = 2
MOST_BITS = 16  # the exponent of a number of buckets
POSITIONAL = 128  # beside the exponent of a selection
_RANKED, _PULSE, _BEGIN, _PRUNE, _WANTS = 1, 2, 4, 8, 16
_CHECKSUM, _ASKS, _PROBE, _FIRM = 1, 4, 8, 16

Values = tuple[int, int, tuple[tuple[int, int], ...]]  # version, age code, levels by metric
PulseFrame = tuple[int, int, int]  # key of the root, number, hops


@dataclass(frozen=True, slots=True)
class Entry:
    """An origin, named by its rank or key: its metrics that changed in the last `steps` versions up to `version` (0: all metrics)."""

    name: int
    steps: int
    version: int
    age: int
    levels: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PushFrame:
    """See `Push` in pushes.py. Entries are named by their ranks where `ranked`."""

    sender: int
    checksum: int
    number: int
    since: int
    got: int
    entries: tuple[Entry, ...]
    ranked: bool
    pulse: PulseFrame | None = None
    begin: bool = False
    prune: bool = False
    wants: bool = False
    rumours: tuple[Rumour, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedbackFrame:
    sender: int
    number: int
    marks: tuple[bool, ...]
    rumours: tuple[Rumour, ...] = ()


@dataclass(frozen=True, slots=True)
class SummaryFrame:
    sender: int
    checksum: int | None
    pulse: PulseFrame | None = None
    asks: bool = False
    firm: bool = False
    probe: bool = False
    rumours: tuple[Rumour, ...] = ()


@dataclass(frozen=True, slots=True)
class BucketsFrame:
    sender: int
    sums: tuple[int, ...]
    rumours: tuple[Rumour, ...] = ()


@dataclass(frozen=True, slots=True)
class SelectionFrame:
    """`keys` is None and `roster` a checksum where the order of the known origins names them."""

    sender: int
    marks: tuple[bool, ...]
    roster: int | None
    keys: tuple[int, ...] | None
    versions: tuple[int, ...]
    rumours: tuple[Rumour, ...] = ()


PushFamily = PushFrame | FeedbackFrame | SummaryFrame | BucketsFrame | SelectionFrame
KINDS: dict[type, int] = {PushFrame: 0, FeedbackFrame: 1, SummaryFrame: 2, BucketsFrame: 3, SelectionFrame: 4}


def put(out: bytearray, frame: PushFamily, put_values: Callable[[bytearray, Any], None]) -> None:
    """Append a frame but for its header and rumours; `put_values` appends version, age and levels of an entry."""
    match frame:
        case PushFrame():
            _put_push(out, frame, put_values)
        case FeedbackFrame():
            put_varint(out, frame.number)
            put_varint(out, len(frame.marks))
            _put_bits(out, frame.marks)
        case SummaryFrame():
            flags = (frame.checksum is not None) * _CHECKSUM | (frame.pulse is not None) * _PULSE
            out.append(flags | frame.asks * _ASKS | frame.probe * _PROBE | frame.firm * _FIRM)
            if frame.checksum is not None:
                _put_key(out, frame.checksum)
            _put_pulse(out, frame.pulse)
        case BucketsFrame():
            out.append(_exponent(len(frame.sums)))
            for bucket in frame.sums:
                out += bucket.to_bytes(BUCKET_BYTES, "big")
        case SelectionFrame():
            out.append(_exponent(len(frame.marks)) | (frame.keys is None) * POSITIONAL)
            _put_bits(out, frame.marks)
            if frame.keys is None:
                _put_key(out, frame.roster or 0)
            put_varint(out, len(frame.versions))
            for i, version in enumerate(frame.versions):
                if frame.keys is not None:
                    _put_key(out, frame.keys[i])
                put_varint(out, version)


def _put_push(out: bytearray, frame: PushFrame, put_values: Callable[[bytearray, Any], None]) -> None:
    flags = frame.ranked * _RANKED | (frame.pulse is not None) * _PULSE
    out.append(flags | frame.begin * _BEGIN | frame.prune * _PRUNE | frame.wants * _WANTS)
    _put_key(out, frame.checksum)
    put_varint(out, frame.number)
    put_varint(out, frame.number - frame.since)
    put_varint(out, frame.got)
    _put_pulse(out, frame.pulse)
    put_varint(out, len(frame.entries))
    previous = -1
    for entry in frame.entries:
        if frame.ranked:
            put_varint(out, (entry.name - previous - 1) * 2 + (entry.steps != 1))
            previous = entry.name
        else:
            _put_key(out, entry.name)
        if not frame.ranked or entry.steps != 1:
            put_varint(out, entry.steps)
        put_values(out, entry)


def take(kind: int, sender: int, reader: Reader, take_values: Callable[[Reader], Values]) -> PushFamily:
    """The frame of a kind; `take_values` reads version, age and levels of an entry."""
    match kind:
        case 0:
            return _take_push(sender, reader, take_values)
        case 1:
            number, count = reader.varint("number of a push"), reader.varint("number of entries")
            return FeedbackFrame(sender, number, _take_bits(reader, count))
        case 2:
            return _take_summary(sender, reader)
        case 3:
            size = 1 << _take_exponent(reader, reader.byte("exponent"))
            return BucketsFrame(sender, tuple(reader.integer(BUCKET_BYTES, "bucket") for _ in range(size)))
        case 4:
            return _take_selection(sender, reader)
    raise WireError(f"unknown kind {kind} of messages that push")


def _take_push(sender: int, reader: Reader, take_values: Callable[[Reader], Values]) -> PushFrame:
    flags = reader.byte("flags")
    if flags > _RANKED | _PULSE | _BEGIN | _PRUNE | _WANTS:
        raise WireError(f"unknown flags of a push {flags:#04x}")
    checksum = reader.integer(KEY_BYTES, "roster")
    number, distance, got = reader.varint("number"), reader.varint("distance"), reader.varint("push got")
    if distance > number:
        raise WireError(f"push {number} cannot come {distance} after another")
    pulse = _take_pulse(reader) if flags & _PULSE else None
    ranked = bool(flags & _RANKED)
    entries: list[Entry] = []
    for _ in range(reader.count(4, "entries")):
        previous = entries[-1].name if entries else -1
        entries.append(_take_entry(reader, previous, ranked, take_values))
    begin, prune, wants = bool(flags & _BEGIN), bool(flags & _PRUNE), bool(flags & _WANTS)
    return PushFrame(sender, checksum, number, number - distance, got, tuple(entries), ranked, pulse, begin, prune, wants)


def _take_entry(reader: Reader, previous: int, ranked: bool, take_values: Callable[[Reader], Values]) -> Entry:
    steps = 1
    if ranked:
        code = reader.varint("rank")
        name = previous + 1 + code // 2
        if code & 1 and (steps := reader.varint("versions")) == 1:
            raise WireError("one version since the base is not written out")
    else:
        name = reader.key_after(previous)
        steps = reader.varint("versions")
    values = take_values(reader)
    if steps >= values[0]:
        raise WireError(f"version {values[0]} has no base {steps} versions before it")
    return Entry(name, steps, *values)


def _take_summary(sender: int, reader: Reader) -> SummaryFrame:
    flags = reader.byte("flags")
    if flags > _CHECKSUM | _PULSE | _ASKS | _PROBE | _FIRM:
        raise WireError(f"unknown flags of a summary {flags:#04x}")
    checksum = reader.integer(KEY_BYTES, "hash") if flags & _CHECKSUM else None
    pulse = _take_pulse(reader) if flags & _PULSE else None
    return SummaryFrame(sender, checksum, pulse, bool(flags & _ASKS), bool(flags & _FIRM), bool(flags & _PROBE))


def _take_selection(sender: int, reader: Reader) -> SelectionFrame:
    first = reader.byte("exponent")
    positional = bool(first & POSITIONAL)
    marks = _take_bits(reader, 1 << _take_exponent(reader, first & ~POSITIONAL))
    roster = reader.integer(KEY_BYTES, "roster") if positional else None
    keys: list[int] = []
    versions: list[int] = []
    for _ in range(reader.count(1 if positional else 1 + KEY_BYTES, "versions")):
        if not positional:
            keys.append(reader.key_after(keys[-1] if keys else -1))
            if not marks[keys[-1] >> 8 * KEY_BYTES - _exponent(len(marks))]:
                raise WireError(f"key {keys[-1]:08x} lies in no bucket that was selected")
        versions.append(reader.version(smallest=1))
    return SelectionFrame(sender, marks, roster, None if positional else tuple(keys), tuple(versions))


def _exponent(size: int) -> int:
    return size.bit_length() - 1


def _take_exponent(reader: Reader, exponent: int) -> int:
    if not 1 <= exponent <= MOST_BITS:
        raise WireError(f"expected 2 to 2^{MOST_BITS} buckets, found 2^{exponent}")
    return exponent


def _put_key(out: bytearray, key: int) -> None:
    out += key.to_bytes(KEY_BYTES, "big")


def _put_pulse(out: bytearray, pulse: PulseFrame | None) -> None:
    if pulse is not None:
        root, number, hops = pulse
        _put_key(out, root)
        put_varint(out, number)
        out.append(hops)


def _take_pulse(reader: Reader) -> PulseFrame:
    return reader.integer(KEY_BYTES, "root"), reader.varint("pulse"), reader.byte("hops")


def _put_bits(out: bytearray, bits: tuple[bool, ...]) -> None:
    out += sum(bit << i for i, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")


def _take_bits(reader: Reader, count: int) -> tuple[bool, ...]:
    bits = int.from_bytes(reader.take((count + 7) // 8, "bits"), "little")
    if bits >> count:
        raise WireError("bits that stand for nothing")
    return tuple(bool(bits >> i & 1) for i in range(count))
