"""The `workload` of a scenario: what the nodes measure, replayed from a recording or drawn from models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from priomon_core.errors import SettingError
from priomon_sim.scenario.settings import FilePath, OrNone, OrPeriod, Settings, Shorthand, written
from priomon_sim.scenario.units import PositiveDuration

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Columns(Settings):
    """Where a metric comes from: the sum of some columns times a factor."""

    columns: Annotated[
        Annotated[tuple[str, ...], Field(strict=False, min_length=1)],
        BeforeValidator(lambda names: (names,) if isinstance(names, str) else names),
    ]
    """Names of the columns that are added up, such as bytes received and bytes sent. No default."""
    scale: Positive = 1.0
    """Factor that turns the sum into the metric's unit: 0.0167 makes bytes per second of bytes per minute. Default: 1."""


MetricColumns = Annotated[Columns, Shorthand("columns", str | list[str])]


class ColumnMap(Settings, extra="allow"):
    """Which columns of a trace hold what. Keys beside `node` and `time` are names of metrics."""

    node: OrNone[str] = written("none")
    """Column with the name of the machine; none: the trace records one machine. Default: none."""
    time: str = "time_s"
    """Column with the time in seconds. Default: time_s."""
    __pydantic_extra__: dict[str, MetricColumns]

    @property
    def metrics(self) -> Mapping[str, Columns]:
        """The columns of each metric by its name."""
        return self.__pydantic_extra__


RECORDED = {
    "cpu": "cpu_percent",
    "memory": "memory_percent",
    "network": "network_bytes_per_second",
    "storage": "storage_percent",
}


class Trace(Settings):
    """A recording that the nodes replay."""

    kind: Literal["trace"]
    """Replay what real machines measured; nodes beyond the trace reuse it from random offsets."""
    path: FilePath
    """The recording, .csv or .csv.gz, relative to the scenario file. No default."""
    columns: ColumnMap = written(RECORDED)
    """Which column holds what. Default: the columns that `python -m priomon_node record` writes."""
    every: OrPeriod[PositiveDuration] = written("period")
    """Virtual time that one row of the trace lasts; period: one gossip period, so that every round sees a fresh sample. A row
    held over many rounds would flatter every filter. Default: period."""
    gaps: Literal["hold", "refuse"] = "hold"
    """Rows or cells that are missing. hold: repeat the last good value, and count them; refuse: an error. Default: hold."""


class Process(Settings):
    """A model of one metric; values are in the metric's unit."""

    @property
    def lowest(self) -> float:
        """No value is below this one."""
        return 0.0


class Constant(Process):
    """Always the same value."""

    model: Literal["constant"]
    """Always the same value: what a perfect filter publishes once."""
    value: float
    """The value. No default."""

    @property
    def lowest(self) -> float:
        return self.value


class Ranged(Process):
    """A model whose values stay between two limits."""

    low: float = 0.0
    """No value is below. Default: 0."""
    high: float = 100.0
    """No value is above. Default: 100, for shares in percent."""

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and high <= low:
            raise SettingError(f"found {high:g}, expected more than low, which is {low:g}")
        return high

    @property
    def lowest(self) -> float:
        return self.low


class RandomWalk(Ranged):
    """Starts anywhere between the limits, drifts, and is reflected there."""

    model: Literal["random-walk"]
    """Slow drift without a mean: memory, disks."""
    deviation: NotNegative
    """Standard deviation of one step, from sample to sample. No default."""


class OrnsteinUhlenbeck(Ranged):
    """Noise around a mean that it keeps returning to."""

    model: Literal["ornstein-uhlenbeck"]
    """Fluctuation around a mean: processor load."""
    mean: float
    """The value it returns to. No default."""
    deviation: NotNegative
    """Standard deviation in the long run. No default."""
    relaxation: PositiveDuration = written("20 s")
    """Time after which 63 % of a deviation is forgotten. Default: 20 s, a job that comes and goes."""


class Diurnal(Ranged):
    """Day and night, with noise."""

    model: Literal["diurnal"]
    """A sine with noise, the same hour on all nodes: what users of one time zone cause."""
    mean: float
    """The middle of the day's swing. No default."""
    amplitude: NotNegative
    """How far the day goes above and the night below the mean. No default."""
    period: PositiveDuration = written("24 h")
    """Length of a day. Default: 24 h."""
    noise: NotNegative = 0.0
    """Standard deviation of the noise on top. Default: 0."""


class Bursts(Process):
    """Quiet, and at times busy; both levels with a lognormal spread."""

    model: Literal["bursts"]
    """Quiet and busy spells: network traffic."""
    base: Positive
    """Median of the quiet level. No default."""
    peak: Positive
    """Median of the busy level. No default."""
    on: PositiveDuration = written("5 s")
    """Mean length of a busy spell. Default: 5 s."""
    off: PositiveDuration = written("30 s")
    """Mean length of a quiet spell. Default: 30 s."""
    spread: NotNegative = 0.3
    """Standard deviation of the natural logarithm around either level. Default: 0.3, a third up or down."""

    @field_validator("peak")
    @classmethod
    def _above_base(cls, peak: float, info: ValidationInfo) -> float:
        base = info.data.get("base")
        if base is not None and peak < base:
            raise SettingError(f"found {peak:g}, expected at least base, which is {base:g}")
        return peak


Model = Annotated[Constant | RandomWalk | OrnsteinUhlenbeck | Diurnal | Bursts, Field(discriminator="model")]

USUAL: dict[str, dict[str, Any]] = {
    "cpu": {"model": "ornstein-uhlenbeck", "mean": 30.0, "deviation": 12.0},
    "memory": {"model": "random-walk", "deviation": 0.4, "low": 20.0, "high": 90.0},
    "network": {"model": "bursts", "base": 1e4, "peak": 5e7, "spread": 0.7},
    "storage": {"model": "random-walk", "deviation": 0.01, "low": 30.0, "high": 80.0},
}


class Synthetic(Settings, extra="allow"):
    """Values drawn from one model per metric. Keys beside `kind` are names of metrics."""

    kind: Literal["synthetic"]
    """Draw values from a model per metric; the built-in metrics have realistic ones, others need theirs here."""
    __pydantic_extra__: dict[str, Model]

    @model_validator(mode="before")
    @classmethod
    def _with_usual(cls, data: Any) -> Any:
        return {**USUAL, **data} if isinstance(data, dict) else data

    @property
    def metrics(self) -> Mapping[str, Process]:
        """The model of each metric by its name."""
        return self.__pydantic_extra__


Workload = Annotated[Trace | Synthetic, Field(discriminator="kind")]
