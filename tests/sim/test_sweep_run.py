"""Running sweeps: whatever happens to workers, points and the sweep itself, the final table is that of an undisturbed sweep."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from priomon_results.store import Store, StoreError
from priomon_results.sweep.store import planned_points
from priomon_results.sweep.table import columns, read_table
from priomon_sim.experiment import InterruptedRunError
from priomon_sim.sweep import run as sweep_run
from priomon_sim.sweep import task as sweep_task
from priomon_sim.sweep.dask import ClusterError
from priomon_sim.sweep.plan import Plan, plan
from priomon_sim.sweep.pools import Batch, Died, Processes, Result, Serial
from priomon_sim.sweep.run import State, job_of, make_pool, run_sweep, store_plan
from priomon_sim.sweep.task import Job, OtherCodeError, Outcome, run_batch

SWEEP = """
nodes: 6
duration: 3 s
workload: {kind: synthetic}
sweep:
  seeds: 2
  grid: {gossip.fanout: [1, 2, 3], network.loss: [0 %, 20 %]}
  baseline: {gossip.strategy: demon}
"""
RUNS = (6 + 2) * 2


def ignore(state: State) -> None:
    """No progress."""


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP)
    return plan(path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "sweep.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The table of the sweep when nothing goes wrong."""
    path = tmp_path_factory.mktemp("undisturbed") / "small.yaml"
    path.write_text(SWEEP)
    planned = plan(path)
    with Store(path.with_suffix(".db")) as store:
        run_sweep(planned, store_plan(planned, store), store, Serial(job_of(planned)), ignore)
        return columns(read_table(store))


def go_on(planned: Plan, store: Store, progress: Callable[[State], None] = ignore, **how: Any) -> State:
    return run_sweep(planned, store_plan(planned, store), store, Serial(job_of(planned)), progress, **how)


def errors(store: Store) -> dict[int, str]:
    return {point.id: point.error for point in planned_points(store, 1, ["failed"])}


class Scripted:
    """A pool that says of each batch what a function answers; None: it never ends."""

    def __init__(self, answer: Callable[[Batch], Result | None], slots: int = 2) -> None:
        self.slots = slots
        self.answer = answer
        self.batches: list[Batch] = []
        self.flying: list[Batch] = []
        self.given_up: list[Batch] = []
        self.closed = False

    def submit(self, batch: Batch) -> None:
        assert len(self.flying) < self.slots
        self.batches.append(batch)
        self.flying.append(batch)

    def wait(self, seconds: float) -> list[tuple[Batch, Result]]:
        answers = [(batch, self.answer(batch)) for batch in self.flying]
        ended = [(batch, result) for batch, result in answers if result is not None]
        self.flying = [batch for batch, result in answers if result is None]
        return ended

    def give_up(self, batch: Batch) -> None:
        self.flying.remove(batch)
        self.given_up.append(batch)

    def close(self) -> None:
        self.closed = True


def done(batch: Batch, seconds: float = 1.0) -> list[Outcome]:
    """As if the tasks had failed in a given time; what they came to does not matter here."""
    return [Outcome(task.row, "failed", seconds, error="scripted") for task in batch]


def test_every_point_is_run_with_every_seed(planned: Plan, store: Store) -> None:
    states: list[tuple[int, int, int]] = []
    state = go_on(planned, store, lambda state: states.append((state.total, state.done, state.failed)))
    assert (state.total, state.done, state.failed) == (RUNS, RUNS, 0)
    assert states[0] == (RUNS, 0, 0)
    assert [done for _, done, _ in states] == sorted(done for _, done, _ in states)
    table = read_table(store)
    assert {row.seeds for row in table.rows} == {2}
    assert {row.point for row in table.rows if not row.is_baseline} == set(range(1, 7))
    assert {row.measure for row in table.rows} >= {"bytes per node", "saving", "cpu: error p99"}


def test_what_is_done_is_not_run_again(planned: Plan, store: Store, undisturbed: dict[str, list[Any]]) -> None:
    go_on(planned, store)
    assert go_on(planned, store).total == 0
    assert columns(read_table(store)) == undisturbed


@pytest.mark.parametrize("after", [0, 1, 5, RUNS - 1])
def test_ctrl_c_loses_only_what_was_in_flight(planned: Plan, store: Store, undisturbed: dict[str, list[Any]], after: int) -> None:
    def interrupt(state: State) -> None:
        if state.done == after:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="the same command goes on from there"):
        go_on(planned, store, interrupt)
    assert len(planned_points(store, 1, ["complete"])) == after
    assert go_on(planned, store).total == RUNS - after
    assert columns(read_table(store)) == undisturbed


