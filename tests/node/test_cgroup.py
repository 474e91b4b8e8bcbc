"""Limits of containers: both versions of cgroups, nested groups, limits that change, and the percentages that follow."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from priomon_core.config import SECOND
from priomon_node import cgroup
from priomon_node.cgroup import Cgroup, ContainerReader, Use, reader
from priomon_node.sampler import Reading, Sampler, read_machine

GIB = 1 << 30
MACHINE = Reading(cpu_busy=1000.0, cpu_total=4000.0, memory_percent=50.0, interface_bytes={"eth0": 5}, storage_percent=70.0)


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def group(folder: Path, cpu: str = "max 100000", usage: int = 0, memory: str = "max", current: int = 0, cache: int = 0) -> None:
    """A group of version 2; `usage` in microseconds."""
    put(folder, cpu__max=cpu, cpu__stat=f"usage_usec {usage}\nuser_usec 0", memory__max=memory)
    put(folder, memory__current=str(current), memory__stat=f"anon 1\ninactive_file {cache}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path / "fs", cgroup__controllers="cpu memory")
    put(tmp_path, membership="0::/pod/agent")
    return tmp_path / "fs"


def of(root: Path) -> Cgroup:
    return Cgroup(root, root.parent / "membership")


def test_version_2(root: Path) -> None:
    group(root / "pod" / "agent", "150000 100000", 2_500_000, str(GIB), 700, 200)
    assert of(root).cpu() == Use(2.5, 1.5)
    assert of(root).memory() == Use(500, GIB)


def test_the_smallest_limit_counts_and_use_is_of_its_group(root: Path) -> None:
    group(root / "pod", "100000 100000", 9_000_000, "max", 5000)
    group(root / "pod" / "agent", "200000 100000", 1_000_000, str(GIB), 700)
    assert of(root).cpu() == Use(9.0, 1.0)
    assert of(root).memory() == Use(700, GIB)


def test_inside_a_container_the_root_is_the_group(root: Path) -> None:
    """The path in /proc is the host's, and only the container's own group is mounted."""
    group(root, "50000 100000", 1_000_000, "4096", 1024)
    assert of(root).cpu() == Use(1.0, 0.5)
    assert of(root).memory() == Use(1024, 4096)


def version_1(root: Path, quota: int, usage: int, limit: int, used: int, cache: int) -> None:
    put(root / "cpu" / "agent", cpu__cfs_quota_us=str(quota), cpu__cfs_period_us="100000", cpuacct__usage=str(usage))
    put(root / "memory" / "agent", memory__limit_in_bytes=str(limit), memory__usage_in_bytes=str(used))
    put(root / "memory" / "agent", memory__stat=f"cache 9\ntotal_inactive_file {cache}")
    put(root.parent, membership="4:memory:/agent\n3:cpu,cpuacct:/agent\n0::/")


def test_version_1(tmp_path: Path) -> None:
    version_1(tmp_path / "fs", 25_000, 3 * SECOND, GIB, 700, 200)
    assert of(tmp_path / "fs").cpu() == Use(3.0, 0.25)
    assert of(tmp_path / "fs").memory() == Use(500, GIB)


def test_version_1_without_limits(tmp_path: Path) -> None:
    version_1(tmp_path / "fs", -1, 3 * SECOND, 9223372036854771712, 700, 200)
    assert of(tmp_path / "fs").cpu() == Use(3.0, float("inf"))
    assert of(tmp_path / "fs").memory() == Use(500, float("inf"))


@pytest.mark.parametrize("text", ["", "max", "a b", "1 0"])
def test_what_cannot_be_read_is_no_limit(root: Path, text: str) -> None:
    put(root / "pod" / "agent", cpu__max=text, memory__max=text)
    assert of(root).cpu() is None
    assert of(root).memory() is None


def test_without_cgroups_nothing_is_told(tmp_path: Path) -> None:
    nowhere = Cgroup(tmp_path / "none", tmp_path / "none")
    assert nowhere.cpu() is None
    assert nowhere.memory() is None


def container(root: Path, times: Iterator[int]) -> ContainerReader:
    return ContainerReader(of(root), lambda: MACHINE, lambda: next(times), cores=4, memory=8 * GIB)


def seconds(*times: float) -> Iterator[int]:
    return iter([round(time * SECOND) for time in times])


def test_a_sample_is_in_shares_of_the_limits(root: Path) -> None:
    own = root / "pod" / "agent"
    group(own, "50000 100000", 1_000_000, str(GIB), GIB // 2, GIB // 4)
    sampler = Sampler(0, container(root, seconds(0, 0, 2)))
    group(own, "50000 100000", 1_250_000, str(GIB), GIB // 2, GIB // 4)
    sample = sampler.sample(2 * SECOND)
    assert sample["cpu"] == pytest.approx(25.0)  # 0.25 s of the 1 s that half of a core has in 2 s
    assert sample["memory"] == pytest.approx(25.0)
    assert (sample["network"], sample["storage"]) == (0.0, 70.0)


def test_a_limit_that_changes_counts_from_then_on(root: Path) -> None:
    own = root / "pod" / "agent"
    group(own, "100000 100000", 0)
    sampler = Sampler(0, container(root, seconds(0, 0, 1, 2)))
    group(own, "200000 100000", 1_000_000)
    assert sampler.sample(SECOND)["cpu"] == pytest.approx(50.0)
    group(own, "max 100000", 3_000_000)
    assert sampler.sample(2 * SECOND)["cpu"] == pytest.approx(50.0)  # without a limit: of the machine's four cores


def test_only_what_is_limited_below_the_machine_is_measured_in_the_container(root: Path) -> None:
    own = root / "pod" / "agent"
    group(own, "400000 100000", 1, str(8 * GIB), 1)
    both = container(root, seconds(0, 1))
    assert (both.limits_cpu, both.limits_memory) == (False, False)
    assert both() == MACHINE
    group(own, "400000 100000", 1, str(4 * GIB), GIB)
    memory = container(root, seconds(0, 1))()
    assert (memory.cpu_busy, memory.cpu_total, memory.memory_percent) == (MACHINE.cpu_busy, MACHINE.cpu_total, 25.0)


def test_memory_stays_a_percentage(root: Path) -> None:
    group(root / "pod" / "agent", memory="4096", current=5000)
    assert container(root, seconds(0, 1))().memory_percent == 100.0
    group(root / "pod" / "agent", memory="4096", current=5, cache=9)
    assert container(root, seconds(0, 1))().memory_percent == 0.0


def test_a_group_that_vanishes_is_an_error_and_no_sample_of_the_machine(root: Path) -> None:
    own = root / "pod" / "agent"
    group(own, "50000 100000", 0)
    limited = container(root, seconds(0, 1))
    (own / "cpu.stat").unlink()
    with pytest.raises(OSError, match="use of cpu"):
        limited()


def test_the_scope_chooses(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "Cgroup", lambda: of(root))
    assert reader("auto") is read_machine
    group(root / "pod" / "agent", memory="4096", current=2048)
    limited = reader("auto")
    assert isinstance(limited, ContainerReader)
    assert limited().memory_percent == 50.0
    assert reader("machine") is read_machine
