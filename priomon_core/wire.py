"""Frames <-> bytes: the binary format of a datagram.

    header    1 B format, kind and whether rumours follow, 2 B cluster tag, 4 B key of the sender
    digest    1 B flags, [4 B low key, 4 B last key], [4 B roster checksum], varint count, then per origin [4 B key] varint version
    delta     4 B key of the recipient, varints: introductions, news, requests; then the entries
    news      4 B key, varint version, 1 B age, bit mask of the changed metrics, a varint level for each
    introduction  identity instead of the key, then as news
    request   4 B key, varint version held
    identity  1 B length, name, varint generation, 1 B kind of address, address, 2 B port
    read      see quorum_wire.py
    others    those of strategies that push have a format of their own: see push_wire.py
    call      nothing (ping, ack), or 4 B key of who asks and 4 B key of whom it asks about (ping request, indirect ack)
    rumours   at the end of any: varint count, then each 1 B state, 4 B key, varint incarnation, [4 B key of the accuser]

Integers and varints are as in octets.py; levels of signed metrics are zigzag-coded. Entries stand in the order of their keys, so a frame
has one encoding. The age of a value travels as a logarithmic code of 9 % precision: clocks need not agree.

`decode` raises `WireError` and nothing else, allocates no more than the datagram's own size allows, and leaves no state behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import blake2b
from math import ceil, log

from priomon_core import push_wire
from priomon_core.errors import WireError
from priomon_core.identity import KEY_BYTES, Identity
from priomon_core.metrics import Metric
from priomon_core.octets import Reader, pack_host, put_identity, put_varint, varint_size
from priomon_core.quorum_wire import NUMBER_BYTES, Answer, Query
from priomon_core.rumours import ACCUSATIONS, LARGEST_INCARNATION, Rumour, State, rumours_size

FORMAT = 2
PUSH_FORMAT = 3  # of frames that push_wire.py knows
SEALED = 0xE1  # the first byte of a datagram that is encrypted, which no plain one has
HEADER = 1 + 2 + KEY_BYTES
DIGEST_HEADER = HEADER + 1
DELTA_HEADER = HEADER + KEY_BYTES
CALL_SUBJECTS = 2 * KEY_BYTES  # bytes by which a call on behalf of another exceeds the header
KEY_END = 1 << (8 * KEY_BYTES)
_ANSWER, _DIGEST, _DELTA, _QUERY = 0, 1, 2, 7
_RUMOURS = 8  # beside the kind: rumours follow
_BOUNDED, _POSITIONAL, _PROBE = 1, 2, 4
_AGE_UNIT = 1_000_000  # ns
_AGE_BASE = log(1.09)

Level = tuple[int, int]  # metric index, level


@dataclass(frozen=True, slots=True)
class DigestFrame:
    """`keys` is None and `roster` a checksum where the order of the known origins in [low, last] names them.

    A `probe` wants an answer in any case, so that the sender knows that the recipient lives.
    """

    sender: int
    low: int
    last: int
    roster: int | None
    keys: tuple[int, ...] | None
    versions: tuple[int, ...]
    probe: bool = False
    rumours: tuple[Rumour, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """The metrics of an origin that changed, up to `version`; `age` is an age code."""

    key: int
    version: int
    age: int
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Introduction:
    """An origin that the recipient does not know, with all its metrics."""

    identity: Identity
    version: int
    age: int
    levels: tuple[Level, ...]

    @property
    def key(self) -> int:
        return self.identity.key


@dataclass(frozen=True, slots=True)
class DeltaFrame:
    sender: int
    recipient: int
    introductions: tuple[Introduction, ...]
    news: tuple[News, ...]
    requests: tuple[tuple[int, int], ...]
    rumours: tuple[Rumour, ...] = ()


class Ask(IntEnum):
    """The kinds of call, as numbered on the wire."""

    PING = 3
    ACK = 4
    PING_REQUEST = 5
    INDIRECT_ACK = 6


@dataclass(frozen=True, slots=True)
class Call:
    """Is somebody there? The smallest messages; they are their own frames.

    A ping wants an ack. A ping request is made by `requester` about `target`, and travels over a helper; so does the answer. The other
    two have both 0.
    """

    sender: int
    kind: Ask
    requester: int = 0
    target: int = 0
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False

    @property
    def size(self) -> int:
        """Bytes of UDP payload."""
        return HEADER + (CALL_SUBJECTS if self.kind >= Ask.PING_REQUEST else 0) + rumours_size(self.rumours)


Plain = Call | Query | Answer  # messages that are their own frames
Frame = DigestFrame | DeltaFrame | Plain | push_wire.PushFamily

_KINDS: dict[type, int] = {DigestFrame: _DIGEST, DeltaFrame: _DELTA, Query: _QUERY, Answer: _ANSWER, **push_wire.KINDS}


def level_size(metric: Metric, level: int) -> int:
    """Bytes that a level of this metric takes."""
    return varint_size(_zigzag(level) if metric.signed else level)


def introduction_excess(identity: Identity) -> int:
    """Bytes by which an introduction exceeds plain news of the same origin."""
    host = pack_host(identity.address.host)
    return 1 + len(identity.name.encode()) + varint_size(identity.generation) + len(host) + 2 - KEY_BYTES


def age_code(age: int) -> int:
    """One byte for an age in ns: 1 ms to 40 days in steps of 9 %."""
    return min(255, round(log(age / _AGE_UNIT) / _AGE_BASE)) if age > _AGE_UNIT else 0


def age_of(code: int) -> int:
    """The age in ns that a code stands for."""
    return round(_AGE_UNIT * 1.09**code)


def cluster_tag(cluster: str, metrics: Sequence[Metric]) -> int:
    """16 bits that agree where cluster name and the meaning of every level agree: name, unit, scale, bound, floor and sign."""
    text = "\n".join([cluster, *(f"{m.name} {m.unit} {m.scale} {m.bound!r} {m.floor!r} {m.signed}" for m in metrics)])
    return int.from_bytes(blake2b(text.encode(), digest_size=2).digest(), "big")


class Codec:
    """Encodes and decodes the frames of one cluster, whose tag and metrics every datagram must share."""

    def __init__(self, cluster: str, metrics: Sequence[Metric]) -> None:
        self._tag = cluster_tag(cluster, metrics)
        self._signed = [metric.signed for metric in metrics]
        self._largest = [metric.largest_level for metric in metrics]
        self._mask = ceil(len(metrics) / 8)

    def encode(self, frame: Frame) -> bytes:
        """The bytes of a frame; the same frame always gives the same bytes."""
        out = bytearray()
        pushes = isinstance(frame, push_wire.PushFamily)
        kind = frame.kind if isinstance(frame, Call) else _KINDS[type(frame)]
        out.append((PUSH_FORMAT if pushes else FORMAT) << 4 | bool(frame.rumours) * _RUMOURS | kind)
        out += self._tag.to_bytes(2, "big")
        _put_key(out, frame.sender)
        match frame:
            case DigestFrame():
                self._put_digest(out, frame)
            case DeltaFrame():
                self._put_delta(out, frame)
            case Call() if frame.kind >= Ask.PING_REQUEST:
                _put_key(out, frame.requester)
                _put_key(out, frame.target)
            case Query():
                out += frame.number.to_bytes(NUMBER_BYTES, "big")
                _put_key(out, frame.target)
                put_varint(out, frame.since)
            case Answer():
                out += frame.number.to_bytes(NUMBER_BYTES, "big")
                self._put_values(out, frame)
        if isinstance(frame, push_wire.PushFamily):
            push_wire.put(out, frame, self._put_values)
        if frame.rumours:
            _put_rumours(out, frame.rumours)
        return bytes(out)

    def _put_digest(self, out: bytearray, frame: DigestFrame) -> None:
        bounded = (frame.low, frame.last) != (0, KEY_END - 1)
        out.append(bounded * _BOUNDED | (frame.keys is None) * _POSITIONAL | frame.probe * _PROBE)
        if bounded:
            _put_key(out, frame.low)
            _put_key(out, frame.last)
        if frame.keys is None:
            _put_key(out, frame.roster or 0)
        put_varint(out, len(frame.versions))
        for i, version in enumerate(frame.versions):
            if frame.keys is not None:
                _put_key(out, frame.keys[i])
            put_varint(out, version)

    def _put_delta(self, out: bytearray, frame: DeltaFrame) -> None:
        _put_key(out, frame.recipient)
        for entries in (frame.introductions, frame.news, frame.requests):
            put_varint(out, len(entries))
        for introduction in frame.introductions:
            put_identity(out, introduction.identity)
            self._put_values(out, introduction)
        for news in frame.news:
            _put_key(out, news.key)
            self._put_values(out, news)
        for key, version in frame.requests:
            _put_key(out, key)
            put_varint(out, version)

    def _put_values(self, out: bytearray, entry: News | Introduction | Answer) -> None:
        put_varint(out, entry.version)
        if not entry.version:
            return
        out.append(entry.age)
        out += sum(1 << metric for metric, _ in entry.levels).to_bytes(self._mask, "big")
        for metric, level in entry.levels:
            put_varint(out, _zigzag(level) if self._signed[metric] else level)

    def decode(self, data: bytes) -> Frame:
        """The frame in a datagram's payload. Raises `WireError` and nothing else."""
        reader = Reader(data)
        first = reader.byte("format")
        if first == SEALED:
            raise WireError("the datagram is encrypted, and this node has no key; give it the cluster's", "sealed")
        if first >> 4 not in (FORMAT, PUSH_FORMAT):
            raise WireError(f"expected wire format {FORMAT}, found {first >> 4}; do all nodes run the same release?", "other release")
        if (tag := reader.integer(2, "cluster tag")) != self._tag:
            found = f"expected cluster tag {self._tag:04x}, found {tag:04x}"
            raise WireError(f"{found}: another cluster, or other metric declarations", "other cluster")
        sender = reader.integer(KEY_BYTES, "sender")
        match first & ~_RUMOURS & 15:
            case kind if first >> 4 == PUSH_FORMAT:
                frame: Frame = push_wire.take(kind, sender, reader, self._take_values)
            case 0:
                frame = Answer(sender, reader.integer(NUMBER_BYTES, "read"), *self._take_values(reader, 0), len(data))
            case 1:
                frame = self._take_digest(reader, sender)
            case 2:
                frame = self._take_delta(reader, sender)
            case 3 | 4 as kind:
                frame = Call(sender, Ask(kind))
            case 5 | 6 as kind:
                frame = Call(sender, Ask(kind), reader.integer(KEY_BYTES, "requester"), reader.integer(KEY_BYTES, "target"))
            case _:  # a query, the last of eight
                number, target = reader.integer(NUMBER_BYTES, "read"), reader.integer(KEY_BYTES, "target")
                frame = Query(sender, number, target, reader.version(smallest=0), len(data))
        if first & _RUMOURS:
            frame = replace(frame, rumours=_take_rumours(reader))
        reader.end()
        return frame

    def _take_digest(self, reader: Reader, sender: int) -> DigestFrame:
        flags = reader.byte("flags")
        if flags & ~(_BOUNDED | _POSITIONAL | _PROBE):
            raise WireError(f"unknown digest flags {flags:#04x}")
        low, last = 0, KEY_END - 1
        if flags & _BOUNDED:
            low, last = reader.integer(KEY_BYTES, "low key"), reader.integer(KEY_BYTES, "last key")
            if low > last or (low, last) == (0, KEY_END - 1):
                raise WireError(f"impossible interval of keys {low:08x} to {last:08x}")
        positional = bool(flags & _POSITIONAL)
        roster = reader.integer(KEY_BYTES, "roster") if positional else None
        count = reader.count(1 if positional else 1 + KEY_BYTES, "digest entries")
        keys: list[int] = []
        versions: list[int] = []
        for _ in range(count):
            if not positional:
                keys.append(reader.key_after(keys[-1] if keys else low - 1))
            versions.append(reader.version(smallest=1))
        if keys and keys[-1] > last:
            raise WireError(f"key {keys[-1]:08x} lies beyond the digest's last key {last:08x}")
        return DigestFrame(sender, low, last, roster, None if positional else tuple(keys), tuple(versions), bool(flags & _PROBE))

    def _take_delta(self, reader: Reader, sender: int) -> DeltaFrame:
        recipient = reader.integer(KEY_BYTES, "recipient")
        counts = [reader.count(1 + KEY_BYTES, what) for what in ("introductions", "news", "requests")]
        introductions: list[Introduction] = []
        for _ in range(counts[0]):
            identity = reader.identity()
            if introductions and identity.key <= introductions[-1].key:
                raise WireError(f"introduction of {identity.name!r} out of order")
            introductions.append(Introduction(identity, *self._take_values(reader)))
        news: list[News] = []
        for _ in range(counts[1]):
            key = reader.key_after(news[-1].key if news else -1)
            news.append(News(key, *self._take_values(reader)))
        requests: list[tuple[int, int]] = []
        for _ in range(counts[2]):
            key = reader.key_after(requests[-1][0] if requests else -1)
            requests.append((key, reader.version(smallest=0)))
        keys = {entry.key for entry in introductions} | {entry.key for entry in news} | {key for key, _ in requests}
        if len(keys) != sum(counts):
            raise WireError("an origin has more than one entry in a delta")
        return DeltaFrame(sender, recipient, tuple(introductions), tuple(news), tuple(requests))

    def _take_values(self, reader: Reader, smallest: int = 1) -> tuple[int, int, tuple[Level, ...]]:
        version = reader.version(smallest)
        if not version:
            return 0, 0, ()
        age = reader.byte("age")
        mask = reader.integer(self._mask, "mask of metrics")
        if mask >> len(self._signed):
            raise WireError(f"expected at most {len(self._signed)} metrics, found the mask {mask:#x}")
        levels: list[Level] = []
        for metric, signed in enumerate(self._signed):
            if mask >> metric & 1:
                number = reader.varint("level")
                level = number >> 1 ^ -(number & 1) if signed else number
                if abs(level) > self._largest[metric]:
                    raise WireError(f"expected levels of metric {metric} up to {self._largest[metric]}, found {level}")
                levels.append((metric, level))
        return version, age, tuple(levels)


