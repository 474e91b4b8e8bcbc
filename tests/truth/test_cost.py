"""What the protocol costs: a small sweep gives the figures that were kept, so that a change which costs something is seen.

Runs are functions of scenario and seed, so counts of bytes are equal to the last one; measures that take logarithms may differ by their
rounding from machine to machine.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from priomon_sim.cli.main import main

REFERENCE = Path(__file__).parent.parent.parent / "results" / "reference"
ADVICE = """the protocol costs something else than before; if that is meant, keep the new figures:
python -m priomon_sim sweep results/reference/cost.yaml -o results/cost
python -m priomon_sim points results/cost/cost-sweep.db --format csv -o results/reference/cost.csv"""
COUNTED = ("bytes per node", "messages per node", "convergence", "redundancy")
FIGURES = ("low", "median", "high")

Row = dict[str, str]


def rows(path: Path) -> dict[tuple[str, str], Row]:
    return {(row["point"], row["measure"]): row for row in csv.DictReader(path.read_text().splitlines())}


def test_the_cost_of_the_protocol_is_what_it_was(tmp_path: Path) -> None:
    for arguments in (
        ["sweep", REFERENCE / "cost.yaml", "--on", "serial", "-o", tmp_path, "--quiet"],
        ["points", tmp_path / "cost-sweep.db", "--format", "csv", "-o", tmp_path / "cost.csv"],
    ):
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
    kept, now = rows(REFERENCE / "cost.csv"), rows(tmp_path / "cost.csv")
    assert kept.keys() == now.keys(), ADVICE
    for key, row in kept.items():
        for name in FIGURES:
            if key[1] in COUNTED or not row[name]:
                assert now[key][name] == row[name], f"{key}: {ADVICE}"
            else:
                assert float(now[key][name]) == pytest.approx(float(row[name]), rel=1e-6, abs=1e-9), f"{key}: {ADVICE}"