def test_a_full_disk_loses_only_what_was_not_stored(
    planned: Plan, store: Store, undisturbed: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = store_plan(planned, store)
    pages = store.query("PRAGMA page_count")[0][0]
    store.query(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="the disk is full"):
        run_sweep(planned, sweep, store, Serial(job_of(planned)), ignore)
    stored = len(planned_points(store, sweep, ["complete"]))
    assert stored < RUNS
    store.query("PRAGMA max_page_count = 1000000")
    assert go_on(planned, store).total == RUNS - stored
    assert columns(read_table(store)) == undisturbed


def test_more_values_keep_the_points_that_there_are(planned: Plan, store: Store, tmp_path: Path) -> None:
    go_on(planned, store)
    wider = tmp_path / "small.yaml"
    wider.write_text(SWEEP.replace("[1, 2, 3]", "[2, 3, 4]"))
    assert go_on(plan(wider), store).total == 2 * 2
    table = read_table(store)
    assert table.levels("gossip.fanout") == [2, 3, 4]
    assert len({row.point for row in table.rows if not row.is_baseline}) == 6


def test_points_of_other_code_are_not_taken_for_ours(planned: Plan, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on(planned, store)
    monkeypatch.setattr(sweep_run, "code_version", lambda: "another")
    assert len(planned_points(store, store_plan(planned, store), ["pending"])) == RUNS


def test_a_worker_of_other_code_is_refused(planned: Plan) -> None:
    job = Job(planned.base, None, "another")
    with pytest.raises(OtherCodeError, match=r"a worker runs PrioMon .*, this sweep is of another"):
        run_batch(job, [])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("no"), r"crashed in test_sweep_run\.py:\d+ \(crash\) with ZeroDivisionError: no"),
        (MemoryError(), "ran out of memory"),
    ],
)
def test_points_that_crash_are_failures_and_run_again_when_asked(
    planned: Plan, store: Store, undisturbed: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    execute = sweep_task.execute

    def crash(scenario: Any, *more: Any) -> Any:
        if scenario.gossip.fanout == 2:
            raise error
        return execute(scenario, *more)

    monkeypatch.setattr(sweep_task, "execute", crash)
    assert go_on(planned, store).failed == 2 * 2
    assert len(errors(store)) == 4
    assert all(re.search(told, message) for message in errors(store).values())
    monkeypatch.setattr(sweep_task, "execute", execute)
    assert go_on(planned, store, only_failed=True).total == 4
    assert columns(read_table(store)) == undisturbed


def test_only_failed_leaves_the_rest_alone(planned: Plan, store: Store) -> None:
    assert go_on(planned, store, only_failed=True).total == 0
    assert len(planned_points(store, 1, ["pending"])) == RUNS


def test_a_point_that_cannot_be_built_says_why(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP.replace("{gossip.fanout: [1, 2, 3], network.loss: [0 %, 20 %]}", "{gossip.fanout: [1, 4], nodes: [6, 4]}"))
    assert go_on(plan(path), store).failed == 2
    assert all("gossip.fanout: found 4, expected at most 3" in error for error in errors(store).values())


def test_the_time_limit_ends_a_run_that_knows_the_time(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP + "  time_limit: 1 ns\n")
    assert go_on(plan(path), store).failed == RUNS
    assert all("took longer than 1e-09 s and was given up at 1 s of virtual time" in error for error in errors(store).values())


def test_a_batch_whose_worker_died_is_run_again_one_by_one(planned: Plan, store: Store) -> None:
    lethal = 3

    def answer(batch: Batch) -> Result:
        return Died("killed") if any(task.row == lethal for task in batch) else done(batch, 0.001)

    pool = Scripted(answer)
    state = run_sweep(planned, store_plan(planned, store), store, pool, ignore)
    assert (state.done, pool.closed) == (RUNS, True)
    assert errors(store)[lethal] == "the worker died 3 times: killed"
    assert {error for row, error in errors(store).items() if row != lethal} == {"scripted"}
    deadly = [batch for batch in pool.batches if any(task.row == lethal for task in batch)]
    assert len(deadly) == 3
    assert all(len(batch) == 1 for batch in deadly[1:])


def test_short_runs_travel_in_batches_and_long_ones_alone(planned: Plan, store: Store) -> None:
    sweep = store_plan(planned, store)
    short = Scripted(lambda batch: done(batch, 0.02), slots=1)
    run_sweep(planned, sweep, store, short, ignore)
    assert [len(batch) for batch in short.batches] == [1, 3, 3, 3, 3, 3]
    long = Scripted(lambda batch: done(batch, 0.06), slots=1)
    run_sweep(planned, sweep, store, long, ignore, only_failed=True)
    assert [len(batch) for batch in long.batches] == [1] * RUNS


def test_batches_leave_something_for_every_worker(planned: Plan, store: Store) -> None:
    pool = Scripted(lambda batch: done(batch, 1e-6), slots=4)
    run_sweep(planned, store_plan(planned, store), store, pool, ignore)
    assert max(len(batch) for batch in pool.batches) <= RUNS // 4
    assert sum(len(batch) for batch in pool.batches) == RUNS


def test_a_run_that_hangs_is_given_up_and_others_go_on(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_run, "GRACE", 0.0)
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP + "  time_limit: 1 ns\n")
    made, hung = plan(path), 2
    pool = Scripted(lambda batch: None if any(task.row == hung for task in batch) else done(batch))
    state = run_sweep(made, store_plan(made, store), store, pool, ignore)
    assert state.done == RUNS
    assert [[task.row for task in batch] for batch in pool.given_up] == [[hung]]
    assert "gave no sign of life" in errors(store)[hung]


