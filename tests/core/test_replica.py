"""A replica with fixed slots, as in a simulation: generations beside each other, and what is forgotten."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from priomon_core.holdings import Holdings
from priomon_core.identity import Address, Identity
from priomon_core.messages import Delta
from priomon_core.metrics import BUILT_IN
from priomon_core.replica import Replica

ME = Identity("me", 1, Address("10.0.0.1", 7946))
LIVES = [Identity("other", generation, Address(f"10.0.0.{generation}", 7946)) for generation in (1, 2, 3)]
ORIGINS = sorted([ME, *LIVES], key=lambda origin: origin.key)
SLOT = {origin: slot for slot, origin in enumerate(ORIGINS)}
FIRST, SECOND, THIRD = (SLOT[life] for life in LIVES)


def replica() -> Replica:
    """Of `me`, who knows only itself, with a slot for each of three lives of another node."""
    values = Holdings(BUILT_IN)
    for origin in ORIGINS:
        values.name(values.insert(origin.key), origin)
    younger = [-1] * len(ORIGINS)
    younger[FIRST], younger[SECOND] = SECOND, THIRD
    values.younger = younger
    made = Replica(values, array("q", [0] * len(ORIGINS)), SLOT[ME])
    made.publish(((0, 1),), 0)
    return made


def learn(one: Replica, news: dict[int, int]) -> None:
    row = array("q", [news.get(slot, 0) for slot in range(len(ORIGINS))])
    one.learn(Delta(1, one.key, 0, len(row), row, row, 0, len(news), 0, 0), 0)


def held(one: Replica) -> list[int]:
    return [one.versions[slot] for slot in (FIRST, SECOND, THIRD)]


@given(st.lists(st.dictionaries(st.sampled_from((FIRST, SECOND, THIRD)), st.integers(1, 9)), max_size=8))
def test_one_generation_is_known_and_it_only_grows(deltas: list[dict[int, int]]) -> None:
    one, youngest = replica(), -1
    for news in deltas:
        learn(one, news)
        youngest = max([youngest, *((FIRST, SECOND, THIRD).index(slot) for slot in news)])
        known = [i for i, version in enumerate(held(one)) if version]
        assert known == ([youngest] if youngest >= 0 else [])
        assert one.roster[0] == 1 + len(known)


def test_a_younger_generation_replaces_the_older_for_good() -> None:
    one = replica()
    learn(one, {FIRST: 5})
    learn(one, {THIRD: 1})
    assert held(one) == [0, 0, 1]
    learn(one, {FIRST: 9, SECOND: 4})
    assert held(one) == [0, 0, 1]
    learn(one, {FIRST: 10, SECOND: 4})
    assert held(one) == [0, 0, 1]
    assert list(one.superseded) == [(LIVES[0].key, LIVES[2].key), (LIVES[1].key, LIVES[2].key)]


def test_what_was_forgotten_is_refused_until_it_is_admitted() -> None:
    one = replica()
    learn(one, {FIRST: 5})
    roster = one.roster
    one.forget(LIVES[0].key)
    assert one.known(LIVES[0].key) is None and one.roster[0] == 1
    learn(one, {FIRST: 6})
    assert held(one) == [0, 0, 0]
    one.admit(LIVES[0].key)
    learn(one, {FIRST: 6})
    assert one.known(LIVES[0].key) == FIRST and one.roster == roster


def test_what_is_kept_beside_a_version_goes_with_it() -> None:
    """Else a strategy would tell of an origin that it does not know any more."""
    one = replica()
    learn(one, {FIRST: 5})
    beside = one.companion()
    beside[FIRST], beside[SLOT[ME]] = 7, 8
    learn(one, {SECOND: 1})
    assert (beside[FIRST], beside[SLOT[ME]]) == (0, 8)
    beside[SECOND] = 9
    one.forget(LIVES[1].key)
    assert (beside[SECOND], beside[SLOT[ME]]) == (0, 8)


def test_who_is_withheld_is_not_introduced_until_it_is_back() -> None:
    one = replica()
    learn(one, {SECOND: 300})

    def draft(known: int) -> tuple[bool, Delta]:
        row, since = array("q", one.versions), array("q", one.versions)
        since[SECOND] = known
        made = Delta(one.key, 1, 0, len(row), row, since, int(known == 0), int(known > 0), 0, 2)
        return one.introduces(made), made

    one.withhold(LIVES[1].key, True)
    said, made = draft(known=0)
    assert (said, made.row[SECOND], made.introductions, made.size) == (False, 0, 0, 0)
    said, made = draft(known=7)
    assert (said, made.row[SECOND], made.news, made.size) == (True, 300, 1, 2)
    one.withhold(LIVES[1].key, False)
    said, made = draft(known=0)
    assert (said, made.row[SECOND], made.introductions, made.size) == (True, 300, 1, 2)


def test_unknown_keys_are_nobody() -> None:
    one = replica()
    one.forget(12345)
    one.admit(12345)
    one.withhold(12345, True)
    assert one.known(12345) is None
    assert one.known(one.key) == SLOT[ME]
