"""Diaries of many agents, put together: what is shown, when, and that it does not depend on the order in which agents are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.metrics import CPU, MEMORY
from priomon_node.orchestrator.diaries import Diaries
from priomon_results.observer import Look, Traffic
from priomon_sim.driver import Noticed
from priomon_sim.lives import Lives

METRICS = (CPU, MEMORY)
FOLLOW, PROBE, SAMPLE = 100, 300, 50  # ns
Entry = list[Any]


class Shown:
    """An observer that keeps what it is shown, in a form that can be compared."""

    def __init__(self) -> None:
        self.follows: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []

    def follow(self, look: Look) -> None:
        self.follows.append(plain(look))

    def probe(self, look: Look, truth: Any, traffic: Traffic) -> None:
        self.probes.append(plain(look) | {"truth": truth.tolist(), "traffic": traffic})


def plain(look: Look) -> dict[str, Any]:
    publications = look.publications
    newest = publications.newest.tolist()
    return {
        "now": look.now,
        "live": look.live.tolist(),
        "versions": look.versions.tolist(),
        "newest": newest,
        "times": [publications.times[origin, : count + 1].tolist() for origin, count in enumerate(newest)],
        "levels": [publications.levels[origin, : count + 1].tolist() for origin, count in enumerate(newest)],
    }


class Story:
    """Is told a run's story as a chronicle is, and keeps it."""

    def __init__(self) -> None:
        self.noticed: list[tuple[int, int, int, str]] = []

    def tell(self, now: int, noticed: Iterable[Noticed], knowing: Callable[[int], Iterable[int]]) -> None:
        self.noticed += [(now, at, life, event.name) for at, life, event in noticed]


class Record:
    """Records probes as a history does, and keeps of each when it was, which lives looked, and what they had sent."""

    def __init__(self) -> None:
        self.probes: list[tuple[int, list[int], list[int]]] = []
        self.ended: set[int] = set()

    def record(self, now: int, looked: Sequence[int], deeds: Sequence[dict[str, Any]]) -> None:
        self.probes.append((now, list(looked), [said["bytes_sent"] for said in deeds]))

    def examine(self, ledger: Any, ended: set[int]) -> None:
        self.ended = ended


