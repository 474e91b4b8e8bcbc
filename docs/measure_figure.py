"""What agents in containers send at their interfaces, and what they know: `python docs/measure_figure.py PAGES SCENARIO SEED...`.

PAGES is where the orchestrator of docker-compose.yml serves, such as http://127.0.0.1:4000, SCENARIO the name of a scenario that it has,
with one node per container. Bytes are those that the kernel counts at the gossip interface of each container, so with all headers and ARP.
Lag and error are those of the orchestrator's store, in results/. Needs Linux, and root to read the counters. Run it where
docker-compose.yml is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from typing import Any
from urllib.request import Request, urlopen

from priomon_node.orchestrator.live import LEAD, LEAD_PER_NODE
from priomon_results.store import Store

SETTLED = 15.0  # s of a run before the counters are read for the first time
REST = 5.0  # s of a run after they were read last


def main(pages: str, scenario: str, seeds: list[int]) -> None:
    """Run the scenario with each seed, and print a row of a table for each."""
    interfaces = _interfaces()
    print(
        "| Seed | Sent, B/s: mean | median | most | Frames/s | Coverage | Lag p50 | p99 | most | Error where nothing is missed, in bounds |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in seeds:
        _until(pages, lambda state: not state["running"])
        order = json.dumps({"scenario": scenario, "seed": seed}).encode()
        urlopen(Request(f"{pages}/start", order, {"Content-Type": "application/json"})).close()
        state = _until(pages, lambda state: state["phase"] == "live")
        begin = state["log"][-1]["unix_seconds"] + LEAD + LEAD_PER_NODE * len(interfaces)
        until = state["duration_seconds"] - REST
        first, last = _read(interfaces, begin + SETTLED), _read(interfaces, begin + until)
        _until(pages, lambda state: not state["running"])
        with Store(Path("results") / scenario / f"{scenario}.db", readonly=True) as store:
            (summary,) = [run.summary for run in store.runs() if run.mode == "live" and run.seed == seed][-1:]
        rates = [[(b - a) / (until - SETTLED) for a, b in zip(*pair, strict=True)] for pair in zip(first, last, strict=True)]
        sent, frames = [rate[0] for rate in rates], [rate[1] for rate in rates]
        lag, errors = summary["lag_seconds"], summary["settled_error_in_bounds"]
        worst = ", ".join(f"{name} {error['max']:.2f}" for name, error in errors.items())
        print(
            f"| {seed} | {mean(sent):.0f} | {median(sent):.0f} | {max(sent):.0f} | {mean(frames):.1f} | {summary['coverage_final']:.0%} ",
            end="",
        )
        print(f"| {lag['p50']:.2f} s | {lag['p99']:.2f} s | {lag['max']:.2f} s | {worst} |", flush=True)


def _until(pages: str, reached: Any) -> dict[str, Any]:
    """Watch the run until `reached` says so of its state, which it returns."""
    while True:
        with urlopen(f"{pages}/api/state") as answer:
            state: dict[str, Any] = json.load(answer)
        if reached(state):
            return state
        if state["problem"]:
            raise SystemExit(state["problem"])
        time.sleep(0.05)


def _read(interfaces: list[tuple[int, str]], when: float) -> list[tuple[int, int]]:
    """(Bytes, frames) that each interface has sent by a Unix time (s)."""
    time.sleep(when - time.time())
    found = []
    for process, interface in interfaces:
        lines = Path(f"/proc/{process}/net/dev").read_text().splitlines()
        (columns,) = (line.split() for line in lines if line.strip().startswith(f"{interface}:"))
        found.append((int(columns[9]), int(columns[10])))
    return found


def _interfaces() -> list[tuple[int, str]]:
    """(Process, gossip interface) of each agent's container."""
    found = []
    for container in json.loads(_output("docker", "inspect", *_output("docker-compose", "ps", "--quiet", "node").split())):
        (address,) = (net["MacAddress"] for name, net in container["NetworkSettings"]["Networks"].items() if name.endswith("_gossip"))
        listed = _output("docker", "exec", container["Id"], "sh", "-c", f"grep -l {address} /sys/class/net/*/address")
        found.append((container["State"]["Pid"], Path(listed.strip()).parent.name))
    return found


def _output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(seed) for seed in sys.argv[3:]])
