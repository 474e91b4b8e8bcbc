"""Frames <-> bytes: the binary format of a datagram.

    header    1 B format and kind, 2 B cluster tag, 4 B key of the sender
    digest    1 B flags, [4 B low key, 4 B last key], [4 B roster checksum], varint count, then per origin [4 B key] varint version
    delta     4 B key of the recipient, varints: introductions, news, requests; then the entries
    news      4 B key, varint version, 1 B age, bit mask of the changed metrics, a varint level for each
    introduction  identity instead of the key, then as news
    request   4 B key, varint version held
    identity  1 B length, name, varint generation, 1 B kind of address, address, 2 B port

Integers are big-endian; varints are LEB128 without padding; levels of signed metrics are zigzag-coded. Entries stand in the order
of their keys, so a frame has one encoding. The age of a value travels as a logarithmic code of 9 % precision: clocks need not agree.

`decode` raises `WireError` and nothing else, allocates no more than the datagram's own size allows, and leaves no state behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import ceil, log

from priomon_core.errors import SettingError, WireError
from priomon_core.identity import KEY_BYTES, Address, Identity
from priomon_core.metrics import Metric

FORMAT = 1
SEALED = 0xE1  # the first byte of a datagram that is encrypted, which no plain one has
HEADER = 1 + 2 + KEY_BYTES
DIGEST_HEADER = HEADER + 1
DELTA_HEADER = HEADER + KEY_BYTES
LARGEST_VERSION = (1 << 42) - 1
LONGEST_HOST = 255
KEY_END = 1 << (8 * KEY_BYTES)
_DIGEST, _DELTA = 1, 2
_BOUNDED, _POSITIONAL = 1, 2
_IPV4, _IPV6, _TEXT = 4, 6, 0
_AGE_UNIT = 1_000_000  # ns
_AGE_BASE = log(1.09)

Level = tuple[int, int]  # metric index, level


@dataclass(frozen=True, slots=True)
class DigestFrame:
    """`keys` is None and `roster` a checksum where the order of the known origins in [low, last] names them."""

    sender: int
    low: int
    last: int
    roster: int | None
    keys: tuple[int, ...] | None
    versions: tuple[int, ...]


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


Frame = DigestFrame | DeltaFrame


def varint_size(number: int) -> int:
    """Bytes that a non-negative integer takes as a varint."""
    return (number.bit_length() + 6) // 7 or 1


def level_size(metric: Metric, level: int) -> int:
    """Bytes that a level of this metric takes."""
    return varint_size(_zigzag(level) if metric.signed else level)


def introduction_excess(identity: Identity) -> int:
    """Bytes by which an introduction exceeds plain news of the same origin."""
    host = _pack_host(identity.address.host)
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
        kind = _DIGEST if isinstance(frame, DigestFrame) else _DELTA
        out.append(FORMAT << 4 | kind)
        out += self._tag.to_bytes(2, "big")
        out += frame.sender.to_bytes(KEY_BYTES, "big")
        if isinstance(frame, DigestFrame):
            self._put_digest(out, frame)
        else:
            self._put_delta(out, frame)
        return bytes(out)

    def _put_digest(self, out: bytearray, frame: DigestFrame) -> None:
        bounded = (frame.low, frame.last) != (0, KEY_END - 1)
        out.append(bounded * _BOUNDED | (frame.keys is None) * _POSITIONAL)
        if bounded:
            out += frame.low.to_bytes(KEY_BYTES, "big")
            out += frame.last.to_bytes(KEY_BYTES, "big")
        if frame.keys is None:
            out += (frame.roster or 0).to_bytes(KEY_BYTES, "big")
        _put_varint(out, len(frame.versions))
        for i, version in enumerate(frame.versions):
            if frame.keys is not None:
                out += frame.keys[i].to_bytes(KEY_BYTES, "big")
            _put_varint(out, version)

    def _put_delta(self, out: bytearray, frame: DeltaFrame) -> None:
        out += frame.recipient.to_bytes(KEY_BYTES, "big")
        for entries in (frame.introductions, frame.news, frame.requests):
            _put_varint(out, len(entries))
        for introduction in frame.introductions:
            _put_identity(out, introduction.identity)
            self._put_values(out, introduction)
        for news in frame.news:
            out += news.key.to_bytes(KEY_BYTES, "big")
            self._put_values(out, news)
        for key, version in frame.requests:
            out += key.to_bytes(KEY_BYTES, "big")
            _put_varint(out, version)

    def _put_values(self, out: bytearray, entry: News | Introduction) -> None:
        _put_varint(out, entry.version)
        out.append(entry.age)
        out += sum(1 << metric for metric, _ in entry.levels).to_bytes(self._mask, "big")
        for metric, level in entry.levels:
            _put_varint(out, _zigzag(level) if self._signed[metric] else level)

    def decode(self, data: bytes) -> Frame:
        """The frame in a datagram's payload. Raises `WireError` and nothing else."""
        reader = _Reader(data)
        first = reader.byte("format")
        if first == SEALED:
            raise WireError("the datagram is encrypted, and this node has no key; give it the cluster's", "sealed")
        if first >> 4 != FORMAT:
            raise WireError(f"expected wire format {FORMAT}, found {first >> 4}; do all nodes run the same release?", "other release")
        if (tag := reader.integer(2, "cluster tag")) != self._tag:
            found = f"expected cluster tag {self._tag:04x}, found {tag:04x}"
            raise WireError(f"{found}: another cluster, or other metric declarations", "other cluster")
        sender = reader.integer(KEY_BYTES, "sender")
        match first & 15:
            case 1:
                frame: Frame = self._take_digest(reader, sender)
            case 2:
                frame = self._take_delta(reader, sender)
            case kind:
                raise WireError(f"unknown kind of message {kind}")
        reader.end()
        return frame

    def _take_digest(self, reader: _Reader, sender: int) -> DigestFrame:
        flags = reader.byte("flags")
        if flags & ~(_BOUNDED | _POSITIONAL):
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
        return DigestFrame(sender, low, last, roster, None if positional else tuple(keys), tuple(versions))

    def _take_delta(self, reader: _Reader, sender: int) -> DeltaFrame:
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

    def _take_values(self, reader: _Reader) -> tuple[int, int, tuple[Level, ...]]:
        version = reader.version(smallest=1)
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


