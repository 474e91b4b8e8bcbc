"""Who may use the orchestrator's pages: as with agents, programs on this machine, or whoever knows the token; but people use a browser.

A browser cannot send a token by itself, so somebody who typed it once gets a cookie instead. The cookie is a digest of the token: it opens
these pages and no agent. A page of another site can make a browser send requests here too, so those are refused by their headers, which
every browser of today sets and no page can change.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from hmac import new as hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from priomon_node.access import refusal

COOKIE = "priomon"
OPEN = ("/healthz", "/login", "/static/")  # who looks after containers has no token; who has none yet must be able to type it
HEADERS = {
    # The one style that is not ours alone, cytoscape's, is in our style sheet; so nothing inline is needed.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with no-referrer, forms would have the Origin `null`, as those of strangers may
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


Explain = Callable[[Request, int, str], Response]


class Gate:
    """Refuses requests before they reach a route, and gives every answer the headers that make browsers careful.

    Without a `token`, whoever speaks to a loopback name of this machine may pass. `explain` puts a refusal into words.
    """

    def __init__(self, app: ASGIApp, token: str | None, explain: Explain) -> None:
        self._app = app
        self._token = token
        self._explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_carefully(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, content in HEADERS.items():
                    headers.setdefault(name, content)
            await send(message)

        request = Request(scope)
        refused = self._refusal(request)
        answer = self._app if refused is None else self._explain(request, *refused)
        await answer(scope, receive, send_carefully)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        if request.url.path == "/healthz":
            return None
        headers = request.headers
        if self._token is None and (refused := refusal(None, None, headers.get("host"), None)):
            return refused
        if _is_foreign(request.method, headers):
            return 403, "a page of another site made this request; use the orchestrator's own pages"
        if self._token is None or request.url.path.startswith(OPEN) or self._has_cookie(request):
            return None
        return refusal(self._token, headers.get("authorization"), None, None)

    def _has_cookie(self, request: Request) -> bool:
        assert self._token is not None
        return compare_digest(request.cookies.get(COOKIE, "").encode(), cookie(self._token).encode())


def cookie(token: str) -> str:
    """What a browser keeps instead of the token."""
    return hmac(token.encode(), b"pages of the orchestrator", sha256).hexdigest()


def let_in(answer: Response, token: str) -> None:
    """Give the cookie to the browser that this answer goes to; it forgets it when it is closed."""
    answer.set_cookie(COOKIE, cookie(token), httponly=True, samesite="strict")


def _is_foreign(method: str, headers: Headers) -> bool:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return True
    followed_a_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return site in ("cross-site", "same-site") and not followed_a_link
