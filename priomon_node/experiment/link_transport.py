"""A transport that gives datagrams to modelled links, which delay, double or lose them, before a real one sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from errno import EHOSTUNREACH
from typing import Any

from priomon_core.config import SECOND, UDP_IPV4_HEADERS
from priomon_core.identity import Address
from priomon_core.links import Links
from priomon_node.experiment.assignment import LinkPlan


class LinkTransport(asyncio.DatagramTransport):
    """Between a node and `transport`; `now` is the run's time (ns). What is under way outlasts the node that sent it."""

    def __init__(self, transport: asyncio.DatagramTransport, plan: LinkPlan, links: Links, now: Callable[[], int]) -> None:
        super().__init__()
        self._transport: asyncio.DatagramTransport | None = transport
        self._plan = plan
        self._links = links
        self._now = now

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram; it may be lost. Raises `OSError` for an address that is no node of the run."""
        plan, now = self._plan, self._now()
        target = plan.indexes.get(Address(*addr))
        if target is None:
            raise OSError(EHOSTUNREACH, "it is no node of this run")
        loop = asyncio.get_running_loop()
        for arrival in self._links.arrivals(plan.own, target, len(data) + UDP_IPV4_HEADERS, now):
            loop.call_later((arrival - now) / SECOND, self._deliver, data, addr)

    def close(self) -> None:
        """Drop what is still under way."""
        self._transport = None

    def _deliver(self, data: Any, addr: Any) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)
