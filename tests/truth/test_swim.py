"""Failure detection held to SWIM's theory (Das, Gupta, Motivala 2002): first detection, false positives, infection, load.

SWIM counts protocol periods in which all members act together, and a crash that happens between two of them. `together` gives just that.
Suspicions are what SWIM without its suspicion mechanism would call detections.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from math import e, exp, hypot, log, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.detectors.swim import Swim
from priomon_core.events import Suspected
from priomon_core.latency import Constant
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.metrics import Metric
from priomon_core.rumours import Rumour, State
from priomon_core.strategies.base import Peer
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.watch import Watch
from priomon_core.wire import Ask, Call
from priomon_sim import driver as driver_module
from priomon_sim.clock import Clock
from priomon_sim.compiled_draws import COMPILED_DRAWS
from priomon_sim.driver import Driver

PERIOD = SECOND
MILLISECOND = SECOND // 1000
LAST = 20  # rounds in which everybody is probed once more, but for one in a hundred million
EULER = 0.5772


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.disable()  # as experiments do
    yield
    gc.enable()


def members(count: int, seed: int, *, together: bool = False, loss: float = 0.0, delay: int = MILLISECOND, **detection: Any) -> Driver:
    """A cluster in which all know each other and nobody has anything to tell but who is alive."""
    driver = Driver(
        Clock(),
        [Metric("load", "", 1.0)],
        GossipSettings(period=PERIOD),
        Scuttlebutt,
        [[peer for peer in range(count) if peer != node] for node in range(count)],
        Links(count, seed, LinkModel(Constant(delay), Bernoulli(loss)), draws=COMPILED_DRAWS),
        [np.zeros((1, 1))] * count,
        1_000_000 * SECOND,
        seed,
        together,
        detection=DetectionSettings(**{"detector": "swim"} | detection),
    )
    driver.introduce_all()
    return driver


# First detection


class Noted(Watch):
    """A watch that notes when whom it probes, in `probed`, as (ns, key)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.probed: list[tuple[int, int]] = []

    def begun(self, partners: Sequence[Peer], before: int, now: int) -> None:
        """See `Watch.begun`."""
        super().begun(partners, before, now)
        self.probed += [(now, key) for peer in partners if (key := self._directory.key_at(peer)) is not None]


def probes(driver: Driver) -> dict[int, list[int]]:
    """When (ns) each node, given by its key, was probed by any other."""
    found: dict[int, list[int]] = {}
    for node in driver.nodes:
        assert isinstance(node.watch, Noted)
        for at, key in node.watch.probed:
            found.setdefault(key, []).append(at)
    return {key: sorted(times) for key, times in found.items()}


def mean_wait(driver: Driver, moments: NDArray[np.int64]) -> float:
    """Periods from these moments until a node is probed next, on average over all nodes."""
    return float(np.mean([np.array(times)[np.searchsorted(times, moments)] - moments for times in probes(driver).values()])) / PERIOD


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "Watch", Noted)


@pytest.mark.usefixtures("noted")
@pytest.mark.parametrize(("nodes", "rounds"), [(50, 800), (200, 200), (1000, 50)])
def test_a_node_is_probed_within_as_many_periods_as_swim_says(nodes: int, rounds: int) -> None:
    """Somebody probes a given node after e / (e - 1) periods on average, that of the probe included, whatever their number."""
    driver = members(nodes, 1, together=True)
    driver.clock.run_to((rounds + LAST) * PERIOD)
    wait = 1 + mean_wait(driver, np.arange(1, rounds) * PERIOD)
    print(f"\n{nodes} nodes, common rounds: {wait:.3f} periods, SWIM {e / (e - 1):.3f}", end="")
    assert wait == pytest.approx(e / (e - 1), rel=0.02)