def test_killed_workers_change_nothing(planned: Plan, store: Store, undisturbed: dict[str, list[Any]]) -> None:
    pool = Processes(job_of(planned), 2)
    victims = iter([0, 1, 0])

    def kill(state: State) -> None:
        if (victim := next(victims, None)) is not None:
            os.kill(pool.pids()[victim], signal.SIGKILL)

    state = run_sweep(planned, store_plan(planned, store), store, pool, kill)
    assert (state.done, state.failed) == (RUNS, 0)
    assert columns(read_table(store)) == undisturbed
    assert pool.pids() == []


def test_a_hung_process_is_killed(planned: Plan) -> None:
    pool = make_pool(job_of(planned), "processes", 1)
    assert isinstance(pool, Processes)
    (before,) = pool.pids()
    os.kill(before, signal.SIGSTOP)
    batch: Batch = (sweep_task.Task(1, planned.points[0].assignment, 1),)
    pool.submit(batch)
    assert pool.wait(0.01) == []
    pool.give_up(batch)
    (after,) = pool.pids()
    assert after != before
    pool.submit(batch)
    ((_, outcomes),) = pool.wait(60)
    assert [outcome.status for outcome in outcomes] == ["complete"]  # type: ignore[union-attr]
    pool.close()


@pytest.mark.usefixtures("dask")
def test_a_local_dask_cluster_gives_the_same_table(planned: Plan, store: Store, undisturbed: dict[str, list[Any]]) -> None:
    pool = make_pool(job_of(planned), "dask", 2)
    state = run_sweep(planned, store_plan(planned, store), store, pool, ignore)
    assert (state.done, state.failed) == (RUNS, 0)
    assert columns(read_table(store)) == undisturbed


@pytest.mark.usefixtures("dask")
def test_a_dask_cluster_of_other_code_is_refused(planned: Plan) -> None:
    with pytest.raises(OtherCodeError, match=r"--on dask: the worker tcp://.* runs PrioMon .*, this sweep is of another"):
        make_pool(Job(planned.base, None, "another"), "dask", 1)


@pytest.mark.usefixtures("dask")
def test_a_scheduler_that_goes_away_ends_the_sweep_and_keeps_what_was_done(
    planned: Plan, store: Store, undisturbed: dict[str, list[Any]]
) -> None:
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    pool = make_pool(job_of(planned), cluster.scheduler_address.replace("tcp", "dask"), 1)

    def close(state: State) -> None:
        if state.done == 2:
            cluster.close()

    with pytest.raises(ClusterError, match=r"--on dask://.*: the Dask scheduler is gone; what was done is stored"):
        run_sweep(planned, store_plan(planned, store), store, pool, close)
    done = len(planned_points(store, 1, ["complete"]))
    assert 2 <= done < RUNS
    assert go_on(planned, store).total == RUNS - done
    assert columns(read_table(store)) == undisturbed
