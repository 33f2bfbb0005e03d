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
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from outlay import __version__
from outlay.core.errors import OutlayError, QueryError
from outlay.faces.web.choice import parse_choice
from outlay.faces.web.compare import compare_page
from outlay.faces.web.figures import Books, OpenBooks, collect
from outlay.faces.web.live import collect_live
from outlay.faces.web.prices import prices_page
from outlay.faces.web.session import session_address, session_page
from outlay.faces.web.sessions import parse_listing, sessions_page
from outlay.faces.web.tactical import tactical_page
from outlay.faces.web.view import CENTRES, page_of
from outlay.metrics.sessions import SessionDetail

ASSETS = {
    "outlay.css": "text/css; charset=utf-8",
    "outlay.js": "text/javascript; charset=utf-8",
    "outlay.svg": "image/svg+xml",
}
_IMMUTABLE = "public, max-age=31536000, immutable"

log = logging.getLogger("outlay.web")


def routes(books: OpenBooks) -> list[BaseRoute]:
    """The pages and the files they need, over open books."""

    def at(answer: Callable[[Books, Request, datetime], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def page(request: Request) -> Response:
            return await run_in_threadpool(_shown, answer, books, request)

        return page

    pages = [
        Route(path, at(answer), methods=["GET"])
        for path, answer in (
            ("/", _overview),
            ("/tactical", _tactical),
            ("/sessions", _sessions),
            ("/sessions/{id:path}", _session),
            ("/compare", _compare),
            ("/prices", _prices),
        )
    ]
    files = [
        Route(path, _file(name, kind), methods=["GET"]) for name, kind in ASSETS.items() for path in (asset_path(name),)
    ]
    return [*pages, *files]


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


def _shown(answer: Callable[[Books, Request, datetime], Response], books: OpenBooks, request: Request) -> Response:
    now = datetime.now(UTC)
    try:
        with books.moment() as same:
            return answer(same, request, now)
    except OutlayError as error:
        if error.status >= 500:
            log.exception("page: %s", error.message)
        return _html("error.html", error.status, here="", error=error, since=f"{now:%H:%M:%S}")


def _overview(books: Books, request: Request, now: datetime) -> Response:
    page = page_of(collect(books, parse_choice(request.query_params, now)))
    return _html("page.html", 200, here="/", **page)


def _tactical(books: Books, request: Request, now: datetime) -> Response:
    choice = parse_choice({**request.query_params, "period": "24h"}, now)
    return _html("tactical.html", 200, here="/tactical", **tactical_page(collect_live(books, choice), CENTRES))


def _sessions(books: Books, request: Request, now: datetime) -> Response:
    asked = request.query_params.get("id", "").strip()
    if asked:
        return RedirectResponse(session_address(asked), 303)
    listing = parse_listing(request.query_params, parse_choice(request.query_params, now))
    return _html("sessions.html", 200, here="/sessions", **sessions_page(books, listing, CENTRES))


def _session(books: Books, request: Request, _: datetime) -> Response:
    first = request.query_params.get("from", "")
    detail = _found(books, request.path_params["id"])
    told = session_page(detail, CENTRES, int(first) if first.isdecimal() and len(first) < 10 else 0)
    return _html("session.html", 200, here="/sessions", **told)


def _compare(books: Books, request: Request, _: datetime) -> Response:
    one, other = (request.query_params.get(name, "").strip() for name in ("a", "b"))
    if not one or not other:
        return _html("compare.html", 200, here="/sessions", sides=(), a=one, b=other)
    told = compare_page(_found(books, one), _found(books, other), CENTRES)
    return _html("compare.html", 200, here="/sessions", a=one, b=other, **told)


def _prices(books: Books, request: Request, now: datetime) -> Response:
    return _html("prices.html", 200, here="/prices", **prices_page(books, request.query_params, now))


def _found(books: Books, session: str) -> SessionDetail:
    try:
        return books.session(session)
    except QueryError as error:
        error.status = 404  # nothing is wrong with the address: there is no such session
        raise


def _html(template: str, status: int, **told: object) -> Response:
    text = _templates().get_template(template).render(**told)
    return HTMLResponse(text, status, {"cache-control": "no-store"})
