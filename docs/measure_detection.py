"""Measures failure detection where it takes minutes: what `tests/truth/test_swim.py` does not.

python docs/measure_detection.py loss       1,000 nodes, 20 % loss, ten minutes: false deaths, and how soon a crash is known
python docs/measure_detection.py blocked    Lifeguard's experiment: false deaths with its parts and without
python docs/measure_detection.py split      two halves of 1,000 nodes, apart for an hour: how soon they are one again
python docs/measure_detection.py churn      100,000 departures and arrivals: what nodes keep, and the process' memory
python docs/measure_detection.py detectors  draws the sweep that `python -m priomon_sim sweep scenarios/detectors.yaml` has stored
"""

from __future__ import annotations

import gc
import sys
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from priomon_core.awareness import Awareness
from priomon_core.config import SECOND
from priomon_core.frames import from_frame, to_frame
from priomon_core.identity import Address
from priomon_core.rumours import Rumour
from priomon_core.watch import Watch
from priomon_core.wire import Frame
from priomon_results.plots.style import PALETTE, drawing
from priomon_results.store import Store
from priomon_results.sweep.table import Row, grouped, read_table
from priomon_sim import driver as driver_module
from priomon_sim.chronicle import Chronicle
from priomon_sim.driver import Driver, Frozen
from priomon_sim.scenario.document import load
from priomon_sim.world import World, build

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "core"))
from cluster import DELAY, Cluster, Member  # noqa: E402

PICTURE = HERE / "pictures" / "detectors.png"
SWEEP = HERE.parent / "results" / "detectors" / "detectors-sweep.db"
PERIOD = SECOND


def world(text: str, make: Any = Driver) -> World:
    """The world of a scenario, which is given as YAML."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "detection.yaml"
        path.write_text(f"start: known\nworkload: {{kind: synthetic}}\n{text}")
        return build(load(path), make=make)


def live(running: World, seconds: int) -> dict[str, Any]:
    """Let time pass to that second; returns what the summary of a run says of detection."""
    driver, chronicle = running.driver, running.chronicle
    while driver.now < seconds * SECOND:
        driver.clock.run_to(driver.now + SECOND)
        chronicle.tell(driver.now, driver.noticed(), lambda life: np.flatnonzero(driver.versions[:, life]).tolist())
    return chronicle.verdicts.summary(PERIOD)


# Loss

LOSS = """
nodes: {nodes}
duration: 601 s
seed: {seed}
network: {{latency: {{kind: uniform, low: 10 ms, high: 100 ms}}, loss: 20 %}}
detection: {{detector: swim}}
faults: [{{kind: crash, at: 500 s, nodes: 1}}]
"""


def loss(nodes: int = 1000) -> None:
    """Ten minutes of loss, with one crash towards the end."""
    for seed in (1, 2):
        running = world(LOSS.format(nodes=nodes, seed=seed))
        found = live(running, 600)
        print(f"seed {seed}: false suspicions {found['false_suspicions']}, false deaths {found['false_deaths']}")
        print(f"  the crash, in periods: { ({name: times and times['max'] for name, times in found['periods'].items()}) }", flush=True)


# Lifeguard's experiment

BLOCKED = """
nodes: 128
duration: 150 s
sample_every: 60 s
seed: {seed}
metrics: {{memory: {{enabled: false}}, network: {{enabled: false}}, storage: {{enabled: false}}}}
gossip: {{strategy: scuttlebutt}}
network: {{latency: {{kind: uniform, low: 1 ms, high: 20 ms}}}}
detection: {{detector: swim, longest_suspicion: {longest}}}
faults: [{{kind: starve, at: 15 s, lasts: 120 s, nodes: {nodes}, blocked: {blocked} ms, running: {running} ms}}]
"""
ANOMALIES = ((4, 16384, 256), (8, 8192, 1024), (16, 2048, 256))  # nodes, mean ms blocked, mean ms running between
LATELY = 18 * SECOND  # for so long a node that was blocked does not count as healthy


class Blocking(Driver):
    """Nodes that stand still only send nothing and take nothing in, while their timers run: slow is the handling of messages."""

    def freeze(self, index: int) -> None:
        """See `Driver.freeze`. What the node sends waits in its own outbox."""
        self._frozen[index] = Frozen()
        self._receivers[index] = self._frozen[index].keep
        self._outboxes[index] = []

    def thaw(self, index: int) -> None:
        """See `Driver.thaw`: first goes out what waited, then comes in what did."""
        frozen, node = self._frozen.pop(index), self.nodes[index]
        self._wake_up(index, node)
        self._send(index, self.now)
        for message, source in frozen.messages:
            node.receive(message, source, self.now)
        self._send(index, self.now)


class Indifferent(Awareness):
    """Trusts its own judgement always."""

    __slots__ = ()

    def worsen(self, by: int = 1) -> None:
        """See `Awareness.worsen`."""


class Bare(Watch):
    """A watch without the parts of Lifeguard: no local health, and no word to the accused but by rumour.

    The third part, suspicions that confirmations shorten, is off where the longest is no longer than the shortest.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.awareness = Indifferent()

    def accuse(self, key: int, now: int, rule: str) -> None:
        """See `Means.accuse`."""
        self.membership.accuse(key, now, rule)

    def _owed(self, key: int | None, message: Any) -> tuple[Rumour, ...]:
        return super()._owed(None, message)