class _Reader:
    """A position in a datagram; every read is checked against its end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int, what: str) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise WireError(f"{what}: expected {length} B at byte {self._at}, found the end of the datagram")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def integer(self, length: int, what: str) -> int:
        return int.from_bytes(self.take(length, what), "big")

    def varint(self, what: str) -> int:
        number = 0
        for shift in range(0, 63, 7):
            byte = self.byte(what)
            number |= (byte & 127) << shift
            if byte < 128:
                if shift and not byte:
                    raise WireError(f"{what}: varint with padding")
                return number
        raise WireError(f"{what}: varint of more than 9 bytes")

    def count(self, smallest_entry: int, what: str) -> int:
        number = self.varint(what)
        if number * smallest_entry > len(self._data) - self._at:
            raise WireError(f"{what}: {number} cannot fit in the {len(self._data) - self._at} B that are left")
        return number

    def version(self, smallest: int) -> int:
        number = self.varint("version")
        if not smallest <= number <= LARGEST_VERSION:
            raise WireError(f"expected a version from {smallest} to {LARGEST_VERSION}, found {number}")
        return number

    def key_after(self, previous: int) -> int:
        key = self.integer(KEY_BYTES, "key")
        if key <= previous:
            raise WireError(f"key {key:08x} out of order")
        return key

    def identity(self) -> Identity:
        try:
            name = self.take(self.byte("name"), "name").decode()
            generation = self.varint("generation")
            match self.byte("kind of address"):
                case 4:
                    host = str(IPv4Address(self.take(4, "address")))
                case 6:
                    host = str(IPv6Address(self.take(16, "address")))
                case 0:
                    host = self.take(self.byte("host"), "host").decode()
                    if _pack_host(host)[0] != _TEXT:
                        raise WireError(f"address {host!r} written as text")
                case kind:
                    raise WireError(f"unknown kind of address {kind}")
            return Identity(name, generation, Address(host, self.integer(2, "port")))
        except (UnicodeDecodeError, SettingError) as error:
            raise WireError(f"identity at byte {self._at}: {error}") from None

    def end(self) -> None:
        if self._at != len(self._data):
            raise WireError(f"{len(self._data) - self._at} B after the end of the message")


def _zigzag(level: int) -> int:
    return level << 1 if level >= 0 else (-level << 1) - 1


def _put_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _pack_host(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        text = host.encode()
        if not 0 < len(text) <= LONGEST_HOST:
            raise SettingError(f"host {host!r}: expected 1 to {LONGEST_HOST} bytes, found {len(text)}") from None
        return bytes([_TEXT, len(text)]) + text
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise SettingError(f"host {host!r}: a scoped address means nothing to other nodes")
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


def _put_identity(out: bytearray, identity: Identity) -> None:
    name = identity.name.encode()
    out.append(len(name))
    out += name
    _put_varint(out, identity.generation)
    out += _pack_host(identity.address.host)
    out += identity.address.port.to_bytes(2, "big")
