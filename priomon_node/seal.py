"""Sealed datagrams: encrypted and authenticated with AES-256-GCM, and each accepted once.

    header    1 B format, 4 B key id, 8 B sender, 4 B counter
    payload   encrypted, as long as it was
    tag       16 B, over payload, header and the cluster's name

Sender and counter are the nonce, laid out as in RFC 5116, section 3.2. AES-GCM is lost when a nonce is used twice with one key, so
that must not hang on what a node remembers: the sender is drawn at random at every start and again before the counter would wrap. A
million starts with one key share a sender with a chance of 1 in 37 million. (A clone of a *running* agent, by snapshot of a virtual
machine, does share it.)

A receiver keeps, for every sender, the highest counter and which of those shortly before it have come, after the manner of RFC 4303,
section 3.4.3: datagrams may overtake each other, and none is accepted twice. What this does not stop: a recorded datagram replayed
to another node, to one that has restarted since, or to one that has forgotten the sender. Of the protocol that makes old news: versions
and generations only grow.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from priomon_core.config import SEAL_OVERHEAD
from priomon_core.errors import WireError
from priomon_core.wire import SEALED
from priomon_node.keys import Keyring

SENDER_LENGTH = 8
MOST_DATAGRAMS = 1 << 32  # of one sender: what the counter can number
MOST_SENDERS = 20_000  # as many as a replica remembers origins; about 330 B each
WINDOW = 1024  # datagrams of one sender that may be overtaken: a second's worth of the busiest, a minute's of most

Cause = Literal["plain", "short", "unknown key", "forged", "replayed"]

_HEADER = struct.Struct(">B4s8sI")
_NONCE = slice(5, _HEADER.size)


class SealError(WireError):
    """A datagram was not opened; it is to be dropped, and no state changed. `cause` is a word to count it by."""

    def __init__(self, cause: Cause, explanation: str) -> None:
        super().__init__(explanation, cause)


class ReplayGuard:
    """Which counters of which senders have come. Senders not heard from for longest are forgotten beyond `most_senders`."""

    def __init__(self, most_senders: int = MOST_SENDERS, window: int = WINDOW) -> None:
        self._most_senders = most_senders
        self._window = window
        # sender -> highest counter, and a number whose bit i says that the counter i below has come
        self._senders: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        """Senders remembered."""
        return len(self._senders)

    def admit(self, sender: bytes, counter: int) -> bool:
        """Note that the counter has come; False, and nothing changes, if it came before or is too old to say."""
        highest, seen = self._senders.get(sender, (counter, 0))
        behind = highest - counter
        if behind >= self._window or (behind >= 0 and seen >> behind & 1):
            return False
        if behind < 0:
            # Not shifted further than the window: a jump of the counter must not make a number of millions of bits.
            seen = (seen << min(-behind, self._window)) & ((1 << self._window) - 1)
            highest, behind = counter, 0
        self._senders[sender] = highest, seen | 1 << behind
        self._senders.move_to_end(sender)
        if len(self._senders) > self._most_senders:
            self._senders.popitem(last=False)
        return True


class Seal:
    """Seals and opens the datagrams of one process in one cluster.

    `sender` is 8 bytes drawn at random for this start of the process, `os.urandom(8)`; no other start may have used them with one of
    the keys. Raises `ValueError` for another length.
    """

    def __init__(self, keyring: Keyring, cluster: str, sender: bytes, counter_start: int = 0) -> None:
        if len(sender) != SENDER_LENGTH:
            raise ValueError(f"expected a sender of {SENDER_LENGTH} bytes, found {len(sender)}")
        self._ciphers = {key.id: AESGCM(key.secret) for key in keyring.keys}
        self._first = keyring.keys[0].id
        self._cluster = cluster.encode()
        self._sender = sender
        self._counter = counter_start
        self._guard = ReplayGuard()

    def close(self, payload: bytes) -> bytes:
        """Seal with the first key; the result is `SEAL_OVERHEAD` bytes longer."""
        if self._counter == MOST_DATAGRAMS:
            self._sender, self._counter = os.urandom(SENDER_LENGTH), 0
        header = _HEADER.pack(SEALED, self._first, self._sender, self._counter)
        self._counter += 1
        return header + self._ciphers[self._first].encrypt(header[_NONCE], payload, header + self._cluster)

    def open(self, datagram: bytes) -> bytes:
        """The payload of a datagram sealed with any key of the ring. Raises `SealError`.

        Nothing is remembered of a datagram before it has proved to come from a holder of the key.
        """
        if datagram and datagram[0] != SEALED:
            raise SealError("plain", "datagram is not sealed, or by another version; give its sender the cluster's key")
        if len(datagram) < SEAL_OVERHEAD:
            raise SealError("short", f"expected a sealed datagram of at least {SEAL_OVERHEAD} bytes, found {len(datagram)}")
        header = datagram[: _HEADER.size]
        _, key, sender, counter = _HEADER.unpack(header)
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise SealError("unknown key", f"datagram is sealed with key {key.hex()}, which is not in this node's ring; compare with keys")
        try:
            payload = cipher.decrypt(header[_NONCE], datagram[_HEADER.size :], header + self._cluster)
        except InvalidTag:
            raise SealError("forged", "datagram was changed on its way, or sealed for another cluster by a holder of the key") from None
        if not self._guard.admit(sender, counter):
            raise SealError("replayed", f"datagram {counter} of its sender came before, or {WINDOW} newer ones did")
        return payload
