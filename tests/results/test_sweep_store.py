"""Sweeps in a store: plans, results, and the views that summarise them."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_results.compare import quartiles
from priomon_results.schema import MIGRATIONS
from priomon_results.store import Store
from priomon_results.sweep.store import Planned, SweepError, SweepHeader, begin_sweep, find_sweep, planned_points, record, sweeps

MakeSweep = Callable[..., Path]
HEADER = SweepHeader(scenario="a", scenario_hash="1", code_version="v", units={"n": "s"}, parameters={}, machine={})


def plan(*values: int, seeds: int = 1) -> list[Planned]:
    return [Planned(number, seed, {"n": n}, {"n": n}) for seed in range(1, seeds + 1) for number, n in enumerate(values, 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweep.db"


def test_a_plan_is_stored_before_anything_is_run(path: Path) -> None:
    with Store(path) as store:
        sweep = begin_sweep(store, HEADER, plan(5, 7, seeds=2))
        points = planned_points(store, sweep, ["pending"])
        assert [(p.number, p.seed, p.axes) for p in points] == [(1, 1, {"n": 5}), (2, 1, {"n": 7}), (1, 2, {"n": 5}), (2, 2, {"n": 7})]
        assert planned_points(store, sweep, ["complete", "failed"]) == []


def test_a_new_plan_keeps_results_and_forgets_what_it_does_not_ask_for(path: Path) -> None:
    with Store(path) as store:
        sweep = begin_sweep(store, HEADER, plan(5, 7))
        record(store, [(1, "failed", 1.0, b"{}", "why"), (2, "failed", 1.0, b"{}", "why not")])
        assert begin_sweep(store, HEADER, plan(9, 7)) == sweep
        assert [(p.number, p.axes, p.status, p.error) for p in planned_points(store, sweep, ["pending", "failed"])] == [
            (1, {"n": 9}, "pending", ""),
            (2, {"n": 7}, "failed", "why not"),
        ]
        begin_sweep(store, HEADER, plan(5))
        assert [p.error for p in planned_points(store, sweep, ["failed"])] == ["why"]


def test_other_scenarios_settings_or_code_are_other_sweeps(path: Path) -> None:
    def with_(**changes: Any) -> SweepHeader:
        fields = ("scenario", "scenario_hash", "code_version", "units", "parameters", "machine")
        return SweepHeader(**{name: getattr(HEADER, name) for name in fields} | changes)

    with Store(path) as store:
        numbers = [
            begin_sweep(store, header, plan(5))
            for header in (HEADER, with_(scenario_hash="2"), with_(code_version="w"), with_(units={"m": ""}), with_(scenario="renamed"))
        ]
        assert numbers == [1, 2, 3, 4, 1]
        assert find_sweep(store).id == 1
        assert find_sweep(store).scenario == "renamed"
        assert find_sweep(store, 3).code_version == "w"
        assert [sweep.id for sweep in sweeps(store)] == [2, 3, 4, 1]
        with pytest.raises(SweepError, match=r"it holds no sweep 9 \(sweeps in it: 2, 3, 4, 1\)"):
            find_sweep(store, 9)


def test_a_store_without_a_sweep_says_so(path: Path) -> None:
    with Store(path) as store, pytest.raises(SweepError, match=r"it holds no sweep \(sweeps in it: none\)"):
        find_sweep(store)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=1, max_size=7))
def test_the_view_has_the_quartiles_over_the_seeds(values: list[float | None]) -> None:
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "sweep.db") as store:
        begin_sweep(store, HEADER, plan(5, seeds=len(values)))
        with store.transaction() as connection:
            connection.execute("UPDATE point SET status = 'complete'")
            connection.executemany("INSERT INTO point_value VALUES (?, 'lag p50', ?)", list(enumerate(values, 1)))
        ((seeds, *found),) = store.query("SELECT seeds, low, median, high FROM point_table")
    expected = quartiles([float("inf") if value is None else value for value in values])
    assert seeds == len(values)
    for value, quartile in zip(found, (expected.low, expected.median, expected.high), strict=True):
        assert value == (None if quartile == float("inf") else pytest.approx(quartile, rel=1e-9, abs=1e-9))


def test_a_saving_is_that_of_the_same_seed_on_the_baseline(path: Path, make_sweep: MakeSweep) -> None:
    plan = [Planned(number, seed, {"n": n}, {"n": n}, n == 9, 2 if n == 5 else None) for seed in (1, 2) for number, n in ((1, 5), (2, 9))]
    with Store(make_sweep({"n": [5]}, lambda n, seed: 100.0, name="template")) as template:
        ((summary,),) = template.query("SELECT summary FROM point LIMIT 1")
    with Store(path) as store:
        begin_sweep(store, HEADER, plan)
        traffic = {1: 50, 2: 200, 3: 0, 4: 300}
        record(
            store,
            [
                (point, "complete", 1.0, json.dumps(json.loads(summary) | {"bytes_per_node_per_second": bytes_}).encode(), "")
                for point, bytes_ in traffic.items()
            ],
        )
        found = store.query("SELECT number, seed, value FROM point_measure WHERE measure = 'saving' ORDER BY seed")
    assert found == [(1, 1, 4.0), (1, 2, None)]


def test_a_run_that_failed_has_no_measures(make_sweep: MakeSweep) -> None:
    path = make_sweep({"n": [1, 2]}, lambda n, seed: 1.0, change=lambda summary, n, seed: "broken" if n == 2 else None)
    with Store(path, readonly=True) as store:
        assert {number for (number,) in store.query("SELECT number FROM point_measure")} == {1}
        assert {point.error for point in planned_points(store, 1, ["failed"])} == {"broken"}


def test_a_store_of_the_schema_before_sweeps_is_lifted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("priomon_results.store.MIGRATIONS", MIGRATIONS[:1])
        Store(path).close()
    with Store(path) as store:
        assert begin_sweep(store, HEADER, plan(5)) == 1


def test_plain_sqlite_reads_the_table(make_sweep: MakeSweep) -> None:
    path = make_sweep({"n": [1, 2]}, lambda n, seed: 100.0 * n + seed)
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT axes ->> '$.n', low, median, high, unit FROM point_table WHERE measure = 'bytes per node' ORDER BY number"
    ).fetchall()
    connection.close()
    assert rows == [(1, 101.5, 102.0, 102.5, "B/s"), (2, 201.5, 202.0, 202.5, "B/s")]
