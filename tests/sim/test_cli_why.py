"""The verb `why`: a simulated node gives its reasons, and bad questions are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from priomon_sim.cli.main import main

CRASH = "[{kind: crash, at: 5 s, nodes: node3}, {kind: leave, at: 5 s, nodes: node5}]"


def ask(small: Path, *words: str) -> Result:
    settings = ("duration=30 s", "start=known", "detection.detector=swim", f"faults={CRASH}")
    options = [part for setting in settings for part in ("--set", setting)]
    return CliRunner().invoke(main, ["why", str(small), *options, *words])


def test_a_crashed_node_is_dead_for_a_reason(small: Path) -> None:
    done = ask(small, "node3", "--by", "node0")
    assert done.exit_code == 0, done.output
    first, why, *more = done.stdout.splitlines()
    assert first.startswith("node3 (generation 1, incarnation 0) is dead since ")
    assert why.startswith("why: suspected and not refuted for ") or why.startswith("why: told by ")
    assert any(line.startswith("accused by ") for line in more)


def test_the_answer_is_that_of_the_time_asked_for(small: Path) -> None:
    states = {}
    for when in ("4 s", "29 s"):
        done = ask(small, "node3", "--by", "node0", "--at", when, "--json")
        states[when] = json.loads(done.stdout)["state"]
    assert states == {"4 s": "alive", "29 s": "dead"}
    assert json.loads(ask(small, "node5", "--by", "node0", "--json").stdout)["state"] == "left"


def test_the_seed_is_that_of_the_run(small: Path) -> None:
    answers = {ask(small, "node3", "--by", "node0", "--seed", str(seed), "--json").stdout for seed in (1, 1, 2, 3)}
    assert len(answers) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("node3", "--by", "node9"), "error: small: there is no node 'node9'; expected a name from node0 to node7"),
        (("nodeX", "--by", "node0"), "error: small: there is no node 'nodeX'; expected a name from node0 to node7"),
        (("node0", "--by", "node3", "--at", "10 s"), "error: node3 does not run at 10 s; ask another node, or at another time"),
        (("node3", "--by", "node0", "--at", "31 s"), "error: --at: found 31 s, expected at most 30 s, the end of small"),
        (("node3", "--by", "node0", "--at", "soon"), "error: --at: found 'soon', expected a duration such as"),
        (
            ("node3", "--by", "node0", "--set", "detection.detector=none"),
            "error: small: its nodes do not judge each other; set detection.detector, for example to swim",
        ),
        (("node3",), "Missing option '--by'"),
    ],
)
def test_what_cannot_be_answered_is_told(small: Path, words: tuple[str, ...], message: str) -> None:
    done = ask(small, *words)
    assert done.exit_code == 2
    assert message in done.stderr
