"""Brings an agent up from its settings, keeps it company, and takes it down: sockets, seeds, custom metrics, HTTP, signals."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from random import SystemRandom
from threading import Thread
from typing import TYPE_CHECKING, Any

from priomon_core.config import SEAL_OVERHEAD
from priomon_core.errors import PriomonError
from priomon_core.identity import Address, Identity
from priomon_node.agent import Agent
from priomon_node.cgroup import reader
from priomon_node.experiment.switch import Experiment, Stage
from priomon_node.generation import next_generation
from priomon_node.keys import Keyring
from priomon_node.logs import Log
from priomon_node.peers import Peers, PeersError
from priomon_node.sampler import Sampler
from priomon_node.settings import AgentSettings, is_loopback, show

if TYPE_CHECKING:
    from priomon_node.seal import Seal

LOOK_UP_ALONE = 5.0  # seconds between two look-ups of the seeds while no other living node is known
LOOK_UP = 60.0
UNASKED = 120.0  # seconds that an agent of a single experiment waits for it
SAVE = 30.0  # seconds between two times that peers are remembered


class RunError(PriomonError):
    """An agent cannot start."""


async def run(settings: AgentSettings, environment: Mapping[str, str], log: Log) -> None:
    """Run an agent until SIGTERM, SIGINT or a request to leave. Raises `PriomonError` if it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    seal = _seal(settings, environment, log)
    with await _bind(settings.bind) as bound:
        samples = Samples(settings, log)
        agent = await _agent(settings, bound, samples, seal, log)
        transport, _ = await loop.create_datagram_endpoint(lambda: agent, sock=bound)
        stage = Stage(transport, agent)
        experiment = _experiment(settings, stage, samples, seal, stop, log)
        identity = agent.identity
        log.info("started", name=identity.name, generation=identity.generation, address=show(identity.address), cluster=settings.cluster)
        try:
            async with asyncio.TaskGroup() as tasks:
                company = [tasks.create_task(_look_up(agent, log)), tasks.create_task(_remember(agent, log))]
                if settings.http is not None:
                    tasks.create_task(_serve(settings, stage, experiment, stop, log))
                await stop.wait()
                for task in company:
                    task.cancel()
        except ExceptionGroup as group:
            ours, others = group.split(PriomonError)
            if ours is None or others is not None:
                raise
            raise ours.exceptions[0] from None
        finally:
            agent.leave()
            transport.close()
            with suppress(PeersError):
                agent.book.save()
    log.info("stopped", name=settings.name)


def _seal(settings: AgentSettings, environment: Mapping[str, str], log: Log) -> Seal | None:
    keyring = Keyring.load(settings.key_file, environment)
    if keyring is None:
        log.warning("no key", advice="anyone who reaches the port can read and lie; make a key with `python -m priomon_node keygen`")
        return None
    from priomon_node.seal import SENDER_LENGTH, Seal  # costs 6 MB that an agent without a key need not pay

    if keyring.warning:
        log.warning("key file", reason=keyring.warning)
    return Seal(keyring, settings.cluster, os.urandom(SENDER_LENGTH))


