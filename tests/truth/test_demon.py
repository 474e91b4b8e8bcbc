"""The strategy `demon` sends the bytes that the prototype was measured to send, at its cluster sizes and fan-outs."""

from pathlib import Path

import pytest

from priomon_sim.scenario.document import load
from priomon_sim.world import build

SCENARIO = """
nodes: {nodes}
duration: 60 s
filter: none
gossip: {{strategy: demon, fanout: {fanout}, period: {round_seconds} s}}
workload: {{kind: synthetic}}
start: known
"""


@pytest.mark.reference("seed_traffic.csv")
def test_bytes_per_node_and_second(row: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "demon.yaml"
    path.write_text(SCENARIO.format(**row))
    scenario = load(path)
    driver = build(scenario).driver
    driver.clock.run_to(scenario.duration)
    sent = sum(driver.bytes_sent) / scenario.nodes / (scenario.duration / 1e9)
    print(f"\n{row['nodes']} nodes: {sent:,.0f} B/s, measured {row['bytes_sent_per_node_per_second']}", end="")
    assert sent == pytest.approx(float(row["bytes_sent_per_node_per_second"]), rel=0.1)