def _zigzag(level: int) -> int:
    return level << 1 if level >= 0 else (-level << 1) - 1


def _put_key(out: bytearray, key: int) -> None:
    out += key.to_bytes(KEY_BYTES, "big")


def _put_rumours(out: bytearray, rumours: Sequence[Rumour]) -> None:
    put_varint(out, len(rumours))
    for rumour in rumours:
        out.append(rumour.state)
        _put_key(out, rumour.key)
        put_varint(out, rumour.incarnation)
        if rumour.state in ACCUSATIONS:
            _put_key(out, rumour.accuser)


def _take_rumours(reader: Reader) -> tuple[Rumour, ...]:
    count = reader.count(1 + KEY_BYTES + 1, "rumours")
    if not count:
        raise WireError("rumours announced, and none found")
    return tuple(_take_rumour(reader) for _ in range(count))


def _take_rumour(reader: Reader) -> Rumour:
    state = reader.byte("state")
    if state > State.LEFT:
        raise WireError(f"unknown state {state} in a rumour")
    accusation = state in ACCUSATIONS
    key, incarnation = reader.integer(KEY_BYTES, "key"), reader.varint("incarnation")
    if incarnation > LARGEST_INCARNATION - accusation:  # the accused must be able to say one more
        raise WireError(f"expected an incarnation up to {LARGEST_INCARNATION - accusation}, found {incarnation}")
    return Rumour(key, State(state), incarnation, reader.integer(KEY_BYTES, "accuser") if accusation else 0)
