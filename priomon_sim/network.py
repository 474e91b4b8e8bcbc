"""The links between nodes: what becomes of each datagram on its way in one direction.

Chance is *addressed*, not drawn from a generator with a state: every random number is a function of the seed, the link, the number
of the datagram on that link, and its purpose. So a run does not depend on the order in which links are asked, and two settings
under the same seed meet the same luck. An address is a path in a tree whose every step is one output of SplitMix64 (Steele, Lea
and Flood, 2014): from a state, child i is the i-th number of the stream that starts there.

Not modelled: congestion control, acknowledgements and fast retransmission of TCP, and pipes shared by several links.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from priomon_core.errors import SettingError
from priomon_sim.latency import Latency, Row, delay

MOST_NODES = 1 << 16
UNREACHABLE = 65535  # in a matrix of hops

SEGMENT = 1448  # payload bytes of a TCP segment on Ethernet: 1,500 less the headers
SEGMENT_HEADERS = 52  # IPv4 20, TCP 20, time stamps 12
FIRST_TIMEOUT = 200_000_000  # ns; the least retransmission time-out of Linux, where RFC 6298 says 1 s
LONGEST_TIMEOUT = 120_000_000_000
RETRIES = 15  # then Linux gives the connection up (tcp_retries2)

# What a number drawn for a datagram decides: the children of its state.
LOSS, LATENCY, COPY, DUPLICATE, REORDER, BURST, STREAM = range(7)

_WORD = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise SettingError(f"{name} is a share from 0 to 1, got {value:g}")


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
    def plain(self) -> bool:
        """Whether a datagram's fate is one draw of loss and one of latency."""
        return isinstance(self.loss, Bernoulli) and not (self.bandwidth or self.duplicate or self.reorder)


class Links:
    """All links of a run. `overrides` gives single directions, (source, target), a model of their own.

    With `hops`, uint16 [nodes, nodes], a datagram crosses that many hops, each with a latency and a loss of its own. Raises
    `SettingError`. `lost` counts datagrams by cause; datagrams of streams are retransmitted and not counted.
    """

    def __init__(
        self,
        nodes: int,
        seed: int,
        default: LinkModel,
        overrides: Mapping[tuple[int, int], LinkModel] | None = None,
        hops: NDArray[np.uint16] | None = None,
    ) -> None:
        if not 0 < nodes <= MOST_NODES:
            raise SettingError(f"links join 1 to {MOST_NODES} nodes, got {nodes}")
        if hops is not None and hops.shape != (nodes, nodes):
            raise SettingError(f"the matrix of hops is {hops.shape}, expected one row and one column for each of {nodes} nodes")
        overrides = overrides or {}
        for source, target in overrides:
            if not (0 <= source < nodes and 0 <= target < nodes):
                raise SettingError(f"an override names the link {source} -> {target}; expected nodes from 0 to {nodes - 1}")
        self.lost = {"loss": 0, "queue": 0, "unreachable": 0}
        self._seed = seed & _WORD
        self._default = default
        self._row = default.latency.row()
        self._loss = default.loss.share
        self._overrides = {source << 16 | target: (model, model.latency.row()) for (source, target), model in overrides.items()}
        self._hops = hops
        self._plain = default.plain and not overrides and hops is None
        self._sent: defaultdict[int, int] = defaultdict(int)  # how many messages each link has been given
        self._bad: dict[int, bool] = {}  # Gilbert-Elliott state of each link
        self._free: dict[int, int] = {}  # when each link with a bandwidth has sent all it was given

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
        if not self._plain:
            return self._shaped(link, message, size, now)
        taken = transit(self._seed, link, message, 1, self._loss, self._row)
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
        model, row = self._overrides.get(link, (self._default, self._row))
        hops = self._distance(link)
        if hops == UNREACHABLE:
            return -1, 0
        taken, extra = transfer(self._seed, link, message, size, hops, model.loss.share, row)
        if taken < 0:
            return -1, extra
        leave = now if model.bandwidth is None else self._serialise(link, model.bandwidth, size + extra, now)
        return leave + taken, extra

    def _shaped(self, link: int, message: int, size: int, now: int) -> tuple[int, ...]:
        model, row = self._overrides.get(link, (self._default, self._row))
        hops = self._distance(link)
        if hops == UNREACHABLE:
            self.lost["unreachable"] += 1
            return ()
        leave = now
        if model.bandwidth is not None:
            if self._full(link, model.bandwidth, model.queue, size, now):
                self.lost["queue"] += 1
                return ()
            leave = self._serialise(link, model.bandwidth, size, now)
        state = child(child(self._seed, link), message)
        loss = model.loss.share if isinstance(model.loss, Bernoulli) else self._loss_now(link, model.loss, state)
        taken = path(state, hops, loss, row)
        if taken < 0:
            self.lost["loss"] += 1
            return ()
        if model.reorder and uniform(state, REORDER) < model.reorder:
            taken += model.reorder_delay
        if model.duplicate and uniform(state, DUPLICATE) < model.duplicate:
            return leave + taken, leave + path(child(state, COPY), hops, 0.0, row)
        return (leave + taken,)

    def _distance(self, link: int) -> int:
        return 1 if self._hops is None else self._hops.item(link >> 16, link & 0xFFFF)

    def _loss_now(self, link: int, model: GilbertElliott, state: int) -> float:
        """The loss that this datagram meets; moves the link's state."""
        drawn = uniform(state, BURST)
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