async def _agent(settings: AgentSettings, bound: socket.socket, samples: Samples, seal: Seal | None, log: Log) -> Agent:
    own = Address(*bound.getsockname()[:2])
    advertised = await _advertised(settings, own)
    folder = settings.state_dir
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: the state directory cannot be made ({error.strerror}); choose another with --state-dir") from error
    generation = next_generation(time.time_ns() // 1_000_000, None if folder is None else folder / "generation")
    gossip = settings.gossip
    if seal is not None:
        gossip = replace(gossip, datagram_limit=gossip.datagram_limit - SEAL_OVERHEAD)
    return Agent(
        Identity(settings.name, generation, advertised),
        settings.declared,
        gossip,
        settings.detection,
        settings.cluster,
        Peers([own, advertised], settings.seeds, None if folder is None else folder / "peers.json"),
        samples,
        settings.sample_interval,
        seal,
        log.report,
        SystemRandom(),
        SystemRandom(),
    )


def _experiment(
    settings: AgentSettings, stage: Stage, samples: Samples, seal: Seal | None, stop: asyncio.Event, log: Log
) -> Experiment | None:
    match settings.experiment:
        case "off":
            return None
        case "once":
            # The program that started this agent may be gone before it gave the agent something to do.
            waiting = asyncio.get_running_loop().call_later(UNASKED, stop.set)
            return Experiment(stage, samples, seal, log, begun=waiting.cancel, over=stop.set)
        case _:
            return Experiment(stage, samples, seal, log)


class Samples:
    """The values of all declared metrics at a time: this machine's, and the newest of the custom ones; NaN for what is not measured."""

    def __init__(self, settings: AgentSettings, log: Log) -> None:
        self._sampler = Sampler(time.monotonic_ns(), reader(settings.scope))
        self._names = [metric.name for metric in settings.declared]
        self._disabled = set(settings.disable)
        self._custom: dict[str, float] = {}
        self._readers = [(source.metric.name, source) for source in settings.custom]
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()

    def __call__(self, now: int) -> list[float]:
        """A sample. Custom metrics are read beside it, so that a slow one holds nothing up: a sample has the value read last."""
        values: dict[str, float] = dict(self._custom)
        with suppress(ValueError):  # no time has passed since the sampler was built: there are no rates yet
            values |= self._sampler.sample(now)
        for name, source in self._readers:
            if name not in self._busy:
                self._busy.add(name)
                task = asyncio.get_running_loop().create_task(self._read(name, source))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return [math.nan if name in self._disabled else values.get(name, math.nan) for name in self._names]

    async def _read(self, name: str, source: Any) -> None:
        try:
            self._custom[name] = await source.read()
        finally:
            self._busy.discard(name)


async def _bind(address: Address) -> socket.socket:
    found = await _resolve(address, f"--bind {address.host}")
    family = socket.AF_INET6 if ":" in found[0].host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.bind(tuple(found[0]))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise RunError(
            f"cannot gossip at {show(address)}: {error.strerror or error}; is another agent running? choose another with --bind"
        ) from error
    return bound


async def _advertised(settings: AgentSettings, own: Address) -> Address:
    """Where others reach this node: as told, as bound, or, bound to all interfaces, the one that leads to the seeds."""
    if settings.advertise is not None:
        return (await _resolve(settings.advertise, f"--advertise {settings.advertise.host}"))[0]
    if not ip_address(own.host).is_unspecified:
        return own
    for target in (*settings.seeds, Address(socket.gethostname(), own.port)):
        with suppress(PriomonError, OSError):
            for address in await _resolve(target, "seed"):
                if target not in settings.seeds and is_loopback(address.host):
                    continue  # many machines give their own name a loopback address, which nobody else can use
                with socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.connect(tuple(address))  # sends nothing: it asks the routing table
                    return Address(probe.getsockname()[0], own.port)
    raise RunError(f"bound to all interfaces ({own.host}), and none leads to a seed; say with --advertise where others reach this node")


async def _resolve(address: Address, what: str) -> list[Address]:
    try:
        return list(await lookup(address))
    except OSError as error:
        raise RunError(f"{what}: {error.strerror or error}; expected a name or address of this machine") from error


async def lookup(address: Address) -> Sequence[Address]:
    """All addresses that a host name stands for. Raises `OSError`.

    It has a thread of its own, which ends with the process: the event loop's threads would hold up the end of an agent for as long as a
    name server keeps silent.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Address]] = loop.create_future()

    def settle(found: list[Address] | None, error: OSError | None) -> None:
        if answer.done():
            return
        if found is None:
            answer.set_exception(error or OSError("no answer"))
        else:
            answer.set_result(found)

    def ask() -> None:
        found, failure = None, None
        try:
            entries = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
            found = list(dict.fromkeys(Address(str(sockaddr[0]), int(sockaddr[1])) for *_, sockaddr in entries))
        except OSError as error:
            failure = error
        except UnicodeError:
            failure = OSError(f"{address.host!r} cannot be a host name")
        with suppress(RuntimeError):  # the loop may have ended meanwhile
            loop.call_soon_threadsafe(settle, found, failure)

    Thread(target=ask, daemon=True).start()
    return await answer


async def _look_up(agent: Agent, log: Log) -> None:
    """Look up the seeds, again and again: they may come later, or move."""
    while True:
        await agent.book.resolve(lookup)
        agent.refresh_peers()
        for seed in agent.book.unresolved:
            log.warning("seed does not resolve", seed=show(seed), advice="trying again")
        await asyncio.sleep(LOOK_UP_ALONE if agent.alone else LOOK_UP)


async def _remember(agent: Agent, log: Log) -> None:
    while True:
        await asyncio.sleep(SAVE)
        try:
            agent.book.save()
        except PeersError as error:
            log.warning("peers not remembered", reason=str(error))


async def _serve(settings: AgentSettings, stage: Stage, experiment: Experiment | None, stop: asyncio.Event, log: Log) -> None:
    from priomon_node.access import read_token
    from priomon_node.events import EventSource
    from priomon_node.http_api import create_app, serve

    assert settings.http is not None
    events = EventSource()
    log.listeners.append(events.publish)
    token = None if settings.http_token_file is None else read_token(settings.http_token_file)
    app = create_app(stage, token, events, stop.set, experiment)
    await serve(app, *settings.http, stop, lambda bound: log.info("serving HTTP", address=show(bound)))
    stop.set()
