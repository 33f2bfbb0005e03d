"""Forms: what a page sends back, and the proof that it was this server's page that sent it.

A form carries a token that also stands in a cookie. Another site can make a browser send a form here, but it can
neither read nor set the cookie, so its form has no token that fits. The guard has refused a foreign Origin before.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import parse_qsl

from starlette.requests import Request

from outlay.core.errors import InputError
from outlay.faces.cookies import FORM_COOKIE, cookie_in
from outlay.faces.refused import RefusedError

FIELD = "form_token"
FORM_TYPE = "application/x-www-form-urlencoded"
BODY_BYTES_MAX = 256 * 1024
FIELDS_MAX = 200
_TOKEN_CHARACTERS = 43  # of 256 bits in URL-safe base64


def token_of(request: Request) -> str:
    """The token in a browser's cookie, a new one where it has none."""
    held = cookie_in(request.headers.get("cookie", ""), FORM_COOKIE)
    return held if len(held) == _TOKEN_CHARACTERS else secrets.token_urlsafe(32)


async def fields_of(request: Request) -> dict[str, str]:
    """What a form says; several fields of one name are one text with commas. Raises RefusedError for a forged one."""
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind != FORM_TYPE:
        raise RefusedError(415, f'content type "{kind or "(none)"}"', hint="send the form of the page")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise RefusedError(413, f"a form of more than {BODY_BYTES_MAX // 1024} KiB", hint="use the API for more")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise InputError(f"the form cannot be read: {error}") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        clean = value.strip()
        fields[name] = f"{fields[name]},{clean}" if name in fields and clean else fields.get(name) or clean
    _judge(request, fields.pop(FIELD, ""))
    return fields


def _judge(request: Request, token: str) -> None:
    held = cookie_in(request.headers.get("cookie", ""), FORM_COOKIE)
    same_site = request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
    if not held or not same_site or not hmac.compare_digest(held.encode(), token.encode()):
        raise RefusedError(
            403,
            "this form did not come from a page of this server",
            detail=["nothing was changed"],
            hint="load the page again and send it from there; the browser must keep cookies",
        )
