"""The `sweep` of a scenario: which of its settings take which values.

A part of a sweep (`grid`, `zip`, `list`, `random`, `latin`, `either`) is a set of points; several parts beside each other are combined,
each point of one with each of the others.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from priomon_sim.scenario.settings import OrNone, Settings, Shorthand, written
from priomon_sim.scenario.units import PositiveDuration


class Axis(Settings):
    """The values that one setting takes: a list of them, or a range."""

    values: Annotated[tuple[Any, ...], Field(strict=False)] = ()
    """The values, as they would stand in the scenario. Default: empty."""
    start: Any = Field(default="", alias="from")
    """The first value of a range: a number or a quantity. Default: empty."""
    stop: Any = Field(default="", alias="to")
    """The last value of a range. Default: empty."""
    points: OrNone[Annotated[int, Field(ge=2)]] = written("none")
    """How many values a range has, both ends included; not given where points are drawn. Those between the ends are rounded to four
    digits, or to whole numbers where both ends are whole. Default: none."""
    scale: Literal["linear", "log"] = "linear"
    """Values at equal distances, or at equal ratios. Default: linear."""


AxisOrList = Annotated[Axis, Shorthand("values", list[Any])]


class Drawn(Settings):
    """Points drawn at random."""

    points: int = Field(ge=1)
    """How many points are drawn. No default."""
    seed: int = Field(default=1, ge=0)
    """Where the draws come from. Default: 1."""
    over: dict[str, AxisOrList] = Field(min_length=1)
    """Ranges (without `points`) or lists to draw from, by the path of the setting. No default."""


class Space(Settings):
    """A set of points. Parts that stand beside each other are combined: each point of one with each of the others."""

    grid: dict[str, AxisOrList] = written({})
    """Every combination of the values of these settings, named by their paths (`gossip.fanout`). Default: empty."""
    together: dict[str, AxisOrList] = Field(default={}, alias="zip")
    """Settings that change together: the first value of each, then the second of each. Default: empty."""
    listed: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = Field(default=(), alias="list")
    """Points one by one, each a mapping from paths to values. Default: empty."""
    random: OrNone[Drawn] = written("none")
    """Points drawn independently and evenly (on the axis' scale). Default: none."""
    latin: OrNone[Drawn] = written("none")
    """A Latin hypercube: every range is cut into as many pieces as there are points, and each piece is met once. Default: none."""
    either: Annotated[tuple[Space, ...], Field(strict=False)] = ()
    """The points of any of these sets. A setting that a point does not name keeps the scenario's value. Default: empty."""


class Sweep(Space):
    """Points to run, and how."""

    seeds: int = Field(default=3, ge=1, le=10_000)
    """How many times each point is run, with the scenario's seed and those that follow it: the same ones for all points. Default: 3."""
    skip_where: str = ""
    """Points to leave out: a condition on the settings that vary, such as `fanout > 2 and loss == 0`. Names are paths or their last
    parts; quantities are numbers in s, B/s, B or fractions, or quoted (`period < '1 s'`). Default: empty."""
    baseline: OrNone[dict[str, Any]] = written("none")
    """Settings of a baseline, by their paths. It is run beside the points on each of their networks and workloads, and the saving of
    bytes against it becomes a measure. Default: none."""
    goal: str = ""
    """What a strategy has to hold in a tournament, in the words of `tune --goal`, such as `lag_p99 <= 8 s`. Default: empty."""
    time_limit: OrNone[PositiveDuration] = written("1 h")
    """Wall time after which a single run is given up as failed. Default: 1 h."""
