"""What running agents cost and know: `python docs/measure_agents.py COUNT SECONDS`, for agents with HTTP at 127.0.0.1:22001 and up.

It reads what the system says of the processes and what the agents say of themselves.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any
from urllib.request import urlopen

import psutil

FIRST_PORT = 22001
HEADERS = 28  # bytes of UDP and IPv4 that each datagram costs beside what the agent counts
ETHERNET = 14  # and that an interface counts beside these
METRICS = ("cpu", "memory", "network", "storage")
TRAFFIC = {"samples", "bytes_sent", "bytes_received", "datagrams_sent", "datagrams_received"}


def main(count: int, seconds: float) -> None:
    """Print the figures of `count` agents over `seconds`."""
    ports = [f"127.0.0.1:{FIRST_PORT + i}" for i in range(count)]
    agents = [process for process in psutil.process_iter(["cmdline"]) if _is_agent(process.info["cmdline"] or [], ports)]
    if len(agents) != count:
        raise SystemExit(f"expected {count} agents with HTTP at {ports[0]} and up, found {len(agents)}")

    def ask(path: str) -> list[Any]:
        return [json.load(urlopen(f"http://{port}{path}")) for port in ports]

    def figures() -> tuple[float, list[float], list[float], list[int], list[int]]:
        counters = [status["counters"] for status in ask("/v1/status")]
        sent = [counted["bytes_sent"] + HEADERS * counted["datagrams_sent"] for counted in counters]
        received = [counted["bytes_received"] + HEADERS * counted["datagrams_received"] for counted in counters]
        datagrams = [counted["datagrams_sent"] + counted["datagrams_received"] for counted in counters]
        both = [out + back + ETHERNET * count for out, back, count in zip(sent, received, datagrams, strict=True)]
        cpu = [sum(agent.cpu_times()[:2]) for agent in agents]
        return time.monotonic(), cpu, [agent.memory_info().rss / 2**20 for agent in agents], sent, both

    begin, cpu, rss, sent, both = figures()
    time.sleep(seconds)
    end, cpu_then, rss_then, sent_then, both_then = figures()
    lasted = end - begin
    _show("resident at the start, MiB", rss)
    _show("resident at the end, MiB", rss_then)
    _show("growth, MiB", _differences(rss, rss_then))
    _show(f"cpu over {lasted:.0f} s, % of one core", [100 * used / lasted for used in _differences(cpu, cpu_then)])
    _show("sent, B/s", [more / lasted for more in _differences(sent, sent_then)])
    _show("sent and received, with Ethernet headers, B/s", [more / lasted for more in _differences(both, both_then)])
    states = [answer["nodes"] for answer in ask("/v1/state")]
    print("nodes known by each agent:", sorted({len(state) for state in states}))
    values = [node["metrics"].get(name) for state in states for node in state for name in METRICS]
    print("values:", len(values), "missing:", values.count(None))
    _show("age of others' values, s", [node["age_seconds"] for state in states for node in state if not node["self"]])
    print("counted beside traffic:", sorted({key for status in ask("/v1/status") for key in status["counters"]} - TRAFFIC))


def _is_agent(command: list[str], ports: list[str]) -> bool:
    return {"priomon_node", "run"} <= set(command) and bool(set(ports) & set(command))


def _differences(before: Sequence[float], after: Sequence[float]) -> list[float]:
    return [later - sooner for sooner, later in zip(before, after, strict=True)]


def _show(what: str, numbers: Sequence[float]) -> None:
    print(f"{what}: median {median(numbers):.2f}, most {max(numbers):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
