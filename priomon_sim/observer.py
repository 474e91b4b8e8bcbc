"""Watches a run: probes all nodes at a fixed interval, follows how updates spread, and hands rows to the store."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from priomon_results.measures import Measures, Publications, measure
from priomon_results.spread import SHARES, SpreadTracker
from priomon_results.store import RunWriter
from priomon_sim import topology
from priomon_sim.world import World


class Observer:
    """Two SimPy processes that see everything and change nothing.

    `total` holds the distributions over all probes so far, `spread` the updates followed, and `converged_at` the first time (ns) at
    which every node was seen to know every other, to the precision of `measure.spread_every`. `progress` is called at each probe.
    """

    def __init__(self, world: World, writer: RunWriter, progress: Callable[[], None]) -> None:
        self.world = world
        self.writer = writer
        self.converged_at: int | None = None
        self.total = Measures.blank(len(world.metrics))
        nodes = world.scenario.nodes
        origins = np.linspace(0, nodes - 1, min(nodes, world.scenario.measure.spread_origins)).round().astype(int)
        self.spread = SpreadTracker(origins.tolist(), nodes)
        self._progress = progress
        world.driver.clock.process(self._probes())
        world.driver.clock.process(self._follows())

    def _probes(self) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self.world.driver.clock.timeout(self.world.scenario.measure.every)
            self._probe()
            self._progress()

    def _follows(self) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self.world.driver.clock.timeout(self.world.scenario.measure.spread_every)
            self._follow()

    def _follow(self) -> None:
        driver = self.world.driver
        driver.ledger.refresh()
        self.spread.look(driver.versions, driver.ledger.newest, driver.ledger.times, driver.now)
        if self.converged_at is None and driver.versions.all():
            self.converged_at = driver.now

    def _probe(self) -> None:
        driver, ledger, now = self.world.driver, self.world.driver.ledger, self.world.driver.now
        driver.trace_hash()  # it takes the trace in, which would else grow with every delivery
        ledger.refresh()
        publications = Publications(np.array(ledger.newest), ledger.times, ledger.last_change, ledger.levels)
        look = measure(driver.versions, publications, driver.truth(), self.world.metrics, now)
        self.total.add(look)
        t = now / 1e9
        counts = self.published_and_filtered()
        self.writer.add(
            "sample",
            [
                (
                    t,
                    look.coverage,
                    len(driver.nodes),
                    sum(driver.bytes_sent),
                    sum(driver.datagrams_sent),
                    driver.messages_sent,
                    sum(ledger.newest),
                    driver.delivered(),
                    *(_or_null(look.lag.quantile(share)) for share in (0.5, 0.99, 1.0)),
                    *(_or_null(look.age.quantile(share)) for share in (0.5, 0.99)),
                )
            ],
        )
        known = np.count_nonzero(driver.versions, axis=1).tolist()
        columns = (range(len(driver.nodes)), driver.bytes_sent, driver.datagrams_sent, driver.bytes_received, known)
        self.writer.add("node_sample", [(t, *row) for row in zip(*columns, strict=True)])
        self.writer.add(
            "metric_sample",
            [
                (t, metric.name, *counts[metric.name], *(_or_null(errors.quantile(share)) for share in (0.5, 0.99, 1.0)))
                for metric, errors in zip(self.world.metrics, look.bounds, strict=True)
            ],
        )

    def published_and_filtered(self) -> dict[str, tuple[int, int]]:
        """Samples of each metric that were and were not published, over all nodes."""
        publishers = [node.publisher for node in self.world.driver.nodes]
        return {
            metric.name: (sum(p.published[i] for p in publishers), sum(p.filtered[i] for p in publishers))
            for i, metric in enumerate(self.world.metrics)
        }

    def write_ending(self) -> None:
        """Store what is known only at the end: counts per node, distributions, spreads, and the picture of the topology."""
        driver, writer, scenario = self.world.driver, self.writer, self.world.scenario
        for index, node in enumerate(driver.nodes):
            publisher = node.publisher
            writer.add(
                "metric_count",
                [(index, m.name, publisher.published[i], publisher.filtered[i]) for i, m in enumerate(self.world.metrics)],
            )
        names = [metric.name for metric in self.world.metrics]
        distributions = [("lag", "", self.total.lag), ("age", "", self.total.age)]
        distributions += [("error", name, errors) for name, errors in zip(names, self.total.units, strict=True)]
        distributions += [("error_in_bounds", name, errors) for name, errors in zip(names, self.total.bounds, strict=True)]
        distributions += [("settled_error", name, errors) for name, errors in zip(names, self.total.settled, strict=True)]
        distributions += [("spread", f"t{share * 100:g}", self.spread.histogram(share)) for share in SHARES]
        for measured, metric, histogram in distributions:
            writer.add("distribution", [(measured, metric, *row) for row in histogram.bins()])
        writer.add(
            "update_spread",
            [(s.origin, s.version, s.published_at / 1e9, *map(_or_null, s.reached)) for s in self.spread.all()],
        )
        places = topology.layout(self.world.graph, scenario.seed)
        reached = map(_or_null, self.spread.first_contact.tolist())
        identities = driver.ledger.identities
        writer.add("node", [(i, identities[i].name, *place, seen) for i, (place, seen) in enumerate(zip(places, reached, strict=True))])
        writer.add("edge", [(min(a, b), max(a, b)) for a, b in self.world.graph.edges()])


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