# One source, two speeds: the plain functions mask to 64 bits, the compiled ones, given these types, wrap there by themselves.


def _child(state: int, index: int) -> int:
    """The 64-bit state under `state` with this index."""
    z = (state + index * _GOLDEN + _GOLDEN) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)


child: Any = njit("uint64(uint64, uint64)", cache=True)(_child)


def _uniform(state: int, index: int) -> float:
    """A number in (0, 1), never 0 or 1: the top 52 bits of a child, and half a step."""
    return (float(child(state, index) >> 12) + 0.5) * 2.0**-52


uniform: Any = njit("float64(uint64, uint64)", cache=True)(_uniform)


def _path(state: int, hops: int, loss: float, row: Row) -> int:
    """Nanoseconds that a datagram takes over `hops` hops, each with its own luck; -1 if one of them loses it."""
    losses, delays = child(state, LOSS), child(state, LATENCY)
    total = 0
    for hop in range(hops):
        if uniform(losses, hop) < loss:
            return -1
        total += delay(row, uniform(delays, hop))
    return total


path: Any = njit("int64(uint64, int64, float64, float64[::1])", cache=True)(_path)


def _transit(seed: int, link: int, message: int, hops: int, loss: float, row: Row) -> int:
    """`path` of the datagram with this number on this link."""
    return int(path(child(child(seed, link), message), hops, loss, row))


transit: Any = njit("int64(uint64, uint64, uint64, int64, float64, float64[::1])", cache=True)(_transit)


def _transfer(seed: int, link: int, message: int, size: int, hops: int, loss: float, row: Row) -> tuple[int, int]:
    """Nanoseconds until the last segment of a message is there (-1: given up) and the bytes of all retransmissions."""
    segments = child(child(child(seed, link), message), STREAM)
    last = extra = 0
    for segment in range(max(1, -(-size // SEGMENT))):
        length = min(SEGMENT, size - segment * SEGMENT)
        waited, timeout, attempt = 0, FIRST_TIMEOUT, 0
        tries = child(segments, segment)
        taken = path(child(tries, attempt), hops, loss, row)
        while taken < 0:
            if attempt == RETRIES:
                return -1, extra
            attempt += 1
            waited += timeout
            timeout = min(2 * timeout, LONGEST_TIMEOUT)
            extra += length + SEGMENT_HEADERS
            taken = path(child(tries, attempt), hops, loss, row)
        last = max(last, waited + taken)
    return last, extra


transfer: Any = njit("UniTuple(int64, 2)(uint64, uint64, uint64, int64, int64, float64, float64[::1])", cache=True)(_transfer)
