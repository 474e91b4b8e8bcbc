"""The `network` of a scenario: what happens to a datagram on a link."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer

from priomon_core.errors import SettingError
from priomon_sim.scenario.settings import FilePath, OrNone, Settings, Shorthand, written
from priomon_sim.scenario.units import DURATION, Duration, PositiveDuration, Rate, Share, Size

IDLE_QUEUE = "found a queue without a bandwidth, expected both: without one nothing ever waits"


class Constant(Settings):
    """Always the same delay."""

    kind: Literal["constant"] = "constant"
    """The same delay for every datagram; a plain duration means this."""
    value: Duration
    """The delay. No default."""


class Uniform(Settings):
    """Any delay between two limits, equally likely."""

    kind: Literal["uniform"]
    """Any delay between two limits."""
    low: Duration
    """The shortest delay. No default."""
    high: Duration
    """The longest delay. No default."""

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: int, info: ValidationInfo) -> int:
        low = info.data.get("low", high)
        if high < low:
            raise SettingError(f"found {DURATION.format(high)}, expected at least low, which is {DURATION.format(low)}")
        return high


class Normal(Settings):
    """Delays around a mean, cut at a minimum."""

    kind: Literal["normal"]
    """Delays around a mean, cut at a minimum."""
    mean: Duration
    """The mean delay. No default."""
    deviation: Duration
    """The standard deviation of the delay. No default."""
    minimum: Duration = written("0 s")
    """Shorter delays become this one: no datagram outruns light. Default: 0 s."""


class Lognormal(Settings):
    """Mostly short delays with a long tail, as the internet has."""

    kind: Literal["lognormal"]
    """Mostly short delays with a long tail, as measured on wide-area paths."""
    median: PositiveDuration
    """Half of the datagrams are faster. No default."""
    sigma: float = Field(gt=0, le=2)
    """Standard deviation of the delay's natural logarithm: 0.5 puts 1 % of the datagrams above 3.2 medians. No default."""


class Empirical(Settings):
    """Delays as they were measured somewhere."""

    kind: Literal["empirical"]
    """Delays drawn from a measured list."""
    file: FilePath
    """A CSV file with a header and milliseconds in its column latency_ms, relative to the scenario file. No default."""


Latency = Annotated[
    Constant | Uniform | Normal | Lognormal | Empirical,
    Field(discriminator="kind"),
    Shorthand("value", Duration, (("kind", "constant"),)),
]


class Bernoulli(Settings):
    """Every datagram is lost with the same probability, whatever happened to the others."""

    kind: Literal["bernoulli"] = "bernoulli"
    """Independent losses; a plain share means this."""
    share: Share
    """Probability that a datagram is lost. No default."""


class GilbertElliott(Settings):
    """Losses in bursts: the link is in a good or a bad state, and may change it with every datagram."""

    kind: Literal["gilbert-elliott"]
    """Losses in bursts (Gilbert 1960, Elliott 1963)."""
    good_loss: Share = written("0 %")
    """Probability that a datagram is lost in the good state. Default: 0 %."""
    bad_loss: Share = written("100 %")
    """Probability that a datagram is lost in the bad state. Default: 100 %."""
    to_bad: Share
    """Probability per datagram that a good link turns bad. No default."""
    to_good: Share
    """Probability per datagram that a bad link recovers; a burst lasts 1/to_good datagrams on average. No default."""

    @field_validator("to_good")
    @classmethod
    def _recovers(cls, to_good: float) -> float:
        if to_good == 0:
            raise SettingError("found 0 %, expected more: a link that never recovers is lost for good")
        return to_good


Loss = Annotated[Bernoulli | GilbertElliott, Field(discriminator="kind"), Shorthand("share", Share, (("kind", "bernoulli"),))]


class Reorder(Settings):
    """Some datagrams are held back and so overtaken by later ones."""

    share: Share
    """Probability that a datagram is held back. No default."""
    extra: PositiveDuration
    """How much later it arrives. No default."""


class Conditions(Settings):
    """How one direction of a link treats datagrams."""

    latency: Latency = written("1 ms")
    """Delay of a datagram: a duration, or a distribution by its kind. Default: 1 ms, a data centre."""
    loss: Loss = written("0 %")
    """Datagrams lost: a share (each on its own), or kind gilbert-elliott for bursts. Default: 0 %."""
    bandwidth: OrNone[Rate] = written("none")
    """Rate at which a link sends, in bit/s or B/s; none: no limit. Default: none."""
    queue: Size = written("256 kB")
    """Bytes that may wait for the bandwidth; a datagram that finds the queue full is dropped. Default: 256 kB, a home router."""
    duplicate: Share = written("0 %")
    """Share of datagrams that arrive twice. Default: 0 %."""
    reorder: OrNone[Reorder] = written("none")
    """Datagrams held back, as {share, extra}; none: only the latency's own spread reorders. Default: none."""

    @model_serializer(mode="wrap")
    def _without_idle_queue(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A queue without a bandwidth does nothing, so it is no part of what defines a run.
        written: dict[str, Any] = handler(self)
        if self.bandwidth is None:
            del written["queue"]
        return written


class Link(Conditions):
    """Conditions of some links, in one direction. What it does not say is as in the network around it."""

    source: str = Field(alias="from", min_length=1)
    """Name of the sending node, or * for any. No default."""
    target: str = Field(alias="to", min_length=1)
    """Name of the receiving node, or * for any. No default."""


class Network(Conditions):
    """Conditions of all links, and the exceptions."""

    links: Annotated[tuple[Link, ...], Field(strict=False)] = ()
    """Exceptions, each for one direction: {from: NAME, to: NAME, loss: ...}; * stands for any node. The last match counts.
    Default: none."""

    @field_validator("links")
    @classmethod
    def _complete(cls, links: tuple[Link, ...], info: ValidationInfo) -> tuple[Link, ...]:
        complete = []
        for link in links:
            inherited = {name: value for name, value in info.data.items() if name not in link.model_fields_set}
            complete.append(link.model_copy(update=inherited))
            if "queue" in link.model_fields_set and inherited.get("bandwidth", ...) is None:
                raise SettingError(f"link from {link.source!r} to {link.target!r}: {IDLE_QUEUE}")
        return tuple(complete)
