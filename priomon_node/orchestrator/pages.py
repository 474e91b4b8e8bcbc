"""Answers for people: HTML from the templates in `page/`, where a program gets JSON."""

from __future__ import annotations

import math
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from priomon_sim.provenance import code_version

REASONS = {400: "That cannot be done", 401: "A token is needed", 403: "Refused", 404: "Nothing here", 405: "Not this way", 409: "Not now"}


def seconds(value: float | None) -> str:
    """A time span, such as 7.5 s; what never happened is `never`."""
    return "never" if value is None else f"{value:.3g} s"


def figure(value: float | None) -> str:
    """A number to three digits; infinity stands for what never happened."""
    return "-" if value is None else "never" if math.isinf(value) else f"{float(f'{value:.3g}'):,.12g}"


def percent(value: float | None, sign: str = "") -> str:
    """A share, such as 99.7 %; with `sign` "+" a difference."""
    return "-" if value is None else f"{value * 100:{sign}.4g} %"


TEMPLATES = Environment(
    loader=PackageLoader("priomon_node.orchestrator", "page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals["version"] = code_version()
TEMPLATES.filters |= {"seconds": seconds, "figure": figure, "percent": percent}


def page(name: str, status: int = 200, **content: Any) -> Response:
    """The page that a template makes of `content`."""
    return HTMLResponse(TEMPLATES.get_template(f"{name}.html").render(here=name, **content), status)


def wants_page(request: Request) -> bool:
    """Whether a browser shows the answer to somebody."""
    return "text/html" in request.headers.get("accept", "")


def explain(request: Request, status: int, reason: str) -> Response:
    """Why a request is not answered as it was meant: a page, or {"error": reason}."""
    challenge = {"www-authenticate": "Bearer"} if status == 401 else None
    if not wants_page(request):
        return JSONResponse({"error": reason}, status, challenge)
    if status == 401:
        return page("login", 401, problem=None)
    return page("message", status, title=REASONS.get(status, "That did not work"), reason=reason)
