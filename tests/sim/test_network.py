"""Links: the addressed draws, the distributions, every way to be lost, and TCP."""

import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_sim import latency, network
from priomon_sim.latency import Constant, Empirical, Latency, Lognormal, Normal, Uniform, delay, read_empirical
from priomon_sim.network import Bernoulli, GilbertElliott, LinkModel, Links
from priomon_sim.trace import TraceError

WORDS = st.integers(0, 2**64 - 1)
LATENCIES: list[Latency] = [Constant(7), Uniform(10, 90), Normal(10**6, 10**5, 10), Lognormal(10**7, 0.5), Empirical((5, 9, 40))]
MILLISECOND = 1_000_000


def fates(links: Links, datagrams: int, size: int = 100, step: int = MILLISECOND) -> list[tuple[int, ...]]:
    """What one link does to datagrams sent a `step` apart: the delays of their copies."""
    return [tuple(at - n * step for at in links.arrivals(0, 1, size, n * step)) for n in range(datagrams)]


def test_child_is_splitmix64() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [network.child(1234567, index) for index in range(5)] == published


@given(WORDS, WORDS)
def test_compiled_and_plain_draws_are_equal(state: int, index: int) -> None:
    assert network.child(state, index) == network._child(state, index)
    assert network.uniform(state, index) == network._uniform(state, index)
    assert 0 < network.uniform(state, index) < 1


@given(WORDS, st.integers(0, 2**32 - 1), st.integers(0, 1000), st.integers(1, 5), st.floats(0, 0.9), st.sampled_from(LATENCIES))
def test_compiled_and_plain_paths_are_equal(seed: int, link: int, message: int, hops: int, loss: float, model: Latency) -> None:
    row = model.row()
    plain = network._transit(seed, link, message, hops, loss, row), network._transfer(seed, link, message, 9000, hops, loss, row)
    assert plain == (
        network.transit(seed, link, message, hops, loss, row),
        network.transfer(seed, link, message, 9000, hops, loss, row),
    )


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.sampled_from(LATENCIES))
def test_compiled_and_plain_delays_are_equal(u: float, model: Latency) -> None:
    assert latency._delay(model.row(), u) == delay(model.row(), u)


@given(st.floats(1e-16, 1 - 1e-16))
def test_normal_quantile(u: float) -> None:
    assert latency.normal_quantile(u) == pytest.approx(NormalDist().inv_cdf(u), rel=2e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("model", "quantile"),
    [
        (Constant(7), lambda u: 7),
        (Uniform(10, 90), lambda u: 10 + 80 * u),
        (Normal(10**6, 10**5, 950_000), lambda u: max(950_000, NormalDist(1e6, 1e5).inv_cdf(u))),
        (Lognormal(10**7, 0.5), lambda u: 1e7 * math.exp(0.5 * NormalDist().inv_cdf(u))),
        (Empirical((40, 5, 9)), lambda u: float(np.quantile([5, 9, 40], u))),
    ],
)
def test_delays_have_the_quantiles_of_their_distribution(model: Latency, quantile: Callable[[float], float]) -> None:
    row = model.row()
    for u in (1e-9, 0.001, 0.02, 0.3, 0.5, 0.9, 0.98, 0.999, 1 - 1e-9):
        assert delay(row, u) == pytest.approx(quantile(u), rel=1e-6, abs=1)


def test_delays_of_a_link_fill_the_distribution_evenly() -> None:
    drawn = [taken for (taken,) in fates(Links(2, 1, LinkModel(Uniform(0, 1000 * MILLISECOND))), 10_000)]
    counts = np.histogram(drawn, bins=20, range=(0, 1000 * MILLISECOND))[0]
    assert ((counts - 500) ** 2 / 500).sum() < 43.8  # chi-square, 19 degrees of freedom, 0.1 %


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 1.0])
def test_bernoulli_loses_its_share(share: float) -> None:
    links = Links(2, 1, LinkModel(Constant(5), Bernoulli(share)))
    got = fates(links, 20_000)
    assert abs(got.count(()) / 20_000 - share) <= 4 * math.sqrt(share * (1 - share) / 20_000)
    assert links.lost == {"loss": got.count(()), "queue": 0, "unreachable": 0}
    assert links.sent == 20_000


