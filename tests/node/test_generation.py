"""Every start has a higher generation than those before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from priomon_node.generation import GenerationError, next_generation


def test_the_time_is_the_generation_without_a_file() -> None:
    assert next_generation(1_700_000_000, None) == 1_700_000_000


def test_generations_grow_though_the_clock_goes_back(tmp_path: Path) -> None:
    file = tmp_path / "generation"
    starts = [next_generation(seconds, file) for seconds in (1_700_000_000, 1_700_000_000, 1_600_000_000, 1_800_000_000)]
    assert starts == [1_700_000_000, 1_700_000_001, 1_700_000_002, 1_800_000_000]


@pytest.mark.parametrize("spoilt", ["", "yesterday", "-5", str(1 << 60)])
def test_a_spoilt_file_is_replaced(tmp_path: Path, spoilt: str) -> None:
    file = tmp_path / "generation"
    file.write_text(spoilt)
    assert next_generation(1_700_000_000, file) == 1_700_000_000
    assert file.read_text() == "1700000000\n"


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"missing/generation: .* check --state-dir"):
        next_generation(1_700_000_000, tmp_path / "missing" / "generation")
