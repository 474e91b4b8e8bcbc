"""Sealed datagrams: what opens, what does not and why, and that no nonce is used twice."""

import itertools
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import SEAL_OVERHEAD
from priomon_core.metrics import BUILT_IN
from priomon_core.wire import Codec, DigestFrame
from priomon_node.keys import Key, Keyring
from priomon_node.seal import MOST_DATAGRAMS, WINDOW, ReplayGuard, Seal, SealError

OLD, NEW = Key(bytes(range(32))), Key(bytes(range(1, 33)))
NONCE = slice(5, 17)


def seal(*keys: Key, cluster: str = "c", sender: bytes = b"sender-1", start: int = 0) -> Seal:
    return Seal(Keyring(keys or (OLD,)), cluster, sender, start)


def cause(receiver: Seal, datagram: bytes) -> str:
    with pytest.raises(SealError) as caught:
        receiver.open(datagram)
    return caught.value.cause


@given(st.lists(st.binary(max_size=1200), max_size=5))
def test_what_is_closed_opens_and_is_longer_by_the_overhead(payloads: list[bytes]) -> None:
    sender, receiver = seal(), seal()
    for payload in payloads:
        datagram = sender.close(payload)
        assert len(datagram) == len(payload) + SEAL_OVERHEAD
        assert receiver.open(datagram) == payload


def test_equal_payloads_are_not_equal_on_the_wire_and_do_not_show() -> None:
    sender = seal()
    payload = b"load of node-7: 41 %"
    first, second = sender.close(payload), sender.close(payload)
    assert first[17:] != second[17:]
    assert payload not in first


def test_the_layout_is_fixed_because_nodes_of_other_releases_read_it() -> None:
    assert (
        seal(start=0x01020304).close(b"payload").hex() == "e1981afbc773656e6465722d31010203048684d5becea5513fc3f4f14672d5cf54f7b25df1a12e41"
    )


