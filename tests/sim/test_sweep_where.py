"""Conditions of sweeps: what they mean, and that they are nothing but conditions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_sim.sweep.values import plain
from priomon_sim.sweep.where import condition

PATHS = ["gossip.fanout", "network.loss", "gossip.period", "gossip.strategy"]
VALUES = {"gossip.fanout": 3, "network.loss": 0.2, "gossip.period": 0.5, "gossip.strategy": "demon"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fanout > 2 and loss == 0.2", True),
        ("gossip.fanout > 3 or loss < 0.1", False),
        ("not fanout == 3", False),
        ("loss >= '20 %'", True),
        ("period < '500 ms'", False),
        ("period <= '500 ms'", True),
        ("strategy == 'demon'", True),
        ("strategy in ('demon', 'scuttlebutt') and fanout not in [1, 2]", True),
        ("1 < fanout < 3", False),
        ("fanout * loss / period - 1.2 < 0.001", True),
        ("fanout % 2 == 1", True),
        ("-fanout < +0", True),
        ("True", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert condition(text, PATHS)(VALUES) is expected


@given(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_comparisons_are_those_of_python(a: int, b: int, operator: str) -> None:
    assert condition(f"a {operator} b", ["a", "b"])({"a": a, "b": b}) is eval(f"{a} {operator} {b}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fanout >", "not a condition at character"),
        ("loss > 20 %", "quote units"),
        ("fanuot > 2", "unknown setting 'fanuot'; did you mean 'fanout'?"),
        ("open('x')", "found \"open('x')\", expected comparisons"),
        ("fanout ** 9 > 1", "expected comparisons"),
        ("(lambda: 1)()", "expected comparisons"),
        ("fanout.__class__ == 1", "unknown setting 'fanout.__class__'"),
        ("[x for x in fanout]", "expected comparisons"),
        ("b'x' == 1", "expected comparisons"),
        ("1 and " * 300 + "1", "expected a condition of at most 1000"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        condition(text, PATHS)
    assert message in str(caught.value)


def test_a_name_that_two_settings_end_with_has_to_be_written_in_full() -> None:
    with pytest.raises(SettingError, match=r"may be metrics\.cpu\.bound or metrics\.memory\.bound"):
        condition("bound > 2", ["metrics.cpu.bound", "metrics.memory.bound"])


@pytest.mark.parametrize("text", ["strategy > 3", "fanout / 0 > 1", "strategy * 1000000 == 1"])
def test_what_cannot_be_decided_names_the_point(text: str) -> None:
    with pytest.raises(SettingError, match=r"cannot be decided for gossip\.fanout=3, .*: "):
        condition(text, PATHS)(VALUES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("250 ms", (0.25, "s")),
        ("20 %", (0.2, "")),
        ("8 kbit/s", (1000.0, "B/s")),
        ("64 kB", (64_000, "B")),
        ("200 %", ("200 %", "")),
        ("demon", ("demon", "")),
        ("7", ("7", "")),
        (7, (7, "")),
        (True, (True, "")),
        ({"a": 1}, ('{"a": 1}', "")),
    ],
)
def test_values_as_numbers(value: object, expected: tuple[object, str]) -> None:
    assert plain(value) == expected
