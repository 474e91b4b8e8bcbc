"""Shows a running world to the observer: two SimPy processes that look at fixed intervals, and what is told at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from priomon_results.measures import Publications
from priomon_results.observer import Counts, Look, Observer, Traffic
from priomon_results.store import RunWriter
from priomon_results.summary import Ending
from priomon_sim import topology
from priomon_sim.world import World


def watch(world: World, writer: RunWriter, progress: Callable[[], None]) -> Observer:
    """The observer of a world, which will be shown it while time moves. `progress` is called at each probe."""
    clock, settings = world.driver.clock, world.scenario.measure
    observer = Observer(writer, world.metrics, world.scenario.nodes, settings.spread_origins)

    def probe() -> None:
        world.driver.trace_hash()  # it takes the trace in, which would else grow with every delivery
        observer.probe(_look(world), world.driver.truth(), _traffic(world))
        progress()

    clock.process(_repeat(world, settings.every, probe))
    clock.process(_repeat(world, settings.spread_every, lambda: observer.follow(_look(world))))
    return observer


def write_ending(world: World, observer: Observer) -> None:
    """Let the observer store what is known only at the end."""
    names = [identity.name for identity in world.driver.ledger.identities]
    observer.write_ending(names, topology.layout(world.graph, world.scenario.seed), world.graph.edges(), _samples(world))


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
        published=sum(driver.ledger.newest),
        lost=driver.links.lost,
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
    return Look(driver.now, driver.versions, publications, np.ones(len(driver.nodes), np.bool_))


def _traffic(world: World) -> Traffic:
    driver = world.driver
    publishers = [node.publisher for node in driver.nodes]
    samples = {
        metric.name: (sum(p.published[i] for p in publishers), sum(p.filtered[i] for p in publishers))
        for i, metric in enumerate(world.metrics)
    }
    return Traffic(driver.bytes_sent, driver.datagrams_sent, driver.bytes_received, driver.messages_sent, driver.delivered(), samples)


def _samples(world: World) -> list[list[Counts]]:
    """What became of every node's samples, by metric."""
    return [list(zip(node.publisher.published, node.publisher.filtered, strict=True)) for node in world.driver.nodes]
