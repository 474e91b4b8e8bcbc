"""Runs what a sweep has not run yet, and stores every result as it comes. One process writes; workers hand over what they computed.

A run is repeated when its worker dies: after all others and on its own, so that it takes none with it; after a few deaths it is a failed
one. So are runs that raise, and those beyond the time limit. Nothing else can lose a result, and what is stored is never run again.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from priomon_results.store import Store
from priomon_results.sweep.store import Planned, PointStatus, SweepHeader, begin_sweep, planned_points, record
from priomon_sim.experiment import InterruptedRunError
from priomon_sim.provenance import code_version, machine
from priomon_sim.sweep.dask import Cluster
from priomon_sim.sweep.plan import Plan, Point
from priomon_sim.sweep.pools import Batch, Died, Pool, Processes, Serial
from priomon_sim.sweep.task import Job, Outcome, Task
from priomon_sim.sweep.values import plain

SHORTEST_BATCH = 0.05  # seconds of work that are worth a message to a worker
LARGEST_BATCH = 64
MOST_DEATHS = 3  # of workers, after which a run is held to be the cause
GRACE = 30.0  # seconds beyond the time limit, for a worker to notice it by itself and to compile its kernels

Progress = Callable[["State"], None]


@dataclass(slots=True)
class State:
    """How far a sweep is: runs that were asked for now, and what has become of them."""

    total: int
    done: int = 0
    failed: int = 0


def job_of(plan: Plan) -> Job:
    """What workers have to know of a sweep."""
    limit = plan.sweep.time_limit
    return Job(plan.base, None if limit is None else limit / 1e9, code_version())


def make_pool(job: Job, on: str, jobs: int) -> Pool:
    """Where to run: `serial`, `processes`, `dask`, or `dask://host:port`. Raises `ClusterError` and `OtherCodeError`."""
    if on == "serial":
        return Serial(job)
    if on == "processes":
        return Processes(job, jobs)
    return Cluster(job, on.replace("dask://", "tcp://", 1) if "://" in on else None, jobs)


def store_plan(plan: Plan, store: Store) -> int:
    """Store all points of a plan that are not there yet; returns the id of the sweep. Raises `StoreError`."""
    units = plan.units()
    header = SweepHeader(
        scenario=plan.scenario.name,
        scenario_hash=plan.scenario.hash,
        code_version=code_version(),
        units=units,
        parameters=plan.scenario.dump(),
        machine=machine(),
    )
    return begin_sweep(store, header, (_planned(point, seed) for point, seed in plan.runs()))


def _planned(point: Point, seed: int) -> Planned:
    axes = {path: plain(entry.value)[0] for path, entry in point.assignment.items()}
    return Planned(point.number, seed, point.parameters, axes, point.is_baseline, point.baseline)


def run_sweep(plan: Plan, sweep: int, store: Store, pool: Pool, progress: Progress, *, only_failed: bool = False) -> State:
    """Run the points of a stored plan that are not complete, or only those that failed; closes the pool.

    Raises `StoreError` (a full disk), `ClusterError`, `OtherCodeError`, and `InterruptedRunError` after Ctrl-C; what was stored by then
    stays, and the next call goes on from there.
    """
    try:
        return run_points(plan, sweep, store, pool, progress, ["failed"] if only_failed else ["pending", "failed"])
    finally:
        pool.close()


def run_points(plan: Plan, sweep: int, store: Store, pool: Pool, progress: Progress, statuses: Sequence[PointStatus]) -> State:
    """Run the points of a stored plan that have one of these statuses; the pool can be used again. Raises what `run_sweep` does."""
    try:
        by_number = {point.number: point for point in plan.points}
        tasks = [Task(point.id, by_number[point.number].assignment, point.seed) for point in planned_points(store, sweep, statuses)]
        run = _Run(pool, store, job_of(plan).time_limit, tasks, progress)
        run.to_end()
        return run.state
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"{plan.scenario.name}: interrupted; what was done is in {store.path}, and the same command goes on from there"
        ) from None


class _Run:
    def __init__(self, pool: Pool, store: Store, time_limit: float | None, tasks: Iterable[Task], progress: Progress) -> None:
        self._pool = pool
        self._store = store
        self._time_limit = time_limit
        self._waiting = deque(tasks)
        self._progress = progress
        self._deaths: Counter[int] = Counter()
        self._flying: dict[int, tuple[Batch, float]] = {}  # by the row of their first task; with the time to give them up
        self._seconds = 0.0
        self._finished = 0
        self.state = State(len(self._waiting))

    def to_end(self) -> None:
        self._progress(self.state)
        while self._waiting or self._flying:
            while self._waiting and len(self._flying) < self._pool.slots:
                self._launch()
            for batch, result in self._pool.wait(self._patience()):
                del self._flying[batch[0].row]
                if isinstance(result, Died):
                    self._bury(batch, result)
                else:
                    self._keep(result)
            for batch, deadline in list(self._flying.values()):
                if time.monotonic() > deadline:
                    self._give_up(batch)

    def _launch(self) -> None:
        batch = tuple(self._waiting.popleft() for _ in range(self._batch_size()))
        limit = math.inf if self._time_limit is None else self._time_limit * len(batch) + GRACE
        self._flying[batch[0].row] = batch, time.monotonic() + limit
        self._pool.submit(batch)

    def _batch_size(self) -> int:
        """So many that they take a while, unless that leaves other workers without any; a suspect goes alone."""
        if not self._finished or self._waiting[0].row in self._deaths:
            return 1
        enough = math.ceil(SHORTEST_BATCH * self._finished / max(self._seconds, 1e-9))
        size = max(1, min(enough, LARGEST_BATCH, len(self._waiting) // self._pool.slots))
        return next((index for index in range(1, size) if self._waiting[index].row in self._deaths), size)

    def _patience(self) -> float:
        """Seconds until the first batch has to be given up; short enough for progress to look alive."""
        first = min((deadline for _, deadline in self._flying.values()), default=math.inf)
        return min(max(first - time.monotonic(), 0.0) + 0.01, 1.0)

    def _keep(self, outcomes: Iterable[Outcome]) -> None:
        outcomes = list(outcomes)
        record(self._store, [(one.row, one.status, one.wall_seconds, one.summary, one.error) for one in outcomes])
        for outcome in outcomes:
            self._seconds += outcome.wall_seconds
            self._finished += 1
            self.state.done += 1
            self.state.failed += outcome.status == "failed"
        self._progress(self.state)

    def _bury(self, batch: Batch, died: Died) -> None:
        for task in batch:
            self._deaths[task.row] += 1
            if self._deaths[task.row] < MOST_DEATHS:
                self._waiting.append(task)
            else:
                self._keep([Outcome(task.row, "failed", 0.0, error=f"the worker died {MOST_DEATHS} times: {died.reason}")])

    def _give_up(self, batch: Batch) -> None:
        del self._flying[batch[0].row]
        self._pool.give_up(batch)
        if len(batch) > 1:
            self._deaths.update(task.row for task in batch)  # whose fault it was shows when each runs alone
            self._waiting.extend(batch)
        else:
            limit = self._time_limit or 0.0
            message = f"gave no sign of life for {limit + GRACE:g} s, {GRACE:g} s more than sweep.time_limit, and was given up"
            self._keep([Outcome(batch[0].row, "failed", limit + GRACE, error=message)])
