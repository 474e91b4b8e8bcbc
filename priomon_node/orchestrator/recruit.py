"""Finds the agents of a run that somebody else started: on other machines, or as containers behind one name."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from priomon_core.errors import PriomonError, SettingError
from priomon_core.identity import Address
from priomon_node.orchestrator.live import Member
from priomon_node.orchestrator.remote import Remote, SilentError
from priomon_node.settings import parse_address
from priomon_node.view import endpoint

WAIT = 60.0  # seconds that agents have to come up; containers of an image that was just built take twenty
AGAIN = 1.0  # seconds between two times that all who are missing are asked
ANSWER = 2.0  # seconds that an agent has to answer whether it is there
AT_ONCE = 32  # agents that are asked at one time

Say = Callable[[str], None]


class RecruitError(PriomonError):
    """There are too few agents for a run, or one that cannot take part."""


class StoppedError(PriomonError):
    """Somebody stopped the run before it began."""


@dataclass(frozen=True, slots=True)
class Found:
    """An agent that answers: its own name, and how to reach it."""

    name: str
    member: Member


def recruit(places: Sequence[Address], token: str, wanted: int, say: Say, stop: Event, patience: float = WAIT) -> list[Member]:
    """The first `wanted` agents by name of those that answer at `places`.

    A host name stands for all its addresses, looked up again and again, because agents come when they come. `say` is told what a
    reader of the run's log wants to know. Raises `RecruitError` after `patience` seconds, naming who does not answer; `AgentError` at
    once when one refuses; `StoppedError` when `stop` is set meanwhile.
    """
    found, missing = _gather(places, token, wanted, stop, time.monotonic() + patience)
    agents = sorted(found, key=lambda agent: agent.name)
    if stop.is_set():
        raise StoppedError(f"stopped while waiting for agents, {len(agents)} of {wanted} were there; nothing was run")
    if len(agents) < wanted:
        raise RecruitError(_too_few(len(agents), wanted, missing, patience))
    chosen = agents[:wanted]
    if len(agents) > wanted:
        say(f"{len(agents)} agents answer, and {wanted} are needed: the first by name take part, {chosen[0].name} to {chosen[-1].name}")
    else:
        say(f"{wanted} agents take part, {chosen[0].name} to {chosen[-1].name}")
    return [agent.member for agent in chosen]


def _gather(places: Sequence[Address], token: str, wanted: int, stop: Event, deadline: float) -> tuple[Collection[Found], dict[str, str]]:
    """Ask who is missing, again and again, until enough are there. Returns who is there, and who is missing and why."""
    here: dict[Address, Found] = {}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        while True:
            addresses, missing = _look_up(places)
            absent = [address for address in addresses if address not in here]
            for address, answer in zip(absent, threads.map(lambda one: _ask(one, token), absent), strict=True):
                if isinstance(answer, Found):
                    here[address] = answer
                else:
                    missing[endpoint(address)] = answer
            agents = {agent.member.gossip: agent for agent in here.values()}  # several addresses may lead to one agent
            if len(agents) >= wanted or time.monotonic() > deadline or stop.wait(AGAIN):
                return agents.values(), missing


def _look_up(places: Sequence[Address]) -> tuple[list[Address], dict[str, str]]:
    """All addresses that the places stand for, and which stand for none, and why."""
    found: dict[Address, None] = {}
    missing = {}
    for place in places:
        try:
            entries = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            missing[endpoint(place)] = f"the name is not known ({getattr(error, 'strerror', None) or error})"
        else:
            found |= {Address(str(address[0]), place.port): None for *_, address in entries}
    return list(found), missing


def _ask(address: Address, token: str) -> Found | str:
    """The agent at an address, or why there is none yet. Raises `AgentError` when it is there and refuses."""
    try:
        status = Remote(address, token, ANSWER).ask("GET", "/v1/status")
    except SilentError as error:
        return str(error.__cause__ or error)
    try:
        return Found(str(status["name"]), Member(parse_address(status["address"]), Remote(address, token)))
    except (KeyError, TypeError, SettingError) as error:
        raise RecruitError(
            f"the agent at {endpoint(address)} does not speak as this PrioMon does (its status: {error}); run the same version everywhere"
        ) from error


def _too_few(there: int, wanted: int, missing: dict[str, str], patience: float) -> str:
    text = f"{there} of {wanted} agents answered within {patience:g} s"
    if missing:
        return f"{text}; missing: " + ", ".join(f"{place} ({why})" for place, why in missing.items())
    return f"{text}, all that the given names lead to; start more, or set nodes={there}"
