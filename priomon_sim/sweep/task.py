"""What a worker does: runs a batch of points, one after another, and reports what each came to as bytes.

A worker gets the whole scenario with each batch, so that it needs no files of the sweep but those that the scenario names, and so that
a worker that starts late is like any other.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

from priomon_core.errors import PriomonError
from priomon_results.schema import RunHeader
from priomon_results.store import Store
from priomon_sim.experiment import InterruptedRunError, execute
from priomon_sim.provenance import code_version
from priomon_sim.sweep.plan import Base
from priomon_sim.sweep.space import Assignment


class OtherCodeError(PriomonError):
    """A worker would compute something else, because it runs another version of the code."""


class TimeLimitError(PriomonError):
    """A run took longer than the sweep allows."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all tasks of a sweep share. `time_limit` is wall time in seconds, or None."""

    base: Base
    time_limit: float | None
    code_version: str


@dataclass(frozen=True, slots=True)
class Task:
    """One run to do: a point and a seed. `row` is its id in the store."""

    row: int
    assignment: Assignment
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: a summary as JSON, or an error."""

    row: int
    status: Literal["complete", "failed"]
    wall_seconds: float
    summary: bytes = b"{}"
    error: str = ""


def run_batch(job: Job, tasks: Sequence[Task]) -> list[Outcome]:
    """Run tasks; one that fails does not keep the others from running. Raises `OtherCodeError`."""
    if code_version() != job.code_version:
        raise OtherCodeError(
            f"a worker runs PrioMon {code_version()}, this sweep is of {job.code_version}; their results cannot be mixed: "
            "install the same code on all workers and start them again"
        )
    return [_run(job, task) for task in tasks]


def _run(job: Job, task: Task) -> Outcome:
    began = time.perf_counter()

    def check_time(now: int) -> None:
        if job.time_limit is not None and time.perf_counter() - began > job.time_limit:
            raise TimeLimitError(
                f"took longer than {job.time_limit:g} s and was given up at {now / 1e9:g} s of virtual time; "
                "raise sweep.time_limit or make the point smaller"
            )

    def failed(error: str) -> Outcome:
        return Outcome(task.row, "failed", time.perf_counter() - began, error=error)

    try:
        scenario = job.base.variant(task.assignment, task.seed)
        _, summary = execute(scenario, cast(Store, _NoStore()), check_time)
    except InterruptedRunError:
        raise KeyboardInterrupt from None  # of the sweep, of which nothing else is kept
    except PriomonError as error:
        return failed(str(error))
    except MemoryError:
        return failed("ran out of memory; give it a machine with more, or fewer workers (--jobs)")
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return failed(f"crashed in {Path(last.filename).name}:{last.lineno} ({last.name}) with {type(error).__name__}: {error}")
    return Outcome(task.row, "complete", time.perf_counter() - began, json.dumps(summary).encode())


class _NoStore(AbstractContextManager["_NoStore"]):
    """A store that keeps nothing, and the writer of a run in it: a sweep needs the summary alone, and rows take a tenth of the time."""

    path = Path()
    run = 0

    def begin(self, header: RunHeader) -> Self:
        return self

    def add(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        pass

    def finish(self, status: str, **ending: Any) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass
