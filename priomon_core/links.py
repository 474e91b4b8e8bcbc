"""The links between nodes: what becomes of each datagram on its way in one direction.

The simulator applies them to messages in flight, an agent to what its own transport sends. Both draw alike (see draws.py): the n-th
datagram of a link meets the same luck in either.

A model travels as a JSON object with the fields of `LinkModel`, where `latency` is the row of its distribution (see latency.py) and
`loss` an object with the fields of `Bernoulli` or of `GilbertElliott`.

Not modelled: pipes shared by several links.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, fields
from reprlib import repr as shortened
from typing import Any

from priomon_core.draws import BURST, COPY, DUPLICATE, PLAIN, REORDER, Draws
from priomon_core.errors import SettingError
from priomon_core.latency import Latency, of_row

MOST_NODES = 1 << 16
UNREACHABLE = 65535  # hops between nodes that no path joins


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise SettingError(f"{name} is a share from 0 to 1, got {shortened(value)}")


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """Every datagram is lost with probability `share`, whatever happened to others."""

    share: float = 0.0

    def __post_init__(self) -> None:
        _require_share("loss", self.share)


@dataclass(frozen=True, slots=True)
class GilbertElliott:
    """Loss in bursts: before each datagram a good link turns bad with probability `worsen`, a bad one good with `recover`.

    `good` and `bad` are the loss in either state; a bad spell lasts 1/`recover` datagrams on average (Gilbert, 1960; Elliott, 1963).
    """

    worsen: float
    recover: float
    good: float = 0.0
    bad: float = 1.0

    def __post_init__(self) -> None:
        for name in ("worsen", "recover", "good", "bad"):
            _require_share(name, getattr(self, name))
        if self.worsen + self.recover == 0:
            raise SettingError("worsen and recover are both 0, so bursts never begin or end; expected one above 0")

    @property
    def share_bad(self) -> float:
        """The share of datagrams that meet the bad state."""
        return self.worsen / (self.worsen + self.recover)

    @property
    def share(self) -> float:
        """The share of datagrams that are lost."""
        return self.good + self.share_bad * (self.bad - self.good)


@dataclass(frozen=True, slots=True)
class LinkModel:
    """One direction of a link.

    `bandwidth` is in bit/s (None: unlimited). With one, a datagram that finds the link busy is dropped if the unsent bytes, its
    own included, would exceed `queue`. A share `duplicate` of what arrives does so twice; a share `reorder` arrives `reorder_delay`
    ns later than it would, and so behind its successors.
    """

    latency: Latency
    loss: Bernoulli | GilbertElliott = Bernoulli()
    bandwidth: int | None = None
    queue: int = 65_536
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_delay: int = 0

    def __post_init__(self) -> None:
        _require_share("duplicate", self.duplicate)
        _require_share("reorder", self.reorder)
        if self.bandwidth is not None and self.bandwidth <= 0:
            raise SettingError(f"bandwidth must be above 0 bit/s, got {self.bandwidth}")
        if self.queue < 0:
            raise SettingError(f"queue must be at least 0 bytes, got {self.queue}")
        if self.reorder_delay < 0 or (self.reorder and not self.reorder_delay):
            raise SettingError(f"reordering needs a delay above 0, got {self.reorder_delay} ns")

    @property
    def simple(self) -> bool:
        """Whether a datagram's fate is one draw of loss and one of latency."""
        return isinstance(self.loss, Bernoulli) and not (self.bandwidth or self.duplicate or self.reorder)


def to_json(model: LinkModel) -> dict[str, Any]:
    """The model as a JSON object (see above)."""
    return {**asdict(model), "latency": list(model.latency.row())}


