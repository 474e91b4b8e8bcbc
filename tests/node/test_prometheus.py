"""The page for Prometheus: read back with the reader of its own client library."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from priomon_core.config import SECOND
from priomon_core.errors import SettingError
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN, Metric
from priomon_node import prometheus

HOME = Address("10.0.0.1", 7946)
New = Callable[..., Any]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(agent: Any) -> tuple[Series, dict[str, str]]:
    """Every series of the page, and the type of each family. Fails where a series or a family comes twice."""
    page = prometheus.exposition(agent, prometheus.families(agent.metrics), agent.counters)
    families = list(text_string_to_metric_families(page))
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    series = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(series) == len(samples)
    return series, {family.name: family.type for family in families}


def labelled(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def test_every_node_has_its_values_and_their_age(still_agent: New) -> None:
    agent = still_agent()
    agent.hear(Identity("a", 3, HOME), 1, ((0, 100), (2, 10)))
    agent.replica.publish(((0, 20),), 0)
    agent.now = 4 * SECOND
    series, types = scrape(agent)
    assert series["priomon_node_cpu_percent", labelled(node="a")] == 50.0
    assert series["priomon_node_cpu_percent", labelled(node="me")] == 10.0
    assert series["priomon_node_network_bytes_per_second", labelled(node="a")] == pytest.approx(20_000)
    assert ("priomon_node_network_bytes_per_second", labelled(node="me")) not in series
    assert series["priomon_age_seconds", labelled(node="me")] == 4.0
    assert series["priomon_info", labelled(node="a", address="10.0.0.1:7946", generation="3")] == 1
    assert types["priomon_node_cpu_percent"] == types["priomon_age_seconds"] == "gauge"


def test_the_agent_tells_of_itself(still_agent: New) -> None:
    agent = still_agent()
    agent.counters["queued_events"] = 7
    agent.replica.delivered, agent.replica.useful = 10, 8
    agent.publisher.select([1.0, 1.0, 1.0, float("nan")], 0)
    agent.now = 2 * SECOND
    series, types = scrape(agent)
    assert series["priomon_agent_datagrams_sent_total", labelled()] == 3
    assert series["priomon_agent_dropped_total", labelled(cause="forged")] == 1
    assert series["priomon_agent_dropped_total", labelled(cause="unknown_key")] == 2
    assert series["priomon_agent_queued", labelled(queue="events")] == 7
    assert series["priomon_agent_news_total", labelled(kind="redundant")] == 2
    assert series["priomon_agent_metric_samples_total", labelled(metric="cpu", outcome="published")] == 1
    assert series["priomon_agent_metric_samples_total", labelled(metric="storage", outcome="missing")] == 1
    assert series["priomon_agent_uptime_seconds", labelled()] == 2
    assert series["priomon_agent_peers", labelled()] == 2
    assert (types["priomon_agent_dropped"], types["priomon_agent_queued"]) == ("counter", "gauge")


def test_labels_are_escaped(still_agent: New) -> None:
    agent = still_agent()
    name = 'a"b\\n{c}'
    agent.hear(Identity(name, 1, HOME), 1, ((0, 1),))
    series, _ = scrape(agent)
    assert series["priomon_node_cpu_percent", labelled(node=name)] == 0.5


def test_of_two_nodes_with_one_name_the_newest_counts(still_agent: New) -> None:
    agent = still_agent()
    agent.replica.publish(((0, 20),), 0)
    agent.hear(Identity("me", 9, HOME), 1, ((0, 40),))
    series, _ = scrape(agent)
    assert series["priomon_node_cpu_percent", labelled(node="me")] == 20.0


def test_families_are_named_by_metric_and_unit() -> None:
    assert prometheus.families(BUILT_IN) == (
        "priomon_node_cpu_percent",
        "priomon_node_memory_percent",
        "priomon_node_network_bytes_per_second",
        "priomon_node_storage_percent",
    )
    assert prometheus.families((Metric("größe", "EUR", 1.0),)) == ("priomon_node_gr__e",)


def test_help_survives_a_unit_with_a_newline(still_agent: New) -> None:
    _, types = scrape(still_agent((Metric("x", "a\nb\\", 1.0),)))
    assert types["priomon_node_x"] == "gauge"


def test_two_metrics_of_one_family_are_refused() -> None:
    with pytest.raises(
        SettingError, match="metrics 'wait' and 'wait_seconds' would both be priomon_node_wait_seconds at /metrics; rename one"
    ):
        prometheus.families((Metric("wait", "s", 1.0), Metric("wait_seconds", "", 1.0)))
