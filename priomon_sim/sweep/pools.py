"""Where the batches of a sweep are run: here, or in processes of this machine.

A pool runs at most `slots` batches at a time and says what became of each. It never loses one in silence: a batch whose worker died
comes back as `Died`, and the pool has as many workers as before. The simulator is imported by those who run something, so that a verb can
start the server of worker processes before it loads anything itself.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, forkserver, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from priomon_sim.sweep.task import Job, Outcome, Task

THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # of libraries; one worker takes one core

Batch = tuple["Task", ...]


@dataclass(frozen=True, slots=True)
class Died:
    """A worker ended before its batch did."""

    reason: str


Result = list["Outcome"] | Died


class Pool(Protocol):
    """What runs batches."""

    slots: int
    """How many batches it takes at a time."""

    def submit(self, batch: Batch) -> None:
        """Start a batch; the caller keeps to `slots`."""

    def wait(self, seconds: float) -> list[tuple[Batch, Result]]:
        """Batches that have ended, as soon as there is one or the seconds are over. Raises `PriomonError` if none can ever end."""

    def give_up(self, batch: Batch) -> None:
        """Stop a batch that takes too long; it will not be reported."""

    def close(self) -> None:
        """Stop everything that still runs."""


class Serial:
    """Runs a batch in this process, when it is waited for."""

    slots = 1

    def __init__(self, job: Job) -> None:
        self._job = job
        self._batches: list[Batch] = []

    def submit(self, batch: Batch) -> None:
        """Start a batch when somebody waits."""
        self._batches.append(batch)

    def wait(self, seconds: float) -> list[tuple[Batch, Result]]:
        """Run what was submitted."""
        from priomon_sim.sweep.task import run_batch

        batches, self._batches = self._batches, []
        return [(batch, run_batch(self._job, batch)) for batch in batches]

    def give_up(self, batch: Batch) -> None:
        """Nothing runs while nobody waits."""

    def close(self) -> None:
        """Nothing runs while nobody waits."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    batch: Batch | None = None


def start_server() -> None:
    """Start the process that workers are forked from, unless it runs: it loads the simulator once for all, beside whoever called.

    The libraries in it and in its workers use one thread each.
    """
    get_context("forkserver").set_forkserver_preload(["priomon_sim.sweep.task"])
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Processes:
    """Processes of this machine with one thread each, a pipe to every one of them, and one batch at a time in each."""

    def __init__(self, job: Job, jobs: int) -> None:
        self.slots = jobs
        self._job = pickle.dumps(job)
        start_server()
        self._context = get_context("forkserver")
        self._workers = [self._start() for _ in range(jobs)]

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._job), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def submit(self, batch: Batch) -> None:
        """Hand a batch to an idle worker."""
        index, worker = next((index, worker) for index, worker in enumerate(self._workers) if worker.batch is None)
        try:
            worker.pipe.send(batch)
        except OSError:  # it died while it was idle, so nothing was lost
            worker = self._replace(index)
            worker.pipe.send(batch)
        worker.batch = batch

    def wait(self, seconds: float) -> list[tuple[Batch, Result]]:
        """Collect from workers that have answered, and from those that are no more."""
        ready = connection.wait([worker.pipe for worker in self._workers if worker.batch], seconds)
        ended: list[tuple[Batch, Result]] = []
        for index, worker in enumerate(self._workers):
            if worker.pipe not in ready or worker.batch is None:
                continue
            try:
                result = worker.pipe.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                worker.process.join()
                ended.append((worker.batch, Died(_cause(worker.process.exitcode))))
                self._replace(index)
                continue
            batch, worker.batch = worker.batch, None
            if isinstance(result, BaseException):
                raise result
            ended.append((batch, result))
        return ended

    def give_up(self, batch: Batch) -> None:
        """Kill the worker that has the batch, and start another."""
        self._replace(next(index for index, worker in enumerate(self._workers) if worker.batch == batch))

    def _replace(self, index: int) -> _Worker:
        self._end(self._workers[index])
        self._workers[index] = self._start()
        return self._workers[index]

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()

    def close(self) -> None:
        """Kill all workers: whatever they still do is not wanted any more."""
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()

    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.process.pid or 0 for worker in self._workers]


def _work(pipe: Connection, pickled: bytes) -> None:
    """The life of a worker process: it ends when its pipe does, as when the sweep was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the sweep decides what becomes of its workers
    from priomon_sim.sweep.task import run_batch

    job: Job = pickle.loads(pickled)
    with suppress(EOFError, OSError):
        while True:
            pipe.send(_answer(lambda batch: run_batch(job, batch), pipe.recv()))


def _answer(run: Callable[[Sequence[Task]], list[Outcome]], batch: Sequence[Task]) -> Any:
    try:
        return run(batch)
    except Exception as error:  # the sweep raises it where somebody reads it
        return error


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        advice = "; the system does that when memory runs out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{advice}"
    return f"its process ended with exit code {exit_code}"
