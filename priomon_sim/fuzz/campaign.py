"""Examines the scenarios of many seeds, in processes of this machine, and shrinks those that fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from threading import Thread

from priomon_core.errors import PriomonError
from priomon_sim.examine import examine
from priomon_sim.examiner import Examination, Finding
from priomon_sim.fuzz.scenario import Data, random_scenario, scenario_of
from priomon_sim.fuzz.shrink import shrink


class FuzzError(PriomonError):
    """Seeds cannot be examined any more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is found in the scenario of a seed: as it was drawn, and in the smallest scenario of the kind."""

    finding: Finding
    shrunk: Data
    shrunk_finding: Finding


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    examination: Examination
    failure: Failure | None


def examine_seed(seed: int) -> Outcome:
    """Examine the scenario of a seed, and shrink it if it fails."""
    data = random_scenario(seed)
    examination = examine(scenario_of(data))
    finding = examination.finding
    return Outcome(seed, examination, None if finding is None else Failure(finding, *shrink(data, finding)))


def fuzz(seeds: Sequence[int], jobs: int, job: Callable[[int], Outcome] = examine_seed) -> Iterator[Outcome]:
    """Examine seeds, `jobs` at a time; outcomes come as they are there. Raises `FuzzError` if a process dies."""
    if jobs == 1:
        yield from map(job, seeds)
        return
    pool = ProcessPoolExecutor(jobs, get_context("forkserver"), _begin_work)
    try:
        for done in as_completed([pool.submit(job, seed) for seed in seeds]):
            yield done.result()
    except BrokenProcessPool as error:
        raise FuzzError("a process was ended from outside, perhaps because memory ran out; try again with fewer --jobs") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_work() -> None:
    """Ctrl-C reaches the whole group, and the parent decides what becomes of its workers; they do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
