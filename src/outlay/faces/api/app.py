"""The application: the OTLP door beside the API and the page, all behind one guard."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from outlay import __version__
from outlay.core.errors import OutlayError
from outlay.faces.api import (
    alerts,
    answers,
    audit,
    books,
    budgets,
    digests,
    docs,
    efficiency,
    forecast,
    in_force,
    keys,
    lease_words,
    leases,
    otlp,
    outcomes,
    overrides,
    prices,
    stops,
    tags,
    targets,
    views,
)
from outlay.faces.api.endpoints import JSON_TYPE, Call, Endpoint, checked
from outlay.faces.api.guard import Guard
from outlay.faces.api.openapi import openapi_of
from outlay.faces.api.problems import PROBLEM_TYPE, new_request_id, problem
from outlay.faces.callers import caller_of
from outlay.faces.control_desk import ControlDesk
from outlay.faces.desk import HouseDesk
from outlay.faces.refused import Asgi, Receive, RefusedError, Scope, Send

if TYPE_CHECKING:
    from outlay.control.keyring import Keyring
    from outlay.house import House

ENDPOINTS: tuple[Endpoint, ...] = (
    *answers.ENDPOINTS,
    *outcomes.ENDPOINTS,
    *prices.ENDPOINTS,
    *tags.ENDPOINTS,
    *books.ENDPOINTS,
    *budgets.ENDPOINTS,
    *in_force.ENDPOINTS,
    *overrides.ENDPOINTS,
    *alerts.ENDPOINTS,
    *stops.ENDPOINTS,
    *forecast.ENDPOINTS,
    *efficiency.ENDPOINTS,
    *targets.ENDPOINTS,
    *views.ENDPOINTS,
    *lease_words.ENDPOINTS,
    *digests.ENDPOINTS,
    *keys.ENDPOINTS,
    *audit.ENDPOINTS,
)

DESCRIBED = (*ENDPOINTS, *lease_words.DESCRIBED)
"""With those that a door of their own answers."""

_OTLP_PATHS = frozenset((*otlp.PATHS, otlp.LANGFUSE_PATH))

log = logging.getLogger("outlay.api")


def build_app(
    house: House,
    pages: Sequence[BaseRoute] = (),
    keyring: Keyring | None = None,
    *,
    key_needed: bool = False,
    own_name: str = "",
    door: leases.LeaseDoor | None = None,
) -> Guard:
    """The ASGI application over open books.

    `pages` are the routes of the web page. `keyring` knows the keys; without `key_needed`, as on loopback, a request
    may come without one. `own_name` is the key of this home's commands. `door` is the one of leases, where it has
    another way in as well.
    """
    by_path: dict[str, Asgi] = dict.fromkeys(_OTLP_PATHS, otlp.OtlpDoor(house.intake))
    by_path |= dict.fromkeys(leases.PATHS, door or leases.LeaseDoor(lambda: house.control))
    doors = _Doors(by_path, _api(house, pages))
    return Guard(doors, keyring, key_needed=key_needed, own_name=own_name)


class _Doors:
    """The doors that have paths of their own, everything else to Starlette."""

    def __init__(self, by_path: Mapping[str, Asgi], api: Asgi) -> None:
        self._by_path = by_path
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._by_path.get(scope["path"], self._api) if scope["type"] == "http" else self._api
        await door(scope, receive, send)


def _api(house: House, pages: Sequence[BaseRoute]) -> Starlette:
    routes: list[BaseRoute] = [Route("/healthz", _health, methods=["GET"])]
    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in ENDPOINTS:
        by_path.setdefault(endpoint.path, []).append(endpoint)
    for path, endpoints in by_path.items():
        pattern = path.replace("{id}", "{id:path}")  # a session's id is its source's own, and may hold slashes
        routes.append(Route(pattern, _handler(house, endpoints), methods=[item.method for item in endpoints]))
    described = openapi_of(DESCRIBED)
    routes.append(Route("/openapi.json", lambda _: JSONResponse(described), methods=["GET"]))
    routes += docs.routes(DESCRIBED)
    routes += pages
    return Starlette(
        routes=routes,
        exception_handlers={OutlayError: _refused, HTTPException: _http_refused, Exception: _failed},
    )


def _handler(house: House, endpoints: Sequence[Endpoint]) -> Callable[[Request], Any]:
    by_method = {endpoint.method: endpoint for endpoint in endpoints}

    def control(actor: str) -> ControlDesk:
        return ControlDesk(house.control, actor, lambda: house.prices)

    async def handle(request: Request) -> Response:
        endpoint = by_method["GET" if request.method == "HEAD" else request.method]
        caller = caller_of(request.scope)
        caller.demand(endpoint.permission)
        params = checked(endpoint, request.query_params.multi_items())
        body = await _body(request, endpoint)
        desk = HouseDesk(house, caller.actor, caller.sender)
        call = Call(desk, request.path_params, params, body, caller, control)
        assert endpoint.answer is not None  # those without one have a door
        answer = await run_in_threadpool(endpoint.answer, call)
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    return handle


async def _body(request: Request, endpoint: Endpoint) -> bytes:
    """The body, of the type and size the endpoint takes; the type also keeps plain HTML forms out."""
    if endpoint.body is None:
        return b""
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if content_type != endpoint.body.content_type:
        raise RefusedError(
            415, f'content type "{content_type or "(none)"}"', hint=f"valid: {endpoint.body.content_type}"
        )
    limit = endpoint.body.bytes_max
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RefusedError(
                413,
                f"the body exceeds the limit of {limit // (1024 * 1024)} MiB",
                detail=["a body is held in memory while it is read, so it has a limit"],
                hint="send it in parts",
            )
        chunks.append(chunk)
    return b"".join(chunks)


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok", "version": __version__, "pid": os.getpid()})


def _respond(request: Request, error: OutlayError) -> Response:
    request_id = new_request_id()
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in getattr(error, "headers", ())}
    if error.status >= 500:
        log.error("request %s: %s", request_id, error.message)
    return JSONResponse(
        problem(error, request.url.path, request_id),
        error.status,
        {"cache-control": "no-store", "x-request-id": request_id, **headers},
        media_type=PROBLEM_TYPE,
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, OutlayError)
    return _respond(request, error)


async def _http_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    texts = {
        404: (f"there is nothing at {path}", "GET /api/docs lists what there is"),
        405: (f"{request.method} is not possible on {path}", (error.headers or {}).get("allow", "")),
    }
    message, hint = texts.get(error.status_code, (error.detail, ""))
    headers = [(name.encode(), value.encode()) for name, value in (error.headers or {}).items()]
    return _respond(request, RefusedError(error.status_code, message, hint=hint, headers=headers))


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)
    return _respond(request, RefusedError(500, "something went wrong inside Outlay", hint="see the server's log"))


__all__ = ["ENDPOINTS", "JSON_TYPE", "build_app"]
