"""Headers: a service of one's own is told the session it works for; model vendors never are.

Nothing is sent by itself. `outlay.init(destinations=…)` names the services that may know, and `outlay.headers(url)`
gives them the header; for everybody else, and for every known vendor of models whatever the list says, it gives
nothing. On the other side `asgi`, `wsgi` or `attached_headers` put the session in force. A header is believed as it
comes: fit these only where nobody but one's own agents gets in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from fnmatch import fnmatchcase
from typing import Any

from outlay.core.errors import InputError
from outlay.sdk import attachment
from outlay.sdk.context import HEADER, attached, carrier, context_of

VENDORS = (
    *("openai.com", "openai.azure.com", "services.ai.azure.com", "anthropic.com", "googleapis.com", "amazonaws.com"),
    *("x.ai", "mistral.ai", "moonshot.ai", "moonshot.cn", "cohere.com", "cohere.ai", "groq.com", "deepseek.com"),
    *(
        "perplexity.ai",
        "openrouter.ai",
        "together.xyz",
        "together.ai",
        "fireworks.ai",
        "voyageai.com",
        "huggingface.co",
    ),
    *("replicate.com", "cerebras.ai", "nvidia.com", "databricks.com", "watsonx.ai", "cloud.ibm.com", "ai21.com"),
    *("aleph-alpha.com", "githubcopilot.com", "azure-api.net", "sambanova.ai", "deepinfra.com", "hyperbolic.xyz"),
)
"""Ends of hosts that are never told anything."""

_allowed: list[str] = []


def allow(destinations: Iterable[str]) -> None:
    """These hosts may be told: `tools.example.com`, `*.internal`, `localhost:9000`, or an address that begins so."""
    given = [destinations] if isinstance(destinations, str) else list(destinations)
    places = [_place(text.strip()) for text in given]
    for text, place in zip(given, places, strict=True):
        if not place:
            raise InputError(f"{text!r} is no destination", hint="write a host, host:port, *.domain or an address")
        if _is_vendor(place.partition(":")[0]):
            raise InputError(f"{text!r} is a vendor of models", hint="they are never told whose money it is")
    _allowed[:] = places


def headers(url: str) -> dict[str, str]:
    """The header for a request to this address; empty unless the address was allowed and a session is in force."""
    place = _place(url)
    host = place.partition(":")[0]
    if not _allowed or not host or _is_vendor(host):
        return {}
    if not any(fnmatchcase(place if ":" in pattern else host, pattern) for pattern in _allowed):
        return {}
    text = carrier()
    return {HEADER: text} if text else {}


def attached_headers(headers: Mapping[str, str] | Iterable[tuple[Any, Any]]) -> attached:
    """Puts what a request's headers say in force for a block; nothing where they say nothing."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found = next((value for key, value in pairs if _text(key).lower() == HEADER), "")
    return attached(_text(found))


def asgi(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """An ASGI application, each request of which runs in the session its caller named."""

    async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        with attached_headers(scope.get("headers") or ()):
            await app(scope, receive, send)

    return application


def wsgi(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """A WSGI application, each request of which runs in the session its caller named, its answer included."""
    variable = "HTTP_" + HEADER.upper().replace("-", "_")

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        context = context_of(str(environ.get(variable, "")))
        if context is None:
            return app(environ, start_response)
        held = attachment.Attachment(context)
        before = attachment.put(held)
        try:
            return _Answer(app(environ, start_response), held)
        finally:
            attachment.put(before)

    return application


class _Answer:
    """A WSGI answer whose parts are made in the session; its server may ask for them from any thread."""

    def __init__(self, parts: Iterable[bytes], held: attachment.Held) -> None:
        self._parts = parts
        self._held = held
        self._iterator = iter(parts)

    def __iter__(self) -> _Answer:
        return self

    def __next__(self) -> bytes:
        before = attachment.put(self._held)
        try:
            return next(self._iterator)
        finally:
            attachment.put(before)

    def close(self) -> None:
        """As WSGI asks."""
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _place(text: str) -> str:
    """`host` or `host:port` of an address or of what was written for one, in small letters."""
    if "//" not in text:
        text = f"//{text}"
    netloc = text.split("//", 1)[1].split("/", 1)[0].split("?", 1)[0].rpartition("@")[2]
    return netloc.lower().strip()


def _is_vendor(host: str) -> bool:
    return any(host == end or host.endswith(f".{end}") for end in VENDORS)


__all__ = ["HEADER", "VENDORS", "allow", "asgi", "attached_headers", "headers", "wsgi"]
