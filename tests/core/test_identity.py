"""Who a node is: what a name, a generation and an address may be, and the key made from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_core.identity import KEY_BYTES, LARGEST_GENERATION, LONGEST_NAME, Address, Identity, origin_key

HOME = Address("10.0.0.1", 7946)


def test_key_is_the_same_on_every_machine() -> None:
    # BLAKE2b-32 of "1:node0", from `printf 1:node0 | b2sum -l 32`.
    assert origin_key("node0", 1) == 0xB5D28601


@given(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=15), st.integers(1, LARGEST_GENERATION - 1)
)
def test_every_generation_is_another_origin(name: str, generation: int) -> None:
    first, second = Identity(name, generation, HOME), Identity(name, generation + 1, HOME)
    assert first.key != second.key
    assert max(first.key, second.key) < 1 << 8 * KEY_BYTES


def test_an_origin_may_move() -> None:
    assert Identity("a", 3, HOME).key == Identity("a", 3, Address("2001:db8::1", 1)).key


@pytest.mark.parametrize("name", ["a", "é" * 31, "x" * LONGEST_NAME])
def test_longest_names(name: str) -> None:
    assert Identity(name, LARGEST_GENERATION, HOME).name == name


@pytest.mark.parametrize(
    ("name", "generation", "port", "said"),
    [
        ("", 1, 1, "node name '': expected 1 to 63 bytes, found 0"),
        ("é" * 32, 1, 1, "expected 1 to 63 bytes, found 64"),
        ("a\nb", 1, 1, "expected printable characters"),
        ("\ud800", 1, 1, "expected printable characters"),
        ("a", 0, 1, "expected a generation from 1 to 281474976710655, found 0"),
        ("a", LARGEST_GENERATION + 1, 1, "expected a generation"),
        ("a", 1, 0, "expected a port from 1 to 65535, found 0"),
        ("a", 1, 65536, "expected a port"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(name: str, generation: int, port: int, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Identity(name, generation, Address("h", port))
