"""Addressed chance: published numbers, and compiled as interpreted, bit for bit."""

from hypothesis import given
from hypothesis import strategies as st

from priomon_core import draws
from priomon_core.draws import PLAIN, Draws
from priomon_core.latency import Constant, Empirical, Latency, Lognormal, Normal, Uniform, delay, normal_quantile
from priomon_sim import compiled_draws
from priomon_sim.compiled_draws import COMPILED_DRAWS

WORDS = st.integers(0, 2**64 - 1)
OPEN = st.floats(0, 1, exclude_min=True, exclude_max=True)
LATENCIES: list[Latency] = [Constant(7), Uniform(10, 90), Normal(10**6, 10**5, 10), Lognormal(10**7, 0.5), Empirical((5, 9, 40))]


def test_child_is_splitmix64() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [draws.child(1234567, index) for index in range(5)] == published


@given(WORDS, WORDS)
def test_numbers_are_between_0_and_1(state: int, index: int) -> None:
    assert 0 < draws.uniform(state, index) < 1


@given(WORDS, WORDS)
def test_compiled_and_plain_numbers_are_equal(state: int, index: int) -> None:
    assert PLAIN.child(state, index) == COMPILED_DRAWS.child(state, index)
    assert PLAIN.uniform(state, index) == COMPILED_DRAWS.uniform(state, index)


@given(OPEN, st.sampled_from(LATENCIES))
def test_compiled_and_plain_delays_are_equal(u: float, model: Latency) -> None:
    assert normal_quantile(u) == compiled_draws.normal_quantile(u)
    assert delay(model.row(), u) == compiled_draws.delay(COMPILED_DRAWS.row(model.row()), u)


@given(WORDS, st.integers(0, 2**32 - 1), st.integers(0, 1000), st.integers(1, 5), st.floats(0, 0.9), st.sampled_from(LATENCIES))
def test_compiled_and_plain_ways_are_equal(seed: int, link: int, message: int, hops: int, loss: float, model: Latency) -> None:
    def ways(at: Draws) -> tuple[int, int, tuple[int, int]]:
        row = at.row(model.row())
        return (
            at.path(seed, hops, loss, row),
            at.transit(seed, link, message, hops, loss, row),
            at.transfer(seed, link, message, 9000, hops, loss, row),
        )

    assert ways(PLAIN) == ways(COMPILED_DRAWS)
