"""The parts of a datagram as bytes: varints, keys, versions and identities, and a reader that checks every step.

Integers are big-endian; varints are LEB128 without padding, so that every number has one encoding.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from priomon_core.errors import SettingError, WireError
from priomon_core.identity import KEY_BYTES, Address, Identity

LARGEST_VERSION = (1 << 42) - 1
LONGEST_HOST = 255
IPV4, IPV6, TEXT = 4, 6, 0  # kinds of address


def varint_size(number: int) -> int:
    """Bytes that a non-negative integer takes as a varint."""
    return (number.bit_length() + 6) // 7 or 1


def put_varint(out: bytearray, number: int) -> None:
    """Append a non-negative integer."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def pack_host(host: str) -> bytes:
    """The kind of a host's address and the address. Raises `SettingError` for one that the wire cannot carry."""
    try:
        address = ip_address(host)
    except ValueError:
        text = host.encode()
        if not 0 < len(text) <= LONGEST_HOST:
            raise SettingError(f"host {host!r}: expected 1 to {LONGEST_HOST} bytes, found {len(text)}") from None
        return bytes([TEXT, len(text)]) + text
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise SettingError(f"host {host!r}: a scoped address means nothing to other nodes")
    return bytes([IPV4 if address.version == 4 else IPV6]) + address.packed


def put_identity(out: bytearray, identity: Identity) -> None:
    """Append name, generation and address of a node."""
    name = identity.name.encode()
    out.append(len(name))
    out += name
    put_varint(out, identity.generation)
    out += pack_host(identity.address.host)
    out += identity.address.port.to_bytes(2, "big")


class Reader:
    """A position in a datagram; every read is checked against its end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int, what: str) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise WireError(f"{what}: expected {length} B at byte {self._at}, found the end of the datagram")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def integer(self, length: int, what: str) -> int:
        return int.from_bytes(self.take(length, what), "big")

    def varint(self, what: str) -> int:
        number = 0
        for shift in range(0, 63, 7):
            byte = self.byte(what)
            number |= (byte & 127) << shift
            if byte < 128:
                if shift and not byte:
                    raise WireError(f"{what}: varint with padding")
                return number
        raise WireError(f"{what}: varint of more than 9 bytes")

    def count(self, smallest_entry: int, what: str) -> int:
        number = self.varint(what)
        if number * smallest_entry > len(self._data) - self._at:
            raise WireError(f"{what}: {number} cannot fit in the {len(self._data) - self._at} B that are left")
        return number

    def version(self, smallest: int) -> int:
        number = self.varint("version")
        if not smallest <= number <= LARGEST_VERSION:
            raise WireError(f"expected a version from {smallest} to {LARGEST_VERSION}, found {number}")
        return number

    def key_after(self, previous: int) -> int:
        key = self.integer(KEY_BYTES, "key")
        if key <= previous:
            raise WireError(f"key {key:08x} out of order")
        return key

    def identity(self) -> Identity:
        try:
            name = self.take(self.byte("name"), "name").decode()
            generation = self.varint("generation")
            match self.byte("kind of address"):
                case 4:
                    host = str(IPv4Address(self.take(4, "address")))
                case 6:
                    host = str(IPv6Address(self.take(16, "address")))
                case 0:
                    host = self.take(self.byte("host"), "host").decode()
                    if pack_host(host)[0] != TEXT:
                        raise WireError(f"address {host!r} written as text")
                case kind:
                    raise WireError(f"unknown kind of address {kind}")
            return Identity(name, generation, Address(host, self.integer(2, "port")))
        except (UnicodeDecodeError, SettingError) as error:
            raise WireError(f"identity at byte {self._at}: {error}") from None

    def end(self) -> None:
        if self._at != len(self._data):
            raise WireError(f"{len(self._data) - self._at} B after the end of the message")