def test_fates_do_not_depend_on_the_order_of_calls() -> None:
    model = LinkModel(Lognormal(MILLISECOND, 1.0), GilbertElliott(0.1, 0.3), duplicate=0.1, reorder=0.1, reorder_delay=9)
    for chosen in (model, LinkModel(Uniform(1, 10**9), Bernoulli(0.3))):
        calls = [(source, target) for source in range(4) for target in range(4) if source != target] * 20
        forward, backward = Links(4, 9, chosen), Links(4, 9, chosen)
        there: dict[tuple[int, int], list[tuple[int, ...]]] = {pair: [] for pair in calls}
        back: dict[tuple[int, int], list[tuple[int, ...]]] = {pair: [] for pair in calls}
        for pair in calls:
            there[pair].append(forward.arrivals(*pair, 100, 0))
        for pair in sorted(calls, reverse=True):
            back[pair].append(backward.arrivals(*pair, 100, 0))
        assert there == back
        assert len({tuple(fate) for fate in there.values()}) == 12  # every link has luck of its own


def test_another_seed_is_another_luck() -> None:
    model = LinkModel(Uniform(0, 10**9))
    assert fates(Links(2, 1, model), 20) == fates(Links(2, 1, model), 20) != fates(Links(2, 2, model), 20)


def test_gilbert_elliott_loses_in_bursts_of_the_right_length() -> None:
    model = GilbertElliott(worsen=0.05, recover=0.25)
    assert model.share == pytest.approx(1 / 6)
    lost = [not fate for fate in fates(Links(2, 3, LinkModel(Constant(1), model)), 60_000)]
    bursts = sum(now and not before for before, now in zip([False, *lost], lost, strict=False))
    lengths = sum(lost) / bursts
    assert abs(lengths - 4) < 4 * math.sqrt(12 / bursts)  # geometric: variance (1 - p) / p^2
    # The chain remembers 1 - 0.05 - 0.25 of its state, which widens the error of the mean by (1 + 0.7) / (1 - 0.7).
    assert abs(sum(lost) / 60_000 - 1 / 6) < 4 * math.sqrt(1 / 6 * 5 / 6 / 60_000 * 1.7 / 0.3)


def test_gilbert_elliott_has_a_loss_for_either_state_and_starts_stationary() -> None:
    links = Links(20_001, 4, LinkModel(Constant(1), GilbertElliott(0.1, 0.3, good=0.02, bad=0.6)))
    lost = sum(not links.arrivals(0, target, 100, 0) for target in range(1, 20_001))
    assert abs(lost / 20_000 - 0.165) < 4 * math.sqrt(0.165 * 0.835 / 20_000)


def test_bandwidth_makes_datagrams_wait_for_each_other() -> None:
    links = Links(2, 1, LinkModel(Constant(50), bandwidth=8_000_000))  # one byte per microsecond
    assert [links.arrivals(0, 1, 1000, 0) for _ in range(3)] == [(1_000_050,), (2_000_050,), (3_000_050,)]
    assert links.arrivals(0, 1, 1000, 10_000_000) == (11_000_050,)  # idle again
    assert links.arrivals(1, 0, 500, 10_000_000) == (10_500_050,)  # the other direction is another link


def test_a_full_queue_drops_exactly_what_does_not_fit() -> None:
    links = Links(2, 1, LinkModel(Constant(0), bandwidth=8_000_000, queue=3000))
    assert [bool(links.arrivals(0, 1, 1000, 0)) for _ in range(5)] == [True, True, True, False, False]
    assert not links.arrivals(0, 1, 1000, 999_000)  # 2,001 bytes are unsent
    assert links.arrivals(0, 1, 1000, 1_000_000) == (4_000_000,)  # exactly 2,000 are
    assert links.arrivals(0, 1, 5000, 4_000_000) == (9_000_000,)  # an idle link takes any size
    assert links.lost == {"loss": 0, "queue": 3, "unreachable": 0}


