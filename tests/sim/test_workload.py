"""Workloads: determinism, the statistics of each model, and how a recording is shared out."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_sim.trace import Trace
from priomon_sim.workload import Bursts, Constant, Diurnal, Model, OrnsteinUhlenbeck, RandomWalk, Replay, Series, Synthetic

MODELS: list[Model] = [
    Constant(42.0),
    RandomWalk((20.0, 30.0), 3.0),
    OrnsteinUhlenbeck(40.0, 8.0, 30.0),
    Diurnal(50.0, 20.0, noise=2.0),
    Bursts(1e4, 1e7, on=20.0, off=60.0),
]


def series(model: Model, steps: int, interval: float = 1.0, seed: int = 1, node: int = 0) -> Series:
    return Synthetic([model], interval, seed).series(node, steps)[:, 0]


@given(st.integers(0, 2**63), st.integers(0, 20_000), st.integers(0, 40), st.integers(0, 40))
def test_a_series_is_a_function_of_seed_and_node_and_extends_itself(seed: int, node: int, steps: int, more: int) -> None:
    workload, same = Synthetic(MODELS, 1.0, seed), Synthetic(MODELS, 1.0, seed)
    same.series(node + 1, 7)
    longer = same.series(node, steps + more)
    assert workload.series(node, steps).shape == (steps, len(MODELS))
    assert np.array_equal(workload.series(node, steps), longer[:steps])


def test_seeds_nodes_and_metrics_differ() -> None:
    walks = [RandomWalk((20.0, 30.0), 3.0)] * 2
    first = Synthetic(walks, 1.0, 1).series(0, 50)
    others = [Synthetic(walks, 1.0, 2).series(0, 50)[:, 0], Synthetic(walks, 1.0, 1).series(1, 50)[:, 0], first[:, 1]]
    assert not any(np.array_equal(first[:, 0], other) for other in others)


def test_constant_stays() -> None:
    assert series(Constant(42.0), 3).tolist() == [42.0] * 3


@given(st.integers(0, 2**32), st.floats(0, 500), st.floats(-50, 50), st.floats(1, 80))
def test_a_walk_stays_inside_and_moves_no_further_than_its_steps(seed: int, deviation: float, low: float, width: float) -> None:
    walk = series(RandomWalk((low, low + width / 2), deviation, low, low + width), 60, seed=seed)
    assert low - 1e-9 <= walk.min() and walk.max() <= low + width + 1e-9
    assert walk[0] <= low + width / 2 + 1e-9
    free = np.random.default_rng([seed, 0, 0, 0]).standard_normal(60)[1:] * deviation
    assert (np.abs(np.diff(walk)) <= np.abs(free) + 1e-6).all()


def test_a_walk_away_from_its_walls_is_free() -> None:
    steps = np.diff(series(RandomWalk((0.0, 0.0), 2.0, -1e6, 1e6), 20_000))
    assert abs(steps.mean()) < 4 * 2 / math.sqrt(20_000)
    assert abs(steps.std() / 2 - 1) < 4 / math.sqrt(2 * 20_000)


@pytest.mark.parametrize("interval", [1.0, 15.0])
def test_ornstein_uhlenbeck_has_its_mean_deviation_and_memory(interval: float) -> None:
    path = series(OrnsteinUhlenbeck(40.0, 5.0, 30.0), 50_000, interval)
    keep = math.exp(-interval / 30)
    effective = 50_000 * (1 - keep) / (1 + keep)
    assert abs(path.mean() - 40) < 4 * 5 / math.sqrt(effective)
    assert abs(path.var() / 25 - 1) < 4 * math.sqrt(2 / effective)
    assert abs(np.corrcoef(path[:-1], path[1:])[0, 1] - keep) < 4 * math.sqrt((1 - keep**2) / 50_000)


def test_ornstein_uhlenbeck_begins_in_its_stationary_law() -> None:
    workload = Synthetic([OrnsteinUhlenbeck(40.0, 5.0, 1e6)], 1.0, 1)
    starts = np.array([workload.series(node, 1)[0, 0] for node in range(2000)])
    assert abs(starts.std() / 5 - 1) < 4 / math.sqrt(4000)


def test_clipped_models_stay_in_range() -> None:
    for model in (OrnsteinUhlenbeck(5.0, 20.0, 3.0, 2.0, 9.0), Diurnal(5.0, 20.0, 60.0, 3.0, 2.0, 9.0)):
        path = series(model, 500)
        assert path.min() == 2.0 and path.max() == 9.0


def test_diurnal_follows_the_clock() -> None:
    path = series(Diurnal(50.0, 20.0, period=240.0), 4, interval=60.0)
    assert path.tolist() == pytest.approx([50.0, 70.0, 50.0, 30.0])
    noise = series(Diurnal(50.0, 0.0, noise=2.0), 20_000) - 50
    assert abs(noise.std() / 2 - 1) < 4 / math.sqrt(40_000)


@pytest.mark.parametrize("interval", [1.0, 30.0])
def test_bursts_have_their_share_and_length(interval: float) -> None:
    path = series(Bursts(1e4, 1e7, on=20.0, off=60.0, spread=0.0), 50_000, interval)
    busy = path > 1e6
    assert set(np.unique(path)) == {1e4, 1e7}
    memory = math.exp(-interval * (1 / 20 + 1 / 60))
    effective = 50_000 * (1 - memory) / (1 + memory)
    assert abs(busy.mean() - 0.25) < 4 * math.sqrt(0.1875 / effective)
    ended = (busy[:-1] & ~busy[1:]).sum() / busy[:-1].sum()
    assert abs(ended - 0.75 * (1 - memory)) < 4 * math.sqrt(ended * (1 - ended) / busy.sum())


def test_burst_levels_are_lognormal() -> None:
    levels = np.log(series(Bursts(100.0, 100.0, on=1.0, off=1.0, spread=0.4), 20_000))
    assert abs(levels.mean() - math.log(100)) < 4 * 0.4 / math.sqrt(20_000)
    assert abs(levels.std() / 0.4 - 1) < 4 / math.sqrt(40_000)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandomWalk((0.0, 1.0), -1.0), "deviation must be at least 0, got -1"),
        (lambda: RandomWalk((0.0, 200.0), 1.0), "range within 0 to 100, got 0 to 200"),
        (lambda: RandomWalk((1.0, 1.0), 1.0, 5.0, 5.0), "low must be below high"),
        (lambda: RandomWalk((1.0, 1.0), 1.0, 0.0, math.inf), "both finite"),
        (lambda: OrnsteinUhlenbeck(50.0, 1.0, 0.0), "relaxation must be above 0 s"),
        (lambda: OrnsteinUhlenbeck(50.0, math.nan, 1.0), "deviation must be at least 0"),
        (lambda: OrnsteinUhlenbeck(5000.0, 1.0, 1.0), "the mean must lie from low to high, 0 to 100, got 5000"),
        (lambda: Diurnal(50.0, 1.0, period=0.0), "period must be above 0 s"),
        (lambda: Diurnal(50.0, 1.0, noise=-1.0), "noise must be at least 0"),
        (lambda: Bursts(0.0, 1.0, 1.0, 1.0), "base must be above 0"),
        (lambda: Bursts(1.0, 1.0, 1.0, 0.0), "off must be above 0"),
        (lambda: Bursts(1.0, 1.0, 1.0, 1.0, -0.1), "spread must be at least 0"),
        (lambda: Synthetic([], 0.0, 1), "interval between samples must be above 0 s"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make()


def recording(*lengths: int, held: int = 0) -> Trace:
    return Trace(
        [f"m{at}" for at in range(len(lengths))],
        [1000.0 * at + np.arange(length, dtype=np.float64)[:, None] for at, length in enumerate(lengths)],
        1.0,
        held,
    )


def test_the_first_nodes_replay_their_own_series_and_wrap_round() -> None:
    replay = Replay(recording(3, 5), 2, seed=1)
    assert replay.series(0, 7)[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert replay.series(1, 4)[:, 0].tolist() == [1000, 1001, 1002, 1003]


def test_reused_machines_start_at_offsets_of_their_own() -> None:
    replay = Replay(recording(50), 50, seed=1)
    played = [replay.series(node, 60)[:, 0] for node in range(50)]
    assert sorted(int(row[0]) for row in played) == list(range(50))
    assert all((np.diff(row) % 50 == 1).all() for row in played)
    assert np.array_equal(Replay(recording(50), 50, seed=1).series(7, 9), replay.series(7, 9))
    other = Replay(recording(50), 50, seed=2)
    assert [other.series(node, 1)[0, 0] for node in range(50)] != [row[0] for row in played]


def test_reuse_goes_round_the_machines_and_survives_short_ones() -> None:
    replay = Replay(recording(1, 4), 9, seed=1)
    assert [int(replay.series(node, 1)[0, 0]) // 1000 for node in range(9)] == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert {int(replay.series(node, 1)[0, 0]) for node in (3, 5, 7)} == {1001, 1002, 1003}


@pytest.mark.parametrize(
    ("replay", "steps", "note"),
    [
        (Replay(recording(2000), 1000, 1), 60, "1,000 nodes replay 1 recorded machine: 999 of them with a random offset"),
        (Replay(recording(90, 80), 2, 1), 60, "2 nodes replay 2 recorded machines"),
        (
            Replay(recording(90, 80), 2, 1),
            85,
            "2 nodes replay 2 recorded machines; 85 samples are asked of a recording of 80, so it wraps round",
        ),
        (
            Replay(recording(5, held=3), 7, 1),
            5,
            "7 nodes replay 1 recorded machine: 6 of them with a random offset; the shortest recording has 5 rows, so some of its "
            "offsets repeat; 3 values bridge gaps of the recording",
        ),
    ],
)
def test_the_note_says_what_was_reused(replay: Replay, steps: int, note: str) -> None:
    assert replay.note(steps) == note
