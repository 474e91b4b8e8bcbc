"""Quantities with units."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from priomon_core.errors import SettingError
from priomon_sim.scenario.units import DURATION, POSITIVE_DURATION, RATE, SHARE, SIZE, Duration, Quantity, Rate, Share, Size

DECADE = 87_600 * 3600 * 10**9


@pytest.mark.parametrize(
    ("quantity", "text", "value"),
    [
        (DURATION, "250 ms", 250_000_000),
        (DURATION, "1 s", 10**9),
        (DURATION, "2 min", 120 * 10**9),
        (DURATION, "1 h", 3600 * 10**9),
        (DURATION, "15us", 15_000),
        (DURATION, " 7 ns ", 7),
        (DURATION, "1e-3 s", 10**6),
        (DURATION, ".5 s", 500_000_000),
        (DURATION, 0.1, 100_000_000),
        (DURATION, 3, 3 * 10**9),
        (DURATION, 0, 0),
        (DURATION, "87600 h", DECADE),
        (SHARE, "20 %", 0.2),
        (SHARE, "20%", 0.2),
        (SHARE, 0.2, 0.2),
        (SHARE, 1, 1.0),
        (RATE, "10 Mbit/s", 1_250_000.0),
        (RATE, "1 MB/s", 1_000_000.0),
        (RATE, "64 kbit/s", 8_000.0),
        (RATE, "1 bit/s", 0.125),
        (SIZE, "64 kB", 64_000),
        (SIZE, "1 MiB", 1_048_576),
        (SIZE, "1200 B", 1200),
        (SIZE, "1.5 kB", 1500),
        (SIZE, 1200, 1200),
    ],
)
def test_reads_what_people_write(quantity: Quantity, text: object, value: float) -> None:
    read = quantity.parse(text)
    assert read == value
    assert type(read) is (int if quantity.whole else float)


@pytest.mark.parametrize(
    ("quantity", "found", "message"),
    [
        (SHARE, "120 %", "found 120 %, expected a share from 0 % to 100 %"),
        (SHARE, -0.1, "found -0.1, expected a share from 0 % to 100 %"),
        (SHARE, 20, "found 20, expected a share from 0 % to 100 %"),
        (SHARE, "5 s", "found 5 s, expected a share in %"),
        (DURATION, "10 sec", "found 10 sec, expected a duration in s, ms, us, ns, min or h"),
        (DURATION, "10 MS", "found 10 MS, expected a duration in s, ms, us, ns, min or h"),
        (DURATION, "-1 s", "found -1 s, expected a duration from 0 s to 87600 h"),
        (DURATION, "1e999 s", "found 1e999 s, expected a duration from 0 s to 87600 h"),
        (DURATION, "1:30", "found '1:30', expected a duration such as 20 s"),
        (DURATION, "soon", "found 'soon', expected a duration such as 20 s"),
        (DURATION, "", "found '', expected a duration such as 20 s"),
        (DURATION, None, "found nothing, expected a duration such as 20 s"),
        (DURATION, True, "found true, expected a duration such as 20 s"),
        (DURATION, float("nan"), "found nan, expected a duration such as 20 s"),
        (DURATION, float("inf"), "found inf, expected a duration such as 20 s"),
        (DURATION, [1], "found a list, expected a duration such as 20 s"),
        (POSITIVE_DURATION, 0, "found 0, expected a duration from 1 ns to 87600 h"),
        (RATE, 10, "found 10, expected a rate in Mbit/s, kbit/s, Gbit/s, bit/s, MB/s, kB/s, GB/s or B/s"),
        (RATE, "10 Mbps", "found 10 Mbps, expected a rate in Mbit/s, kbit/s, Gbit/s, bit/s, MB/s, kB/s, GB/s or B/s"),
        (RATE, "0 bit/s", "found 0 bit/s, expected a rate from 1 bit/s to 125000 GB/s"),
        (SIZE, "0 B", "found 0 B, expected a size from 1 B to 1000 GB"),
        (SIZE, "1 TB", "found 1 TB, expected a size in kB, B, KiB, MB, MiB, GB or GiB"),
    ],
)
def test_refuses_with_what_would_be_right(quantity: Quantity, found: object, message: str) -> None:
    with pytest.raises(SettingError) as error:
        quantity.parse(found)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (DURATION, 0, "0 s"),
        (DURATION, 250_000_000, "250 ms"),
        (DURATION, 1_500_000_000, "1500 ms"),
        (DURATION, 90 * 10**9, "90 s"),
        (DURATION, 3600 * 10**9, "1 h"),
        (SHARE, 0.2, "20 %"),
        (SHARE, 0.0, "0 %"),
        (SHARE, 0.001, "0.1 %"),
        (RATE, 1_250_000.0, "10 Mbit/s"),
        (RATE, 32_000.0, "32 kB/s"),
        (SIZE, 1200, "1200 B"),
        (SIZE, 256_000, "256 kB"),
        (SIZE, 65_536, "64 KiB"),
    ],
)
def test_writes_short_text(quantity: Quantity, value: float, text: str) -> None:
    assert quantity.format(value) == text


@given(st.integers(0, DECADE))
def test_durations_round_trip(value: int) -> None:
    assert DURATION.parse(DURATION.format(value)) == value


@given(st.floats(0, 1))
def test_shares_round_trip(value: float) -> None:
    assert SHARE.parse(SHARE.format(value)) == value


@given(st.floats(0.125, 125e12))
def test_rates_round_trip(value: float) -> None:
    assert RATE.parse(RATE.format(value)) == value


@given(st.integers(1, 10**12))
def test_sizes_round_trip(value: int) -> None:
    assert SIZE.parse(SIZE.format(value)) == value


@given(st.text())
def test_any_text_is_a_value_in_range_or_a_setting_error(text: str) -> None:
    for quantity in (DURATION, SHARE, RATE, SIZE):
        try:
            value = quantity.parse(text)
        except SettingError as error:
            assert "expected" in str(error)
        else:
            assert quantity.least <= value <= quantity.most


@pytest.mark.parametrize(
    ("kind", "text", "value"), [(Duration, "1 ms", 10**6), (Share, "5 %", 0.05), (Rate, "3 Mbit/s", 375_000.0), (Size, "2 kB", 2000)]
)
def test_works_as_a_type_of_pydantic(kind: Any, text: str, value: float) -> None:
    adapter: TypeAdapter[float] = TypeAdapter(kind)
    assert adapter.validate_python(text) == value
    assert adapter.dump_python(value, mode="json") == text
    assert adapter.dump_python(value) == value
    pattern = adapter.json_schema()["pattern"]
    assert re.search(pattern, text)
    assert not re.search(pattern, "1 parsec")
    with pytest.raises(ValidationError, match="1 parsec"):
        adapter.validate_python("1 parsec")
