"""The codec: every frame survives the wire, one frame has one encoding, and whatever else arrives raises WireError."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import WireError
from priomon_core.identity import LARGEST_GENERATION, Address, Identity
from priomon_core.metrics import BUILT_IN, LARGEST_LEVEL, Metric
from priomon_core.octets import LARGEST_VERSION, varint_size
from priomon_core.quorum_wire import NUMBER_END, Answer, Query
from priomon_core.rumours import LARGEST_INCARNATION, Rumour, State, rumours_size
from priomon_core.wire import (
    KEY_END,
    Ask,
    Call,
    Codec,
    DeltaFrame,
    DigestFrame,
    Frame,
    Introduction,
    Level,
    News,
    age_code,
    age_of,
    cluster_tag,
    introduction_excess,
    level_size,
)

METRICS = tuple(Metric(f"m{i}", "u", 1.0, signed=i % 3 == 1) for i in range(20))
KEYS = st.integers(0, KEY_END - 1)
VERSIONS = st.integers(1, 300) | st.integers(1, LARGEST_VERSION)
HOSTS = (
    st.integers(0, 2**32 - 1).map(lambda bits: str(IPv4Address(bits)))
    | st.integers(0, 2**128 - 1).map(lambda bits: str(IPv6Address(bits)))
    | st.from_regex(r"[a-z][a-z0-9-]{0,30}(\.[a-zé]{2,9})?", fullmatch=True)
)
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=15)
IDENTITIES = st.builds(Identity, NAMES, st.integers(1, LARGEST_GENERATION), st.builds(Address, HOSTS, st.integers(1, 65535)))
INCARNATIONS = st.integers(0, 200) | st.integers(0, LARGEST_INCARNATION - 1)
RUMOURS = st.lists(
    st.builds(Rumour, KEYS, st.sampled_from((State.SUSPECT, State.DEAD)), INCARNATIONS, KEYS)
    | st.builds(Rumour, KEYS, st.sampled_from((State.ALIVE, State.LEFT)), INCARNATIONS | st.just(LARGEST_INCARNATION), st.just(0)),
    max_size=200,
).map(tuple)


@st.composite
def digests(draw: st.DrawFn) -> DigestFrame:
    low, last = sorted((draw(KEYS), draw(KEYS))) if draw(st.booleans()) else (0, KEY_END - 1)
    more = draw(st.booleans()), draw(RUMOURS)
    if draw(st.booleans()):
        return DigestFrame(draw(KEYS), low, last, draw(KEYS), None, tuple(draw(st.lists(VERSIONS, max_size=200))), *more)
    keys = sorted(draw(st.sets(st.integers(low, last), max_size=30)))
    return DigestFrame(draw(KEYS), low, last, None, tuple(keys), tuple(draw(VERSIONS) for _ in keys), *more)


@st.composite
def changes(draw: st.DrawFn, metrics: int) -> tuple[Level, ...]:
    chosen = sorted(draw(st.sets(st.integers(0, metrics - 1))))
    sizes = st.integers(0, 200) | st.integers(0, LARGEST_LEVEL)
    return tuple((m, draw(sizes) * (draw(st.sampled_from((1, -1))) if METRICS[m].signed else 1)) for m in chosen)


@st.composite
def deltas(draw: st.DrawFn, metrics: int) -> DeltaFrame:
    def values() -> tuple[int, int, tuple[Level, ...]]:
        return draw(VERSIONS), draw(st.integers(0, 255)), draw(changes(metrics))

    identities = sorted(draw(st.lists(IDENTITIES, max_size=3, unique_by=lambda i: i.key)), key=lambda i: i.key)
    others = draw(st.sets(KEYS, max_size=8)) - {identity.key for identity in identities}
    told = sorted(key for key in others if key % 2)
    asked = sorted(key for key in others if not key % 2)
    return DeltaFrame(
        draw(KEYS),
        draw(KEYS),
        tuple(Introduction(identity, *values()) for identity in identities),
        tuple(News(key, *values()) for key in told),
        tuple((key, draw(VERSIONS | st.just(0))) for key in asked),
        draw(RUMOURS),
    )


@st.composite
def calls(draw: st.DrawFn) -> Call:
    kind = draw(st.sampled_from(Ask))
    subjects = (draw(KEYS), draw(KEYS)) if kind >= Ask.PING_REQUEST else (0, 0)
    return Call(draw(KEYS), kind, *subjects, draw(RUMOURS))


@st.composite
def reads(draw: st.DrawFn, metrics: int) -> Query | Answer:
    number, rumours = draw(st.integers(0, NUMBER_END - 1)), draw(RUMOURS)
    values = draw(VERSIONS), draw(st.integers(0, 255)), draw(changes(metrics))
    query = Query(draw(KEYS), number, draw(KEYS), draw(VERSIONS | st.just(0)), 0, rumours)
    answer = Answer(draw(KEYS), number, *(values if draw(st.booleans()) else (0, 0, ())), 0, rumours)
    frame = draw(st.sampled_from((query, answer)))
    return replace(frame, size=len(Codec("test", METRICS[:metrics]).encode(frame)))


@st.composite
def frames(draw: st.DrawFn) -> tuple[Codec, Frame]:
    """A frame of any kind, and the codec of a cluster with 1 to 20 metrics that can carry it."""
    metrics = draw(st.integers(1, len(METRICS)))
    return Codec("test", METRICS[:metrics]), draw(digests() | deltas(metrics) | calls() | reads(metrics))


def read(codec: Codec, data: bytes) -> Frame | None:
    """The frame, None if the codec refuses it."""
    try:
        return codec.decode(data)
    except WireError:
        return None


@given(frames())
def test_a_frame_survives_the_wire(case: tuple[Codec, Frame]) -> None:
    codec, frame = case
    assert codec.decode(codec.encode(frame)) == frame


@given(frames(), st.data())
def test_a_truncated_frame_is_refused(case: tuple[Codec, Frame], data: st.DataObject) -> None:
    codec, frame = case
    whole = codec.encode(frame)
    with pytest.raises(WireError):
        codec.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(frames(), st.binary(min_size=1, max_size=20))
def test_bytes_after_the_end_are_refused(case: tuple[Codec, Frame], tail: bytes) -> None:
    codec, frame = case
    with pytest.raises(WireError, match="after the end of the message"):
        codec.decode(codec.encode(frame) + tail)


@given(frames(), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_bytes_are_refused_or_canonical(case: tuple[Codec, Frame], edits: list[tuple[int, int]]) -> None:
    codec, frame = case
    data = bytearray(codec.encode(frame))
    for at, byte in edits:
        data[at % len(data)] = byte
    found = read(codec, bytes(data))
    assert found is None or codec.encode(found) == data


@given(st.integers(1, 20), st.integers(0, 15), st.binary(max_size=80))
def test_random_bytes_are_refused_or_canonical(metrics: int, kind: int, body: bytes) -> None:
    codec = Codec("test", METRICS[:metrics])
    data = bytes([2 << 4 | kind]) + cluster_tag("test", METRICS[:metrics]).to_bytes(2, "big") + body
    found = read(codec, data)
    assert found is None or codec.encode(found) == data


@given(st.binary(max_size=60))
def test_noise_is_refused(data: bytes) -> None:
    found = read(Codec("test", METRICS), data)
    assert found is None or Codec("test", METRICS).encode(found) == data


HEAD = bytes([0x22]) + cluster_tag("c", BUILT_IN).to_bytes(2, "big") + bytes(4)
DIGEST = bytes([0x21]) + HEAD[1:]
PING = bytes([0x2B]) + HEAD[1:]
ONE = (7).to_bytes(4, "big") + b"\x01"  # key 7, version 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "format: expected 1 B at byte 0, found the end"),
        (b"\x11" + DIGEST[1:], "expected wire format 2, found 1; do all nodes run the same release?"),
        (b"\x27" + DIGEST[1:7] + b"\0", "read: expected 2 B at byte 7"),
        (b"\x20" + DIGEST[1:7] + b"\0\x01\x05", "age: expected 1 B at byte 10"),
        (b"\x21\0\0" + DIGEST[3:], "expected cluster tag ...., found 0000: another cluster, or other metric declarations"),
        (DIGEST + b"\x08\0", "unknown digest flags 0x08"),
        (DIGEST + b"\x01" + bytes([0, 0, 0, 2, 0, 0, 0, 1]) + b"\0", "impossible interval of keys 00000002 to 00000001"),
        (DIGEST + b"\x01" + bytes(4) + b"\xff" * 4 + b"\0", "impossible interval of keys 00000000 to ffffffff"),
        (DIGEST + b"\0\x02" + ONE + ONE, "key 00000007 out of order"),
        (DIGEST + b"\x01" + bytes(4) + bytes([0, 0, 0, 6]) + b"\x01" + ONE, "key 00000007 lies beyond the digest's last key 00000006"),
        (DIGEST + b"\0\x01" + ONE[:4] + b"\0", "expected a version from 1 to"),
        (DIGEST + b"\0\x01" + ONE[:4] + b"\x80\x00", "varint with padding"),
        (DIGEST + b"\0\x01" + ONE[:4] + b"\xff" * 9, "varint of more than 9 bytes"),
        (DIGEST + b"\0\xff\xff\xff\x7f" + ONE, "digest entries: 268435455 cannot fit in the 5 B that are left"),
        (HEAD + bytes(4) + b"\0\x01\0" + ONE + b"\0\x10", "expected at most 4 metrics, found the mask 0x10"),
        (HEAD + bytes(4) + b"\0\x01\0" + ONE + b"\0\x01" + b"\xff" * 8 + b"\x01", "expected levels of metric 0 up to 9007199254740991"),
        (HEAD + bytes(4) + b"\0\x01\x01" + ONE + b"\0\0" + ONE, "more than one entry"),
        (HEAD + bytes(4) + b"\x01\0\0" + b"\x01a\x01\x07" + bytes(9), "unknown kind of address 7"),
        (HEAD + bytes(4) + b"\x01\0\0" + b"\x01a\x01\x00\x071.2.3.4" + b"\0\x01\x01\0\0", "address '1.2.3.4' written as text"),
        (HEAD + bytes(4) + b"\x01\0\0" + b"\x01\xff\x01\x04" + bytes(9), "identity at byte .*: 'utf-8' codec"),
        (HEAD + bytes(4) + b"\x01\0\0" + b"\x01a\0\x04" + bytes(9), "identity at byte .*: node 'a': expected a generation from 1"),
        (PING + b"\0", "rumours announced, and none found"),
        (PING + b"\x02\0" + ONE, "rumours: 2 cannot fit in the 6 B that are left"),
        (PING + b"\x01\x04" + ONE, "unknown state 4 in a rumour"),
        (PING + b"\x01\0" + ONE[:4] + b"\x80\x80\x80\x80\x01", "expected an incarnation up to 268435455, found 268435456"),
        (PING + b"\x01\x02" + ONE[:4] + b"\xff\xff\xff\x7f" + bytes(4), "expected an incarnation up to 268435454, found 268435455"),
        (PING + b"\x01\x02" + ONE, "accuser: expected 4 B"),
        (HEAD + bytes(4) + b"\x01\0\0" + b"\x01a\x01\x00\0" + bytes(9), "host '': expected 1 to 255 bytes, found 0"),
    ],
)
def test_each_refusal_says_why(data: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        Codec("c", BUILT_IN).decode(data)


@given(calls())
def test_a_call_knows_its_size(call: Call) -> None:
    assert call.size == len(Codec("test", METRICS).encode(call))


@given(deltas(3), RUMOURS)
def test_rumours_lengthen_a_message_by_their_size(delta: DeltaFrame, rumours: tuple[Rumour, ...]) -> None:
    codec = Codec("test", METRICS[:3])
    assert len(codec.encode(replace(delta, rumours=rumours))) - len(codec.encode(replace(delta, rumours=()))) == rumours_size(rumours)


def test_a_ping_takes_seven_bytes() -> None:
    codec = Codec("test", METRICS)
    assert [len(codec.encode(Call(1, kind))) for kind in Ask] == [7, 7, 15, 15]


@given(st.integers(0, 2**63 - 1))
def test_varint_size(number: int) -> None:
    digits = f"{number:b}"
    assert varint_size(number) == -(-len(digits) // 7)


@given(IDENTITIES, VERSIONS, st.data())
def test_sizes_of_the_parts_of_news(identity: Identity, version: int, data: st.DataObject) -> None:
    levels = data.draw(changes(len(METRICS)))
    codec = Codec("test", METRICS)
    empty = len(codec.encode(DeltaFrame(0, 0, (), (), ())))
    news = len(codec.encode(DeltaFrame(0, 0, (), (News(identity.key, version, 0, levels),), ()))) - empty
    assert news == 4 + varint_size(version) + 1 + 3 + sum(level_size(METRICS[m], level) for m, level in levels)
    whole = len(codec.encode(DeltaFrame(0, 0, (Introduction(identity, version, 0, levels),), (), ()))) - empty
    assert whole == news + introduction_excess(identity)


@given(st.integers(0, 40 * 86_400 * 10**9))
def test_an_age_code_is_good_to_nine_percent(age: int) -> None:
    assert 0 <= age_code(age) <= 255
    assert age_of(age_code(age)) == pytest.approx(age, rel=0.05, abs=1_000_000)


@given(st.integers(0, 255))
def test_age_codes_survive_another_hop(code: int) -> None:
    assert age_code(age_of(code)) == code


def test_ages_outside_the_codes() -> None:
    assert age_code(-5) == age_code(0) == 0
    assert age_code(10**18) == 255


def test_the_tag_tells_clusters_and_meanings_apart() -> None:
    cpu, other = BUILT_IN[0], Metric("cpu", "%", 4.0)
    tags = {cluster_tag("a", (cpu,)), cluster_tag("b", (cpu,)), cluster_tag("a", (other,)), cluster_tag("a", (cpu, other))}
    assert len(tags) == 4
    assert cluster_tag("a", (cpu,)) == cluster_tag("a", (Metric("cpu", "%", 5.0, silence=9.0, alarm=90.0, filter="none"),))
