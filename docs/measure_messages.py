"""Measures what nodes send by kind of message, once a run has settled.

python docs/measure_messages.py SCENARIO [PATH=VALUE ...]

Counts begin after a third of the run. Bytes are with the headers of UDP and IPv4; all figures are per node and second.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from priomon_core.config import UDP_IPV4_HEADERS
from priomon_core.pushes import Push, Summary
from priomon_sim.driver import Driver
from priomon_sim.scenario.document import load
from priomon_sim.world import build

SETTLED = 1 / 3  # of the run


class Counting(Driver):
    """A driver that counts what it sends."""

    numbers: Counter[str]
    sizes: Counter[str]

    def _sender(self, overhead: int) -> Callable[[int, int], None]:
        send, outboxes = super()._sender(overhead), self._outboxes
        self.numbers, self.sizes = Counter(), Counter()

        def counting(index: int, now: int) -> None:
            for _, message in outboxes[index]:
                self.numbers[kind(message)] += 1
                self.sizes[kind(message)] += message.size + (0 if message.stream else overhead)
            send(index, now)

        return counting


def kind(message: Any) -> str:
    """What a message is called: pushes without news, and summaries without a hash, count for themselves."""
    name = type(message).__name__.lower()
    if isinstance(message, Push) and not message.count:
        return f"{name}, empty"
    if isinstance(message, Summary) and message.checksum is None:
        return f"{name}, pulse alone"
    return name


def main(arguments: Sequence[str]) -> int:
    """Run a scenario and print a line per kind of message."""
    if not arguments or not all("=" in setting for setting in arguments[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    settings = [setting.partition("=")[::2] for setting in arguments[1:]]
    scenario = load(Path(arguments[0]), settings)
    driver = build(scenario, make=Counting).driver
    assert isinstance(driver, Counting)
    begin = int(scenario.duration * SETTLED)
    driver.clock.run_to(begin)
    driver.numbers.clear()
    driver.sizes.clear()
    driver.clock.run_to(scenario.duration)
    per = 1e9 / (scenario.duration - begin) / scenario.nodes
    print(f"{'message':24} {'B/s':>8} {'/s':>6}   (headers: {UDP_IPV4_HEADERS} B each)")
    for name, size in [*driver.sizes.most_common(), ("all", driver.sizes.total())]:
        number = driver.numbers.total() if name == "all" else driver.numbers[name]
        print(f"{name:24} {size * per:8.1f} {number * per:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
