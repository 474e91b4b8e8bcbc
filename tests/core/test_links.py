"""Links: every way to be lost, late or doubled, TCP, and models as documents."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_core.latency import Constant, Empirical, Latency, Lognormal, Normal, Uniform
from priomon_core.links import UNREACHABLE, Bernoulli, GilbertElliott, LinkModel, Links, from_json, to_json
from priomon_sim.compiled_draws import COMPILED_DRAWS

MILLISECOND = 1_000_000
SHARE = st.floats(0, 1)
LATENCIES: list[Latency] = [Constant(7), Uniform(10, 90), Normal(10**6, 10**5, 10), Lognormal(10**7, 0.5), Empirical((5, 9, 40))]
MODELS = st.builds(
    LinkModel,
    st.sampled_from(LATENCIES),
    st.builds(Bernoulli, SHARE) | st.builds(GilbertElliott, st.floats(0.01, 1), SHARE, SHARE, SHARE),
    bandwidth=st.none() | st.integers(10**6, 10**9),
    queue=st.integers(0, 4000),
    duplicate=SHARE,
    reorder=SHARE,
    reorder_delay=st.integers(1, MILLISECOND),
)


def fates(links: Links, datagrams: int, size: int = 100, step: int = MILLISECOND) -> list[tuple[int, ...]]:
    """What one link does to datagrams sent a `step` apart: the delays of their copies."""
    return [tuple(at - n * step for at in links.arrivals(0, 1, size, n * step)) for n in range(datagrams)]


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
    def hops(source: int, target: int) -> int:
        return {(0, 1): 3, (1, 0): UNREACHABLE}[source, target]

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


@given(MODELS, st.integers(0, 2**64 - 1))
def test_links_treat_datagrams_alike_at_both_speeds(model: LinkModel, seed: int) -> None:
    def treated(links: Links) -> tuple[list[Any], dict[str, int]]:
        return [(links.arrivals(0, 1, 900, n * 1000), links.stream(1, 2, 9000, n * 1000)) for n in range(10)], links.lost

    def hops(source: int, target: int) -> int:
        return source + target

    exception = {(1, 2): LinkModel(Constant(5))}
    assert treated(Links(3, seed, model, exception, hops)) == treated(Links(3, seed, model, exception, hops, COMPILED_DRAWS))


@given(MODELS)
def test_a_model_survives_as_a_document(model: LinkModel) -> None:
    assert from_json(json.loads(json.dumps(to_json(model)))) == model


def test_a_document_is_what_the_description_says() -> None:
    model = LinkModel(Uniform(10, 90), Bernoulli(0.2), bandwidth=10**6, duplicate=0.1)
    assert to_json(model) == {
        "latency": [1, 10, 80],
        "loss": {"share": 0.2},
        "bandwidth": 10**6,
        "queue": 65_536,
        "duplicate": 0.1,
        "reorder": 0,
        "reorder_delay": 0,
    }


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=9,
)


@given(MODELS.map(to_json), st.sampled_from(["", "latency", "loss", "bandwidth", "queue", "duplicate", "reorder", "reorder_delay"]), JUNK)
def test_any_document_is_a_model_or_refused(document: dict[str, Any], field: str, junk: object) -> None:
    found = {**document, field: junk} if field else junk
    try:
        model = from_json(found)
    except SettingError:
        return
    assert to_json(model) == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latency": None}, r"latency: found None, expected in whole ns \[0, value\]"),
        ({"loss": 0.2}, "loss: found 0.2, expected an object with the fields share$"),
        ({"loss": {"share": True}}, "share: found True, expected a number from 0 to 1"),
        ({"loss": {"share": 10**400}}, "loss is a share from 0 to 1, got 1000"),
        ({"loss": {"worsen": 0.1}}, r"loss: found \['worsen'\], expected an object with the fields worsen, recover, good, bad"),
        ({"loss": {"worsen": 0.1, "recover": "1", "good": 0, "bad": 1}}, "recover: found '1', expected a number from 0 to 1"),
        ({"bandwidth": 1.5}, r"bandwidth: found 1.5, expected a whole number of bit/s, or null, below 2\^63"),
        ({"queue": None}, "queue: found None, expected a whole number of bytes"),
        ({"duplicate": 2}, "duplicate is a share from 0 to 1, got 2"),
        ({"reorder_delay": 2**63}, "reorder_delay: found 9223372036854775808, expected a whole number of ns"),
        ({"jitter": 3}, "link model: found .*, expected an object with the fields latency, loss, bandwidth, queue"),
    ],
)
def test_a_document_that_is_no_model_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        from_json({**to_json(LinkModel(Constant(1))), **change})


@pytest.mark.parametrize(
    ("make", "said"),
    [
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
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make()
