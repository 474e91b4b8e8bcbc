"""What an agent shows of its knowledge: values, the interval of the true one, ages, and both nodes where two bear one name."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core import __version__
from priomon_core.config import SECOND
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN, CPU, NETWORK, Metric
from priomon_node import view

HOME = Address("10.0.0.1", 7946)
New = Callable[..., Any]


def test_nodes_are_listed_by_name_with_their_ages(still_agent: New) -> None:
    agent = still_agent()
    agent.hear(Identity("z", 3, Address("fe00::1", 7)), 4, ((0, 10),))
    agent.now = SECOND
    agent.hear(Identity("a", 2, HOME), 9, ((0, 10),))
    agent.now = 3 * SECOND
    a, me, z = view.nodes(agent)
    assert a == {
        "name": "a",
        "generation": 2,
        "address": "10.0.0.1:7946",
        "version": 9,
        "age_seconds": pytest.approx(2.001),
        "state": None,
        "state_seconds": None,
        "self": False,
    }
    assert (me["name"], me["self"], me["version"], me["age_seconds"]) == ("me", True, 0, None)
    assert (z["address"], z["age_seconds"]) == ("[fe00::1]:7", pytest.approx(3.001))


def test_what_is_only_named_is_not_listed(still_agent: New) -> None:
    agent = still_agent()
    assert agent.replica.slot(agent.identity.key ^ 1) is not None
    assert [node["name"] for node in view.nodes(agent)] == ["me"]


def test_state_holds_what_was_published_and_nothing_else(still_agent: New) -> None:
    agent = still_agent()
    agent.hear(Identity("a", 1, HOME), 1, ((0, 100), (2, 0)))
    agent.now = 5 * SECOND
    (a,) = view.state(agent, "a")
    assert set(a["metrics"]) == {"cpu", "network"}
    cpu = a["metrics"]["cpu"]
    assert cpu == {
        "value": 50.0,
        "unit": "%",
        "bound": 5.0,
        "scale": "linear",
        "low": 45.0,
        "high": 55.0,
        "age_seconds": a["age_seconds"],
    }
    network = a["metrics"]["network"]
    assert (network["value"], network["low"], network["high"]) == (10_000.0, 0.0, pytest.approx(20_000.0))
    assert view.state(agent, "nobody") == []
    assert [node["name"] for node in view.state(agent)] == ["a", "me"]


def test_two_nodes_of_one_name_are_told_apart(still_agent: New) -> None:
    agent = still_agent()
    agent.hear(Identity("me", 9, Address("10.9.9.9", 1)), 1, ((0, 1),))
    assert [(n["generation"], n["address"], n["self"]) for n in view.state(agent, "me")] == [
        (5, "10.0.0.1:7946", True),
        (9, "10.9.9.9:1", False),
    ]


@given(
    st.sampled_from([*BUILT_IN, Metric("t", "K", 0.3, signed=True), Metric("u", "B", 1.5, scale="log", floor=3.0)]),
    st.floats(-1e9, 1e9),
    st.floats(-0.99, 0.99),
)
def test_the_true_value_lies_in_the_interval(metric: Metric, held: float, error: float) -> None:
    held = held if metric.signed else abs(held)
    level = metric.level(held)
    position = level / 10 + error
    true = position * metric.bound if metric.scale == "linear" else metric.floor * metric.bound**position
    if not metric.signed:
        true = max(true, 0.0)
    ends = view.interval(metric, level)
    assert ends is not None
    assert ends[0] <= true <= ends[1]
    assert ends[0] <= view.value(metric, level) <= ends[1]
    assert metric.signed or ends[0] >= 0


def test_all_below_the_floor_is_one_interval() -> None:
    assert view.interval(NETWORK, 9) == (0.0, pytest.approx(NETWORK.value(19)))
    assert view.interval(NETWORK, 10) == (pytest.approx(10_000.0), pytest.approx(40_000.0))


def test_a_schedule_bounds_no_error() -> None:
    assert view.interval(Metric("m", "", 1.0, filter="schedule"), 3) is None


@pytest.mark.parametrize("metric", [CPU, NETWORK, Metric("wide", "", 1e300), Metric("log", "", 1e300, scale="log")])
def test_the_largest_level_is_still_a_number_of_json(still_agent: New, metric: Metric) -> None:
    agent = still_agent((metric,))
    agent.hear(Identity("a", 1, HOME), 1, ((0, metric.largest_level),))
    (a,) = view.state(agent, "a")
    shown = a["metrics"][metric.name]
    assert all(math.isfinite(shown[end]) for end in ("low", "value", "high"))
    assert shown["low"] <= shown["value"] <= shown["high"]
    assert json.loads(json.dumps(a, allow_nan=False)) == a


def test_status_and_readiness(still_agent: New) -> None:
    agent = still_agent()
    agent.now = 12 * SECOND
    assert view.status(agent) == {
        "name": "me",
        "generation": 5,
        "address": "10.0.0.1:7946",
        "cluster": "test",
        "version": __version__,
        "uptime_seconds": 12.0,
        "nodes": 1,
        "peers": 2,
        "unready": "it has published no sample of its own yet",
        "counters": {"datagrams_sent": 3, "dropped_forged": 1, "dropped_unknown_key": 2},
    }
    agent.replica.publish(((0, 1),), 0)
    assert view.unready(agent) is None


def test_telemetry_is_exact(still_agent: New) -> None:
    agent = still_agent()
    agent.replica.publish(((0, 7), (3, 2)), 0)
    agent.replica.publish(((0, 8),), 4)
    agent.now = 9
    told = view.telemetry(agent)
    assert told["held"] == [{"name": "me", "generation": 5, "version": 2, "age_ns": 5, "levels": ((0, 8), (3, 2))}]
    assert (told["name"], told["generation"], told["now_ns"], told["counters"]) == ("me", 5, 9, agent.counters)
    assert (told["delivered"], told["useful"]) == (0, 0)
    assert told["samples"]["cpu"] == {"published": 0, "filtered": 0, "missing": 0}


def test_samples_are_told_by_what_became_of_them(still_agent: New) -> None:
    agent = still_agent()
    agent.publisher.select([50.0, math.nan, 0.0, 10.0], 0)
    agent.publisher.select([51.0, math.nan, 0.0, 20.0], 1)
    assert view.samples(agent) == {
        "cpu": {"published": 1, "filtered": 1, "missing": 0},
        "memory": {"published": 0, "filtered": 0, "missing": 2},
        "network": {"published": 1, "filtered": 1, "missing": 0},
        "storage": {"published": 2, "filtered": 0, "missing": 0},
    }
