"""Measures reads among a thousand nodes of which a share has crashed, and draws how many succeed.

python docs/measure_queries.py            the curve from 0 to 90 %, into docs/pictures/query-success.png
python docs/measure_queries.py 50 200     shares in % and the number of nodes, printed only

Reads begin when the crashed have just gone, and again when all others hold them dead. The way there is not simulated: the survivors are
told, because a verdict on each of hundreds of nodes by each of hundreds takes the simulator minutes and changes nothing for reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure

from priomon_core.config import SECOND
from priomon_results.plots.style import PALETTE, drawing
from priomon_results.queries import Query
from priomon_sim.driver import Driver
from priomon_sim.queries import QueryLoad
from priomon_sim.scenario.document import load
from priomon_sim.scenario.queries import Queries
from priomon_sim.world import build

PICTURE = Path(__file__).parent / "pictures" / "query-success.png"
SCENARIO = """
nodes: {nodes}
duration: 60 s
start: known
network: {{latency: {{kind: uniform, low: 10 ms, high: 50 ms}}}}
workload: {{kind: synthetic}}
detection: {{detector: swim}}
faults: [{{kind: crash, at: 2 s, nodes: {share} %}}]
queries: {{level: local}}  # so that nodes can be asked; who asks follows
"""
LOADS = {
    "from(3)": (800.0, "node*0, node*1, node*2, node*3"),
    "agree(3)": (25.0, "node*4, node*5, node*6"),
    "majority": (4.0, "node*7, node*8"),
}
CRASH, TOLD, END = 2 * SECOND, 6 * SECOND, 12 * SECOND  # reads begin up to 2 s before the later two
TRIP = 0.1  # s: the longest round trip


def measure(nodes: int, share: int) -> dict[tuple[str, bool], list[Query]]:
    """The reads at each level, before and once the survivors know who has crashed."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "queries.yaml"
        path.write_text(SCENARIO.format(nodes=nodes, share=share))
        driver = build(load(path)).driver
    driver.clock.run_to(CRASH)
    found: dict[tuple[str, bool], list[Query]] = {}
    for detected, until in ((False, TOLD), (True, END)):
        if detected:
            tell(driver)
        loads = {
            level: QueryLoad(
                driver, Queries.model_validate({"rate": rate, "level": level, "from": readers}), seed=share + detected, end=until
            )
            for level, (rate, readers) in LOADS.items()
        }
        driver.clock.run_to(until)
        found |= {(level, detected): one.take() for level, one in loads.items()}
    return found


def tell(driver: Driver) -> None:
    """Let all who run hold all others dead."""
    gone = [int(driver.ledger.keys[driver.slots[node]]) for node, runs in enumerate(driver.running) if not runs]
    for index, node in enumerate(driver.nodes):
        if driver.running[index] and node.watch is not None:
            for key in gone:
                node.watch.membership.condemn(key, driver.clock_of(index), "told")
                node.watch.membership.rumours.drop(key)


def describe(share: int, level: str, detected: bool, queries: Sequence[Query]) -> str:
    """A line of the table."""
    took = np.quantile([query.latency or 0 for query in queries], [0.5, 0.99]) / SECOND
    ages = np.quantile([query.age or 0 for query in queries], [0.5, 0.99]) / SECOND
    messages = np.mean([query.messages for query in queries])
    return (
        f"{share:3} %  {level:9} {'known' if detected else 'fresh'}  {success(queries) * 100:7.3f} % of {len(queries):5,}"
        f"  latency p50 {took[0]:.3f} p99 {took[1]:.3f} s ({took[1] / TRIP:.1f} trips)  {messages:6.1f} messages  age p50 {ages[0]:.1f} s"
    )


def success(queries: Sequence[Query]) -> float:
    """The share of reads that met their level."""
    return float(np.mean([query.ok for query in queries]))


def draw(nodes: int, measured: dict[int, dict[tuple[str, bool], list[Query]]]) -> None:
    """The share of reads that succeed, and how long they take, against the share of nodes that have crashed."""
    with drawing():
        figure = Figure(figsize=(9, 4.4), layout="constrained")
        succeeding, taking = figure.subplots(1, 2)
        shares = sorted(measured)
        for index, level in enumerate(LOADS):
            for detected, style in ((True, "o-"), (False, "x--")):
                label = f"{level}, {'once the others know' if detected else 'in the first 2 s'}"
                reads = [measured[share][level, detected] for share in shares]
                look = {"color": PALETTE[index], "markersize": 9 - 2.5 * index}
                succeeding.plot(shares, [100 * success(queries) for queries in reads], style, **look, label=label)
                taking.plot(
                    shares, [np.quantile([query.latency or 0 for query in queries], 0.99) / SECOND for queries in reads], style, **look
                )
        for axes, axis in ((succeeding, "reads that met their level (%)"), (taking, "99th percentile of the latency (s)")):
            axes.set_xlabel("nodes that have crashed (%)")
            axes.set_ylabel(axis)
        succeeding.set_ylim(-3, 103)
        taking.set_ylim(0, 2.05)
        figure.legend(loc="outside lower center", ncols=3)
        figure.suptitle(f"Reads among {nodes:,} nodes of which some have crashed", x=0.01, ha="left")
        figure.savefig(PICTURE, dpi=150, metadata={"Software": None})


def main(shares: Sequence[int], nodes: int, with_picture: bool) -> None:
    """Measure and print; draw if asked to."""
    measured = {}
    for share in shares:
        measured[share] = measure(nodes, share)
        for (level, detected), queries in measured[share].items():
            print(describe(share, level, detected, queries), flush=True)
    if with_picture:
        draw(nodes, measured)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main([int(share) for share in sys.argv[1].split(",")], int(sys.argv[2]), with_picture=False)
    else:
        main(range(0, 100, 10), 1000, with_picture=True)