def blocked(seeds: Sequence[int] = (1,)) -> None:
    """False deaths at healthy nodes, of nodes that were not blocked; messages and bytes of all nodes."""
    totals: dict[str, list[int]] = {}
    for kind, longest in ((Bare, 1), (Watch, 6)):
        driver_module.Watch = kind  # type: ignore[misc]
        name = "without" if kind is Bare else "with"
        for nodes, duration, interval in ANOMALIES:
            for seed in seeds:
                text = BLOCKED.format(seed=seed, longest=longest, nodes=nodes, blocked=duration, running=interval)
                running = world(text, Blocking)
                actions, driver = running.plan.timeline.actions, running.driver
                found = live(replace(running, chronicle=Chronicle(actions, driver.lives, LATELY)), 150)["false_deaths"]
                figures = found["healthy"], found["starved observer"], driver.messages_sent, sum(driver.bytes_sent)
                totals[name] = [a + b for a, b in zip(totals.get(name, [0] * 4), figures, strict=True)]
                print(f"{name:7} {nodes:2} nodes, {duration:6,} and {interval:5,} ms, seed {seed}: {_false(figures)}", flush=True)
    for name, figures in totals.items():
        print(f"{name:7} in all: {_false(figures)}; {figures[2]:,} messages, {figures[3]:,} B")


def _false(figures: Sequence[int]) -> str:
    return f"{figures[0]:6,} false deaths at healthy nodes, {figures[1]:5,} at blocked ones"


# A long split

SPLIT = """
nodes: {nodes}
duration: {end} s
sample_every: 60 s
metrics: {{memory: {{enabled: false}}, network: {{enabled: false}}, storage: {{enabled: false}}}}
gossip: {{strategy: scuttlebutt}}
network: {{latency: {{kind: uniform, low: 5 ms, high: 50 ms}}}}
detection: {{detector: swim}}
faults: [{{kind: partition, at: 20 s, lasts: {lasts} s, nodes: 50 %}}]
"""


def split(nodes: int = 1000, lasts: int = 3600) -> None:
    """Two halves part and meet again. Healed means that everybody holds everybody alive."""
    end = 20 + lasts
    driver = world(SPLIT.format(nodes=nodes, lasts=lasts, end=lasts + 200)).driver
    for seconds in [*range(20, end, 60), *range(end, lasts + 200)]:
        driver.clock.run_to(seconds * SECOND)
        driver.noticed()  # it would else grow
        held = driver.believed()
        assert held is not None
        if seconds >= end or seconds % 600 == 20:
            print(f"{seconds:5,} s: nodes hold {held.min():,} to {held.max():,} alive, the median {np.median(held):,.0f}", flush=True)
        if seconds > end and (held == nodes).all():
            print(f"healed {seconds - end} s after the split of {lasts:,} s had ended")
            return


# Churn

NAMES, STEADY, EVENTS = 60, 10, 100_000
PACE = 0.1  # mean s between two departures
AWAY = 1.0  # mean s until a node is back


class Busy(Cluster):
    """The cluster in memory that the core's tests use, where datagrams are not encoded and nothing is kept of what is over."""

    def _flush(self, member: Member) -> None:
        at = {other.identity.address: other for other in self.members.values() if other.up} if member.node.outbox else {}
        for peer, message in member.node.outbox:
            if (there := at.get(peer)) is not None:
                frame = to_frame(message, member.replica, self.now)
                self._at(self.now + DELAY, partial(self._take, there, member.identity.address, frame, message.size))
        member.node.outbox.clear()
        member.watch.events.clear()

    def _take(self, member: Member, source: Address, frame: Frame, size: int) -> None:
        if member.up:
            member.node.receive(from_frame(frame, member.replica, size), source, self.now)
            self._meet(member)
            self._flush(member)


def churn(events: int = EVENTS) -> None:
    """Nodes come and go as a Poisson process; half of those that go crash, and a tenth of those that come have new names."""
    cluster, random, process = Busy(NAMES, tombstone=60 * SECOND), Random(1), psutil.Process()
    gc.enable()
    gc.freeze()  # what has been loaded need not be looked through again
    steady = [cluster.members[f"n{i}"] for i in range(STEADY)]
    done, fresh, due = 0, NAMES, random.expovariate(1 / PACE)
    back: list[tuple[float, str, int]] = []
    for step in range(21):
        while done < events * step // 20:
            if back and back[0][0] <= due:
                when, name, generation = back.pop(0)
                cluster.run(when - cluster.now / SECOND)
                cluster.start(name, generation, f"10.1.{int(name[1:]) >> 8}.{int(name[1:]) & 255}")
            else:
                cluster.run(due - cluster.now / SECOND)
                name, generation = _depart(cluster, random)
                if random.random() < 0.1:
                    del cluster.members[name]
                    name, generation, fresh = f"n{fresh}", 0, fresh + 1
                insort(back, (due + random.expovariate(1 / AWAY), name, generation + 1))
                due += random.expovariate(1 / PACE)
            cluster.everybody.clear()
            done += 1
        kept = ", ".join(f"{most} {name}" for name, most in _kept(steady).items())
        rss = process.memory_info().rss / 2**20
        print(f"{done:7,} events, {cluster.now / SECOND:6,.0f} s: {rss:4.0f} MiB; at most {kept}", flush=True)


