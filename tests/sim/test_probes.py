"""The probes of a simulated run: what is stored is what the driver shows, when it shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from priomon_results.store import Store
from priomon_results.summary import summarise
from priomon_sim import experiment, probes
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import World, build

MakeScenario = Callable[..., Scenario]


@dataclass
class Watched:
    """A run with the tables it stored, its summary, and the driver's counters at each probe."""

    world: World
    summary: dict[str, Any]
    rows: Callable[[str], Any]
    probes: list[dict[str, Any]]


@pytest.fixture
def watch(
    scenario: MakeScenario, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Watched]]:
    """A function that runs the small scenario with settings changed."""
    worlds: list[World] = []

    def built(*arguments: Any) -> World:
        worlds.append(build(*arguments))
        return worlds[-1]

    monkeypatch.setattr(experiment, "build", built)
    with Store(tmp_path_factory.mktemp("store") / "watched.db") as store:

        def run(*settings: str) -> Watched:
            probes: list[dict[str, Any]] = []

            def progress(now: int) -> None:
                driver = worlds[-1].driver
                probes.append(
                    {
                        "t": now / 1e9,
                        "bytes_sent": list(driver.bytes_sent),
                        "bytes_received": list(driver.bytes_received),
                        "messages": driver.messages_sent,
                        "known": np.count_nonzero(driver.versions, axis=1).tolist(),
                        "published": sum(driver.ledger.newest),
                        "pairs": np.count_nonzero(driver.versions) - np.count_nonzero(driver.versions.diagonal()),
                    }
                )

            number, summary = experiment.execute(scenario(*settings), store, progress)
            return Watched(worlds[-1], summary, lambda table: store.rows(number, table), probes)

        yield run


def test_a_probe_writes_what_the_driver_shows(watch: Callable[..., Watched]) -> None:
    run = watch("measure.every=500 ms")
    sample, nodes = run.rows("sample"), run.rows("node_sample")
    assert sample["t"].tolist() == [probe["t"] for probe in run.probes] == [step / 2 for step in range(1, 13)]
    assert sample["bytes_sent"].tolist() == [sum(probe["bytes_sent"]) for probe in run.probes]
    assert sample["messages_sent"].tolist() == [probe["messages"] for probe in run.probes]
    assert sample["published"].tolist() == [probe["published"] for probe in run.probes]
    assert (sample["live"] == 8).all()
    assert sample["coverage"].tolist() == pytest.approx([probe["pairs"] / 56 for probe in run.probes])
    for column in ("bytes_sent", "bytes_received", "known"):
        assert nodes[column].tolist() == [value for probe in run.probes for value in probe[column]]


def test_filtered_and_published_add_up_to_all_samples(watch: Callable[..., Watched]) -> None:
    run = watch()
    counts = run.rows("metric_count")
    assert counts["node"].tolist() == [node for node in range(8) for _ in range(4)]
    assert (counts["published"] + counts["filtered"] == np.repeat(run.world.driver.samples, 4)).all()
    last = run.rows("metric_sample")["t"] == 6
    assert run.rows("metric_sample")["published"][last].sum() == counts["published"].sum()
    for name in ("cpu", "storage"):
        assert run.summary["published"][name] == counts["published"][counts["metric"] == name].sum()


def test_distributions_count_every_pair_at_every_probe(watch: Callable[..., Watched]) -> None:
    run = watch("start=known")
    rows = run.rows("distribution")
    lag = rows["measure"] == "lag"
    assert rows["count"][lag].sum() == 6 * 8 * 7
    for measure in ("error", "error_in_bounds"):
        for metric in ("cpu", "memory", "network", "storage"):
            assert rows["count"][(rows["measure"] == measure) & (rows["metric"] == metric)].sum() == 6 * 8 * 7


def test_convergence_is_seen_to_the_precision_asked_for(watch: Callable[..., Watched]) -> None:
    fine, coarse = watch("measure.spread_every=10 ms"), watch("measure.spread_every=1 s")
    exact = build(fine.world.scenario).driver
    while not exact.versions.all():
        exact.clock.run_to(exact.now + 1_000_000)
    truth = exact.now / 1e9
    assert truth <= fine.summary["convergence_seconds"] < truth + 0.01
    assert truth <= coarse.summary["convergence_seconds"] < truth + 1
    assert coarse.summary["convergence_rounds"] == coarse.summary["convergence_seconds"]


def test_what_did_not_happen_is_null(watch: Callable[..., Watched]) -> None:
    summary = watch("network.loss=100 %").summary
    assert summary["convergence_seconds"] is summary["convergence_rounds"] is None
    assert summary["coverage_final"] == 0
    assert summary["age_seconds"] == {"p50": None, "p99": None}
    assert summary["dissemination_seconds"] == {"t50": None, "t99": None, "t100": None}
    assert summary["redundancy"] == 0


def test_updates_are_followed_of_as_many_origins_as_asked_for(watch: Callable[..., Watched]) -> None:
    run = watch("measure.spread_origins=3")
    spread = run.rows("update_spread")
    assert set(spread["origin"].tolist()) == {0, 4, 7}
    assert len(spread["origin"]) == sum(run.world.driver.ledger.newest[origin] for origin in (0, 4, 7))
    reached = spread["t100"][~np.isnan(spread["t100"])]
    assert len(reached) > 0
    assert (spread["t50"][~np.isnan(spread["t100"])] <= reached).all()


