"""The `faults` of a scenario: what goes wrong, when, and for whom."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from priomon_core.errors import SettingError
from priomon_sim.faults.targets import parse_targets
from priomon_sim.scenario.network import Conditions
from priomon_sim.scenario.settings import OrNone, Settings, written
from priomon_sim.scenario.units import Duration, PositiveDuration, Share


def _sound(text: Any) -> Any:
    parse_targets(str(text))
    return str(text)


Targets = Annotated[str | int, Field(union_mode="left_to_right")]
"""Which nodes: a name or pattern (`node3`, `node1*`), several with commas, a number (`3`) or share (`20 %`) of those that run, drawn by the
seed; `3 of node1*`; `not node3`; `all`, `down`."""


class Fault(Settings):
    """What all faults have."""

    at: Duration
    """When it begins. No default."""
    nodes: Targets
    """Whom it strikes: `node3`, `node1*, node2*`, `3` (as many, drawn among those that run), `20 %`, `20 % of node1*`, `not node3`, `all`,
    `down`. No default."""

    @field_validator("nodes", mode="before")
    @classmethod
    def _readable(cls, nodes: Any) -> Any:
        if isinstance(nodes, bool) or not isinstance(nodes, (str, int)):
            raise SettingError(f"found {nodes!r}, expected nodes such as node3, node1*, 3 or 20 %")
        return _sound(nodes)


class Lasting(Fault):
    """A fault that ends."""

    lasts: OrNone[PositiveDuration] = written("none")
    """How long it lasts; none: to the end of the run. Default: none."""


class Crash(Fault):
    """Nodes stop without a word and lose what they know."""

    kind: Literal["crash"]
    """Nodes stop without a word and lose what they know."""
    back_after: OrNone[PositiveDuration] = written("none")
    """When they start again, as the next generation; none: never. Default: none."""


class Leave(Fault):
    """Nodes say goodbye and stop."""

    kind: Literal["leave"]
    """Nodes say goodbye and stop."""
    back_after: OrNone[PositiveDuration] = written("none")
    """When they start again, as the next generation; none: never. Default: none."""


class Restart(Fault):
    """Nodes that are down start again."""

    kind: Literal["restart"]
    """Nodes that are down start again, as the next generation; nodes: down means all of them."""


class Pause(Lasting):
    """Nodes are stopped as by SIGSTOP: they keep what they know, and find their datagrams when they go on."""

    kind: Literal["pause"]
    """Nodes stand still, as by SIGSTOP, and then go on."""


class Starve(Lasting):
    """Nodes get the processor only now and then, as in the experiments of Lifeguard (Dadgar et al., 2018)."""

    kind: Literal["starve"]
    """Nodes get the processor only now and then."""
    blocked: PositiveDuration
    """Mean length of the times (exponential) in which they stand still. No default."""
    running: PositiveDuration
    """Mean length of the times (exponential) in which they run. No default."""


class Partition(Lasting):
    """No datagram passes between these nodes and all others."""

    kind: Literal["partition"]
    """Datagrams between these nodes and the others are lost."""
    direction: Literal["both", "out", "in"] = "both"
    """Which ones: both; out: only those that these nodes send; in: only those that they should receive. Default: both."""
    peers: Targets = "all"
    """The others, if not all. Default: all."""

    @field_validator("peers", mode="before")
    @classmethod
    def _readable_peers(cls, peers: Any) -> Any:
        return _sound(peers)


class Degrade(Lasting):
    """Links get other conditions than the network's."""

    kind: Literal["degrade"]
    """Links of these nodes, in both directions, get conditions of their own."""
    conditions: Conditions
    """Latency, loss, bandwidth and so on, as under network; what it does not say has the network's default. No default."""


class Churn(Lasting):
    """Nodes come and go at random, as a Poisson process."""

    kind: Literal["churn"]
    """Nodes go at random moments, and come back."""
    nodes: Targets = "all"
    """Who may be struck. Default: all."""
    per_minute: float = Field(gt=0, le=1e6)
    """Mean number of departures per minute, in all. No default."""
    leave: Share = written("0 %")
    """Share of departures that are announced; the others are crashes. Default: 0 %."""
    down: PositiveDuration = written("30 s")
    """Mean time (exponential) until a node is back, as the next generation. Default: 30 s."""


class Skew(Fault):
    """The nodes' clocks run at another rate."""

    kind: Literal["skew"]
    """The nodes' clocks run too fast or too slow from now on."""
    rate: float = Field(gt=0.5, lt=2)
    """How fast: 1.01 gains a second in 100. No default."""


Faults = Annotated[
    tuple[Annotated[Crash | Leave | Restart | Pause | Starve | Partition | Degrade | Churn | Skew, Field(discriminator="kind")], ...],
    Field(strict=False),
]
