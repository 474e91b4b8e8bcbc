"""How fast the simulator is: the exchange benchmark, its clock alone, and its store.

In an exchange every node has 16 random neighbours and contacts one of them a second, latency is 10 to 100 ms, and every node publishes
four metrics in every round, so almost every exchange carries almost every origin. The datagram limit is lifted: a whole digest travels
at once. It is the workload of hand-written lower bounds for anti-entropy, so the ratio to one, taken in the same minute on the same
machine, says how much the product's nodes cost.
"""

from __future__ import annotations

import gc
import re
import resource
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import simpy

from priomon_core.config import NO_LIMIT, SECOND, GossipSettings
from priomon_core.latency import Uniform
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.metrics import BUILT_IN
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_results.schema import RunHeader
from priomon_results.store import Store
from priomon_sim.clock import Clock
from priomon_sim.compiled_draws import COMPILED_DRAWS
from priomon_sim.driver import Driver
from priomon_sim.provenance import installed

DEGREE = 16
LEGS = 3  # messages of a whole exchange
LATENCY = Uniform(SECOND // 100, SECOND // 10)
HEADER = RunHeader(
    mode="sim",
    scenario="bench",
    scenario_hash="",
    seed=1,
    code_version="",
    strategy="",
    nodes=2,
    parameters={},
    machine={},
)
VALUES = (20.0, 20.0, 200_000.0, 10.0)


def exchange(nodes: int, seconds: int, loss: float, seed: int = 1) -> dict[str, Any]:
    """Run the benchmark; returns its figures. Compiling kernels and building the cluster are not timed, the event loop is."""
    _driver(min(nodes, 50), loss, seed).clock.run_to(5 * SECOND)
    driver = _driver(nodes, loss, seed)
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    try:
        driver.clock.run_to(seconds * SECOND)
    finally:
        gc.enable()
    wall = time.perf_counter() - began
    return {
        "nodes": nodes,
        "seconds": seconds,
        "loss": loss,
        "numba": installed("numba"),
        "wall_seconds": wall,
        "events": driver.clock.events,
        "events_per_second": driver.clock.events / wall,
        "microseconds_per_event": wall / driver.clock.events * 1e6,
        "bytes_per_node_per_second": sum(driver.bytes_sent) / nodes / seconds,
        "coverage": float(np.count_nonzero(driver.versions)) / nodes**2,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "trace_hash": driver.trace_hash(),
    }


def clock(nodes: int, seconds: int, loss: float, seed: int = 1) -> dict[str, Any]:
    """Time the events of the exchange benchmark with nothing in them: timers, and three messages in a row until one is lost.

    It says what SimPy costs before the first line of the protocol runs.
    """
    random = Random(f"{seed} clock")
    idle = Clock()

    def send(leg: int) -> None:
        if random.random() >= loss:
            event = simpy.Event(idle)
            event._ok, event._value, event.callbacks = True, leg, [deliver]
            idle.put(event, idle._now + LATENCY.low + int(random.random() * (LATENCY.high - LATENCY.low)))

    def deliver(event: Any) -> None:
        if event._value < LEGS:
            send(event._value + 1)

    def tick(event: Any) -> None:
        send(1)
        event.callbacks = ticking
        idle.put(event, idle._now + SECOND)

    ticking = [tick]
    for _ in range(nodes):
        idle.call_at(int(random.random() * SECOND), tick)
    began = time.perf_counter()
    idle.run_to(seconds * SECOND)
    wall = time.perf_counter() - began
    return {"wall_seconds": wall, "events": idle.events, "microseconds_per_event": wall / idle.events * 1e6}


def store(nodes: int, seconds: int, folder: Path) -> dict[str, Any]:
    """Store one row per node and second, as runs do in batches and with a commit for each row; `folder` must be empty.

    Bytes are what the process gave to the kernel to write, from /proc/self/io; None where there is no such file.
    """
    figures: dict[str, Any] = {"rows": nodes * seconds}
    for name, batch in (("batched", nodes), ("row_by_row", 1)):
        before, began = _bytes_written(), time.perf_counter()
        with Store(folder / f"{name}.db") as target, target.begin(HEADER) as writer:
            for t in range(seconds):
                rows = [(float(t), node, t * 1000, t, t * 1000, nodes) for node in range(nodes)]
                for first in range(0, nodes, batch):
                    writer.add("node_sample", rows[first : first + batch])
                    if batch == 1:
                        writer.flush()
        after = _bytes_written()
        figures[name] = {
            "wall_seconds": time.perf_counter() - began,
            "commits": writer.commits,
            "bytes_written": None if before is None or after is None else after - before,
        }
    return figures


def _bytes_written() -> int | None:
    try:
        return int(re.findall(r"^wchar: (\d+)", Path("/proc/self/io").read_text(), re.MULTILINE)[0])
    except OSError:
        return None


def _driver(nodes: int, loss: float, seed: int) -> Driver:
    random = Random(f"{seed} neighbours")
    peers = [[peer + (peer >= node) for peer in (random.randrange(nodes - 1) for _ in range(DEGREE))] for node in range(nodes)]
    links = Links(nodes, seed, LinkModel(LATENCY, Bernoulli(loss)), draws=COMPILED_DRAWS)
    metrics = [replace(metric, filter="none") for metric in BUILT_IN]
    settings = GossipSettings(datagram_limit=NO_LIMIT, burst=1)
    return Driver(Clock(), metrics, settings, Scuttlebutt, peers, links, [np.array([VALUES])] * nodes, SECOND, seed)