@pytest.mark.usefixtures("noted")
@pytest.mark.parametrize(("nodes", "rounds"), [(50, 800), (200, 200), (1000, 50)])
def test_without_common_rounds_a_node_is_probed_within_a_period(nodes: int, rounds: int) -> None:
    """Each of N - 1 others comes to it within t periods with a chance of t / (N - 1), so the first of them after (N - 1) / N."""
    driver = members(nodes, 1)
    driver.clock.run_to((rounds + LAST) * PERIOD)
    wait = mean_wait(driver, np.arange(PERIOD, rounds * PERIOD, PERIOD // 20))
    print(f"\n{nodes} nodes, rounds of their own: {wait:.3f} periods, expected {1 - 1 / nodes:.3f}", end="")
    assert wait == pytest.approx(1 - 1 / nodes, rel=0.03)


@pytest.mark.usefixtures("noted")
@pytest.mark.parametrize("together", [True, False])
def test_a_crash_is_suspected_a_period_after_the_next_probe_begins(together: bool) -> None:
    """So with common rounds and a crash just before one, the first suspicion comes after as many periods as SWIM counts."""
    for seed in range(20):
        driver = members(50, seed, together=together)
        crash = 3 * PERIOD - 1 if together else 3 * PERIOD + seed * PERIOD // 20
        driver.clock.run_to(crash)
        driver.stop(0)
        driver.clock.run_to(crash + 12 * PERIOD)
        key = int(driver.ledger.keys[driver.slots[0]])
        suspected = min(at for at, _, event in driver.noticed() if isinstance(event, Suspected) and event.key == key)
        begun = next(at for at in probes(driver)[key] if at > crash - MILLISECOND)  # one that is on its way fails as well
        assert suspected == begun + PERIOD


# False positives


class Plain(Watch):
    """A watch that counts failed probes in `failed`, and does nothing about them: no suspicion, no local health."""

    failed = 0

    def accuse(self, key: int, now: int, rule: str) -> None:
        """See `Means.accuse`."""
        self.failed += 1
        self.awareness.score = 0


class SwimAsPublished(Swim):
    """Others are asked once, and the target is not pinged again."""

    def _ask(self, key: int, probe: Any, now: int) -> None:
        probe.rounds, probe.ask_at = 1, probe.judge_at
        for helper in self._means.helpers(key, self._helpers):
            probe.helpers.setdefault(helper, False)
            self._means.ask(helper, key)


class AsPublished(Plain):
    """SWIM to the letter: the target answers helpers, and nobody but them."""

    def _detector(self, settings: DetectionSettings, period: int) -> Swim:
        return SwimAsPublished(self, settings, period)

    def _answer(self, call: Call, source: Peer, now: int) -> None:
        if call.kind == Ask.PING_REQUEST and call.target == self._replica.key:
            self._outbox.append((source, Call(self._replica.key, Ask.INDIRECT_ACK, call.requester, call.target)))
        elif not (call.kind == Ask.PING_REQUEST and call.requester != call.sender):
            super()._answer(call, source, now)


def failed_probes(watch: type[Plain], helpers: int, loss: float, nodes: int, periods: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """Failed probes per member and period."""
    monkeypatch.setattr(driver_module, "Watch", watch)
    driver = members(nodes, 1, loss=loss, indirect_probes=helpers)
    driver.clock.run_to(periods * PERIOD)
    return sum(node.watch.failed for node in driver.nodes) / nodes / (periods - 1.5)  # type: ignore[union-attr]


@pytest.mark.parametrize(("helpers", "periods"), [(1, 400), (3, 1500)])
def test_false_positives_are_those_of_swims_formula(helpers: int, periods: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a period in which a live member is probed at all, (1 - p^2)(1 - q p^4)^k q e^q / (e^q - 1) probes of it fail."""
    nodes, p = 100, 0.95
    formula = (1 - p**2) * (1 - p**4) ** helpers * e / (e - 1)
    probed = 1 - exp(-1)  # the chance that anybody probes a given member in a period
    found = failed_probes(AsPublished, helpers, 1 - p, nodes, periods, monkeypatch) / probed
    error = sqrt(formula / (nodes * periods * probed))
    print(f"\n{helpers} helpers: {found:.3e} +-{error:.1e}, SWIM {formula:.3e}", end="")
    assert found == pytest.approx(formula, abs=3 * error)


@pytest.mark.parametrize(("helpers", "periods"), [(1, 100), (3, 400)])
def test_asking_twice_and_answering_by_two_ways_fails_as_seldom_as_it_should(
    helpers: int, periods: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product's own probe: direct p^2; then twice again direct, or through helpers, who reach the target with p^2; it answers both."""
    nodes, p = 100, 0.7
    through = p**2 * (1 - (1 - p) * (1 - p**2))
    formula = (1 - p**2) * ((1 - p**2) * (1 - through) ** helpers) ** 2
    found = failed_probes(Plain, helpers, 1 - p, nodes, periods, monkeypatch)
    error = sqrt(formula / (nodes * periods))
    swim = (1 - p**2) * (1 - p**4) ** helpers
    print(f"\n{helpers} helpers, {1 - p:.0%} loss: {found:.3e} +-{error:.1e}, expected {formula:.3e}, SWIM {swim:.3e}", end="")
    assert found == pytest.approx(formula, abs=3 * error + 0.03 * formula)


# Infection


def infection(nodes: int, seed: int) -> list[float]:
    """Periods until 10, 50 and 90 % of the nodes know a rumour that one of them begins: it has refuted what nobody else has heard."""
    driver = members(nodes, seed)
    start = 3 * PERIOD
    driver.clock.run_to(start)
    accuser, key = (int(driver.ledger.keys[driver.slots[index]]) for index in (1, 0))
    watches = [node.watch for node in driver.nodes if node.watch is not None]
    watches[0].membership.hear(Rumour(key, State.SUSPECT, 0, accuser), start)
    times, shares = [], iter((0.1, 0.5, 0.9))
    share = next(shares)
    while len(times) < 3:
        driver.clock.run_to(driver.now + PERIOD // 20)
        know = 1 + sum(watch.membership.belief(key) is not None for watch in watches[1:])
        while len(times) < 3 and know >= share * nodes:
            times.append((driver.now - start) / PERIOD)
            share = next(shares, 1.0)
    return times


def model(nodes: int, seed: int) -> list[float]:
    """The same in a cluster without a protocol: each member meets another once in a period, and then both know."""
    random = np.random.default_rng(seed)
    phases = np.sort(random.random(nodes))
    know = np.zeros(nodes, bool)
    know[random.integers(nodes)] = True
    counts, times = [], []
    for period in range(40):
        for member, other in enumerate(random.integers(nodes - 1, size=nodes)):
            met = other + (other >= member)
            know[[member, met]] = know[member] or know[met]
            counts.append(int(know.sum()))
        times += (period + phases).tolist()
    return [times[np.searchsorted(counts, share * nodes)] for share in (0.1, 0.5, 0.9)]


@pytest.mark.parametrize(("nodes", "runs"), [(50, 40), (200, 20), (1000, 8)])
def test_rumours_infect_as_swim_says(nodes: int, runs: int) -> None:
    """x(t) = n / (1 + (n - 1) exp(-(2 - 1/n) t)) takes meetings for random in time; the model lets each member act once in a period.

    The formula is of means. While few know, chance delays, by Euler's constant over the rate: that is the mean of -log W / rate, with W,
    exponential, the size of a branching process over its mean.
    """
    rate = 2 - 1 / nodes
    found = np.array([infection(nodes, seed) for seed in range(runs)])
    expected = np.array([model(nodes, seed) for seed in range(4 * runs)])
    half, middle = found[:, 1].mean(), (found[:, 2] - found[:, 0]).mean()
    error = hypot(found[:, 1].std(ddof=1) / sqrt(runs), expected[:, 1].std(ddof=1) / sqrt(4 * runs))
    late, spread = (log(nodes - 1) + EULER) / rate, 2 * log(9) / rate
    print(
        f"\n{nodes} nodes: half know after {half:.2f} +-{error:.2f} periods, model {expected[:, 1].mean():.2f}, SWIM {late:.2f};"
        f" from 10 to 90 % {middle:.2f}, model {(expected[:, 2] - expected[:, 0]).mean():.2f}, SWIM {spread:.2f}",
        end="",
    )
    assert half == pytest.approx(expected[:, 1].mean(), abs=3 * error)
    assert half == pytest.approx(late, rel=0.12)
    assert middle == pytest.approx(spread, rel=0.08)


# Load


@pytest.mark.parametrize("nodes", [50, 200, 1000])
def test_load_does_not_grow_with_the_cluster(nodes: int) -> None:
    """Two messages per member and period, as in SWIM: the digest that there is anyway and an ack, of 35 B with all headers."""

    def sent(detector: str) -> tuple[float, float]:
        driver = members(nodes, 1, detector=detector)
        driver.clock.run_to(5 * PERIOD)
        before = driver.messages_sent, sum(driver.bytes_sent)
        driver.clock.run_to(25 * PERIOD)
        return (driver.messages_sent - before[0]) / nodes / 20, (sum(driver.bytes_sent) - before[1]) / nodes / 20

    watched, alone = sent("swim"), sent("none")
    print(f"\n{nodes} nodes: {watched[0]:.2f} messages per member and period; detection costs {watched[1] - alone[1]:.1f} B", end="")
    assert watched[0] == pytest.approx(2, rel=0.03)
    assert watched[1] - alone[1] == pytest.approx(35, rel=0.1)
