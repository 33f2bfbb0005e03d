"""The two cookies of a browser: the one of its sign-in, and the one that ties a form to the page it stood on."""

from __future__ import annotations

SIGN_IN_PATH = "/signin"
SIGN_IN_COOKIE = "outlay_signin"
FORM_COOKIE = "outlay_form"

_HEADER_CHARACTERS_MAX = 8_192


def cookie_in(header: str, name: str) -> str:
    """The value of a cookie in a Cookie header, empty where it is not there."""
    for part in header[:_HEADER_CHARACTERS_MAX].split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def set_cookie(name: str, value: str, *, secure: bool, lasts_s: int | None = None) -> str:
    """A Set-Cookie header no script reads and no other site sends; without `lasts_s` it ends with the browser."""
    parts = [f"{name}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if lasts_s is not None:
        parts.append(f"Max-Age={lasts_s}")
    if secure:
        parts.append("Secure")
    return "; ".join(parts)