@given(st.integers(0, 1000), st.integers(1, 4000), st.floats(0, 1))
def test_what_is_sent_arrives_or_is_lost_for_one_cause(seed: int, queue: int, loss: float) -> None:
    links = Links(2, seed, LinkModel(Uniform(0, 9), Bernoulli(loss), bandwidth=10**7, queue=queue, duplicate=0.3))
    got = fates(links, 50, size=1300)
    assert links.sent == 50 == sum(map(bool, got)) + sum(links.lost.values())


def test_duplicates_arrive_twice_at_times_of_their_own() -> None:
    got = fates(Links(2, 1, LinkModel(Uniform(0, 10**9), duplicate=1.0)), 100)
    assert all(len(fate) == 2 and fate[0] != fate[1] for fate in got)
    got = fates(Links(2, 1, LinkModel(Constant(1), duplicate=0.2)), 10_000)
    assert abs(got.count((1, 1)) / 10_000 - 0.2) < 4 * math.sqrt(0.16 / 10_000)


def test_reordered_datagrams_are_late_by_the_delay() -> None:
    got = fates(Links(2, 1, LinkModel(Constant(10), reorder=0.25, reorder_delay=5)), 10_000)
    assert set(got) == {(10,), (15,)}
    assert abs(got.count((15,)) / 10_000 - 0.25) < 4 * math.sqrt(0.1875 / 10_000)


def test_an_override_holds_for_one_direction() -> None:
    links = Links(3, 1, LinkModel(Constant(10)), {(0, 1): LinkModel(Constant(99), Bernoulli(0.0), bandwidth=8 * 10**9)})
    assert links.arrivals(0, 1, 7, 0) == (106,)
    assert links.arrivals(1, 0, 7, 0) == links.arrivals(0, 2, 7, 0) == (10,)


def test_every_hop_has_a_latency_and_a_loss_of_its_own() -> None:
    hops = np.array([[0, 3], [65535, 0]], dtype=np.uint16)
    assert Links(2, 1, LinkModel(Constant(10)), hops=hops).arrivals(0, 1, 9, 0) == (30,)
    links = Links(2, 1, LinkModel(Uniform(0, 1000), Bernoulli(0.2)), hops=hops)
    got = [fate[0] for fate in fates(links, 20_000) if fate]
    lost = 1 - 0.8**3
    assert abs(1 - len(got) / 20_000 - lost) < 4 * math.sqrt(lost * (1 - lost) / 20_000)
    assert abs(np.var(got) / (3 * 1000**2 / 12) - 1) < 0.05  # three draws, not one draw times three
    assert links.arrivals(1, 0, 9, 0) == () and links.lost["unreachable"] == 1
    assert links.stream(1, 0, 9, 0) == (-1, 0)


def test_a_stream_without_loss_takes_one_latency() -> None:
    assert Links(2, 1, LinkModel(Constant(10))).stream(0, 1, 500_000, 5) == (15, 0)
    assert Links(2, 1, LinkModel(Constant(10), bandwidth=8_000_000)).stream(0, 1, 1000, 5) == (1_000_015, 0)


def waited(retries: int) -> int:
    """Nanoseconds of time-outs before the last try: doubling from 200 ms up to 120 s."""
    return sum(min(200 * MILLISECOND * 2**k, 120_000 * MILLISECOND) for k in range(retries))


