"""docker-compose.yml as people use it: up, a run, more nodes, one of them killed, the orchestrator killed, and what is left."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from priomon_results.store import Store

pytestmark = pytest.mark.containers

ROOT = Path(__file__).parents[2]
PAGES = "http://127.0.0.1:4000"
OWNER = 12345  # of the results, where the test may choose
PATIENCE = 240.0  # seconds until somebody who waits for something gives up


def until(ask: Callable[[], Any]) -> Any:
    """Ask again and again until the answer is something; returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := ask()):
        assert time.monotonic() < deadline, f"after {PATIENCE:g} s still {found!r}"
        time.sleep(0.3)
    return found


def run(*words: str, folder: Path = ROOT) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


class Project:
    """What a clone holds, in a folder of its own, with a scenario that is soon over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        for path in [path for name in [*sent, ".dockerignore", "Dockerfile", "docker-compose.yml"] for path in ROOT.glob(name)]:
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, folder)
        scenario = folder / "scenarios/live10.yaml"
        text, changes = re.subn(
            r"^(nodes: 10|duration: 60 s)$", lambda it: {"n": "nodes: 4", "d": "duration: 6 s"}[it[0][0]], scenario.read_text(), flags=re.M
        )
        assert changes == 2
        scenario.write_text(text)
        (folder / "results").mkdir()
        if os.geteuid() == 0:
            os.chown(folder / "results", OWNER, OWNER)

    def compose(self, *words: str) -> str:
        program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        return run(*program, "--project-name", "priomon-test", *words, folder=self.folder)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine says of each container of a service."""
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", *self.compose("ps", "--quiet", service).split()))
        return found

    def healthy(self, service: str) -> bool:
        return {container["State"]["Health"]["Status"] for container in self.containers(service)} == {"healthy"}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.fail("these tests need a Docker engine that runs, and docker-compose or the plugin")
    made = Project(tmp_path)
    try:
        yield made
    finally:
        print(made.compose("logs", "--no-color", "--tail", "10"))
        made.compose("down", "--volumes", "--timeout", "5")


def state() -> dict[str, Any]:
    with urlopen(f"{PAGES}/api/state") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def ended() -> dict[str, Any] | None:
    now = state()
    return None if now["running"] else now


def start(seed: int, *settings: str) -> int:
    order = {"scenario": "live10", "seed": seed, "set": settings}
    try:
        with urlopen(Request(f"{PAGES}/start", json.dumps(order).encode(), {"Content-Type": "application/json"})) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_compose_from_up_to_down(project: Project) -> None:
    results = project.folder / "results/live10"
    project.compose("up", "--detach", "--build", "--scale", "node=4")
    until(lambda: project.healthy("orchestrator") and project.healthy("node"))
    first = until(ended)
    assert (first["phase"], first["node_count"], first["coverage"]) == ("complete", 4, 1.0), first["log"]
    with Store(results / "live10.db", readonly=True) as store:
        assert [(run.mode, run.nodes, run.status) for run in store.runs()] == [("live", 4, "complete"), ("sim", 4, "complete")]
        assert [run.summary["coverage_final"] for run in store.runs()] == [1, 1]
    assert {"report.html", "scenario.yaml"} <= {path.name for path in results.iterdir()}
    assert len(list(results.glob("**/*.svg"))) > 5
    assert {path.stat().st_uid for path in results.rglob("*")} == {project.folder.joinpath("results").stat().st_uid}

    project.compose("up", "--detach", "--scale", "node=6")
    assert start(2, "nodes=6", "duration=25 s", "detection.detector=swim") == 202
    assert start(3) == 409
    nodes = until(lambda: state()["coverage"] == 1.0 and state()["nodes"])
    addresses = {
        net["IPAddress"]: container["Id"]
        for container in project.containers("node")
        for name, net in container["NetworkSettings"]["Networks"].items()
        if name.endswith("_control")
    }
    taking_part = [addresses[node["agent"].partition(":")[0]] for node in nodes]
    assert len(set(taking_part)) == 6
    victim = nodes[1]["name"]
    run("docker", "kill", taking_part[1])
    second = until(ended)
    assert second["phase"] == "complete"
    assert [node["name"] for node in second["nodes"] if not node["live"]] == [victim]
    assert any(entry["line"].startswith(f"{victim} at ") and "has not answered" in entry["line"] for entry in second["log"])
    with Store(results / "live10.db", readonly=True) as store:
        live = store.runs()[2]
        sample, belief = store.rows(live.id, "sample"), store.rows(live.id, "belief")
    assert (live.mode, live.nodes, live.status, live.seed) == ("live", 6, "complete", 2)
    assert (sample["live"].max(), sample["live"][-1], sample["coverage"][-1]) == (6, 5, 1)
    assert (belief["high"].max(), belief["low"][-1], belief["high"][-1]) == (6, 5, 5)  # every node that is left holds it dead

    survivors = {container["Config"]["Hostname"] for container in project.containers("node") if container["State"]["Running"]}
    members = ("docker", "exec", taking_part[0], "python", "-m", "priomon_node", "members", "--json")
    until(lambda: {node["name"] for node in json.loads(run(*members)) if node["state"] == "alive"} == survivors)  # on their own again

    assert start(4, "nodes=5", "duration=10 min") == 202
    reached = until(lambda: (now := state())["coverage"] == 1.0 and now["t_seconds"])
    until(lambda: state()["t_seconds"] >= reached + 3)  # rows are committed about once a second
    (orchestrator,) = project.containers("orchestrator")
    run("docker", "kill", orchestrator["Id"])
    with Store(results / "live10.db") as store:  # the next writer finds what was abandoned
        assert [run.status for run in store.runs()] == ["complete"] * 4 + ["interrupted"]
        assert store.rows(store.runs()[-1].id, "sample")["coverage"].max() == 1
