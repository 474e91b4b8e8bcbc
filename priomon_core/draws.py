"""Chance on the links: what is drawn for a datagram, and for a message over TCP.

Chance is *addressed*, not drawn from a generator with a state: every random number is a function of the seed, the link, the number
of the datagram on that link, and its purpose. So a run does not depend on the order in which links are asked, and two settings
under the same seed meet the same luck. An address is a path in a tree whose every step is one output of SplitMix64 (Steele, Lea
and Flood, 2014): from a state, child i is the i-th number of the stream that starts there.

As with kernels.py there is one source and two speeds: an agent runs these functions as they are, on a tuple as the row of a
distribution; the simulator compiles the same functions and gives them an array. Words are masked to 64 bits, where compiled code
wraps by itself, and both give the same bits (a property test holds them to it).

Not modelled: congestion control, acknowledgements and fast retransmission of TCP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from priomon_core.latency import delay

SEGMENT = 1448  # payload bytes of a TCP segment on Ethernet: 1,500 less the headers
SEGMENT_HEADERS = 52  # IPv4 20, TCP 20, time stamps 12
FIRST_TIMEOUT = 200_000_000  # ns; the least retransmission time-out of Linux, where RFC 6298 says 1 s
LONGEST_TIMEOUT = 120_000_000_000
RETRIES = 15  # then Linux gives the connection up (tcp_retries2)

# What a number drawn for a datagram decides: the children of its state.
LOSS, LATENCY, COPY, DUPLICATE, REORDER, BURST, STREAM = range(7)

_WORD = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15


def child(state: int, index: int) -> int:
    """The 64-bit state under `state` with this index."""
    z = (state + index * _GOLDEN + _GOLDEN) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)


def uniform(state: int, index: int) -> float:
    """A number in (0, 1), never 0 or 1: the top 52 bits of a child, and half a step."""
    return (float(child(state, index) >> 12) + 0.5) * 2.0**-52


def path(state: int, hops: int, loss: float, row: Sequence[float]) -> int:
    """Nanoseconds that a datagram takes over `hops` hops, each with its own luck; -1 if one of them loses it."""
    losses, delays = child(state, LOSS), child(state, LATENCY)
    total = 0
    for hop in range(hops):
        if uniform(losses, hop) < loss:
            return -1
        total += delay(row, uniform(delays, hop))
    return total


def transit(seed: int, link: int, message: int, hops: int, loss: float, row: Sequence[float]) -> int:
    """`path` of the datagram with this number on this link."""
    return path(child(child(seed, link), message), hops, loss, row)


def transfer(seed: int, link: int, message: int, size: int, hops: int, loss: float, row: Sequence[float]) -> tuple[int, int]:
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


@dataclass(frozen=True, slots=True)
class Draws:
    """The functions of this file at one speed, and how a distribution's row is made for them."""

    child: Callable[[int, int], int]
    uniform: Callable[[int, int], float]
    path: Callable[[int, int, float, Sequence[float]], int]
    transit: Callable[[int, int, int, int, float, Sequence[float]], int]
    transfer: Callable[[int, int, int, int, int, float, Sequence[float]], tuple[int, int]]
    row: Callable[[tuple[float, ...]], Sequence[float]]


PLAIN = Draws(child, uniform, path, transit, transfer, tuple)
