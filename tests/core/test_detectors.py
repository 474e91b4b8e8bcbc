"""Each detector by itself: what it sends, whom it accuses, and when it holds its verdict."""

from math import erfc, log10, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.awareness import Awareness
from priomon_core.config import NEVER, SECOND, DetectionSettings
from priomon_core.detectors.base import Detector
from priomon_core.detectors.count import Count
from priomon_core.detectors.phi import Phi, deviations
from priomon_core.detectors.swim import Swim
from priomon_core.errors import SettingError
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.replica import Replica

TARGET = 99
HALF = SECOND // 2


class Record:
    """Means that write down what they were asked to do. There are four helpers, taken in turn."""

    def __init__(self) -> None:
        self.awareness = Awareness()
        self.done: list[tuple[object, ...]] = []
        self.accused: list[tuple[int, int]] = []
        self.condemned: list[tuple[int, int]] = []
        self._turn = 0

    def ping(self, key: int) -> None:
        self.done.append(("ping", key))

    def ask(self, helper: int, target: int) -> None:
        self.done.append(("ask", helper, target))

    def helpers(self, target: int, count: int) -> list[int]:
        self._turn += count
        return [1 + (self._turn + i) % 4 for i in range(count)]

    def accuse(self, key: int, now: int, rule: str) -> None:
        self.accused.append((key, now))

    def condemn(self, key: int, now: int, rule: str) -> None:
        self.condemned.append((key, now))


def pass_time(detector: Detector, end: int) -> None:
    """Wake a detector at each of its deadlines up to a time."""
    while detector.deadline <= end:
        detector.wake(detector.deadline)


def swim(**settings: int) -> tuple[Swim, Record]:
    means = Record()
    return Swim(means, DetectionSettings(**settings), SECOND), means  # type: ignore[arg-type]


def test_swim_asks_others_twice_before_it_accuses() -> None:
    detector, means = swim()
    detector.contacted(TARGET, 0)
    pass_time(detector, HALF - 1)
    assert means.done == []
    pass_time(detector, HALF)
    assert means.done == [("ping", TARGET), ("ask", 4, TARGET), ("ask", 1, TARGET), ("ask", 2, TARGET)]
    pass_time(detector, SECOND - 1)
    assert len(means.done) == 8 and means.accused == []
    pass_time(detector, SECOND)
    assert means.accused == [(TARGET, SECOND)] and detector.deadline == NEVER


@pytest.mark.parametrize("heard_at", [1, HALF, SECOND - 1])
def test_swim_takes_any_sign_of_life(heard_at: int) -> None:
    detector, means = swim()
    detector.contacted(TARGET, 0)
    pass_time(detector, heard_at - 1)
    detector.heard(TARGET, heard_at)
    assert detector.deadline == NEVER
    pass_time(detector, 10 * SECOND)
    assert means.accused == []


@pytest.mark.parametrize(("spoke", "score"), [((), 1), ((1, 4), 1), ((1, 2, 4), 0)])
def test_swim_blames_itself_when_most_helpers_are_silent(spoke: tuple[int, ...], score: int) -> None:
    detector, means = swim()
    detector.contacted(TARGET, 0)
    pass_time(detector, HALF)
    for helper in spoke:
        detector.heard(helper, HALF + 1)
    pass_time(detector, SECOND)
    assert means.awareness.score == score and {helper for what, helper, *_ in means.done if what == "ask"} == {1, 2, 3, 4}


def test_swim_in_bad_health_waits_longer() -> None:
    detector, means = swim()
    means.awareness.worsen(3)
    detector.contacted(TARGET, 0)
    assert detector.deadline == 4 * HALF
    pass_time(detector, 4 * SECOND - 1)
    assert means.accused == []
    detector.heard(TARGET, 4 * SECOND)
    assert means.awareness.score == 2


def test_swim_without_helpers_still_judges() -> None:
    detector, means = swim(indirect_probes=0)
    detector.contacted(TARGET, 0)
    pass_time(detector, SECOND)
    assert means.accused == [(TARGET, SECOND)] and means.done == [("ping", TARGET)] * 2


def test_swim_judges_nobody_whom_it_did_not_ask_twice() -> None:
    """The timer came so late that there was no time to ask others."""
    detector, means = swim()
    detector.contacted(TARGET, 0)
    detector.wake(SECOND)
    assert means.accused == [] and means.done == []


@pytest.mark.parametrize("kind", [Swim, Count])
def test_what_a_stall_swallowed_is_void(kind: type[Swim] | type[Count]) -> None:
    means = Record()
    detector = kind(means, DetectionSettings(failures=1), SECOND)
    detector.contacted(TARGET, 0)
    detector.stalled(SECOND)
    pass_time(detector, 10 * SECOND)
    assert means.accused == means.condemned == []


