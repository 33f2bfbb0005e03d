"""Signing in: a browser shows its key once and gets a cookie; signing out ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from outlay.core.errors import InputError, OutlayError
from outlay.faces.callers import caller_of
from outlay.faces.cookies import SIGN_IN_COOKIE, SIGN_IN_PATH, cookie_in, set_cookie
from outlay.faces.web import forms
from outlay.faces.web.visit import shown

if TYPE_CHECKING:
    from outlay.control.keyring import Keyring

_KEY_CHARACTERS_MAX = 200


def routes(keyring: Keyring | None) -> list[BaseRoute]:
    """Where to sign in and out."""

    async def show(request: Request) -> Response:
        return _page(request, None)

    async def enter(request: Request) -> Response:
        try:
            fields = await forms.fields_of(request)
            return await run_in_threadpool(_entered, request, keyring, fields)
        except OutlayError as error:
            return _page(request, error)

    return [
        Route(SIGN_IN_PATH, show, methods=["GET"]),
        Route(SIGN_IN_PATH, enter, methods=["POST"]),
        Route("/signout", _leaving(keyring), methods=["POST"]),
    ]


def _leaving(keyring: Keyring | None) -> Callable[[Request], Awaitable[Response]]:
    async def leave(request: Request) -> Response:
        try:
            await forms.fields_of(request)
        except OutlayError as error:
            return _page(request, error)
        token = cookie_in(request.headers.get("cookie", ""), SIGN_IN_COOKIE)
        if keyring is not None and token:
            await run_in_threadpool(keyring.sign_out, token)
        answer = RedirectResponse(SIGN_IN_PATH, 303)
        answer.headers.append("set-cookie", _cookie(request, "", 0))
        return answer

    return leave


def _entered(request: Request, keyring: Keyring | None, fields: dict[str, str]) -> Response:
    secret = fields.get("key", "")
    entered = keyring.sign_in(secret) if keyring is not None and 0 < len(secret) <= _KEY_CHARACTERS_MAX else None
    if entered is None:
        refused = InputError("no key that is in force reads so", hint="outlay keys add NAME --role viewer makes one")
        refused.status = 401
        raise refused
    token, key = entered
    if not key.may("read"):
        raise InputError(f'the key "{key.name}" may not read, so it opens no page', hint="use one that may read")
    answer = RedirectResponse(_target(fields.get("next", "")), 303)
    answer.headers.append("set-cookie", _cookie(request, token, None))
    return answer


def _page(request: Request, problem: OutlayError | None) -> Response:
    status = 200 if problem is None else problem.status
    following = _target(request.query_params.get("next", ""))
    return shown(
        request, caller_of(request.scope), "signin.html", status, SIGN_IN_PATH, problem=problem, following=following
    )


def _target(said: str) -> str:
    """Where to go on: a place of this server, whatever the address says."""
    parts = urlsplit(said)
    here = said.startswith("/") and not said.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return said if here and said.isprintable() else "/"


def _cookie(request: Request, token: str, lasts_s: int | None) -> str:
    return set_cookie(SIGN_IN_COOKIE, token, secure=request.url.scheme == "https", lasts_s=lasts_s)
