"""Bytes at the interfaces of containers, beside those of their simulated twin: `python docs/measure_containers.py LOSS SEED...`.

LOSS says where a fifth of the datagrams is lost: `none`, `inside` (the agents' links), or `outside` (iptables, so after the interface of
the sender; docker-compose.loss.yml). It needs the containers of docker-compose.yml on this Linux machine, and root, to read their counters.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from priomon_node.orchestrator.live import LEAD, LEAD_PER_NODE
from priomon_results.store import Store
from priomon_sim.experiment import execute
from priomon_sim.scenario.document import load

PAGES = "http://127.0.0.1:4000"
SCENARIO = Path("scenarios/live10.yaml")
STORE = Path("results/live10/live10.db")
LOST = 0.2
FROM, TO = 15.0, 50.0  # s of the run between which counters are compared
ETHERNET = 14  # B of an Ethernet header
ARP = 42  # B of an ARP frame at an interface


@dataclass(frozen=True, slots=True)
class Counters:
    """What the gossip interfaces of all nodes have sent."""

    bytes: int
    frames: int
    datagrams: int


def main(where: str, seeds: list[int]) -> None:
    """Run the scenario with each seed, and print a row of the table for each and for their medians."""
    nodes = _gossip_interfaces()
    rows = [_measure(where, seed, nodes) for seed in seeds]
    print("| Seed | Interface, B/s per node | Of it ARP | Twin with Ethernet | Without ARP | With ARP | Rounds, live | Rounds, twin |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    columns = list(zip(*rows, strict=True))
    for name, row in [*zip(map(str, seeds), rows, strict=True), ("median", tuple(map(median, columns)))]:
        sent, arp, twin, live_rounds, twin_rounds = row
        print(f"| {name} | {sent:.1f} | {arp:.1f} | {twin:.1f} | {(sent - arp) / twin - 1:+.1%} | {sent / twin - 1:+.1%} ", end="")
        print(f"| {live_rounds:.1f} | {twin_rounds:.1f} |")


def _measure(where: str, seed: int, nodes: list[tuple[int, str]]) -> tuple[float, ...]:
    """(at the interface, of it ARP, the twin's with Ethernet; B/s per node), and the convergence of both in rounds."""
    _until(lambda state: not state["running"])
    order = {"scenario": SCENARIO.stem, "seed": seed, "set": [f"network.loss={LOST if where == 'inside' else 0:.0%}"]}
    urlopen(Request(f"{PAGES}/start", json.dumps(order).encode(), {"Content-Type": "application/json"})).close()
    log = _until(lambda state: state["phase"] == "live")["log"]
    begin = log[-1]["unix_seconds"] + LEAD + LEAD_PER_NODE * len(nodes)
    first, last = _read(nodes, begin + FROM), _read(nodes, begin + TO)
    _until(lambda state: not state["running"])
    with Store(STORE, readonly=True) as store:
        live = [run for run in store.runs() if run.mode == "live" and run.seed == seed][-1]
    seconds, count = TO - FROM, len(nodes)
    frames = (last.frames - first.frames) - (last.datagrams - first.datagrams)
    rounds, twin = _simulate(where, seed)
    return (
        (last.bytes - first.bytes) / seconds / count,
        frames * ARP / seconds / count,
        twin / count,
        live.summary["convergence_rounds"],
        rounds,
    )


def _simulate(where: str, seed: int) -> tuple[float, float]:
    """The twin's convergence in rounds, and what all its nodes would send by interfaces meanwhile, in B/s."""
    scenario = load(SCENARIO, [("seed", str(seed)), ("network.loss", f"{0 if where == 'none' else LOST:.0%}")])
    with TemporaryDirectory() as folder, Store(Path(folder) / "twin.db") as store:
        number, summary = execute(scenario, store, lambda now: None)
        rows = store.rows(number, "sample")
    at = {t: sent + ETHERNET * count for t, sent, count in zip(rows["t"], rows["bytes_sent"], rows["datagrams_sent"], strict=True)}
    reach_it = 1 - LOST if where == "inside" else 1.0  # the link model loses datagrams before the interface
    return summary["convergence_rounds"], (at[TO] - at[FROM]) / (TO - FROM) * reach_it


def _until(reached: Any) -> dict[str, Any]:
    """Watch the run until `reached` says so of its state, which it returns."""
    while True:
        time.sleep(0.05)
        try:
            with urlopen(f"{PAGES}/api/state") as answer:
                state: dict[str, Any] = json.load(answer)
        except OSError:
            continue  # the containers are still coming up
        if reached(state):
            return state
        if state["problem"]:
            raise SystemExit(state["problem"])


def _read(nodes: list[tuple[int, str]], when: float) -> Counters:
    """Read the counters at a Unix time (s)."""
    time.sleep(when - time.time())
    sent = frames = datagrams = 0
    for process, interface in nodes:
        net = Path(f"/proc/{process}/net")
        (line,) = (line for line in (net / "dev").read_text().splitlines() if line.strip().startswith(f"{interface}:"))
        columns = line.split()
        sent, frames = sent + int(columns[9]), frames + int(columns[10])
        names, values = (line.split() for line in (net / "snmp").read_text().splitlines() if line.startswith("Udp:"))
        datagrams += int(values[names.index("OutDatagrams")])
    return Counters(sent, frames, datagrams)


def _gossip_interfaces() -> list[tuple[int, str]]:
    """(process, interface) of each agent's container in the project that serves the pages."""
    label = "com.docker.compose.project"
    project = _docker("ps", "--filter", f"publish={urlsplit(PAGES).port}", "--format", f'{{{{.Label "{label}"}}}}').strip()
    names = _docker("ps", "--quiet", "--filter", f"label={label}={project}", "--filter", "label=com.docker.compose.service=node").split()
    found = []
    for container in json.loads(_docker("inspect", *names)):
        (address,) = (net["MacAddress"] for name, net in container["NetworkSettings"]["Networks"].items() if name.endswith("_gossip"))
        listed = _docker("exec", container["Id"], "sh", "-c", f"grep -l {address} /sys/class/net/*/address")
        found.append((container["State"]["Pid"], Path(listed.strip()).parent.name))
    return found


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