class Run:
    """Diaries of some nodes, and what was shown of them; node i has `generations[i]` lives."""

    def __init__(self, nodes: int = 2, generations: Sequence[int] = ()) -> None:
        lives = Lives.of(generations or [1] * nodes)
        self.keys = [identity.key for identity in lives.origins]
        self.slots = lives.slots
        self.story = Story()
        self.record = Record()
        story: Any = self.story
        history: Any = self.record
        self.diaries = Diaries(lives, METRICS, FOLLOW, PROBE, SAMPLE, story, history)
        self.shown = Shown()

    def tell(self, node: int, *entries: Entry, silent: tuple[int, ...] = ()) -> Run:
        self.diaries.take(node, entries)
        observer: Any = self.shown
        self.diaries.show(observer, silent)
        return self

    def held(self, number: int, *versions: int) -> Entry:
        return ["held", number, self._held(versions)]

    def probe(self, number: int, *versions: int, sent: int = 0) -> Entry:
        return ["probe", number, self.deeds(*versions, sent=sent)]

    def ending(self, *versions: int, sent: int = 0) -> Entry:
        return ["ending", 0, self.deeds(*versions, sent=sent)]

    def deeds(self, *versions: int, sent: int = 0) -> dict[str, Any]:
        return {
            "held": self._held(versions),
            "believed": None,
            "truth": [float(sum(versions)), None],
            "bytes_sent": sent,
            "datagrams_sent": sent // 100,
            "bytes_received": sent // 2,
            "delivered": sent // 10,
            "published": [sum(versions), 0],
            "filtered": [1, 2],
            "lost": {"loss": sent // 50},
            "dropped": {},
        }

    def _held(self, versions: tuple[int, ...]) -> list[int]:
        return [number for key, version in zip(self.keys, versions, strict=False) if version for number in (key, version)]


def published(version: int, now: int, level: int = 5) -> Entry:
    return ["published", version, now, [[0, level]]]


def test_an_instant_is_shown_when_all_have_told_of_it_or_of_a_later_one() -> None:
    run = Run()
    run.tell(0, published(1, 40), run.held(1, 1, 0))
    assert run.shown.follows == []
    run.tell(1, run.held(2, 1, 0))  # it missed the first
    (first,) = run.shown.follows
    assert (first["now"], first["live"], first["newest"]) == (100, [True, False], [1, 0])
    assert run.diaries.shown == 100
    run.tell(0, run.held(2, 1, 0))
    assert [(look["now"], look["live"]) for look in run.shown.follows[1:]] == [(200, [True, True])]
    assert run.shown.follows[1]["versions"] == [[1, 0], [1, 0]]


def test_a_probe_is_shown_after_the_look_at_the_same_instant() -> None:
    run = Run()
    for node in (0, 1):
        run.tell(node, run.held(3, 0, 0), run.probe(1, 0, 0, sent=100 * node))
    assert [look["now"] for look in run.shown.follows] == [100, 200, 300]
    assert [look["live"] for look in run.shown.follows] == [[False] * 2, [False] * 2, [True] * 2]
    (probe,) = run.shown.probes
    assert (probe["now"], probe["traffic"].bytes_sent, probe["truth"][0][0]) == (300, [0, 100], 0.0)
    assert np.isnan(probe["truth"][0][1])


def test_a_silent_node_is_not_waited_for_and_does_not_live() -> None:
    run = Run()
    run.tell(0, published(1, 10), run.held(1, 1, 0), silent=(1,))
    assert [look["live"] for look in run.shown.follows] == [[True, False]]
    run.tell(1, run.held(1, 0, 0), run.held(2, 1, 0))  # back again: the first instant is over, the second is waited for
    assert len(run.shown.follows) == 1
    run.tell(0, run.held(2, 1, 0))
    assert run.shown.follows[1]["live"] == [True, True]


def test_nothing_is_shown_while_all_are_silent() -> None:
    run = Run()
    run.tell(0, silent=(0, 1))
    assert run.diaries.shown == 0


def test_a_node_that_rests_holds_nothing_up() -> None:
    run = Run()
    run.tell(0, run.held(1, 0, 0), run.ending(0, 0))
    run.tell(1, run.held(1, 0, 0), run.held(2, 0, 0))
    assert [look["live"] for look in run.shown.follows] == [[True, True], [False, True]]
    assert run.diaries.endings.keys() == {0}


def test_published_is_what_the_origin_says_it_was_and_who_looked_later_holds_that() -> None:
    run = Run()
    run.tell(0, published(1, 40), run.held(1, 1, 0), published(2, 101), published(3, 160), run.held(2, 3, 0))
    run.tell(1, run.held(1, 2, 0), run.held(2, 3, 0))
    first, second = run.shown.follows
    assert (first["newest"], first["versions"]) == ([1, 0], [[1, 0], [1, 0]])
    assert (second["newest"], second["versions"]) == ([3, 0], [[3, 0], [3, 0]])
    assert second["times"][0][1:] == [40, 101, 160]


def test_what_an_origin_published_between_the_instant_and_its_look_has_no_age() -> None:
    run = Run()
    run.tell(0, published(1, 104), run.held(1, 1, 0))
    run.tell(1, run.held(1, 0, 0))
    (look,) = run.shown.follows
    assert (look["newest"], look["times"][0][1]) == ([1, 0], 100)


def test_of_an_origin_that_missed_its_look_all_counts_that_it_published_by_then() -> None:
    run = Run()
    run.tell(0, published(1, 40), published(2, 90), published(3, 130), run.held(2, 3, 0))
    run.tell(1, run.held(1, 2, 0), run.held(2, 2, 0))
    assert [look["newest"] for look in run.shown.follows] == [[2, 0], [3, 0]]
    assert run.shown.follows[0]["versions"][1] == [2, 0]


def test_strangers_are_not_counted() -> None:
    run = Run()
    run.tell(0, ["held", 1, [12345, 7]])
    run.tell(1, run.held(1, 0, 0))
    assert run.shown.follows[0]["versions"] == [[0, 0], [0, 0]]


def test_counts_are_those_of_the_last_probe_until_all_is_shown_then_of_the_ending() -> None:
    run = Run()
    run.tell(0, run.held(3, 0, 0), run.probe(1, 0, 0, sent=1000), run.ending(0, 0, sent=1500))
    assert run.diaries.traffic().bytes_sent == [0, 0]
    run.tell(1, run.held(3, 0, 0), run.probe(1, 0, 0, sent=2000))
    assert run.shown.probes[0]["traffic"].bytes_sent == [1000, 2000]
    traffic = run.diaries.traffic()
    assert (traffic.bytes_sent, traffic.datagrams_sent, traffic.bytes_received) == ([1500, 2000], [15, 20], [750, 1000])
    assert (traffic.messages_sent, traffic.delivered, traffic.samples) == (35, 350, {"cpu": (0, 2), "memory": (0, 4)})
    assert run.diaries.samples() == [[(0, 1), (0, 2)]] * 2
    assert run.diaries.lost() == {"loss": 70}


def test_what_nodes_measured_is_kept_row_by_row() -> None:
    run = Run(3)
    run.tell(0, ["sampled", [1.0, None]], ["sampled", [2.0, 3.0]])
    run.tell(2, ["sampled", [4.0, 5.0]])
    first, second, third = run.diaries.measured()
    assert np.array_equal(first, [[1.0, np.nan], [2.0, 3.0]], equal_nan=True)
    assert np.array_equal(second, [[np.nan, np.nan]], equal_nan=True)  # killed before it measured anything: a row of nothing
    assert third.tolist() == [[4.0, 5.0]]


def born(generation: int, now: int) -> Entry:
    return ["born", generation, now]


def test_of_a_node_with_two_lives_the_one_that_it_was_seen_in_last_is_shown() -> None:
    run = Run(generations=[2, 1])
    first, second, other = *run.slots[0], run.slots[1][0]

    def held(number: int, **versions: int) -> Entry:
        named = {"first": first, "second": second, "other": other}
        return ["held", number, [value for name, version in versions.items() for value in (run.keys[named[name]], version)]]

    run.tell(0, born(1, 0), published(1, 10), published(2, 20), held(1, first=2, other=1))
    run.tell(1, born(1, 0), published(1, 10), held(1, first=1, other=1), held(2, first=2, other=1))
    run.tell(0, ["held", 2, None], born(2, 220), published(1, 230), held(3, second=1))
    run.tell(1, held(3, first=2, other=1), held(4, second=1, other=1))
    run.tell(0, held(4, second=1, other=1))
    looks = run.shown.follows
    assert [look["live"] for look in looks] == [[True, True], [False, True], [True, True], [True, True]]
    assert [look["newest"] for look in looks] == [[2, 1], [2, 1], [1, 1], [1, 1]]
    assert [look["versions"] for look in looks] == [[[2, 1], [1, 1]], [[2, 1], [2, 1]], [[1, 0], [0, 1]], [[1, 1], [1, 1]]]
    assert looks[2]["times"][0][1:] == [230]


def test_what_a_node_did_counts_over_all_its_lives() -> None:
    run = Run(1, generations=[3])
    before = ["over", 150, run.deeds(sent=1000)]
    run.tell(0, born(1, 0), before, ["held", 2, None], born(2, 210), ["probe", 1, run.deeds(sent=400)], ["held", 3, None])
    assert run.shown.probes[0]["traffic"].bytes_sent == [1400]
    run.tell(0, born(3, 500), ["probe", 2, run.deeds(sent=70)], ["held", 6, None])  # its second process was killed
    assert run.shown.probes[1]["traffic"].bytes_sent == [1470]
    assert run.diaries.samples() == [[(0, 3), (0, 6)]]
    run.tell(0, ["ending", 0, run.deeds(sent=90)])
    assert run.diaries.traffic().bytes_sent == [1490]


def test_the_history_has_each_life_apart_and_knows_which_have_told_all() -> None:
    run = Run(generations=[2, 1])
    (first, second), (other,) = run.slots
    run.tell(0, born(1, 0), ["probe", 1, run.deeds(sent=100)])
    assert not run.diaries.is_over(0)
    run.tell(0, ["over", 400, run.deeds(sent=120)], ["probe", 2, None], born(2, 700), ["probe", 3, run.deeds(sent=10)])
    run.tell(1, *(["probe", number, run.deeds(sent=number)] for number in (1, 2, 3)))
    told = [(now, set(looked), [sent[slot] for slot in (first, second, other)]) for now, looked, sent in run.record.probes]
    assert told == [
        (300, {first, other}, [100, 0, 1]),
        (600, {other}, [120, 0, 2]),
        (900, {second, other}, [120, 10, 3]),
    ]
    run.diaries.examine()
    assert run.record.ended == {first}  # the second life goes on, and nobody has told of the run's end
    run.tell(1, run.ending(0, 0)).diaries.examine()
    assert run.record.ended == {first, other}


def test_the_deeds_of_a_life_do_not_count_before_it_was_over() -> None:
    run = Run(1, generations=[2])
    run.tell(0, born(1, 0), ["probe", 1, run.deeds(sent=100)], ["over", 400, run.deeds(sent=1000)], ["probe", 2, None])
    assert [probe["traffic"].bytes_sent for probe in run.shown.probes] == [[100], [1000]]


def test_what_was_noticed_is_told_with_the_life_that_noticed_it() -> None:
    run = Run(generations=[2, 1])
    event = {"event": "left", "at": 5, "key": run.keys[run.slots[1][0]], "name": "b"}
    run.tell(0, born(1, 0), ["noticed", 120, event], born(2, 130), ["noticed", 140, event], run.probe(1))
    run.tell(1, run.probe(1))
    assert run.story.noticed == [(300, 120, run.slots[0][0], "b"), (300, 140, run.slots[0][1], "b")]


def test_a_node_measured_nothing_while_it_was_down() -> None:
    run = Run(1, generations=[2])
    run.tell(0, born(1, 0), ["sampled", [1.0, 2.0]], born(2, 3 * SAMPLE), ["sampled", [3.0, 4.0]])
    nothing = [np.nan, np.nan]
    assert np.array_equal(run.diaries.measured()[0], [[1.0, 2.0], nothing, nothing, [3.0, 4.0]], equal_nan=True)


def test_how_many_each_node_holds_alive_is_shown() -> None:
    run = Run()
    believing: list[Any] = []
    run.shown.probe = lambda look, truth, traffic: believing.append(look.believed)  # type: ignore[method-assign]
    for node in (0, 1):
        run.tell(node, ["probe", 1, run.deeds() | {"believed": 2 - node}])
    assert [found.tolist() for found in believing] == [[2, 1]]


@st.composite
def stories(draw: st.DrawFn) -> list[list[Entry]]:
    """A diary for each of some nodes: publications at any time, looks with gaps, some ms late."""
    nodes = draw(st.integers(2, 4))
    run = Run(nodes)
    last = draw(st.integers(3, 8))
    late = st.integers(0, 60)
    times = [sorted(draw(st.lists(st.integers(0, last * FOLLOW + 60), max_size=12, unique=True))) for _ in range(nodes)]
    diaries = []
    for node in range(nodes):
        diary: list[tuple[int, Entry]] = [(now, published(version, now, version)) for version, now in enumerate(times[node], 1)]
        for number in range(1, last + 1):
            if draw(st.integers(0, 4)):
                at = number * FOLLOW + draw(late)
                versions = [sum(now <= at - (0 if origin == node else 80) for now in times[origin]) for origin in range(nodes)]
                diary.append((at, run.held(number, *versions)))
                if number % (PROBE // FOLLOW) == 0:
                    diary.append((at, run.probe(number * FOLLOW // PROBE, *versions, sent=100 * number)))
        diary.sort(key=lambda entry: entry[0])
        if draw(st.booleans()):
            diary.append((0, run.ending(*[0] * nodes, sent=10_000)))
        diaries.append([entry for _, entry in diary])
    return diaries


def outcome(run: Run) -> str:
    """All that was shown and counted, as text, in which NaN equals itself."""
    of = run.diaries
    return repr((run.shown.follows, run.shown.probes, of.traffic(), of.samples(), of.lost(), of.shown))


@given(stories(), st.data())
def test_the_order_in_which_agents_are_read_changes_nothing(diaries: list[list[Entry]], data: st.DataObject) -> None:
    nodes = len(diaries)
    at_once, in_pieces = Run(nodes), Run(nodes)
    for node, diary in enumerate(diaries):
        at_once.diaries.take(node, diary)
    left = {node: list(diary) for node, diary in enumerate(diaries) if diary}
    while left:
        node = data.draw(st.sampled_from(sorted(left)))
        count = data.draw(st.integers(1, len(left[node])))
        if left[node][:count][-1][0] == "held" and left[node][count : count + 1] and left[node][count][0] == "probe":
            count += 1  # an agent writes both at once
        in_pieces.tell(node, *left[node][:count])
        left[node] = left[node][count:]
        left = {node: rest for node, rest in left.items() if rest}
    everybody = tuple(range(nodes))  # who tells no more holds nothing up
    assert outcome(in_pieces.tell(0, silent=everybody)) == outcome(at_once.tell(0, silent=everybody))


@given(stories())
def test_what_is_shown_keeps_what_a_look_promises(diaries: list[list[Entry]]) -> None:
    run = Run(len(diaries))
    for node, diary in enumerate(diaries):
        run.diaries.take(node, diary)
    run.tell(0, silent=tuple(range(len(diaries))))
    looks = run.shown.follows
    assert [look["now"] for look in looks] == [FOLLOW * (number + 1) for number in range(len(looks))]
    newest = np.zeros(len(diaries))
    for look in looks:
        assert (np.array(look["newest"]) >= newest).all()
        newest = np.array(look["newest"])
        assert (np.array(look["versions"]) <= newest).all()
        assert max([0, *(time for times in look["times"] for time in times)]) <= look["now"]


@pytest.mark.parametrize("kind", ["held", "probe"])
def test_intervals_are_those_of_the_kind(kind: str) -> None:
    run = Run(1)
    run.tell(0, run.held(2, 0) if kind == "held" else run.probe(2, 0))
    assert run.diaries.shown == 2 * {"held": FOLLOW, "probe": PROBE}[kind]
