"""Frames of strategies that push: they survive the wire, have one encoding, and anything else raises WireError."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import WireError
from priomon_core.metrics import BUILT_IN
from priomon_core.push_wire import BucketsFrame, Entry, FeedbackFrame, PushFamily, PushFrame, SelectionFrame, SummaryFrame
from priomon_core.wire import KEY_END, PUSH_FORMAT, Codec, cluster_tag

CODEC = Codec("test", BUILT_IN)
HEAD = bytes([PUSH_FORMAT << 4]) + cluster_tag("test", BUILT_IN).to_bytes(2, "big")
KEYS = st.integers(0, KEY_END - 1)
NUMBERS = st.integers(0, 300) | st.integers(0, 1 << 40)
PULSES = st.none() | st.tuples(KEYS, NUMBERS, st.integers(0, 255))
LEVELS = st.sets(st.integers(0, 3)).map(lambda chosen: tuple((m, 7 * m + 100) for m in sorted(chosen)))


@st.composite
def pushes(draw: st.DrawFn) -> PushFrame:
    ranked = draw(st.booleans())
    names = sorted(draw(st.sets(NUMBERS if ranked else KEYS, max_size=20)))
    entries = []
    for name in names:
        version = draw(st.integers(1, 300) | st.integers(1, 1 << 40))
        entries.append(Entry(name, draw(st.integers(0, min(version - 1, 3))), version, draw(st.integers(0, 255)), draw(LEVELS)))
    number = draw(NUMBERS)
    numbers = number, draw(st.integers(0, number)), draw(NUMBERS)
    flags = draw(PULSES), *(draw(st.booleans()) for _ in range(3))
    return PushFrame(draw(KEYS), draw(KEYS), *numbers, tuple(entries), ranked, *flags)


@st.composite
def selections(draw: st.DrawFn) -> SelectionFrame:
    bits = draw(st.integers(1, 6))
    marks = tuple(draw(st.lists(st.booleans(), min_size=1 << bits, max_size=1 << bits)))
    versions = draw(st.lists(st.integers(1, 1000), max_size=20))
    if draw(st.booleans()):
        return SelectionFrame(draw(KEYS), marks, draw(KEYS), None, tuple(versions))
    covered = [bucket for bucket, mark in enumerate(marks) if mark]
    places = draw(st.sets(st.tuples(st.sampled_from(covered), st.integers(0, (1 << 32 - bits) - 1)), max_size=9)) if covered else set()
    keys = sorted(bucket << 32 - bits | rest for bucket, rest in places)
    return SelectionFrame(draw(KEYS), marks, None, tuple(keys), tuple(range(1, len(keys) + 1)))


@st.composite
def buckets(draw: st.DrawFn) -> BucketsFrame:
    size = 1 << draw(st.integers(1, 6))
    return BucketsFrame(draw(KEYS), tuple(draw(st.lists(st.integers(0, 65535), min_size=size, max_size=size))))


FRAMES = (
    pushes()
    | selections()
    | buckets()
    | st.builds(FeedbackFrame, KEYS, NUMBERS, st.lists(st.booleans(), max_size=40).map(tuple))
    | st.builds(SummaryFrame, KEYS, st.none() | KEYS, PULSES, st.booleans(), st.booleans(), st.booleans())
)


def read(data: bytes) -> PushFamily | None:
    try:
        frame = CODEC.decode(data)
    except WireError:
        return None
    assert isinstance(frame, PushFamily)
    return frame


@given(FRAMES)
def test_a_frame_survives_the_wire(frame: PushFamily) -> None:
    assert CODEC.decode(CODEC.encode(frame)) == frame


@given(FRAMES, st.data())
def test_a_truncated_frame_is_refused(frame: PushFamily, data: st.DataObject) -> None:
    whole = CODEC.encode(frame)
    with pytest.raises(WireError):
        CODEC.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(FRAMES, st.lists(st.tuples(st.integers(3, 2**16), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_bytes_are_refused_or_canonical(frame: PushFamily, edits: list[tuple[int, int]]) -> None:
    data = bytearray(CODEC.encode(frame))
    for at, byte in edits:
        data[3 + at % (len(data) - 3)] = byte
    found = read(bytes(data))
    assert found is None or CODEC.encode(found) == data


@given(st.integers(0, 7), st.binary(max_size=80))
def test_random_bytes_are_refused_or_canonical(kind: int, body: bytes) -> None:
    data = bytes([HEAD[0] | kind]) + HEAD[1:] + body
    found = read(data)
    assert found is None or CODEC.encode(found) == data


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (0, bytes([32]), "flags of a push"),
        (0, bytes([1]) + bytes(4) + bytes([5, 6, 0, 0]), "cannot come 6 after another"),
        (0, bytes([1]) + bytes(4) + bytes([5, 1, 0, 1]) + bytes([1, 1, 9, 0, 0]), "not written out"),
        (0, bytes([1]) + bytes(4) + bytes([5, 1, 0, 1]) + bytes([1, 9, 9, 0, 0]), "has no base 9 versions"),
        (0, bytes([1]) + bytes(4) + bytes([5, 1, 0, 99]), "99 cannot fit"),
        (1, bytes([1, 3, 0b1000]), "stand for nothing"),
        (2, bytes([32]), "flags of a summary"),
        (3, bytes([17]), "buckets"),
        (4, bytes([1, 0b01]) + bytes([1]) + bytes([255, 0, 0, 0, 1]), "no bucket that was selected"),
        (5, b"", "unknown kind 5"),
    ],
)
def test_refusals_say_what_was_wrong(kind: int, body: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        CODEC.decode(bytes([HEAD[0] | kind]) + HEAD[1:] + bytes(4) + body)
