"""The keys of a cluster, from a file or from the environment; never from the command line, which every user of a machine can read.

A key is 32 random bytes, written as base64. A ring holds one or more: the first seals what is sent, every one opens what arrives. So a
key is replaced without a moment in which nodes do not understand each other:

    1. on every node, add the new key after the old one: all can open it, nobody uses it yet;
    2. on every node, move it to the front: nodes that have and nodes that have not done so understand each other;
    3. remove the old key once every node that was away has come back and done the same.

A key is named in public by its id, four bytes of a hash. The key cannot be computed from it.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from priomon_core.errors import PriomonError

KEY_LENGTH = 32  # bytes: AES-256
ID_LENGTH = 4  # bytes
VARIABLES = ("PRIOMON_KEY", "PRIOMON_KEYS")  # one name or the other, for one key or several
COMMENT = "#"


class KeyringError(PriomonError):
    """Keys are missing, unreadable, malformed or open to others; nothing was loaded or written. Never shows a key."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key and where it stands, such as "/etc/priomon/keys:2". Raises `KeyringError` unless the secret has 32 bytes."""

    secret: bytes = field(repr=False)
    where: str = field(default="key", compare=False)
    id: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_LENGTH:
            raise KeyringError(f"{self.where}: expected {KEY_LENGTH} bytes, found {len(self.secret)}; keygen makes a key")
        object.__setattr__(self, "id", blake2b(self.secret, digest_size=ID_LENGTH, person=b"priomon key id").digest())

    @property
    def name(self) -> str:
        """The id as 8 hexadecimal digits, for people."""
        return self.id.hex()

    @property
    def text(self) -> str:
        """The secret as a key file holds it: 44 characters of base64."""
        return base64.b64encode(self.secret).decode()

    @classmethod
    def parse(cls, text: str, where: str) -> Key:
        """Read the base64 text of a key. Raises `KeyringError`."""
        try:
            secret = base64.b64decode(text, validate=True)
        except ValueError:
            raise KeyringError(f"{where}: expected a key as 44 characters of base64, found something else; keygen makes a key") from None
        return cls(secret, where)

    @classmethod
    def generate(cls) -> Key:
        """A new key from the system's source of randomness."""
        return cls(secrets.token_bytes(KEY_LENGTH))


@dataclass(frozen=True, slots=True)
class Keyring:
    """At least one key. `warning` is a sentence for the operator about where they were read from, or None.

    Raises `KeyringError` when there is no key, or two with one id.
    """

    keys: tuple[Key, ...]
    warning: str | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise KeyringError("a ring needs at least one key; keygen makes one")
        first: dict[bytes, Key] = {}
        for key in self.keys:
            if (other := first.setdefault(key.id, key)) is not key:
                raise KeyringError(f"{key.where}: key {key.name} is already there ({other.where}); remove one of the two")

    @classmethod
    def load(cls, path: Path | None, environment: Mapping[str, str]) -> Keyring | None:
        """The ring from a file if `path` is given, else from PRIOMON_KEY or PRIOMON_KEYS, else None.

        A file has one key per line; `#` begins a comment. A variable has keys between commas or white space. Raises `KeyringError` with
        file and line, or variable and number; also for keys in two places, and for a place that is there and empty: an agent that was
        meant to have a key must not start without one.
        """
        places = [*([f"the file {path}"] if path else []), *(name for name in VARIABLES if name in environment)]
        if len(places) > 1:
            raise KeyringError(f"keys are in {' and in '.join(places)}; leave them in one place, so that it is clear which seals")
        if path is not None:
            return _from_file(path)
        return _from_variable(places[0], environment[places[0]]) if places else None


def _from_variable(name: str, value: str) -> Keyring:
    keys = [Key.parse(word, f"{name}, key {number}") for number, word in enumerate(value.replace(",", " ").split(), start=1)]
    if not keys:
        raise KeyringError(f"{name} is set but empty; unset it to run without a key, or give it one (keygen makes it)")
    return Keyring(tuple(keys))


def _from_file(path: Path) -> Keyring:
    try:
        with path.open("rb") as file:
            warning = _exposure(path, file)  # asked of the open file, so that nobody can swap it in between
            lines = file.read().decode("ascii", errors="replace").splitlines()
    except OSError as error:
        raise KeyringError(f"cannot read the key file {path}: {error.strerror}") from error
    keys = [Key.parse(text, f"{path}:{number}") for number, text in _uncommented(lines)]
    if not keys:
        raise KeyringError(f"{path}: expected one key per line, found none; keygen makes one")
    return Keyring(tuple(keys), warning)


def _uncommented(lines: Iterable[str]) -> Iterable[tuple[int, str]]:
    """Number and text of the lines that say something."""
    for number, line in enumerate(lines, start=1):
        if text := line.partition(COMMENT)[0].strip():
            yield number, text


def _exposure(path: Path, file: BinaryIO) -> str | None:
    """A warning if others may read the file, on a mount that may well be the agent's alone. Raises `KeyringError` elsewhere.

    Docker and Kubernetes mount secrets read-only and with modes that the agent cannot change: 0444, or 0440 as soon as a pod sets
    fsGroup. Whoever mounted it answers for it then. Where others may write, anyone could choose the key.
    """
    mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if not mode & 0o077:
        return None
    verb = "change" if mode & 0o022 else "read"
    if verb == "read" and os.fstatvfs(file.fileno()).f_flag & os.ST_RDONLY:
        return f"{path} can be read by others (mode {mode:04o}); accepted because its mount is read-only, as those of secrets are"
    raise KeyringError(f"{path}: others can {verb} it (mode {mode:04o}); chmod 600 {path}, and make a new key if they may have")


def write_key(path: Path, key: Key) -> None:
    """Create a key file with one key, for its owner only. Raises `KeyringError`; a file that exists is left alone."""
    try:
        # The mode is set by the call that creates it: the file is at no moment open to others.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
            print(key.text, f" {COMMENT} {key.name}", file=file)
    except FileExistsError:
        raise KeyringError(f"{path} exists; to add a key to it: keygen >> {path}") from None
    except OSError as error:
        raise KeyringError(f"cannot write the key file {path}: {error.strerror}") from error