def test_the_topology_is_stored_for_its_picture(watch: Callable[..., Watched]) -> None:
    run = watch("topology={kind: ring}", "duration=12 s")
    node, edge = run.rows("node"), run.rows("edge")
    assert len(edge["a"]) == 8
    assert (edge["a"] < edge["b"]).all()
    assert node["name"].tolist() == [identity.name for identity in run.world.driver.ledger.identities]
    assert node["reached_t"][0] == pytest.approx(0, abs=0.11)  # the first origin, seen at the next look
    assert np.nanmax(node["reached_t"]) > 1


def test_rates_are_per_node_and_second(watch: Callable[..., Watched]) -> None:
    run = watch()
    driver, summary = run.world.driver, run.summary
    assert summary["bytes_per_node_per_second"] == pytest.approx(sum(driver.bytes_sent) / 8 / 6)
    assert summary["messages_per_node_per_second"] == pytest.approx(driver.messages_sent / 8 / 6)
    assert summary["redundancy"] == pytest.approx(driver.delivered() / (7 * sum(driver.ledger.newest)))
    assert summary["events"] == driver.clock.events > 0


def test_a_run_interrupted_before_its_first_probe_has_a_summary(scenario: MakeScenario) -> None:
    writer: Any = None  # nothing is written before the first probe
    world = build(scenario())
    summary = summarise(probes.watch(world, writer, lambda: None), probes.ending(world))
    assert summary["virtual_seconds"] == 0
    assert summary["bytes_per_node_per_second"] is None
    assert summary["redundancy"] is None
    assert summary["lag_seconds"] == {"p50": None, "p99": None, "max": None}


FAULTY = ("duration=60 s", "start=known", "detection.detector=swim")


def test_a_run_with_faults_stores_them_and_how_they_were_noticed(watch: Callable[..., Watched]) -> None:
    run = watch(*FAULTY, "faults=[{kind: crash, at: 5 s, nodes: node3, back_after: 40 s}, {kind: leave, at: 20 s, nodes: node5}]")
    names = run.rows("node")["name"].tolist()
    crash, leave = names.index("node3"), names.index("node5")
    fault = run.rows("fault")
    assert [fault[column].tolist() for column in ("t", "kind", "who")] == [[5.0, 20.0], ["crash", "leave"], ["node3", "node5"]]
    assert (fault["until"][0], np.isnan(fault["until"][1])) == (45.0, True)
    detection = run.rows("detection")
    assert detection["node"].tolist() == [crash, leave]
    assert detection["audience"].tolist() == [7, 6]
    assert detection["missed"].tolist() == [0, 0]
    assert run.summary["faults"] == 2
    assert run.summary["detection"]["seconds"]["t100"]["max"] == detection["t100"][0] > detection["t50"][0]
    live = dict(zip(run.rows("sample")["t"].tolist(), run.rows("sample")["live"].tolist(), strict=True))
    assert (live[4], live[7], live[30], live[50]) == (8, 7, 6, 7)
    belief = run.rows("belief")
    assert (belief["low"][29], belief["high"][29]) == (6, 6)


def test_traffic_and_samples_of_lives_that_are_over_stay_counted(watch: Callable[..., Watched]) -> None:
    churn = "[{kind: churn, at: 1 s, lasts: 50 s, per_minute: 30, down: 3 s}]"
    run = watch(*FAULTY, f"faults={churn}")
    assert len(run.world.driver.lives.origins) > 20
    sample = run.rows("sample")
    for column in ("bytes_sent", "published", "delivered"):
        assert (np.diff(sample[column]) >= 0).all()
    assert sample["published"][-1] == sum(run.world.driver.ledger.newest)
    counts, last = run.rows("metric_count"), run.rows("metric_sample")
    assert counts["published"].sum() == last["published"][last["t"] == 60].sum()
    lived = 8 * 60 - run.world.chronicle.verdicts.lost(60 * 10**9) / 1e9
    assert lived < 8 * 60 - 30
    assert run.summary["bytes_per_node_per_second"] == pytest.approx(sum(run.world.driver.bytes_sent) / lived)
    assert (counts["published"] + counts["filtered"]).sum() / 4 == pytest.approx(lived, abs=30)
    assert run.rows("node_sample")["known"].max() <= 8
    assert (sample["coverage"] <= 1).all()


def test_updates_of_a_life_are_not_mixed_with_those_of_the_next(watch: Callable[..., Watched]) -> None:
    restart = "[{kind: crash, at: 10 s, nodes: node3, back_after: 1 s}]"
    run = watch(*FAULTY, f"faults={restart}", "filter=none")
    spread = run.rows("update_spread")
    node = run.rows("node")["name"].tolist().index("node3")
    mine = spread["origin"] == node
    assert spread["published_t"][mine].max() < 11
    assert spread["published_t"][~mine].max() > 50


def test_a_node_that_stands_still_is_no_live_observer(watch: Callable[..., Watched]) -> None:
    run = watch(*FAULTY, "faults=[{kind: pause, at: 5500 ms, lasts: 3 s, nodes: 2}]")
    assert run.rows("sample")["live"][4:10].tolist() == [8, 6, 6, 6, 8, 8]
    assert run.summary["bytes_per_node_per_second"] == pytest.approx(sum(run.world.driver.bytes_sent) / 8 / 60)
    assert not len(run.rows("detection")["t"])


def test_without_detection_faults_are_stored_and_nothing_is_judged(watch: Callable[..., Watched]) -> None:
    run = watch("duration=30 s", "faults=[{kind: crash, at: 5 s, nodes: 2}]")
    assert run.summary["detection"] is None
    assert len(run.rows("fault")["t"]) == run.summary["faults"] == 2
    assert not len(run.rows("belief")["t"])
