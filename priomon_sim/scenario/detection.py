"""The `detection` of a scenario: how nodes find out who is alive. Defaults and reasons are the core's."""

from __future__ import annotations

from typing import Any, Literal

from priomon_core.config import DetectionSettings
from priomon_sim.scenario.gossip import from_core
from priomon_sim.scenario.settings import Settings
from priomon_sim.scenario.units import DURATION, PositiveDuration


def _setting(name: str, write: Any = int, **limits: Any) -> Any:
    return from_core(DetectionSettings, name, write, **limits)


class Detection(Settings):
    """How nodes find out who is alive."""

    detector: Literal["swim", "phi", "count", "none"] = "none"
    """swim probes with every exchange and asks others before it suspects; phi judges by the silence of an origin; count by failed
    exchanges in a row; none judges nobody. Default: none."""
    probe_timeout: PositiveDuration = _setting("probe_timeout", DURATION.format)
    indirect_probes: int = _setting("indirect_probes", ge=0)
    suspicion: int = _setting("suspicion", ge=1)
    longest_suspicion: int = _setting("longest_suspicion", ge=1)
    retransmissions: int = _setting("retransmissions", ge=1)
    phi_threshold: float = _setting("phi_threshold", float, ge=0.5, le=300)
    heartbeat: PositiveDuration = _setting("heartbeat", DURATION.format)
    failures: int = _setting("failures", ge=1)
    reconnect: PositiveDuration = _setting("reconnect", DURATION.format)
    tombstone: PositiveDuration = _setting("tombstone", DURATION.format)

    def settings(self) -> DetectionSettings:
        """What the core is told."""
        return DetectionSettings(**{name: getattr(self, name) for name in type(self).model_fields})
