"""Assignments travel as JSON and arrive as they were; whatever is missing or wrong is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import DATAGRAM_STRATEGIES, SECOND, DetectionSettings, GossipSettings
from priomon_core.errors import SettingError
from priomon_core.identity import Address
from priomon_core.latency import Constant, Empirical, Latency, Lognormal, Normal, Uniform
from priomon_core.links import Bernoulli, GilbertElliott, LinkModel
from priomon_core.metrics import CPU, Metric, Priority
from priomon_node.experiment.assignment import Assignment, LinkPlan, read_assignment
from priomon_node.experiment.script import Alter, Cut, Freeze, Life, Mend, Mishap, Planned, Restore, Skew

Json = dict[str, Any]

NANOSECONDS = st.integers(1, 2**62)
SHARES = st.floats(0, 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def latencies() -> st.SearchStrategy[Latency]:
    ns = st.integers(0, 2**40)
    return st.one_of(
        ns.map(Constant),
        st.tuples(ns, ns).map(lambda pair: Uniform(*sorted(pair))),
        st.tuples(ns, ns, ns).map(lambda three: Normal(max(three), three[0], min(three))),
        st.builds(Lognormal, st.integers(1, 2**30), st.floats(0, 2)),
        st.lists(ns, min_size=2, max_size=4).map(lambda values: Empirical(tuple(sorted(values)))),
    )


LOSSES = st.one_of(st.builds(Bernoulli, SHARES), st.builds(GilbertElliott, SHARES, st.floats(0.01, 1), SHARES, SHARES))
MODELS = st.builds(
    LinkModel, latencies(), LOSSES, st.none() | st.integers(1, 2**50), st.integers(0, 2**50), SHARES, SHARES, st.integers(1, 2**50)
)


@st.composite
def metrics(draw: st.DrawFn) -> tuple[Metric, ...]:
    names = draw(st.lists(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(str.isidentifier), min_size=1, unique=True))
    declared = []
    for name in names:
        log = draw(st.booleans())
        declared.append(
            Metric(
                name=name,
                unit=draw(st.text(max_size=5)),
                bound=draw(st.floats(1.1, 1e6)),
                priority=draw(st.sampled_from(Priority)),
                scale="log" if log else "linear",
                floor=draw(st.floats(1e-3, 1e6)),
                signed=not log and draw(st.booleans()),
                silence=draw(st.none() | st.floats(0.1, 1e9)),
                alarm=draw(st.none() | FINITE),
                filter=draw(st.sampled_from(("none", "schedule", "bounded"))),
            )
        )
    return tuple(declared)


@st.composite
def lives(draw: st.DrawFn) -> tuple[Life, ...]:
    """One after another; only the last has no end."""
    times = sorted(draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=7, unique=True)))
    pairs = zip(times[::2], [*times[1::2], None] if len(times) % 2 else times[1::2], strict=True)
    return tuple(
        Life(draw(st.integers(1, 2**48 - 1)), begin, end, draw(st.booleans()), draw(st.text()), draw(st.text())) for begin, end in pairs
    )


@st.composite
def mishaps(draw: st.DrawFn) -> tuple[Planned, ...]:
    """Some of each kind; what begins also ends."""
    nodes = st.frozensets(st.integers(0, 9))
    made: list[Mishap] = []
    for number in range(draw(st.integers(0, 3))):
        made += [Cut(number, draw(nodes)), Alter(number, draw(nodes), draw(MODELS)), Mend(number), Restore(number)]
        made += [Freeze(draw(NANOSECONDS)), Skew(draw(st.floats(0.5, 2)))]
    return tuple(zip(sorted(draw(st.lists(NANOSECONDS, min_size=len(made), max_size=len(made)))), made, strict=True))


@st.composite
def assignments(draw: st.DrawFn) -> Assignment:
    addresses = draw(st.lists(st.builds(Address, st.ip_addresses().map(str), st.integers(1, 65535)), min_size=1, max_size=5, unique=True))
    own = draw(st.integers(0, len(addresses) - 1))
    others = [index for index in range(len(addresses)) if index != own]
    declared = draw(metrics())
    row = st.tuples(*[st.floats(allow_infinity=False)] * len(declared))
    some = st.lists(st.sampled_from(others), unique=True) if others else st.just([])
    return Assignment(
        run=draw(st.text()),
        start=draw(NANOSECONDS),
        duration=draw(NANOSECONDS),
        patience=draw(NANOSECONDS),
        name=draw(st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True)),
        address=addresses[own],
        lives=draw(lives()),
        mishaps=draw(mishaps()),
        metrics=declared,
        gossip=draw(st.builds(GossipSettings, st.sampled_from(DATAGRAM_STRATEGIES), *[st.integers(256, 2**50)] * 6)),
        detection=draw(st.builds(DetectionSettings, suspicion=st.integers(1, 9), phi_threshold=st.floats(0.5, 300))),
        sealed=draw(st.booleans()),
        peers=tuple(addresses[peer] for peer in draw(some)),
        sample_every=draw(NANOSECONDS),
        samples=draw(st.none() | st.lists(row, min_size=1, max_size=4).map(tuple)),
        follow_every=draw(NANOSECONDS),
        probe_every=draw(NANOSECONDS),
        links=LinkPlan(
            draw(st.integers(0, 2**63 - 1)),
            own,
            {address: index for index, address in enumerate(addresses)},
            draw(MODELS),
            {target: draw(MODELS) for target in draw(some)},
            draw(st.none() | st.fixed_dictionaries({other: st.integers(1, 65535) for other in others})),
        ),
    )


def comparable(assignment: Assignment) -> Json:
    """All that is said, with NaN as a text that equals itself."""
    rows = assignment.samples and [["nan" if math.isnan(value) else value for value in row] for row in assignment.samples]
    return {field: rows if field == "samples" else getattr(assignment, field) for field in Assignment.__slots__}


@given(assignments())
def test_an_assignment_arrives_as_it_was(assignment: Assignment) -> None:
    arrived = read_assignment(json.loads(json.dumps(assignment.to_json(), allow_nan=False)))
    assert comparable(arrived) == comparable(assignment)
    assert [type(metric.priority) for metric in arrived.metrics] == [Priority] * len(arrived.metrics)


LIFE = Life(1, 0, SECOND // 3, False, "1 node1 gossip", "1 node1 watch")


def document(**changes: Any) -> Json:
    """The assignment of the second of three nodes."""
    homes = [Address("10.0.0.1", 7946 + node) for node in range(3)]
    indexes = {home: node for node, home in enumerate(homes)}
    assignment = Assignment(
        run="test 1",
        start=2**60,
        duration=SECOND,
        patience=SECOND,
        name="node1",
        address=homes[1],
        lives=(LIFE, replace(LIFE, generation=2, begins=SECOND // 2, ends=None)),
        mishaps=((5, Cut(1, frozenset({0, 2}))), (7, Alter(2, frozenset({0}), LinkModel(Constant(9)))), (9, Mend(1)), (9, Skew(1.5))),
        metrics=(CPU,),
        gossip=GossipSettings(),
        detection=DetectionSettings(),
        sealed=False,
        peers=(homes[0], homes[2]),
        sample_every=SECOND,
        samples=((50.0,), (math.nan,)),
        follow_every=SECOND // 10,
        probe_every=SECOND,
        links=LinkPlan(1, 1, indexes, LinkModel(Constant(5)), {2: LinkModel(Uniform(1, 2))}, {0: 1, 2: 3}),
    )
    made: Json = json.loads(json.dumps(assignment.to_json()))
    return made | changes


WRONG: Json = {
    "run": 1,
    "start": "now",
    "duration": 0,
    "patience": -1,
    "name": None,
    "address": ["10.0.0.1"],
    "lives": [1],
    "mishaps": [[1, "cut"]],
    "metrics": {},
    "gossip": [],
    "detection": None,
    "sealed": "false",  # which Python would take for true
    "peers": [["10.0.0.9", 1]],
    "sample_every": True,
    "samples": [[1.0, 2.0]],
    "follow_every": 2**63,
    "probe_every": 0,
    "links": None,
}
WRONG_LINKS: Json = {
    "seed": None,
    "own": 2,
    "indexes": [["10.0.0.1", 7946, 0], ["10.0.0.1", 7947, 1], ["10.0.0.1", 7948, 1]],
    "default": {},
    "overrides": [[1, 5]],
    "hops": [[0, 1]],
}


def refused(wrong: object, *words: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_assignment(wrong)
    for word in words:
        assert word in str(caught.value)


def test_the_document_that_is_spoilt_below_is_whole() -> None:
    assert read_assignment(document()).links.hops == {0: 1, 2: 3}
    assert WRONG.keys() == document().keys()
    assert WRONG_LINKS.keys() == document()["links"].keys()


@pytest.mark.parametrize("field", WRONG)
def test_a_missing_or_wrong_field_is_named(field: str) -> None:
    short = document()
    del short[field]
    refused(short, "assignment: ", f"expected the field {field} ")
    refused(document(**{field: WRONG[field]}), field)


@pytest.mark.parametrize("field", WRONG_LINKS)
def test_a_missing_or_wrong_field_of_the_links_is_named(field: str) -> None:
    short = document()
    del short["links"][field]
    refused(short, "links: ", f"expected the field {field} ")
    whole = document()
    whole["links"][field] = WRONG_LINKS[field]
    refused(whole, "link model" if field == "default" else field)


@pytest.mark.parametrize("field", [*document()["metrics"][0]])
def test_a_missing_or_wrong_field_of_a_metric_is_named(field: str) -> None:
    metric = document()["metrics"][0]
    refused(document(metrics=[{name: value for name, value in metric.items() if name != field}]), "metrics[0]: found [", f" {field} ")
    refused(document(metrics=[metric | {field: []}]), f"metrics[0].{field}: found []")


@pytest.mark.parametrize("field", [*document()["gossip"]])
def test_a_missing_or_wrong_field_of_the_gossip_is_named(field: str) -> None:
    gossip = document()["gossip"]
    refused(document(gossip={name: value for name, value in gossip.items() if name != field}), "gossip: ", f" {field} ")
    wrong, expected = (1, "found 1, expected str") if field == "strategy" else ("1", "found '1', expected int")
    refused(document(gossip=gossip | {field: wrong}), f"gossip.{field}: {expected}")


@pytest.mark.parametrize("field", [*document()["lives"][0]])
def test_a_missing_or_wrong_field_of_a_life_is_named(field: str) -> None:
    life = document()["lives"][0]
    refused(document(lives=[{name: value for name, value in life.items() if name != field}]), "lives[0]: found [", f" {field} ")
    refused(document(lives=[life | {field: []}]), f"lives[0].{field}: found []")


def spoil(change: Callable[[Json], Any]) -> Json:
    spoilt = document()
    change(spoilt)
    return spoilt


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ([], "assignment: found [], expected an object"),
        (document(colour="red"), "assignment: found ['colour'], expected no other fields than run, start,"),
        (document(address=["node1", 7947]), "address: found 'node1', expected an IP address"),
        (document(address=["10.0.0.1", 0]), "address: found 0, expected a port from 1 to 65535"),
        (document(peers=[["10.0.0.1", 7947]]), "peers: found [1], expected other nodes"),
        (document(metrics=[]), "metrics: found [], expected 1 to 56 with different names"),
        (document(metrics=document()["metrics"] * 2), "metrics: found ['cpu', 'cpu'], expected 1 to 56 with different names"),
        (document(metrics=[{**document()["metrics"][0], "priority": 4}]), "metrics[0].priority: found 4"),
        (document(metrics=[{**document()["metrics"][0], "bound": -1}]), "metric 'cpu': the bound must be above 0"),
        (document(samples=[]), "samples: found (), expected at least one, each of 1 values"),
        (document(samples=[["high"]]), "assignment.samples: found [['high']], expected list[list[float | None]] | None"),
        (document(lives=[]), "lives: found (), expected at least one, each after the end of the one before"),
        (document(lives=document()["lives"][::-1]), "expected at least one, each after the end of the one before"),
        (document(lives=document()["lives"][:1] * 2), "expected at least one, each after the end of the one before"),
        (document(lives=[document()["lives"][0] | {"generation": 0}]), "expected a generation from 1"),
        (document(lives=[document()["lives"][0] | {"begins": SECOND}]), "lives[0]: found (1000000000, 333333333), expected a beginning"),
        (document(mishaps=[[1, "mend", {"number": 1}]]), "mishaps: found Mend(number=1), expected what it ends, cut 1, before 1 ns"),
        (document(mishaps=[[1, "restore", {"number": 1}]]), "mishaps: found Restore(number=1), expected what it ends, alter 1"),
        (document(mishaps=[[1, "crash", {}]]), "mishaps[0][1]: found 'crash', expected one of freeze, skew, cut, mend, alter, restore"),
        (document(mishaps=[[1, "skew", {"rate": 0.0}]]), "mishaps[0][2].rate: found 0.0, expected a rate between 0.1 and 10"),
        (document(mishaps=[[1, "freeze", {}]]), "mishaps[0][2]: found [], expected the field until as well"),
        (document(mishaps=[[1, "cut", {"number": 1, "nodes": ["a"]}]]), "mishaps[0][2].nodes: found ['a'], expected list[int]"),
        (
            document(gossip=document()["gossip"] | {"strategy": "demon"}),
            "gossip.strategy: found 'demon', expected one of scuttlebutt",
        ),
        (document(detection=document()["detection"] | {"detector": "rumour"}), "detector: expected one of swim, phi, count, none"),
        (document(gossip=document()["gossip"] | {"burst": 0}), "burst: expected at least 1"),
        (spoil(lambda whole: whole["links"].update(hops=[[0, 1], [2, 0]])), "links.hops: found {0: 1, 2: 0}, expected 1 to 65535"),
        (spoil(lambda whole: whole["links"].update(indexes=[])), "links.indexes: found {}"),
        (spoil(lambda whole: whole["links"]["overrides"][0].__setitem__(0, 3)), "links.overrides: found [3], expected other nodes"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_words(spoilt: object, words: str) -> None:
    refused(spoilt, words)


def test_links_of_a_plan_start_at_its_node() -> None:
    plan = read_assignment(document()).links
    links = plan.links()
    assert links.arrivals(1, 0, 100, 1_000) == (1_005,)
    (arrival,) = links.arrivals(1, 2, 100, 1_000)
    assert 1_003 <= arrival <= 1_006  # three hops of 1 to 2 ns
