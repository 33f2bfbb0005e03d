"""What HTTP itself refuses, as an error with its status and headers; and the names of ASGI's parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from outlay.core.errors import OutlayError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class RefusedError(OutlayError):
    """A request that HTTP itself refuses: `status` and the headers that go with it."""

    code = "http"

    def __init__(
        self,
        status: int,
        message: str,
        *,
        detail: Iterable[str] = (),
        hint: str = "",
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.status = status
        self.headers = tuple(headers)
