"""Whom an agent gossips with: the origins it knows, its seeds, and those it remembers from before its last stop.

Nodes that are held dead stay known for a day, and are tried (see watch.py). What is forgotten then is remembered here as an address, and
one of these takes part in rounds at a time: so even a split that lasted longer than all memory of names heals.

A seed is a host name or address with a port. A name may stand for many addresses (a compose service, a headless service), so it is
resolved to all of them, and again and again while the agent is alone. A name that does not resolve is no error: it may do so later.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from priomon_core.errors import PriomonError
from priomon_core.identity import Address

MOST_REMEMBERED = 256  # addresses kept across restarts

Resolve = Callable[[Address], Awaitable[Sequence[Address]]]


class PeersError(PriomonError):
    """The file of remembered peers cannot be used."""


class Peers:
    """The addresses that an agent may contact, without its own ones.

    `list` is what rounds choose from: known origins and all that seeds and memory add. It is a new list after every change. All that is
    remembered is in it while no origin is known, and else one address, another after each `resolve`.
    """

    def __init__(self, own: Iterable[Address], seeds: Sequence[Address], file: Path | None = None) -> None:
        self._own = set(own)
        self._seeds = list(seeds)
        self._file = file
        self._found: dict[Address, list[Address]] = {}
        self._remembered = self._read() if file is not None else []
        self._known: list[Address] = []
        self._tried: Address | None = None
        self.unresolved: list[Address] = []
        self.list: list[Address] = []
        self._merge()

    @property
    def alone(self) -> bool:
        """Whether no other origin has introduced itself yet."""
        return not self._known

    def know(self, addresses: Iterable[Address]) -> None:
        """Take over the addresses of the known origins. Host names that others advertise are left out: only addresses can be sent to."""
        known = [address for address in addresses if _is_numeric(address.host) and address not in self._own]
        gone = [address for address in self._known if address not in known]
        self._remembered = [*dict.fromkeys([*gone, *self._remembered])][:MOST_REMEMBERED]
        self._known = known
        self._merge()

    async def resolve(self, resolver: Resolve) -> None:
        """Look up all seeds; those that fail keep what they resolved to before, and are listed in `unresolved`."""
        self.unresolved = []
        for seed in self._seeds:
            try:
                self._found[seed] = list(await resolver(seed))
            except OSError:
                self.unresolved.append(seed)
        if self._remembered:
            self._tried = self._remembered.pop()
            self._remembered.insert(0, self._tried)
        self._merge()

    def save(self) -> None:
        """Remember the known origins for the next start. Raises `PeersError`; the file before it is then kept."""
        if self._file is None or not self._known:
            return
        draft = self._file.with_name(f".{self._file.name}.draft")
        try:
            draft.write_text(json.dumps([list(address) for address in self._known[:MOST_REMEMBERED]]))
            draft.replace(self._file)
        except OSError as error:
            raise PeersError(f"{self._file}: peers cannot be remembered ({error.strerror}); check the state directory") from error

    def _read(self) -> list[Address]:
        assert self._file is not None
        # A missing or spoilt file only costs what it could have helped with: the seeds are there.
        with suppress(OSError, ValueError, TypeError):
            return [
                Address(str(host), int(port)) for host, port in json.loads(self._file.read_text())[:MOST_REMEMBERED] if _is_numeric(host)
            ]
        return []

    def _merge(self) -> None:
        # Seeds stay in the list beside the origins they led to: after a partition they are the way back.
        tried = [] if self._tried is None else [self._tried]
        sources = (self._known, *self._found.values(), self._remembered if self.alone else tried)
        self.list = [address for address in dict.fromkeys(a for source in sources for a in source) if address not in self._own]


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
