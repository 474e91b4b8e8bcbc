"""Who may ask an agent over HTTP.

With a token: whoever knows it. Without: programs on this machine. Web pages also run on this machine, so a request is refused if a page
of another site made it (it has an Origin), or if its Host is not loopback, which is how a page looks that pointed its own name here.
"""

from __future__ import annotations

from hmac import compare_digest
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from priomon_core.errors import PriomonError


class TokenError(PriomonError):
    """A file with a token cannot be used."""


def read_token(path: Path) -> str:
    """The token in a file, without the white space around it. Raises `TokenError`."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise TokenError(f"cannot read the HTTP token in {path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise TokenError(f"{path}: an HTTP token is plain ASCII; make one with `openssl rand -hex 32`") from None
    if not token.isprintable() or " " in token or not token:
        raise TokenError(f"{path}: expected one token without spaces, found {len(token.split())}; make one with `openssl rand -hex 32`")
    return token


def refusal(token: str | None, authorization: str | None, host: str | None, origin: str | None) -> tuple[int, str] | None:
    """The HTTP status and reason with which a request is refused, None if it may pass; the last three are its headers."""
    if token is not None:
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return 401, "a token is needed: send it as `Authorization: Bearer TOKEN`"
        # Bytes, because the comparison in constant time takes no other text than ASCII.
        return None if compare_digest(given.strip().encode(), token.encode()) else (401, "this is not the agent's token")
    if origin is not None:
        return 403, "no token is set, so web pages may not ask; give the agent an HTTP token"
    if not _is_loopback(host):
        return 403, f"no token is set, so only this machine may ask, and {host!r} is no loopback address; give the agent an HTTP token"
    return None


def _is_loopback(host: str | None) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
