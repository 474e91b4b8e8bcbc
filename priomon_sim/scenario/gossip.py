"""The `metrics`, `gossip` and `measure` of a scenario: what is published, how it travels, how closely it is watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from priomon_core.config import NO_LIMIT, SEAL_OVERHEAD, STRATEGIES, GossipSettings
from priomon_core.errors import SettingError
from priomon_core.metrics import BUILT_IN, Filter, Metric, Priority, Scale
from priomon_sim.scenario.settings import OrNone, OrPriority, Settings, written
from priomon_sim.scenario.units import DURATION, SECOND, SIZE, PositiveDuration, Size

LARGEST_PAYLOAD = 65_507  # bytes of one UDP datagram over IPv4


def _drop_required(schema: dict[str, Any]) -> None:
    del schema["required"]  # only new metrics need a unit and a bound; the built-in ones have them


class MetricSettings(Settings):
    """One metric. What a built-in metric does not say stays as it is built in."""

    model_config = ConfigDict(json_schema_extra=_drop_required)

    enabled: bool = True
    """Measure and publish it; false switches a built-in metric off. Default: true."""
    unit: str = Field(min_length=1)
    """Unit of its values, as shown in tables and plots. No default for new metrics."""
    bound: float = Field(gt=0)
    """Error that observers accept: in the unit on a linear scale, a factor above 1 on a log scale. It decides how much is
    published. No default for new metrics."""
    priority: Literal["critical", "high", "medium", "low"] = "medium"
    """How fast a change has to travel, and how old an unchanged value may look. Default: medium."""
    scale: Scale = "linear"
    """linear: errors are differences; log: errors are factors, for values over many magnitudes such as rates. Default: linear."""
    floor: float = Field(default=1.0, gt=0)
    """On a log scale, values below the floor count as the floor, in the unit. Default: 1."""
    signed: bool = False
    """Values may be negative (temperatures, offsets). Default: false."""
    silence: OrPriority[PositiveDuration] = written("priority")
    """Longest time without a publication while the value stays within its bound; priority: 10 s, 30 s, 1 min or 5 min from
    critical to low. Default: priority."""
    alarm: OrNone[float] = written("none")
    """A sample that crosses this value is published whatever its error, in the unit; none: no alarm. Default: none."""
    filter: Filter
    """Which samples are published (see the scenario's filter). Default: the scenario's filter."""

    def metric(self, name: str) -> Metric:
        """The metric that the core knows. Raises `SettingError` for values that do not go together."""
        silence = None if self.silence is None else self.silence / SECOND
        return Metric(
            name=name,
            unit=self.unit,
            bound=self.bound,
            priority=Priority[self.priority.upper()],
            scale=self.scale,
            floor=self.floor,
            signed=self.signed,
            silence=silence,
            alarm=self.alarm,
            filter=self.filter,
        )


# The fields of MetricSettings in which built-in metrics differ from its defaults.
BUILT_IN_METRICS: dict[str, dict[str, Any]] = {
    metric.name: {
        "unit": metric.unit,
        "bound": metric.bound,
        "priority": metric.priority.name.lower(),
        "scale": metric.scale,
        "floor": metric.floor,
    }
    for metric in BUILT_IN
}


def from_core(core: Any, name: str, write: Callable[[Any], Any] = int, **limits: Any) -> Any:
    """A field with the default and the reason of the setting `name` of the core's dataclass `core`."""
    setting = next(setting for setting in fields(core) if setting.name == name)
    default = write(setting.default)
    return Field(default, description=f"{setting.metadata['reason']} Default: {default}.", **limits)


def _from_core(name: str, write: Callable[[Any], Any] = int, **limits: Any) -> Any:
    return from_core(GossipSettings, name, write, **limits)


class Gossip(Settings):
    """How knowledge travels. Defaults and reasons are the core's."""

    strategy: Literal[STRATEGIES] = _from_core("strategy", str)  # type: ignore[valid-type]
    period: PositiveDuration = _from_core("period", DURATION.format)
    fanout: int = _from_core("fanout", ge=1)
    sealed: bool = False
    """Encrypted datagrams, as agents with a key send them: 33 B more each, within the datagram limit. Streams (demon) stay as they
    are. Default: false."""
    datagram_limit: OrNone[Size] = _from_core("datagram_limit", SIZE.format)
    burst: int = _from_core("burst", ge=1)
    settling: int = _from_core("settling", ge=0)
    ageing: PositiveDuration = _from_core("ageing", DURATION.format)
    flushes: int = _from_core("flushes", ge=1)
    repair: int = _from_core("repair", ge=1)
    hot: int = _from_core("hot", ge=1)
    degree: int = _from_core("degree", ge=2)

    @field_validator("datagram_limit")
    @classmethod
    def _one_datagram(cls, limit: int | None, info: ValidationInfo) -> int | None:
        if limit is not None:
            seal = SEAL_OVERHEAD if info.data.get("sealed") else 0
            try:
                GossipSettings(datagram_limit=limit - seal)  # the core knows the smallest
            except SettingError as error:
                raise SettingError(f"{error} without the seal's {seal} B" if seal else str(error)) from None
            if limit > LARGEST_PAYLOAD:
                raise SettingError(f"found {SIZE.format(limit)}, expected at most {LARGEST_PAYLOAD} B, what UDP carries, or none")
        return limit

    def settings(self) -> GossipSettings:
        """These settings as the core has them."""
        limit = NO_LIMIT if self.datagram_limit is None else self.datagram_limit
        values = {setting.name: getattr(self, setting.name) for setting in fields(GossipSettings)}
        return GossipSettings(**values | {"datagram_limit": limit})


class Measure(Settings):
    """How closely a run is watched; it changes what is known of the run, not the run."""

    every: PositiveDuration = written("1 s")
    """Time between two probes of all nodes. Default: 1 s, as often as nodes gossip."""
    spread_every: PositiveDuration = written("100 ms")
    """Time between two looks at who holds which update: the resolution of dissemination times. Default: 100 ms."""
    spread_origins: int = Field(default=32, ge=1)
    """Origins whose updates are followed, evenly over all (all, if there are fewer): following more costs time and says little
    new. Default: 32."""
