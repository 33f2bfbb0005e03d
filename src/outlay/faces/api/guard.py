"""The guard in front of every request: who may ask at all, and what a browser may do with an answer.

On loopback no key is needed, so two things a web page elsewhere could try are refused: a name that was made to point
here (DNS rebinding, by the Host header) and a form sent here by another site (by the Origin header). Beyond loopback
every request needs a key, and the key must be allowed what the request asks. A key that is sent to loopback counts too.
There are no CORS headers, so no other site can read an answer.

A browser signs in with its key and then shows a cookie. The cookie opens the pages and every question, but no order of
the API: what changes something in a page comes with the token of its form (`faces/web/forms.py`).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from outlay.faces.api.problems import new_request_id, send_problem
from outlay.faces.callers import STRANGER, Caller, caller_for, set_caller
from outlay.faces.cookies import SIGN_IN_COOKIE, SIGN_IN_PATH, cookie_in
from outlay.faces.refused import Asgi, Message, Receive, RefusedError, Scope, Send

if TYPE_CHECKING:
    from outlay.control.keyring import Keyring
    from outlay.control.keys import ApiKey

_OPEN_PATHS = frozenset({"/healthz", SIGN_IN_PATH})  # a load balancer has no key; who signs in has none yet
_OPEN_FILES = "/static/"
_ORDERS = ("/api/", "/v1/")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_WRITING_PATHS = ("/v1/", "/api/public/otel/")
_JUDGED_LATER = "/api/v1/"  # each endpoint says itself what it needs
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_POLICY = (
    "default-src 'none'",
    "style-src 'self'",
    "style-src-attr 'unsafe-inline'",  # marks of a chart are placed in per cent
    "script-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
CONTENT_POLICY = "; ".join(_POLICY)

# With no referrer at all a browser names no origin for a form of ours either.
_HTML_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class Guard:
    """ASGI application that lets a request through to `app`, or answers with a problem.

    `keys` finds the key of a secret; `key_needed` is False on loopback. `own_name` is the name of the key that this
    home's commands present.
    """

    def __init__(self, app: Asgi, keys: Keyring | None, *, key_needed: bool, own_name: str = "") -> None:
        self._app = app
        self._keys = keys
        self._key_needed = key_needed
        self._own_name = own_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = self.judged(scope)
        if isinstance(caller, RefusedError):
            await send_problem(send, caller, scope["path"], head=scope["method"] == "HEAD")
            return
        set_caller(scope, caller)
        await self._app(scope, receive, _with_headers(send))

    def judged(self, scope: Scope) -> Caller | RefusedError:
        """Who calls, or why the request is refused."""
        host = origin = authorization = cookie = accept = ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
            elif name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"cookie":
                cookie = value.decode("latin-1")
            elif name == b"accept":
                accept = value.decode("latin-1")
        if not self._key_needed and not _is_loopback(_host_name(host)):
            return RefusedError(
                421, f'this server does not answer for host "{host}"', hint="ask http://127.0.0.1 instead"
            )
        if origin and scope["method"] not in _SAFE_METHODS and origin.split("://", 1)[-1] != host:
            return RefusedError(403, f'a page of "{origin}" may not change anything here', hint="send no Origin header")
        path, safe = scope["path"], scope["method"] in _SAFE_METHODS
        key = key_in(authorization, self._keys)
        if key is None and self._keys is not None and cookie and (safe or not path.startswith(_ORDERS)):
            key = self._keys.signed_in(cookie_in(cookie, SIGN_IN_COOKIE))
        if key is None and self._key_needed:
            if path in _OPEN_PATHS or path.startswith(_OPEN_FILES):
                return STRANGER
            return _no_key(scope, to_sign_in=safe and "text/html" in accept)
        own = not self._key_needed or (key is not None and bool(self._own_name) and key.name == self._own_name)
        caller = caller_for(scope, key, own=own)
        if key is None or path in _OPEN_PATHS or path.startswith((_JUDGED_LATER, _OPEN_FILES)):
            return caller
        return caller.refusal("write" if path.startswith(_WRITING_PATHS) else "read") or caller


def _no_key(scope: Scope, *, to_sign_in: bool) -> RefusedError:
    """Says that a key is needed; a browser is sent to where it can be shown."""
    if to_sign_in:
        asked = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope.get("query_string") else "")
        target = f"{SIGN_IN_PATH}?{urlencode({'next': asked})}"
        return RefusedError(303, "sign in first", headers=[(b"location", target.encode("latin-1"))])
    return RefusedError(
        401,
        "this server needs an API key",
        hint="send Authorization: Bearer KEY; outlay keys add NAME makes one",
        headers=[(b"www-authenticate", b'Bearer, Basic realm="outlay"')],
    )


def key_in(authorization: str, keys: Keyring | None) -> ApiKey | None:
    """The key that an Authorization header holds, None if it holds none that is known and not over."""
    secret = _secret(authorization) if authorization else ""
    return keys.find(secret) if keys is not None and secret else None


def is_loopback_host(host: str) -> bool:
    """Whether a host one may listen on can be reached from this machine only."""
    return _is_loopback(host.strip("[]"))


def _with_headers(send: Send) -> Send:
    """Adds the headers a browser needs to be strict; the OTLP door's small answers pay one look at a list."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            present = dict(headers)
            if b"x-content-type-options" not in present:
                headers.append((b"x-content-type-options", b"nosniff"))
            if present.get(b"content-type", b"").startswith(b"text/html"):
                headers += [pair for pair in _HTML_HEADERS if pair[0] not in present]
            if b"x-request-id" not in present:
                headers.append((b"x-request-id", new_request_id().encode()))
            message["headers"] = headers
        await send(message)

    return guarded


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host


def _is_loopback(name: str) -> bool:
    if name.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _secret(authorization: str) -> str:
    """The key in a Bearer header, or the password of Basic, which a browser can ask its user for."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
