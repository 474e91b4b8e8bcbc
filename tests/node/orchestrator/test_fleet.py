"""Agents as processes on this machine: up together, and gone whatever happens."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from priomon_node.orchestrator import fleet as fleet_module
from priomon_node.orchestrator.fleet import Fleet, FleetError
from priomon_node.view import endpoint


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Let a shell program take the place of Python in new processes."""
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))


def test_agents_are_up_together_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fleet_module, "GRACE", 2.0)
    with Fleet(3, sealed=True) as fleet:
        assert [*tmp_path.iterdir()] == []  # key and token are on the disk no longer
        found = [member.remote.ask("GET", "/v1/status") for member in fleet.members]
        assert [one["name"] for one in found] == ["agent0", "agent1", "agent2"]
        assert [one["address"] for one in found] == [endpoint(member.gossip) for member in fleet.members]
        processes = [psutil.Process(process.popen.pid) for process in fleet.processes]
        assert not any("no key" in line for process in fleet.processes for line in process.log)
        processes[1].send_signal(signal.SIGSTOP)  # which no polite signal ends
        processes[2].kill()
    assert not any(process.is_running() for process in processes)
    assert [process.popen.returncode for process in fleet.processes] == [0, -signal.SIGKILL, -signal.SIGKILL]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("echo 'no port is free' >&2; exit 3", "agent 0 ended with code 3 before it was up: no port is free"),
        ("exit 1", "agent 0 ended with code 1 before it was up: it said nothing"),
        ("echo 12 >&2; echo '{\"message\": 5}' >&2; exec sleep 100", 'agent 0 was not up after 0.3 s: {"message": 5}'),
    ],
)
def test_an_agent_that_does_not_come_up_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, words: str
) -> None:
    pretend(monkeypatch, tmp_path, program)
    monkeypatch.setattr(fleet_module, "START", 0.3)
    fleet = Fleet(2, sealed=False)
    with pytest.raises(FleetError) as caught, fleet:
        pass
    assert str(caught.value) == words
    assert len(fleet.processes) == 2
    assert all(process.popen.returncode is not None for process in fleet.processes)


def test_a_program_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FleetError, match=r"agent 0 of 2 cannot be started .No such file.*; set nodes to fewer"), Fleet(2, False):
        pass


def test_an_interruption_while_agents_start_leaves_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, "exec sleep 100")
    fleet = Fleet(3, sealed=False)

    pauses, pause = iter([KeyboardInterrupt]), time.sleep

    def interrupted_once(seconds: float) -> None:
        for interruption in pauses:
            raise interruption
        pause(seconds)

    monkeypatch.setattr(time, "sleep", interrupted_once)
    with pytest.raises(KeyboardInterrupt), fleet:
        pass
    assert [process.popen.returncode for process in fleet.processes] == [-signal.SIGTERM] * 3
