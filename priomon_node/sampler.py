"""Measures this machine: the four built-in metrics from psutil's counters.

cpu and network are rates, so a sampler remembers the counters of its previous sample. It keeps them itself instead of using
`psutil.cpu_percent(interval=None)`, whose memory belongs to the whole process: two samplers would steal each other's intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psutil

from priomon_core.config import SECOND
from priomon_core.metrics import CPU, MEMORY, NETWORK, STORAGE


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine's counters at one moment.

    `cpu_busy` and `cpu_total` are seconds since boot, summed over cores; `interface_bytes` is received plus sent bytes of every
    interface except loopback; memory and storage are % used.
    """

    cpu_busy: float
    cpu_total: float
    memory_percent: float
    interface_bytes: dict[str, int]
    storage_percent: float


def read_machine() -> Reading:
    """Read the counters of this machine. Raises `OSError` when the system refuses one of them."""
    cpu = psutil.cpu_times()
    # Linux counts the time of guests twice: once as their own and once within user and nice.
    total = sum(cpu) - getattr(cpu, "guest", 0.0) - getattr(cpu, "guest_nice", 0.0)
    memory = psutil.virtual_memory()
    disk = psutil.disk_usage("/")
    loopback = {name for name, state in psutil.net_if_stats().items() if "loopback" in state.flags.split(",")}
    # nowrap=False: the sampler treats resets per interface, psutil's own memory would hide them.
    interfaces = psutil.net_io_counters(pernic=True, nowrap=False)
    return Reading(
        cpu_busy=total - cpu.idle - getattr(cpu, "iowait", 0.0),
        cpu_total=total,
        memory_percent=100 * (1 - memory.available / memory.total),
        interface_bytes={name: io.bytes_recv + io.bytes_sent for name, io in interfaces.items() if name not in loopback},
        storage_percent=100 * disk.used / (disk.used + disk.free),  # as df: blocks reserved for root are nobody's
    )


class Sampler:
    """Turns readings into samples; the first interval starts when the sampler is built, at `now` (ns of a monotonic clock)."""

    def __init__(self, now: int, read: Callable[[], Reading] = read_machine) -> None:
        self._read = read
        self._then = now
        self._previous = read()

    def sample(self, now: int) -> dict[str, float]:
        """What the machine does since the previous sample, by metric name, in the units of `priomon_core.metrics`.

        Raises `ValueError` when no time has passed (a rate would be meaningless), and `OSError` as `read_machine` does.
        """
        elapsed = now - self._then
        if elapsed <= 0:
            raise ValueError(f"a sample needs time since the previous one, got {elapsed} ns")
        reading, previous = self._read(), self._previous
        self._then, self._previous = now, reading
        return {
            CPU.name: _share(reading.cpu_busy - previous.cpu_busy, reading.cpu_total - previous.cpu_total),
            MEMORY.name: reading.memory_percent,
            NETWORK.name: _transferred(previous.interface_bytes, reading.interface_bytes) * SECOND / elapsed,
            STORAGE.name: reading.storage_percent,
        }


def _share(busy: float, total: float) -> float:
    """% of `total` that was busy. The kernel's idle counter may step back a little, so the share is kept within 0 to 100."""
    return min(max(100 * busy / total, 0.0), 100.0) if total > 0 else 0.0


def _transferred(previous: dict[str, int], current: dict[str, int]) -> int:
    """Bytes moved between two readings.

    A counter that went down was reset (the interface was recreated, or wrapped), so it counts from 0. An interface
    seen for the first time counts from its next sample on: what it carried before is not of this interval.
    """
    return sum(count - previous[name] if count >= previous[name] else count for name, count in current.items() if name in previous)
