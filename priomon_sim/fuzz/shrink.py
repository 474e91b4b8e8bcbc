"""Makes a scenario that fails smaller, as long as the same checker objects: fewer faults and nodes, less time, plainer settings."""

from __future__ import annotations

from collections.abc import Iterator

from priomon_sim.examine import examine
from priomon_sim.examiner import Finding
from priomon_sim.fuzz.scenario import Data, sound
from priomon_sim.scenario.units import DURATION

MOST_RUNS = 100
MOST_MESSAGES = 1_000_000  # in all runs: some minutes
FEWEST_NODES = 2
PLAIN = ("network", "gossip", "detection")  # mappings of settings that may each fall back to their defaults
NEEDED = "detector"  # a setting that says what is examined


def shrink(data: Data, finding: Finding) -> tuple[Data, Finding]:
    """The smallest scenario that was found in so many runs or messages, and what is found in it."""
    runs = messages = 0
    candidates = _smaller(data, finding)
    while (candidate := next(candidates, None)) is not None and runs < MOST_RUNS and messages < MOST_MESSAGES:
        scenario = sound(candidate)
        if scenario is None:
            continue
        runs += 1
        examination = examine(scenario)
        messages += examination.messages
        found = examination.finding
        if found is not None and found.checker == finding.checker:
            data, finding = candidate, found
            candidates = _smaller(data, finding)
    return data, finding


def _smaller(data: Data, finding: Finding) -> Iterator[Data]:
    """Scenarios that are a step smaller, the boldest steps first."""
    faults, nodes = data["faults"], data["nodes"]
    for size in dict.fromkeys(max(1, len(faults) // parts) for parts in (1, 2, MOST_RUNS)):
        for begin in range(0, len(faults), size):
            yield {**data, "faults": faults[:begin] + faults[begin + size :]}
    for fewer in dict.fromkeys((nodes // 2, nodes - 1)):
        if FEWEST_NODES <= fewer < nodes:
            yield {**data, "nodes": fewer}
    end = round((finding.at + 1) * 1e9)
    if end < DURATION.parse(data["duration"]):
        yield {**data, "duration": DURATION.format(end)}
    for i, fault in enumerate(faults):
        for key in ("at", "lasts", "back_after"):
            if key in fault and (half := DURATION.parse(fault[key]) // 2_000_000):
                yield {**data, "faults": [*faults[:i], {**fault, key: f"{half} ms"}, *faults[i + 1 :]]}
    if data["topology"] != {"kind": "complete"}:
        yield {**data, "topology": {"kind": "complete"}}
    for name in PLAIN:
        keys = [key for key in data[name] if key != NEEDED]
        for gone in ([keys] if len(keys) > 1 else []) + [[key] for key in keys]:
            yield {**data, name: {key: value for key, value in data[name].items() if key not in gone}}