def from_json(document: object) -> LinkModel:
    """The model that `to_json` gave this document; its links treat datagrams alike. Raises `SettingError` for anything else."""
    model = _fields(LinkModel, "link model", document)
    bursts = isinstance(model["loss"], dict) and "worsen" in model["loss"]
    kind: type[Bernoulli | GilbertElliott] = GilbertElliott if bursts else Bernoulli
    loss = _fields(kind, "loss", model["loss"])
    for name, share in (loss | {name: model[name] for name in ("duplicate", "reorder")}).items():
        if type(share) not in (int, float):
            raise SettingError(f"{name}: found {shortened(share)}, expected a number from 0 to 1")
    for name, unit in (("bandwidth", "bit/s, or null"), ("queue", "bytes"), ("reorder_delay", "ns")):
        number = model[name]
        if not ((type(number) is int and number < 2**63) or (name == "bandwidth" and number is None)):
            raise SettingError(f"{name}: found {shortened(number)}, expected a whole number of {unit}, below 2^63")
    return LinkModel(**{**model, "latency": of_row(model["latency"]), "loss": kind(**loss)})


def _fields(kind: type, name: str, document: object) -> dict[str, Any]:
    expected = [field.name for field in fields(kind)]
    if isinstance(document, dict) and document.keys() == set(expected):
        return document
    found = sorted(map(str, document)) if isinstance(document, dict) else document
    raise SettingError(f"{name}: found {shortened(found)}, expected an object with the fields {', '.join(expected)}")


