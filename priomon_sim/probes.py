"""Shows a running world to the observer: two SimPy processes that look at fixed intervals, and what is told at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from priomon_results.measures import Publications
from priomon_results.observer import Look, Observer, Traffic
from priomon_results.store import RunWriter
from priomon_results.summary import Ending
from priomon_sim import topology
from priomon_sim.world import World


def watch(world: World, writer: RunWriter, progress: Callable[[], None]) -> Observer:
    """The observer of a world, which will be shown it while time moves. `progress` is called at each probe."""
    clock, settings = world.driver.clock, world.scenario.measure
    observer = Observer(writer, world.metrics, world.scenario.nodes, settings.spread_origins, world.chronicle.verdicts)

    def probe() -> None:
        _tell(world, observer)
        world.driver.trace_hash()  # it takes the trace in, which would else grow with every delivery
        observer.probe(_look(world), world.driver.truth(), _traffic(world))
        progress()

    clock.process(_repeat(world, settings.every, probe))
    clock.process(_repeat(world, settings.spread_every, lambda: observer.follow(_look(world))))
    return observer


def write_ending(world: World, observer: Observer) -> None:
    """Let the observer store what is known only at the end."""
    _tell(world, observer)
    places = topology.layout(world.graph, world.scenario.seed)
    samples = [[(published, filtered) for published, filtered in node] for node in world.driver.sampled().tolist()]
    observer.write_ending(world.driver.lives.names, places, world.graph.edges(), samples, world.chronicle.faults())


def ending(world: World) -> Ending:
    """What a summary of the run up to now needs beside its observer."""
    scenario, driver = world.scenario, world.driver
    return Ending(
        scenario=scenario.name,
        seed=scenario.seed,
        nodes=scenario.nodes,
        strategy=scenario.gossip.strategy,
        period=scenario.gossip.period,
        now=driver.now,
        traffic=_traffic(world),
        lost=driver.links.lost,
        faults=len(world.chronicle.faults()),
        detects=driver.detection.detector != "none",
        events=driver.clock.events,
        trace_hash=driver.trace_hash(),
    )


def _repeat(world: World, interval: int, act: Callable[[], None]) -> Generator[simpy.Event, Any, None]:
    while True:
        yield world.driver.clock.timeout(interval)
        act()


def _look(world: World) -> Look:
    driver, ledger = world.driver, world.driver.ledger
    ledger.refresh()
    publications = Publications(np.array(ledger.newest), ledger.times, ledger.last_change, ledger.levels)
    if not driver.lives.several:
        return Look(driver.now, driver.versions, publications, driver.awake(), believed=driver.believed())
    slots = np.array(driver.slots)
    return Look(driver.now, driver.versions[np.ix_(slots, slots)], publications.of(slots), driver.awake(), slots, driver.believed())


def _tell(world: World, observer: Observer) -> None:
    """Let the run's story go on up to now."""
    if world.queries is not None:
        observer.read(world.queries.take())
    driver = world.driver
    world.chronicle.tell(driver.now, driver.noticed(), lambda life: np.flatnonzero(driver.versions[:, life]).tolist())


def _traffic(world: World) -> Traffic:
    driver = world.driver
    totals = driver.sampled().sum(axis=0).tolist()
    samples = {metric.name: (published, filtered) for metric, (published, filtered) in zip(world.metrics, totals, strict=True)}
    return Traffic(
        driver.bytes_sent,
        driver.datagrams_sent,
        driver.bytes_received,
        driver.messages_sent,
        sum(driver.ledger.newest),
        driver.delivered(),
        samples,
    )
