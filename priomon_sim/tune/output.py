"""The settings that tuning chose, as files: a scenario to run, and the settings file of agents.

An agent has fewer settings than a scenario. What it cannot be told, and what only whoever runs it knows, is said in comments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from priomon_core.metrics import BUILT_IN, Metric
from priomon_results.files import replace_file
from priomon_sim.scenario.detection import Detection
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.gossip import Gossip
from priomon_sim.scenario.units import SECOND

PUSHING = ("flushes", "repair", "hot", "degree")  # what agents are told beside the strategy
DETECTION_TIMES = ("probe_timeout", "tombstone")
# What agents have as it is built in.
UNTOLD_GOSSIP = ("datagram_limit", "burst", "settling", "ageing")
UNTOLD_DETECTION = ("indirect_probes", "longest_suspicion", "retransmissions", "phi_threshold", "heartbeat", "failures", "reconnect")
JOINING = "Add what is each machine's own: name, bind, seeds and key_file, here or as flags."


def write_scenario(scenario: Scenario, about: Sequence[str], path: Path) -> None:
    """Write a scenario with all its settings, under comments. Raises `OutputError`."""
    _write(scenario.dump(path.parent), about, path)


def write_agent_file(scenario: Scenario, about: Sequence[str], path: Path) -> None:
    """Write the settings file of agents that do what the nodes of a scenario did. Raises `OutputError`."""
    _write(agent_settings(scenario), [*about, JOINING, *_untold(scenario)], path)


def agent_settings(scenario: Scenario) -> dict[str, Any]:
    """What an agent is told, as its settings file has it: times in seconds, metrics where they differ from the built-in ones."""
    gossip, detection = scenario.gossip, scenario.detection
    told: dict[str, Any] = {"period": gossip.period / SECOND, "fanout": gossip.fanout}
    told["sample_every"] = (scenario.sample_every or gossip.period) / SECOND
    defaults = Gossip()
    told |= {name: getattr(gossip, name) for name in ("strategy", *PUSHING) if getattr(gossip, name) != getattr(defaults, name)}
    told["detector"] = detection.detector
    if detection.detector != "none":
        told |= {"suspicion": detection.suspicion}
        told |= {name: getattr(detection, name) / SECOND for name in DETECTION_TIMES}
    enabled = {metric.name: metric for metric in scenario.enabled_metrics()}
    changed = {metric.name: _changes(enabled[metric.name], metric) for metric in BUILT_IN if metric.name in enabled}
    if metrics := {name: changes for name, changes in changed.items() if changes}:
        told["metrics"] = metrics
    if missing := [metric.name for metric in BUILT_IN if metric.name not in enabled]:
        told["disable"] = missing
    return told


def _changes(metric: Metric, built_in: Metric) -> dict[str, Any]:
    """The keys of a metric that differ from those of the built-in one."""
    names = [one.name for one in fields(Metric) if one.init]
    values = {name: getattr(metric, name) for name in names if getattr(metric, name) != getattr(built_in, name)}
    return {name: value.name.lower() if name == "priority" else value for name, value in values.items()}


def _untold(scenario: Scenario) -> list[str]:
    """What the file cannot say."""
    parts = (("gossip", scenario.gossip, Gossip(), UNTOLD_GOSSIP), ("detection", scenario.detection, Detection(), UNTOLD_DETECTION))
    changed = [f"{part}.{name}" for part, ours, theirs, names in parts for name in names if getattr(ours, name) != getattr(theirs, name)]
    built_in = {metric.name for metric in BUILT_IN}
    custom = [metric for metric in scenario.enabled_metrics() if metric.name not in built_in]
    result = [f"The scenario changes {', '.join(changed)}, which agents cannot be told."] if changed else []
    result += [f"{metric.name} ({metric.unit}, bound {metric.bound:g}) is missing: add it with what measures it." for metric in custom]
    if scenario.detection.detector == "none":
        result.append("The scenario has no failure detection, so these agents judge nobody; with detector: swim they send more.")
    return result


def _write(settings: Mapping[str, Any], about: Sequence[str], path: Path) -> None:
    comments = "".join(f"# {line}\n" for line in about)
    replace_file(path, (comments + yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)).encode())