def test_a_probe_that_waits_is_not_begun_again() -> None:
    detector, means = swim()
    detector.contacted(TARGET, 0)
    detector.contacted(TARGET, SECOND - 1)
    pass_time(detector, SECOND)
    assert means.accused == [(TARGET, SECOND)]


def test_count_condemns_after_failures_in_a_row() -> None:
    means = Record()
    detector = Count(means, DetectionSettings(failures=3), SECOND)
    for i in range(6):
        detector.contacted(TARGET, 10 * i * SECOND)
        if i == 2:
            detector.heard(TARGET, 10 * i * SECOND + 1)
        pass_time(detector, (10 * i + 5) * SECOND)
    assert means.condemned == [(TARGET, 51 * SECOND)]


@given(st.floats(0.5, 300))
def test_deviations_are_those_of_the_normal_distribution(phi: float) -> None:
    z = deviations(phi)
    assert -log10(erfc(z / sqrt(2)) / 2) == pytest.approx(phi, rel=1e-6)


def phi(**settings: object) -> tuple[Phi, Record, Replica]:
    """A phi detector that looks once a second at two others, slots 0 and 2, from slot 1."""
    others = sorted((Identity(f"n{i}", 1, Address("10.0.0.1", 7946)) for i in range(3)), key=lambda one: one.key)
    replica = AgentReplica(others[1], BUILT_IN)
    for other in (others[0], others[2]):
        replica.introduce(other)
    means = Record()
    return Phi(means, DetectionSettings(**settings), SECOND, replica), means, replica  # type: ignore[arg-type]


def test_phi_expects_what_it_has_heard() -> None:
    """After a while of a version a second, a silence is suspicious much sooner than at the beginning."""
    silences = []
    for versions in (1, 100):
        detector, means, replica = phi(heartbeat=5 * SECOND)
        now = 0
        for version in range(1, versions + 1):
            replica.versions[0] = version
            detector.wake(now)
            now += SECOND
        last = now - SECOND
        while not means.accused:
            detector.wake(now)
            now += SECOND
        silences.append((means.accused[0][1] - last) // SECOND)
    assert silences[0] > 5 + 5 // 2 * 7
    assert 5 < silences[1] < silences[0] // 2


def test_phi_with_a_higher_threshold_waits_longer() -> None:
    first = []
    for threshold in (1.0, 4.0, 8.0, 16.0):
        detector, means, replica = phi(phi_threshold=threshold)
        replica.versions[0] = 1
        now = 0
        while not means.accused:
            detector.wake(now)
            now += SECOND
        first.append(now)
    assert first == sorted(set(first))


def test_phi_knows_no_more_of_a_node_that_it_has_never_heard() -> None:
    detector, means, _ = phi()
    for now in range(0, 1000 * SECOND, SECOND):
        detector.wake(now)
    assert means.accused == []


def test_phi_does_not_count_the_time_of_a_stall() -> None:
    detector, means, replica = phi()
    replica.versions[0] = replica.versions[2] = 1
    detector.wake(0)
    detector.stalled(500 * SECOND)
    detector.wake(501 * SECOND)
    assert means.accused == []


def test_phi_publishes_a_heartbeat_when_nothing_else_was() -> None:
    detector, _, replica = phi(heartbeat=5 * SECOND)
    replica.publish(((0, 1),), 0)
    versions = []
    for second in range(21):
        if second in (7, 8):
            replica.publish(((0, second),), second * SECOND)
        detector.wake(second * SECOND)
        versions.append(replica.versions[replica.own])
    assert versions == [1] * 5 + [2] * 2 + [3] + [4] * 5 + [5] * 5 + [6] * 3
    assert replica.values.changes(replica.own, 4, 5) == ()


def test_phi_follows_its_nodes_when_slots_move() -> None:
    detector, means, replica = phi()
    assert isinstance(replica, AgentReplica)
    watched = replica.values.keys[2]
    replica.versions[2] = 1
    detector.wake(0)
    for i in range(10, 30):
        replica.introduce(Identity(f"n{i}", 1, Address("10.0.0.1", 7946)))
    now = SECOND
    while not means.accused:
        detector.wake(now)
        now += SECOND
    assert {key for key, _ in means.accused} == {watched}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"detector": "guess"}, "detector: expected one of swim, phi, count, none, found 'guess'"),
        ({"probe_timeout": 0}, "probe_timeout: expected at least 1 ns, found 0"),
        ({"indirect_probes": -1}, "indirect_probes: expected at least 0 nodes, found -1"),
        ({"failures": 0}, "failures: expected at least 1 exchanges, found 0"),
        ({"phi_threshold": 0.0}, "phi_threshold: expected 0.5 to 300, found 0.0"),
        ({"phi_threshold": float("nan")}, "phi_threshold: expected 0.5 to 300, found nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        DetectionSettings(**settings)  # type: ignore[arg-type]