class Links:
    """All links of a run. `overrides` gives single directions, (source, target), a model of their own.

    A datagram crosses `hops(source, target)` hops, each with a latency and a loss of its own; None: always one. `draws` are the
    functions that chance comes from. Raises `SettingError`. `lost` counts datagrams by cause; datagrams of streams are retransmitted
    and not counted.
    """

    def __init__(
        self,
        nodes: int,
        seed: int,
        default: LinkModel,
        overrides: Mapping[tuple[int, int], LinkModel] | None = None,
        hops: Callable[[int, int], int] | None = None,
        draws: Draws = PLAIN,
    ) -> None:
        if not 0 < nodes <= MOST_NODES:
            raise SettingError(f"links join 1 to {MOST_NODES} nodes, got {nodes}")
        overrides = overrides or {}
        for source, target in overrides:
            if not (0 <= source < nodes and 0 <= target < nodes):
                raise SettingError(f"an override names the link {source} -> {target}; expected nodes from 0 to {nodes - 1}")
        self.lost = {"loss": 0, "queue": 0, "unreachable": 0}
        self._draws = draws
        self._seed = seed & 0xFFFFFFFFFFFFFFFF
        self._default = default
        self._row = draws.row(default.latency.row())
        self._loss = default.loss.share
        self._overrides = {source << 16 | target: (model, draws.row(model.latency.row())) for (source, target), model in overrides.items()}
        self._hops = hops
        self._cuts: dict[int, tuple[Set[int], Set[int]]] = {}
        self._changes: dict[int, tuple[Set[int], LinkModel, Sequence[float]]] = {}
        self._simple = self._is_simple()
        self._sent: defaultdict[int, int] = defaultdict(int)  # how many messages each link has been given
        self._bad: dict[int, bool] = {}  # Gilbert-Elliott state of each link
        self._free: dict[int, int] = {}  # when each link with a bandwidth has sent all it was given

    def cut(self, number: int, sources: Set[int], targets: Set[int]) -> None:
        """Let nothing pass from `sources` to `targets` until `mend(number)`."""
        self._cuts[number] = sources, targets
        self._simple = False

    def mend(self, number: int) -> None:
        """End a cut."""
        del self._cuts[number]
        self._simple = self._is_simple()

    def alter(self, number: int, nodes: Set[int], model: LinkModel) -> None:
        """Give links that begin or end at `nodes` another model until `restore(number)`; of several changes the latest counts."""
        self._changes[number] = nodes, model, self._draws.row(model.latency.row())
        self._simple = False

    def restore(self, number: int) -> None:
        """End a change."""
        del self._changes[number]
        self._simple = self._is_simple()

    def _is_simple(self) -> bool:
        return self._default.simple and not (self._overrides or self._cuts or self._changes) and self._hops is None

    def _is_cut(self, source: int, target: int) -> bool:
        return any(source in sources and target in targets for sources, targets in self._cuts.values())

    def _model(self, link: int) -> tuple[LinkModel, Sequence[float]]:
        source, target = link >> 16, link & 0xFFFF
        for nodes, model, row in reversed(self._changes.values()):
            if source in nodes or target in nodes:
                return model, row
        return self._overrides.get(link, (self._default, self._row))

    @property
    def sent(self) -> int:
        """How many datagrams and stream messages the links were given."""
        return sum(self._sent.values())

    def arrivals(self, source: int, target: int, size: int, now: int) -> tuple[int, ...]:
        """When (ns) a datagram of `size` bytes on the wire, sent at `now`, arrives: never if it is lost, twice if doubled.

        On a link with a bandwidth `now` must not decrease from call to call.
        """
        link = source << 16 | target
        message = self._sent[link]
        self._sent[link] = message + 1
        if not self._simple:
            return self._shaped(link, message, size, now)
        taken = self._draws.transit(self._seed, link, message, 1, self._loss, self._row)
        if taken < 0:
            self.lost["loss"] += 1
            return ()
        return (now + taken,)

    def stream(self, source: int, target: int, size: int, now: int) -> tuple[int, int]:
        """When (ns) a message of `size` bytes has arrived in full over TCP, and the bytes its retransmissions add to the wire.

        Every segment is lost on its own, with the mean loss of the link, and sent again after a time-out that doubles. The arrival
        is -1 if the pair is not joined or a segment is lost so often that TCP gives up. A message has a connection of its own.
        """
        link = source << 16 | target
        message = self._sent[link]
        self._sent[link] = message + 1
        model, row = self._model(link)
        hops = self._distance(link)
        if hops == UNREACHABLE or self._is_cut(source, target):
            return -1, 0
        taken, extra = self._draws.transfer(self._seed, link, message, size, hops, model.loss.share, row)
        if taken < 0:
            return -1, extra
        leave = now if model.bandwidth is None else self._serialise(link, model.bandwidth, size + extra, now)
        return leave + taken, extra

    def _shaped(self, link: int, message: int, size: int, now: int) -> tuple[int, ...]:
        model, row = self._model(link)
        hops = self._distance(link)
        if hops == UNREACHABLE or self._is_cut(link >> 16, link & 0xFFFF):
            self.lost["unreachable"] += 1
            return ()
        leave = now
        if model.bandwidth is not None:
            if self._full(link, model.bandwidth, model.queue, size, now):
                self.lost["queue"] += 1
                return ()
            leave = self._serialise(link, model.bandwidth, size, now)
        draws = self._draws
        state = draws.child(draws.child(self._seed, link), message)
        loss = model.loss.share if isinstance(model.loss, Bernoulli) else self._loss_now(link, model.loss, state)
        taken = draws.path(state, hops, loss, row)
        if taken < 0:
            self.lost["loss"] += 1
            return ()
        if model.reorder and draws.uniform(state, REORDER) < model.reorder:
            taken += model.reorder_delay
        if model.duplicate and draws.uniform(state, DUPLICATE) < model.duplicate:
            return leave + taken, leave + draws.path(draws.child(state, COPY), hops, 0.0, row)
        return (leave + taken,)

    def _distance(self, link: int) -> int:
        return 1 if self._hops is None else self._hops(link >> 16, link & 0xFFFF)

    def _loss_now(self, link: int, model: GilbertElliott, state: int) -> float:
        """The loss that this datagram meets; moves the link's state."""
        drawn = self._draws.uniform(state, BURST)
        bad = self._bad.get(link)
        if bad is None:  # the first datagram finds the link in its stationary state
            bad = drawn < model.share_bad
        elif bad:
            bad = drawn >= model.recover
        else:
            bad = drawn < model.worsen
        self._bad[link] = bad
        return model.bad if bad else model.good

    def _full(self, link: int, bandwidth: int, queue: int, size: int, now: int) -> bool:
        busy = self._free.get(link, now) - now  # ns of sending that lie ahead
        return busy > 0 and busy * bandwidth > (queue - size) * 8_000_000_000

    def _serialise(self, link: int, bandwidth: int, size: int, now: int) -> int:
        """When the last bit has left; the link is busy until then."""
        leave = max(now, self._free.get(link, now)) - (-size * 8_000_000_000 // bandwidth)
        self._free[link] = leave
        return leave
