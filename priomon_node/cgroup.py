"""The limits that cgroups set around this process, so that 100 % is what a container may use and not what its host has.

A limit counts wherever it stands between the process and the root; the smallest wins, and use is measured in the group that carries it.
Version 2 is one tree, version 1 a tree per controller; they differ in the names of files and in how "no limit" is written.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from priomon_core.config import SECOND
from priomon_node.sampler import Reading, read_machine

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
NO_LIMIT_V1 = 1 << 62  # version 1 writes the largest multiple of a page for "no limit"


@dataclass(frozen=True, slots=True)
class Use:
    """What a group uses and may use (infinity without a limit): seconds and cores of cpu, or bytes of memory."""

    used: float
    limit: float


class Cgroup:
    """The groups around this process. Limits are read each time, because they can be changed while it runs."""

    def __init__(self, root: Path = ROOT, membership: Path = MEMBERSHIP) -> None:
        paths = _membership(membership)
        if (root / "cgroup.controllers").exists():
            self._cpu = self._memory = _groups(root, paths.get("", "/"))
            self._read_cpu, self._read_memory = _cpu_v2, _memory_v2
        else:
            self._cpu = _groups(root / "cpu", paths.get("cpu", "/"))
            self._memory = _groups(root / "memory", paths.get("memory", "/"))
            self._read_cpu, self._read_memory = _cpu_v1, _memory_v1

    def cpu(self) -> Use | None:
        """Seconds of cpu used, and cores allowed; None where cgroups do not tell."""
        return _smallest(self._read_cpu, self._cpu)

    def memory(self) -> Use | None:
        """Bytes in use, without cache that can be dropped, and bytes allowed; None where cgroups do not tell."""
        return _smallest(self._read_memory, self._memory)


def _membership(path: Path) -> dict[str, str]:
    """The group of this process by controller; "" is version 2."""
    try:
        lines = [line.split(":", 2) for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {controller: group for _, controllers, group in lines for controller in controllers.split(",")}


def _groups(root: Path, group: str) -> list[Path]:
    """The folders from a group up to the root that exist: inside a container the path may be the host's."""
    own = root / group.lstrip("/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(root) and folder.is_dir()]


def _smallest(read: Callable[[Path], Use], groups: list[Path]) -> Use | None:
    def told() -> Iterator[Use]:
        for folder in groups:
            with suppress(OSError, ValueError, LookupError):  # the root has no such files, and a group may vanish
                yield read(folder)

    return min(told(), key=lambda use: use.limit, default=None)


def _cpu_v2(folder: Path) -> Use:
    quota, period = (folder / "cpu.max").read_text().split()
    return Use(_entries(folder / "cpu.stat")["usage_usec"] / 1e6, math.inf if quota == "max" else int(quota) / int(period))


def _memory_v2(folder: Path) -> Use:
    limit = (folder / "memory.max").read_text().strip()
    used = _number(folder / "memory.current") - _entries(folder / "memory.stat")["inactive_file"]
    return Use(max(used, 0), math.inf if limit == "max" else int(limit))


def _cpu_v1(folder: Path) -> Use:
    quota = _number(folder / "cpu.cfs_quota_us")
    cores = quota / _number(folder / "cpu.cfs_period_us") if quota > 0 else math.inf
    return Use(_number(folder / "cpuacct.usage") / SECOND, cores)


def _memory_v1(folder: Path) -> Use:
    limit = _number(folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.usage_in_bytes") - _entries(folder / "memory.stat")["total_inactive_file"]
    return Use(max(used, 0), math.inf if limit >= NO_LIMIT_V1 else limit)


def _number(path: Path) -> int:
    return int(path.read_text())


def _entries(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}


class ContainerReader:
    """Reads the machine, with cpu and memory in shares of what the container may use, where that is less than the machine has."""

    def __init__(
        self,
        cgroup: Cgroup,
        read: Callable[[], Reading] = read_machine,
        now: Callable[[], int] = time.monotonic_ns,
        cores: int | None = None,
        memory: int | None = None,
    ) -> None:
        self._cgroup = cgroup
        self._read = read
        self._now = now
        self._cores = cores or os.cpu_count() or 1
        self._bytes = memory or psutil.virtual_memory().total
        self._then = now()
        self._capacity = 0.0  # seconds of cpu that could have been used
        self.limits_cpu = self._below(cgroup.cpu(), self._cores)
        self.limits_memory = self._below(cgroup.memory(), self._bytes)

    @staticmethod
    def _below(use: Use | None, machine: float) -> bool:
        return use is not None and use.limit < machine

    def __call__(self) -> Reading:
        """A reading. Raises `OSError` as `read_machine` does, and when a cgroup can no longer be read."""
        reading, now = self._read(), self._now()
        if self.limits_cpu:
            cpu = _told(self._cgroup.cpu(), "cpu")
            self._capacity += (now - self._then) / SECOND * min(cpu.limit, self._cores)
            reading = replace(reading, cpu_busy=cpu.used, cpu_total=self._capacity)
            self._then = now
        if self.limits_memory:
            memory = _told(self._cgroup.memory(), "memory")
            reading = replace(reading, memory_percent=min(100 * memory.used / min(memory.limit, self._bytes), 100.0))
        return reading


def _told(use: Use | None, what: str) -> Use:
    if use is None:
        raise OSError(f"the cgroup of this process no longer tells its use of {what}")
    return use


def reader(scope: str) -> Callable[[], Reading]:
    """What reads this machine, or for the scope "auto" the container around this process where it is limited."""
    if scope == "machine":
        return read_machine
    container = ContainerReader(Cgroup())
    return container if container.limits_cpu or container.limits_memory else read_machine
