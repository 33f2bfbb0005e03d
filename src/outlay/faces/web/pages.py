"""Pages: the routes of the web face, rendered on the server."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from outlay import __version__
from outlay.core.errors import OutlayError
from outlay.faces.web.choice import parse_choice
from outlay.faces.web.figures import Books, collect
from outlay.faces.web.view import page_of

ASSETS = {
    "outlay.css": "text/css; charset=utf-8",
    "outlay.js": "text/javascript; charset=utf-8",
    "outlay.svg": "image/svg+xml",
}
_IMMUTABLE = "public, max-age=31536000, immutable"

log = logging.getLogger("outlay.web")


def routes(books: Books) -> list[BaseRoute]:
    """The page at `/` and the files it needs, over open books."""

    async def page(request: Request) -> Response:
        return await run_in_threadpool(_answer, books, dict(request.query_params))

    files = [
        Route(path, _file(name, kind), methods=["GET"]) for name, kind in ASSETS.items() for path in (asset_path(name),)
    ]
    return [Route("/", page, methods=["GET"]), *files]


@cache
def asset_path(name: str) -> str:
    """The address of a file: its content is in its name, so it may be kept for ever."""
    stem, _, ending = name.rpartition(".")
    return f"/static/{stem}-{hashlib.sha256(_content(name)).hexdigest()[:10]}.{ending}"


@cache
def _content(name: str) -> bytes:
    return resources.files("outlay.faces.web").joinpath("static", name).read_bytes()


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("outlay.faces.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names: dict[str, Any] = environment.globals
    names.update(asset=asset_path, version=__version__)
    return environment


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(_content(name), media_type=kind, headers={"cache-control": _IMMUTABLE})

    return answer


def _answer(books: Books, parameters: dict[str, str]) -> Response:
    now = datetime.now(UTC)
    try:
        page = page_of(collect(books, parse_choice(parameters, now)))
    except OutlayError as error:
        if error.status >= 500:
            log.exception("page: %s", error.message)
        return _html("error.html", error.status, error=error, since=f"{now:%H:%M:%S}")
    return _html("page.html", 200, **page)


def _html(template: str, status: int, **told: object) -> Response:
    text = _templates().get_template(template).render(**told)
    return HTMLResponse(text, status, {"cache-control": "no-store"})