def test_a_stream_sends_a_lost_segment_again_after_doubling_time_outs() -> None:
    links = Links(2, 1, LinkModel(Constant(10), Bernoulli(0.75), bandwidth=8_000_000))
    tries = []
    for n in range(4000):
        now = n * 10 * MILLISECOND
        arrival, extra = links.stream(0, 1, 100, now)
        retries, rest = divmod(extra, 152)
        assert rest == 0
        assert arrival == (now + (100 + extra) * 1000 + 10 + waited(retries)) or (arrival == -1 and retries == 15)
        tries.append(retries)
    for count in (0, 1, 5):
        share = 0.25 * 0.75**count
        assert abs(tries.count(count) / 4000 - share) < 4 * math.sqrt(share * (1 - share) / 4000)
    assert 11 < max(tries) <= 15


def test_a_stream_of_many_segments_arrives_with_its_last() -> None:
    links = Links(2, 1, LinkModel(Constant(10), Bernoulli(0.1)))
    extras = []
    for _ in range(300):
        arrival, extra = links.stream(0, 1, 1448 * 100, 0)
        assert arrival in [10 + waited(retries) for retries in range(9)]
        assert extra % 1500 == 0
        extras.append(extra // 1500)
    variance = 100 * 0.1 / 0.81  # of a sum of 100 independent geometric numbers
    assert abs(np.mean(extras) - 100 / 9) < 4 * math.sqrt(variance / 300)
    assert abs(np.var(extras) / variance - 1) < 4 * math.sqrt(2 / 300)
    assert links.lost["loss"] == 0


def test_a_stream_gives_up_in_the_end() -> None:
    assert Links(2, 1, LinkModel(Constant(10), Bernoulli(1.0))).stream(0, 1, 100, 0) == (-1, 15 * 152)


def test_measured_delays_are_read_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "ping.csv"
    path.write_text("target,latency_ms\na,1.5\nb,0.25\n")
    assert read_empirical(path) == Empirical((1_500_000, 250_000))
    for content, said in [
        ("rtt\n1\n2\n", r"ping\.csv:1: there is no column 'latency_ms'; the file has 'rtt'"),
        ("latency_ms\n1\nfast\n", r"ping\.csv:3: column 'latency_ms': found 'fast'"),
        ("latency_ms\n1\n-2\n", r"ping\.csv:3: column 'latency_ms': found '-2'"),
        ("latency_ms\n1\n", "expected at least two"),
    ]:
        path.write_text(content)
        with pytest.raises(TraceError, match=said):
            read_empirical(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Constant(-1), "at least 0"),
        (lambda: Uniform(9, 3), "low <= high"),
        (lambda: Normal(5, -1), "deviation must be"),
        (lambda: Normal(5, 1, 6), "minimum <= mean"),
        (lambda: Lognormal(0, 1.0), "median must be above 0"),
        (lambda: Lognormal(5, 2.5), "sigma must be from 0 to 2"),
        (lambda: Empirical((5,)), "at least two"),
        (lambda: Empirical((5, -5)), "cannot be negative"),
        (lambda: Bernoulli(1.01), "share from 0 to 1, got 1.01"),
        (lambda: Bernoulli(math.nan), "share from 0 to 1"),
        (lambda: GilbertElliott(0.0, 0.0), "both 0"),
        (lambda: GilbertElliott(0.1, 1.2), "recover is a share"),
        (lambda: LinkModel(Constant(1), bandwidth=0), "above 0 bit/s"),
        (lambda: LinkModel(Constant(1), queue=-1), "at least 0 bytes"),
        (lambda: LinkModel(Constant(1), reorder=0.1), "reordering needs a delay"),
        (lambda: LinkModel(Constant(1), duplicate=2.0), "duplicate is a share"),
        (lambda: Links(70_000, 1, LinkModel(Constant(1))), "1 to 65536 nodes, got 70000"),
        (lambda: Links(2, 1, LinkModel(Constant(1)), {(0, 2): LinkModel(Constant(1))}), "0 -> 2; expected nodes from 0 to 1"),
        (lambda: Links(3, 1, LinkModel(Constant(1)), hops=np.zeros((2, 2), np.uint16)), "each of 3 nodes"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make()
