"""`/api/docs`: the endpoints and the words, as one page that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from outlay.core import errors
from outlay.faces.api.endpoints import Endpoint
from outlay.faces.api.otlp import PATHS
from outlay.faces.desk import catalogue

_STYLE = """:root { color-scheme: light dark; font: 13px/1.5 Inter, system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: light-dark(#1c1d1f, #ececea);
  background: light-dark(#f7f7f4, #131416); }
h1 { font-size: 20px; } h2 { margin-top: 2rem; font-size: 15px; } h3 { margin: 1.5rem 0 .25rem; font-size: 13px; }
code, h3 { font-family: ui-monospace, monospace; } p { margin: .25rem 0; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: 4px 12px 4px 0; vertical-align: top;
  border-bottom: 1px solid light-dark(#e6e5df, #2a2d31); }
th { font-size: 11.5px; color: light-dark(#55585d, #a9adb3); }
"""


def routes(endpoints: Sequence[Endpoint]) -> list[BaseRoute]:
    """The page and its stylesheet."""
    page = "".join(_page(endpoints))

    async def shown(_: Request) -> Response:
        return HTMLResponse(page)

    async def style(_: Request) -> Response:
        return Response(_STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})

    return [Route("/api/docs", shown, methods=["GET"]), Route("/api/docs.css", style, methods=["GET"])]


def error_kinds() -> Iterator[type[errors.OutlayError]]:
    """Every kind of refusal, the base first."""
    waiting: list[type[errors.OutlayError]] = [errors.OutlayError]
    while waiting:
        kind = waiting.pop(0)
        if kind.__module__ == errors.__name__:
            yield kind
        waiting.extend(kind.__subclasses__())


def _page(endpoints: Sequence[Endpoint]) -> Iterator[str]:
    yield "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    yield "<title>Outlay API</title><link rel=stylesheet href=/api/docs.css><main><h1>Outlay API</h1>"
    yield "<p>Every answer is one object <code>{query, rows, total, coverage}</code>; amounts are exact decimal texts. "
    yield "Every error is a problem as in RFC 9457. For machines: <a href=/openapi.json>openapi.json</a>.</p>"
    yield f"<h2>Endpoints</h2><h3>POST {', '.join(PATHS)}</h3>"
    yield "<p>OTLP over HTTP, protobuf or JSON, plain or gzip; durable when answered.</p>"
    for endpoint in endpoints:
        yield f"<h3>{endpoint.method} {escape(endpoint.path)}</h3><p>{escape(endpoint.summary)}</p>"
        if endpoint.body is not None:
            yield f"<p>Body: {escape(endpoint.body.text)} (<code>{escape(endpoint.body.content_type)}</code>)</p>"
        if endpoint.parameters:
            yield from _table(("parameter", "meaning"), [(item.name, item.text) for item in endpoint.parameters])
    rows = catalogue()["rows"]
    for kind in ("measure", "dimension"):
        yield f"<h2>{kind.capitalize()}s</h2>"
        yield from _table((kind, "meaning"), [(row["name"], row["text"]) for row in rows if row["kind"] == kind])
    yield "<h2>Errors</h2><table><tr><th>type</th><th>status</th><th>meaning</th></tr>"
    for error in error_kinds():
        meaning = escape((error.__doc__ or "").split("\n")[0])
        yield f"<tr id={error.code}><td><code>{error.code}</code></td><td>{error.status}</td><td>{meaning}</td></tr>"
    yield "</table></main></html>"


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"<table><tr><th>{head[0]}</th><th>{head[1]}</th></tr>"
    for name, text in rows:
        yield f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>"
    yield "</table>"
