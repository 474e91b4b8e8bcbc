"""The sampler turns counters into rates, whatever the counters do."""

from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import SECOND
from priomon_core.metrics import BUILT_IN
from priomon_node.sampler import Reading, Sampler, read_machine


def reading(busy: float = 0.0, total: float = 0.0, **interface_bytes: int) -> Reading:
    return Reading(busy, total, memory_percent=40.0, interface_bytes=interface_bytes, storage_percent=70.0)


def reader(*readings: Reading) -> Callable[[], Reading]:
    return iter(readings).__next__


def test_a_sample_has_every_built_in_metric() -> None:
    sampler = Sampler(0, reader(reading(), reading(busy=1, total=4, eth0=0)))
    assert sampler.sample(SECOND) == {"cpu": 25.0, "memory": 40.0, "network": 0.0, "storage": 70.0}
    assert [metric.name for metric in BUILT_IN] == ["cpu", "memory", "network", "storage"]


def test_rates_are_of_the_last_interval_only() -> None:
    sampler = Sampler(0, reader(reading(0, 0, eth0=0), reading(4, 4, eth0=1000), reading(5, 8, eth0=1500)))
    first, second = sampler.sample(SECOND), sampler.sample(3 * SECOND)
    assert (first["cpu"], first["network"]) == (100.0, 1000.0)
    assert (second["cpu"], second["network"]) == (25.0, 250.0)


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ({"eth0": 100, "eth1": 5}, {"eth0": 160, "eth1": 6}, 61),
        ({"eth0": 100}, {"eth0": 30}, 30),  # reset to 0, then 30 B
        ({"eth0": 100}, {"eth0": 110, "tun0": 9_000_000}, 10),  # carried before it was seen
        ({"eth0": 100, "tun0": 50}, {"eth0": 110}, 10),  # gone
        ({}, {}, 0),
    ],
)
def test_network_counts_what_moved(before: dict[str, int], after: dict[str, int], moved: int) -> None:
    sampler = Sampler(0, reader(reading(**before), reading(**after)))
    assert sampler.sample(SECOND)["network"] == moved


@pytest.mark.parametrize(("busy", "total", "percent"), [(-0.1, 4, 0.0), (4.1, 4, 100.0), (0, 0, 0.0)])
def test_cpu_stays_a_percentage_when_the_kernel_counters_wobble(busy: float, total: float, percent: float) -> None:
    assert Sampler(0, reader(reading(), reading(busy, total))).sample(SECOND)["cpu"] == percent


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 2**64)), min_size=2))
def test_network_is_never_negative(counters: list[dict[str, int]]) -> None:
    sampler = Sampler(0, reader(*(reading(**row) for row in counters)))
    assert all(sampler.sample(k * SECOND)["network"] >= 0 for k in range(1, len(counters)))


@pytest.mark.parametrize("now", [5, 4])
def test_no_time_no_rate_and_nothing_is_lost(now: int) -> None:
    sampler = Sampler(5, reader(reading(), reading(eth0=0), reading()))
    with pytest.raises(ValueError, match="needs time"):
        sampler.sample(now)
    assert sampler.sample(5 + SECOND)["memory"] == 40.0


Times = namedtuple("Times", "user nice system idle iowait guest guest_nice")
Counters = namedtuple("Counters", "bytes_sent bytes_recv")


def test_a_reading_counts_as_the_documentation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "cpu_times": Times(user=30.0, nice=5.0, system=10.0, idle=40.0, iowait=15.0, guest=20.0, guest_nice=1.0),
        "virtual_memory": SimpleNamespace(total=1000, available=250),
        "disk_usage": SimpleNamespace(used=30, free=60),
        "net_if_stats": {"lo": SimpleNamespace(flags="up,loopback,running"), "loud0": SimpleNamespace(flags="up,running")},
        "net_io_counters": {"lo": Counters(7, 7), "loud0": Counters(10, 20), "late0": Counters(1, 2)},
    }
    for name, answer in answers.items():
        monkeypatch.setattr(psutil, name, lambda *_, answer=answer, **__: answer)
    assert read_machine() == Reading(
        cpu_busy=pytest.approx(45.0),  # user and nice include the guests
        cpu_total=pytest.approx(100.0),
        memory_percent=pytest.approx(75.0),
        interface_bytes={"loud0": 30, "late0": 3},
        storage_percent=pytest.approx(100 / 3),
    )


def test_this_machine_can_be_read() -> None:
    now = read_machine()
    assert 0 < now.cpu_busy <= now.cpu_total
    assert 0 < now.memory_percent < 100
    assert 0 < now.storage_percent <= 100
