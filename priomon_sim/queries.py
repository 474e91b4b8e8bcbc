"""Lets nodes of a running cluster read each other, as a scenario's `queries` say, and keeps what came of it.

Each read is a SimPy process: it begins the read and wakes the reader while the answers are late. What a read is worth (how old its answer
is, and how many versions it is behind) is told by the ledger, which knows everything. A reader that crashes takes its reads with it: nobody
is left to whom they could fail.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import simpy

from priomon_core.config import NEVER
from priomon_core.errors import QueryError
from priomon_core.quorum import Outcome, Reads
from priomon_core.quorum_level import Level, parse_level
from priomon_results.queries import Query
from priomon_sim.driver import Driver
from priomon_sim.faults.skew import Skewed
from priomon_sim.faults.targets import parse_targets
from priomon_sim.lives import Addresses
from priomon_sim.scenario.queries import Queries


@dataclass(frozen=True, slots=True)
class _Asked:
    """A read that a node was asked for at `at` (ns)."""

    at: int
    reader: int
    slot: int
    reads: Reads
    number: int


class QueryLoad:
    """The reads of a scenario, which begin as the clock of `driver` moves, the last one so that its deadline is at `end` (ns) or before.

    Raises `SettingError` for targets that do not exist.
    """

    def __init__(self, driver: Driver, settings: Queries, seed: int, end: int) -> None:
        self._driver = driver
        self._level: Level = parse_level(settings.level)
        self._settings = settings
        self._last = end - settings.deadline  # else the slowest reads would not be counted
        self._random = Random(f"{seed} queries")
        everybody = [True] * len(driver.nodes)
        self._readers = parse_targets(str(settings.readers)).choose(driver.lives.names, everybody, self._random)
        self._targets = parse_targets(str(settings.targets)).choose(driver.lives.names, everybody, self._random)
        self._asked: list[_Asked] = []
        self._ended: list[Query] = []
        driver.clock.process(self._come())

    def take(self) -> list[Query]:
        """The reads that have ended since this was asked last, in the order of their beginnings."""
        found: dict[tuple[int, int], Outcome] = {}
        for reads in {id(asked.reads): asked.reads for asked in self._asked}.values():
            found |= {(id(reads), outcome.number): outcome for outcome in reads.outcomes}
            reads.outcomes.clear()
        under_way = []
        for asked in self._asked:
            outcome = found.get((id(asked.reads), asked.number))
            if outcome is not None:
                self._ended.append(self._row(asked, outcome))
            elif self._driver.nodes[asked.reader].reads is asked.reads and self._driver.running[asked.reader]:
                under_way.append(asked)
        self._asked = under_way
        ended, self._ended = sorted(self._ended, key=lambda query: query.at), []
        return ended

    def _come(self) -> Generator[simpy.Event, Any, None]:
        driver, random = self._driver, self._random
        yield driver.clock.timeout(self._settings.after)
        while True:
            yield driver.clock.timeout(round(random.expovariate(self._settings.rate) * 1e9))
            if driver.now > self._last:
                return
            readers = [node for node in self._readers if driver.is_awake(node)]
            targets = [node for node in self._targets if driver.running[node]]
            if readers and targets:
                driver.clock.process(self._read(random.choice(readers), random.choice(targets)))

    def _read(self, reader: int, target: int) -> Generator[simpy.Event, Any, None]:
        driver, node = self._driver, self._driver.nodes[reader]
        at, reads = driver.now, node.reads
        key = Addresses(driver.lives, node.replica).key_at(target)
        try:
            if key is None or reads is None:
                raise QueryError("nobody of this place is known here")
            number = node.query(key, self._level, self._settings.deadline, at)
        except QueryError:
            self._ended.append(Query(at, reader, target, str(self._level), False, False, None, 0, None, None))
            return
        slot = driver.ledger.find(key)
        assert slot is not None, "a node knows nobody who never lived"
        self._asked.append(_Asked(at, reader, slot, reads, number))
        driver.flush(reader)
        while reads.deadline < NEVER:
            if driver.is_awake(reader):
                yield driver.clock.timeout(max(0, driver.nodes[reader].read_due - driver.now))
            else:
                yield driver.clock.timeout(driver.settings.period)  # it stands still
            if driver.nodes[reader].reads is not reads or not driver.running[reader]:
                return
            if driver.is_awake(reader):
                driver.nodes[reader].read(driver.now)
                driver.flush(reader)

    def _row(self, asked: _Asked, outcome: Outcome) -> Query:
        driver, ledger = self._driver, self._driver.ledger
        ledger.refresh()
        node = driver.nodes[asked.reader]
        took = outcome.ended - outcome.began
        if isinstance(node, Skewed):
            took = round(took / node.rate)
        ended = asked.at + took
        version = outcome.result.version
        times = ledger.times[asked.slot, 1 : ledger.newest[asked.slot] + 1]
        behind = int(np.searchsorted(times, ended, side="right")) - version
        return Query(
            asked.at,
            asked.reader,
            driver.lives.node[asked.slot],
            str(outcome.level),
            outcome.met,
            not outcome.met,
            took,
            outcome.messages,
            ended - int(times[version - 1]),
            max(0, behind),
        )