def _depart(cluster: Busy, random: Random) -> tuple[str, int]:
    """Let somebody go; returns the name and generation."""
    name = random.choice([name for name in cluster.live() if int(name[1:]) >= STEADY])
    if random.random() < 0.5:
        cluster.leave(name)
    else:
        cluster.crash(name)
    return name, cluster.members[name].identity.generation


def _kept(members: Sequence[Member]) -> dict[str, int]:
    """The largest size of each table among nodes that run throughout."""
    sizes = []
    for member in members:
        membership, holdings = member.watch.membership, member.replica.holdings
        size = {"origins": len(holdings.keys), "names": len(holdings._generations), "beliefs": len(membership.beliefs)}
        size |= {"tombstones": len(membership.departed), "refusals": len(membership.refused), "rumours": membership.rumours.count}
        sizes.append(size)
    return {name: max(size[name] for size in sizes) for name in sizes[0]}


# Detectors side by side

MEASURES = {  # name: label and ticks
    "99 % hold it dead": ("crash known to 99 % (s)", [10, 20, 50]),
    "false deaths": ("false deaths in 3 min", [0, 1, 10, 100, 1000]),
    "bytes per node": ("bytes per node (B/s)", [500, 1000, 2000, 5000]),
}
AXES = {"network.loss": "datagrams lost (%)", "nodes": "nodes", "faults.1.nodes": "starved nodes (%)"}
USUAL = {"nodes": 50, "network.loss": 0.1, "faults.1.nodes": 0.0}


def detectors() -> None:
    """A panel for each measure and setting, a line for each detector: medians of the seeds."""
    with Store(SWEEP, readonly=True) as store:
        table = read_table(store)
    seeds = max(row.seeds for row in table.rows)
    with drawing():
        figure = Figure(figsize=(9, 7.2), layout="constrained")
        panels = figure.subplots(3, 3, sharey="row", sharex="col")
        for line, (measure, (label, ticks)) in zip(panels, MEASURES.items(), strict=True):
            for axes, path in zip(line, AXES, strict=True):
                others = [other for other in AXES if other != path]
                rows = [row for row in table.of(measure) if all(row.axes[other] == USUAL[other] for other in others)]
                _panel(axes, rows, path)
            line[0].set_ylabel(label)
            line[0].set_yscale("symlog" if measure == "false deaths" else "log")
            line[0].set_yticks(ticks, [f"{tick:,}" for tick in ticks])
            line[0].minorticks_off()
        for axes, label in zip(panels[-1], AXES.values(), strict=True):
            axes.set_xlabel(label)
        figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
        figure.suptitle("Three nodes crash: who notices, and at what cost", x=0.01, ha="left")
        note = f"50 nodes, 10 % loss, nobody starved, unless the axis says otherwise; medians of up to {seeds} seeds"
        figure.supxlabel(f"{note}; where a line ends, 99 % did not know within 140 s", x=0.01, ha="left", fontsize=8)
        figure.savefig(PICTURE, dpi=150, metadata={"Software": None})
    for row in table.rows:
        if row.measure in MEASURES:
            print(", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in row.axes.items()), "|", row.measure, row.median)


def _panel(axes: Axes, rows: Sequence[Row], path: str) -> None:
    for index, detector in enumerate(("swim", "phi", "count")):
        points = grouped([row for row in rows if row.axes["detection.detector"] == detector], [path])
        places = sorted(points)
        scale = 1 if path == "nodes" else 100
        x = [float(place[0]) * scale for place in places]
        axes.plot(x, [points[place][1] for place in places], "o-", markersize=9 - 2.5 * index, color=PALETTE[index], label=detector)
    if path == "nodes":
        axes.set_xscale("log")
        axes.set_xticks([50, 200, 1000], ["50", "200", "1,000"])
        axes.minorticks_off()


MODES: dict[str, Callable[[], None]] = {
    "loss": loss,
    "blocked": blocked,
    "split": split,
    "churn": churn,
    "detectors": detectors,
}


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for; returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in MODES:
        print(__doc__, file=sys.stderr)
        return 2
    gc.disable()  # a simulation makes hardly any cycles, and looking for them takes a third of the time
    MODES[arguments[0]]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
