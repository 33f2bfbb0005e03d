"""A short way in for orders about leases, which are most of what a busy server is asked.

uvicorn makes a task, an event and several messages of each request, which costs as much as the decision. This is its
own protocol with one exception: an order that the guard lets pass and the door understands is handed to the door at
once, and its answer is written when it is there. Everything else goes uvicorn's way: other paths and methods, what the
guard refuses, what cannot be understood, pipelined requests, `Expect`. So this decides nothing, and says nothing that
the long way would not say.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from outlay.core.errors import OutlayError
from outlay.faces.api.guard import Guard
from outlay.faces.api.lease_words import BODY_BYTES_MAX
from outlay.faces.api.leases import PATHS, LeaseDoor, Order
from outlay.faces.api.problems import Answer, new_request_id
from outlay.faces.refused import RefusedError

_PATHS = {path.encode(): path for path in PATHS}
_JSON = (b"content-type", b"application/json")


class _AtHand:
    """What stands in the place of uvicorn's cycle while an order is carried out: what its protocol looks at."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.disconnected = self.keep_alive = False
        self.response_complete = True
        self.message_event = asyncio.Event()


class QuickHttp(HttpToolsProtocol):
    """One connection. `guard` and `door` are those of the application; see `quick_http`."""

    guard: Guard
    door: LeaseDoor

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._at_hand = _AtHand()
        self._path = ""  # of the order that is being read
        self._said = b""

    def on_headers_complete(self) -> None:
        """An order begins, or what uvicorn knows how to answer."""
        path = _PATHS.get(self.url)
        if path is not None and self._is_plain():
            self._path, self._said = path, b""
        else:
            super().on_headers_complete()

    def _is_plain(self) -> bool:
        """Whether this is an ordinary POST, and the only request at hand."""
        cycle: Any = self.cycle  # uvicorn has none before the first request
        if self.expect_100_continue or (cycle is not None and not cycle.response_complete):
            return False
        parser: Any = self.parser
        return parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and not parser.should_upgrade()

    def on_body(self, body: bytes) -> None:
        """Part of an order; one that is too long is refused the long way."""
        if not self._path:
            super().on_body(body)
            return
        self._said = self._said + body if self._said else body
        if len(self._said) > BODY_BYTES_MAX:
            self._go_the_long_way()

    def on_message_complete(self) -> None:
        """The order is whole."""
        if not self._path:
            super().on_message_complete()
            return
        order = self._understood()
        if order is None:
            self._go_the_long_way()
            super().on_message_complete()
            return
        self._path = ""
        at_hand, parser = self._at_hand, self.parser
        self.cycle = at_hand  # type: ignore[assignment]
        at_hand.response_complete = at_hand.disconnected = False
        at_hand.keep_alive = parser is not None and parser.should_keep_alive()
        self.door.ask(order, self._answer)

    def _understood(self) -> Order | None:
        """The order, None where something has to be said about it that the door says itself."""
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["method"], scope["path"], scope["query_string"] = "POST", self._path, b""
        if _JSON not in self.headers:
            return None
        caller = self.guard.judged(scope)
        if isinstance(caller, RefusedError):
            return None
        try:
            return self.door.order(self._path, caller, self._said)
        except OutlayError:
            return None

    def _go_the_long_way(self) -> None:
        said, self._path, self._said = self._said, "", b""
        super().on_headers_complete()
        super().on_body(said)

    def _answer(self, answer: Answer) -> None:
        at_hand = self._at_hand
        if at_hand.disconnected or self.transport.is_closing():
            return
        parts = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            parts += (name, b": ", value, b"\r\n")
        if answer.status == 200:
            parts.append(b"x-content-type-options: nosniff\r\nx-request-id: %s\r\n" % new_request_id().encode())
        if not at_hand.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", answer.body)
        self.transport.write(b"".join(parts))
        at_hand.response_complete = True
        if not at_hand.keep_alive:
            self.transport.close()
        self.on_response_complete()


def quick_http(guard: Guard, door: LeaseDoor) -> type[QuickHttp]:
    """The protocol for a server with this application."""
    return type("QuickHttp", (QuickHttp,), {"guard": guard, "door": door})