def test_a_datagram_with_any_one_bit_changed_is_refused_and_leaves_no_trace() -> None:
    datagram, receiver = seal().close(b"payload"), seal()
    for bit in range(8 * len(datagram)):
        changed = bytearray(datagram)
        changed[bit // 8] ^= 1 << bit % 8
        assert cause(receiver, bytes(changed)) == ("plain" if bit < 8 else "unknown key" if bit < 40 else "forged")
    assert receiver.open(datagram) == b"payload"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_seal_error_only(junk: bytes) -> None:
    header = seal().close(b"")[:5]
    for datagram in (junk, header[:1] + junk, header + junk):
        assert cause(seal(), datagram) in ("plain", "short", "unknown key", "forged")


@pytest.mark.parametrize("length", [0, 1, 5, 17, SEAL_OVERHEAD - 1])
def test_a_datagram_too_short_for_a_seal_is_refused(length: int) -> None:
    assert cause(seal(), seal().close(b"payload")[:length]) == "short"


def test_a_truncated_or_extended_datagram_is_forged() -> None:
    datagram = seal().close(b"payload")
    assert cause(seal(), datagram[:-1]) == "forged"
    assert cause(seal(), datagram + b"\0") == "forged"


def test_a_plain_frame_is_told_from_a_sealed_one() -> None:
    codec = Codec("c", BUILT_IN)
    assert cause(seal(), codec.encode(DigestFrame(1, 0, (1 << 32) - 1, None, (1,), (1,)))) == "plain"


def test_another_key_is_unknown_and_named() -> None:
    with pytest.raises(SealError, match=f"sealed with key {NEW.name}") as caught:
        seal(OLD).open(seal(NEW).close(b""))
    assert caught.value.cause == "unknown key"


def test_another_cluster_with_the_same_key_does_not_open() -> None:
    assert cause(seal(cluster="c"), seal(cluster="d").close(b"payload")) == "forged"


def test_keys_rotate_without_a_moment_of_misunderstanding() -> None:
    """Any two nodes whose rings are at most one step of the rotation apart open each other's datagrams."""
    steps: list[tuple[Key, ...]] = [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]
    for here, there in itertools.pairwise(steps):
        for ring, other in ((here, there), (there, here)):
            assert seal(*ring).open(seal(*other).close(b"payload")) == b"payload"
    assert seal(NEW, OLD).close(b"")[1:5] == NEW.id
    assert cause(seal(NEW), seal(OLD, NEW).close(b"")) == "unknown key"


def test_a_replay_is_refused_also_long_after() -> None:
    sender, receiver = seal(), seal()
    first = sender.close(b"first")
    receiver.open(first)
    assert cause(receiver, first) == "replayed"
    for _ in range(2 * WINDOW):
        receiver.open(sender.close(b""))
        assert cause(receiver, first) == "replayed"


def test_datagrams_may_overtake_each_other_within_the_window() -> None:
    sender, receiver = seal(), seal()
    datagrams = [sender.close(bytes([i % 256])) for i in range(WINDOW)]
    assert [receiver.open(datagram)[0] for datagram in reversed(datagrams)] == [i % 256 for i in reversed(range(WINDOW))]
    assert all(cause(receiver, datagram) == "replayed" for datagram in datagrams)


def test_what_the_window_has_left_behind_is_refused_unseen() -> None:
    sender, receiver = seal(), seal()
    late, last_in_time, *_, newest = [sender.close(b"") for _ in range(WINDOW + 1)]
    receiver.open(newest)
    assert cause(receiver, late) == "replayed"
    assert receiver.open(last_in_time) == b""


def test_senders_do_not_disturb_each_other() -> None:
    receiver = seal()
    receiver.open(seal(sender=b"sender-1", start=5 * WINDOW).close(b""))
    assert receiver.open(seal(sender=b"sender-2").close(b"payload")) == b"payload"


def test_no_nonce_is_used_twice_when_the_counter_wraps() -> None:
    sender, receiver = seal(start=MOST_DATAGRAMS - 3), seal()
    datagrams = [sender.close(b"payload") for _ in range(6)]
    nonces = [datagram[NONCE] for datagram in datagrams]
    assert len(set(nonces)) == 6
    assert [int.from_bytes(nonce[8:], "big") for nonce in nonces] == [MOST_DATAGRAMS - 3, MOST_DATAGRAMS - 2, MOST_DATAGRAMS - 1, 0, 1, 2]
    assert len({nonce[:8] for nonce in nonces[:3]}) == len({nonce[:8] for nonce in nonces[3:]}) == 1
    assert nonces[2][:8] != nonces[3][:8]
    assert all(receiver.open(datagram) == b"payload" for datagram in datagrams)


@pytest.mark.parametrize("sender", [b"", b"7 bytes", b"nine byte"])
def test_a_sender_of_another_length_is_refused(sender: bytes) -> None:
    with pytest.raises(ValueError, match="expected a sender of 8 bytes"):
        seal(sender=sender)


@given(st.integers(1, 12), st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.integers(0, 40)), max_size=60))
def test_the_guard_admits_what_a_memory_of_everything_would(window: int, arrivals: list[tuple[bytes, int]]) -> None:
    guard = ReplayGuard(window=window)
    admitted: dict[bytes, set[int]] = {b"a": set(), b"b": set()}
    for sender, counter in arrivals:
        came = admitted[sender]
        expected = counter not in came and counter > max(came, default=-1) - window
        assert guard.admit(sender, counter) == expected
        if expected:
            came.add(counter)


def test_the_guard_forgets_who_was_silent_longest() -> None:
    guard = ReplayGuard(most_senders=3)
    for sender in (b"a", b"b", b"c"):
        guard.admit(sender, 0)
    guard.admit(b"a", 1)
    assert not guard.admit(b"b", 0)  # a replay does not count as being heard
    guard.admit(b"d", 0)
    assert len(guard) == 3
    assert not guard.admit(b"a", 1)
    assert not guard.admit(b"c", 0)
    assert guard.admit(b"b", 0)


@pytest.mark.parametrize("counters", [(0, MOST_DATAGRAMS - 1), range(100 * WINDOW)], ids=["jump", "stream"])
def test_no_course_of_counters_costs_more_memory_than_the_window(counters: Iterable[int]) -> None:
    guard = ReplayGuard()
    tracemalloc.start()
    try:
        assert all(guard.admit(b"a", counter) for counter in counters)
        assert tracemalloc.get_traced_memory()[1] < 8 * WINDOW
    finally:
        tracemalloc.stop()
