"""Who a node is: a name, a generation that grows with every start, and an address.

An *origin* is one generation of one node. On the wire it is named by a 32-bit key, a hash of name and generation, so that a
restarted node is a new origin from its first datagram on, wherever it now lives. Replicas keep origins in the order of their keys;
an interval of the key space then means the same origins to everybody, without anyone agreeing on numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from priomon_core.errors import SettingError

KEY_BYTES = 4
LONGEST_NAME = 63  # bytes, as one label of a host name
LARGEST_GENERATION = (1 << 48) - 1


class Address(NamedTuple):
    """Where datagrams for a node are sent."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Identity:
    """One generation of one node. Raises `SettingError` for a name or generation that the wire cannot carry."""

    name: str
    generation: int
    address: Address
    key: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name.isprintable():
            raise SettingError(f"node name {self.name!r}: expected printable characters")
        length = len(self.name.encode())
        if not 0 < length <= LONGEST_NAME:
            raise SettingError(f"node name {self.name!r}: expected 1 to {LONGEST_NAME} bytes, found {length}")
        if not 0 < self.generation <= LARGEST_GENERATION:
            raise SettingError(f"node {self.name!r}: expected a generation from 1 to {LARGEST_GENERATION}, found {self.generation}")
        if not 0 < self.address.port < 65536:
            raise SettingError(f"node {self.name!r}: expected a port from 1 to 65535, found {self.address.port}")
        object.__setattr__(self, "key", origin_key(self.name, self.generation))


def origin_key(name: str, generation: int) -> int:
    """The 32-bit key of an origin, the same on every machine."""
    return int.from_bytes(blake2b(f"{generation}:{name}".encode(), digest_size=KEY_BYTES).digest(), "big")
