"""The `queries` of a scenario: who reads whose state, and how often."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from priomon_core.errors import SettingError
from priomon_core.quorum_level import parse_level
from priomon_sim.faults.targets import parse_targets
from priomon_sim.scenario.faults import Targets
from priomon_sim.scenario.settings import Settings, written
from priomon_sim.scenario.units import Duration, PositiveDuration


class Queries(Settings):
    """Nodes read the state of others through others, at random moments (a Poisson process)."""

    rate: float = Field(default=1.0, gt=0, le=1e5)
    """Mean number of reads per second, in all. Default: 1."""
    level: str = "from(3)"
    """When a read has succeeded. local: at once, with what the reader holds; from(3): three others have answered; majority, all: so many
    of all nodes that the reader knows and that have not left; agree(3): three others hold the same. Default: from(3)."""
    targets: Targets = "all"
    """Whose state is read: as in faults, those of them that run. Default: all."""
    readers: Targets = Field(default="all", alias="from")
    """Who reads: likewise. Default: all."""
    deadline: PositiveDuration = written("2 s")
    """When a read that has not met its level ends with what it has; none begins so late that this would be after the run.
    Default: 2 s."""
    after: Duration = written("0 s")
    """When the first read may come. Default: 0 s."""

    @field_validator("level")
    @classmethod
    def _known(cls, level: str) -> str:
        return str(parse_level(level))

    @field_validator("targets", "readers", mode="before")
    @classmethod
    def _readable(cls, nodes: Any) -> Any:
        if isinstance(nodes, bool) or not isinstance(nodes, (str, int)):
            raise SettingError(f"found {nodes!r}, expected nodes such as node3, node1*, 3 or 20 %")
        parse_targets(str(nodes))
        return str(nodes)
