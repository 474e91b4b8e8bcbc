"""The runs that say which part of a scenario's saving comes from what: the scenario itself, and others on the same workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from priomon_core.errors import SettingError
from priomon_results.prototype import FANOUT
from priomon_results.saving import DIGESTS, PROTOTYPE
from priomon_sim.scenario.document import Scenario, load

Settings = list[tuple[str, str]]


def ladder(path: Path, overrides: Sequence[tuple[str, str]] = ()) -> list[Scenario]:
    """The scenario at `path` after `--set` pairs, and those to compare it with: what is not filtered, digests, and the prototype.

    Raises `ScenarioError`, and `SettingError` where the scenario is the prototype itself.
    """
    own = load(path, overrides)
    if own.gossip.strategy == PROTOTYPE:
        raise SettingError(f"{path}: gossip.strategy is {PROTOTYPE}, which is what savings are measured against; choose another")
    digests: Settings = [("gossip.strategy", DIGESTS)]
    everything: Settings = [("filter", "none")]
    everything += [(f"metrics.{name}.filter", "none") for name, metric in own.metrics.items() if metric.filter != own.filter]
    prototype: Settings = [("gossip.strategy", PROTOTYPE), ("gossip.fanout", str(FANOUT)), *everything]
    prototype += [("detection.detector", "none"), ("queries", "none")]  # it had neither
    variants = {
        "unfiltered": everything,
        DIGESTS: digests,
        f"{DIGESTS}-unfiltered": [*digests, *everything],
        "prototype": prototype,
    }
    others = [load(path, [*overrides, ("name", f"{own.name}-{name}"), *settings]) for name, settings in variants.items()]
    return list({one.hash: one for one in (*reversed(others), own)}.values())
