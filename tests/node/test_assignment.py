"""Assignments travel as JSON and arrive as they were; whatever is missing or wrong is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import SECOND, GossipSettings
from priomon_core.errors import SettingError
from priomon_core.identity import Address, Identity
from priomon_core.latency import Constant, Empirical, Latency, Lognormal, Normal, Uniform
from priomon_core.links import Bernoulli, GilbertElliott, LinkModel
from priomon_core.metrics import CPU, Metric, Priority
from priomon_node.assignment import Assignment, LinkPlan, read_assignment

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
        identity=Identity(draw(st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True)), draw(st.integers(1, 2**48 - 1)), addresses[own]),
        stream=draw(st.text()),
        metrics=declared,
        gossip=draw(st.builds(GossipSettings, *[st.integers(256, 2**50)] * 6)),
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


def document(**changes: Any) -> Json:
    """The assignment of the second of three nodes."""
    homes = [Address("10.0.0.1", 7946 + node) for node in range(3)]
    indexes = {home: node for node, home in enumerate(homes)}
    assignment = Assignment(
        run="test 1",
        start=2**60,
        duration=SECOND,
        patience=SECOND,
        identity=Identity("node1", 1, homes[1]),
        stream="1 node1 gossip",
        metrics=(CPU,),
        gossip=GossipSettings(),
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
    "generation": 1.5,
    "address": ["10.0.0.1"],
    "stream": 7,
    "metrics": {},
    "gossip": [],
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
    refused(document(gossip=gossip | {field: "1"}), f"gossip.{field}: found '1', expected int")


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
        (document(generation=0), "expected a generation from 1"),
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
