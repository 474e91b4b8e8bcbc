"""The ledger holds every publication: against a plain dictionary, whatever the order of publishing and looking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import VersionOverflowError
from priomon_core.identity import Address, Identity
from priomon_core.metrics import CPU, Metric
from priomon_core.wire import introduction_excess, level_size
from priomon_sim.compiled import LARGEST_VERSION
from priomon_sim.ledger import FIRST_DEPTH, Ledger

METRICS = (CPU, Metric("temperature", "degC", 1.0, signed=True), Metric("requests", "1/s", 2.0))
ORIGINS = 3
LEVELS = st.integers(0, 2**40) | st.integers(0, 200)
CHANGES = st.dictionaries(st.integers(0, len(METRICS) - 1), LEVELS, min_size=1)
PUBLICATIONS = st.lists(st.tuples(st.integers(0, ORIGINS - 1), CHANGES, st.booleans()), max_size=120)


def ledger(*names: str) -> Ledger:
    return Ledger([Identity(name, 1, Address("10.0.0.1", 7946)) for name in names or "abc"], METRICS)


@given(PUBLICATIONS)
def test_every_publication_is_found_again(publications: list[tuple[int, dict[int, int], bool]]) -> None:
    kept = ledger()
    histories: list[list[dict[int, int]]] = [[] for _ in range(ORIGINS)]
    times: list[list[int]] = [[] for _ in range(ORIGINS)]
    for now, (origin, changes, look) in enumerate(publications):
        histories[origin].append(changes)
        times[origin].append(now)
        kept.publish(origin, len(histories[origin]), list(changes.items()), now)
        if look:
            kept.refresh()
    assert kept.newest == [len(history) for history in histories]
    for origin, history in enumerate(histories):
        for version in range(1, len(history) + 1):
            for since in {0, version // 2, version}:
                merged = {metric: level for changes in history[:version] for metric, level in changes.items()}
                news = {metric for changes in history[since:version] for metric in changes}
                expected = tuple((metric, merged[metric]) for metric in sorted(news))
                assert kept.changes(origin, since, version) == expected
            assert kept.age(origin, version, 1_000) == 1_000 - times[origin][version - 1]


@given(PUBLICATIONS)
def test_tables_lie_flat_as_kernels_read_them(publications: list[tuple[int, dict[int, int], bool]]) -> None:
    kept = ledger()
    versions = [0] * ORIGINS
    for now, (origin, changes, _) in enumerate(publications):
        versions[origin] += 1
        kept.publish(origin, versions[origin], list(changes.items()), now)
        kept.refresh()
        line = origin * kept.depth + versions[origin] * kept.step
        assert kept.published[line] == now
        for metric, level in changes.items():
            assert kept.changed[line * kept.metrics + metric] == versions[origin]
            assert kept.width[line * kept.metrics + metric] == level_size(METRICS[metric], level)


@given(PUBLICATIONS)
def test_uniform_is_said_only_while_it_is_true(publications: list[tuple[int, dict[int, int], bool]]) -> None:
    kept = ledger()
    sizes = set()
    for now, (origin, changes, _) in enumerate(publications):
        kept.publish(origin, kept.newest[origin] + 1, list(changes.items()), now)
        whole = len(changes) == len(METRICS)
        sizes.add(sum(level_size(METRICS[metric], level) for metric, level in changes.items()) if whole else None)
        expected = (sizes.copy().pop(), int(kept.introduction[0])) if len(sizes) == 1 and None not in sizes else None
        assert kept.uniform == expected


def test_names_of_different_lengths_are_not_uniform() -> None:
    kept = ledger("a", "a-longer-name")
    kept.publish(0, 1, [(0, 1), (1, 1), (2, 1)], 0)
    assert kept.uniform is None
    assert kept.introduction.tolist() == [introduction_excess(kept.identity(slot)) for slot in (0, 1)]


def test_tables_grow_and_keep_what_they_held() -> None:
    kept = ledger()
    for version in range(1, 3 * FIRST_DEPTH):
        kept.publish(1, version, [(0, version)], 10 * version)
        kept.refresh()
    assert kept.changes(1, 0, 1) == ((0, 1),)
    assert kept.changes(1, 0, 3 * FIRST_DEPTH - 1) == ((0, 3 * FIRST_DEPTH - 1),)
    assert (np.diff(kept.times[1, : 3 * FIRST_DEPTH]) == 10).all()


def test_more_versions_than_a_row_can_number_are_refused() -> None:
    kept = ledger()
    with pytest.raises(VersionOverflowError, match=rf"b published more than {LARGEST_VERSION} times.*longer sampling interval"):
        kept.publish(1, LARGEST_VERSION + 1, [(0, 1)], 0)
    assert kept.newest == [0, 0, 0]
