"""A short way in for orders about leases, which are most of what a busy server is asked.

uvicorn makes a task, an event and several messages of each request, which costs as much as the decision. This is its
own protocol with one exception: an order that the guard lets pass and the door understands is handed to the door at
once, and its answer is written when it is there. Everything else goes uvicorn's way: other paths and methods, what the
guard refuses, what cannot be understood, pipelined requests, `Expect`. So this decides nothing, and says nothing that
the long way would not say.

Callers send the same headers with every order: a head that was read once, and understood, is known by its bytes the
next time, and only the body is read. Who asks is judged anew each time where a key or a cookie says it.

Telemetry goes uvicorn's way too, but its body is put together here first: each piece of it would wake the task that
waits for the last one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from outlay.core.errors import OutlayError
from outlay.faces.api import otlp
from outlay.faces.api.guard import Guard
from outlay.faces.api.lease_words import BODY_BYTES_MAX
from outlay.faces.api.leases import OK_HEADERS, PATHS, LeaseDoor, Order
from outlay.faces.api.problems import Answer, new_request_id
from outlay.faces.callers import Caller
from outlay.faces.refused import RefusedError

HEADS_MAX = 1024
HEAD_BYTES_MAX = 4096
"""Heads that are kept, and how long one may be: callers who send ever new ones must not eat the memory."""

GATHERED_BYTES_MAX = 4 * 1024 * 1024
"""Bodies up to here are put together before anybody is told of the request; longer ones flow as they are read."""

_TOLD_AT = frozenset(path.encode() for path in (*otlp.PATHS, otlp.LANGFUSE_PATH))
_PATHS = {path.encode(): path for path in PATHS}
_JSON = (b"content-type", b"application/json")
_WHO = frozenset({b"authorization", b"cookie"})  # what they say holds until a key is over
_END = b"\r\n\r\n"

Pairs = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class _Head:
    """An order's head that was understood: its path, the length of its body, and who asks, None where that may change.

    `scope` is what the guard judges by.
    """

    path: str
    body_bytes: int
    scope: dict[str, Any]
    caller: Caller | None


class _Common:
    """What the connections of one server share: the heads that are known, and how a good answer begins."""

    __slots__ = ("_beginning", "_defaults", "heads")

    def __init__(self) -> None:
        self.heads: dict[bytes, _Head] = {}
        self._defaults: Pairs | None = None
        self._beginning = b""

    def keep(self, raw: bytes, head: _Head) -> None:
        """Knows this head from now on."""
        if len(self.heads) >= HEADS_MAX:
            self.heads.clear()
        self.heads[raw] = head

    def beginning(self, defaults: Pairs) -> bytes:
        """The headers that each good answer has; uvicorn makes another list of its own each second."""
        if defaults is not self._defaults:
            pairs = (*defaults, *OK_HEADERS, (b"x-content-type-options", b"nosniff"))
            self._beginning = STATUS_LINE[200] + b"".join(b"%s: %s\r\n" % pair for pair in pairs)
            self._defaults = defaults
        return self._beginning


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
    common: _Common

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._at_hand = _AtHand()
        self._path = ""  # of the order that is being read
        self._said = self._raw = b""
        self._between = True  # the parser has read no part of a request
        self._answered_s = 0.0
        self._pieces: list[bytes] | None = None  # of the telemetry that is being read

    def data_received(self, data: bytes) -> None:
        """An order whose head is known, and that is whole, needs no parser."""
        self._raw = b""
        if self._between:
            end = data.find(_END) + len(_END)
            head = self.common.heads.get(data[:end])
            cycle: Any = self.cycle  # uvicorn has none before the first request
            if head is not None and len(data) - end == head.body_bytes and (cycle is None or cycle.response_complete):
                order = self._understood(head.path, head.scope, head.caller, data[end:])
                if order is not None:
                    self._carry_out(order, keep_alive=True)
                    return
            self._raw = data
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """An order begins, or what uvicorn knows how to answer."""
        path = _PATHS.get(self.url)
        if path is not None and self._is_plain():
            self._path, self._said = path, b""
        elif self.url in _TOLD_AT and self._is_plain() and self._may_be_gathered():
            self._pieces = []
        else:
            super().on_headers_complete()

    def _may_be_gathered(self) -> bool:
        """Whether a body of a length that is said, and no great one, comes from somebody whom the guard lets pass."""
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        if not length.isdigit() or not 0 < int(length) <= GATHERED_BYTES_MAX:
            return False
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["method"], scope["path"], scope["query_string"] = "POST", self.url.decode(), b""
        return not isinstance(self.guard.judged(scope), RefusedError)

    def _is_plain(self) -> bool:
        """Whether this is an ordinary POST, and the only request at hand."""
        cycle: Any = self.cycle  # uvicorn has none before the first request
        if self.expect_100_continue or (cycle is not None and not cycle.response_complete):
            return False
        parser: Any = self.parser
        return parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and not parser.should_upgrade()

    def on_body(self, body: bytes) -> None:
        """Part of an order; one that is too long is refused the long way."""
        if self._pieces is not None:
            self._pieces.append(body)
            return
        if not self._path:
            super().on_body(body)
            return
        self._said = self._said + body if self._said else body
        if len(self._said) > BODY_BYTES_MAX:
            self._go_the_long_way()

    def on_message_complete(self) -> None:
        """The order, or the telemetry, is whole."""
        self._between = True
        if self._pieces is not None:
            pieces, self._pieces = self._pieces, None
            super().on_headers_complete()
            cycle: Any = self.cycle
            cycle.body = b"".join(pieces)
        if not self._path:
            super().on_message_complete()
            return
        path, scope = self._path, self.scope
        scope["method"], scope["path"], scope["query_string"] = "POST", path, b""
        order = self._understood(path, scope, None, self._said) if _JSON in self.headers else None  # type: ignore[arg-type]
        if order is None:
            self._go_the_long_way()
            super().on_message_complete()
            return
        self._path = ""
        keep_alive = self.parser is not None and self.parser.should_keep_alive()
        if keep_alive:
            self._remember(path, order.caller)
        self._carry_out(order, keep_alive=keep_alive)

    def _remember(self, path: str, caller: Caller) -> None:
        """Keeps the head that was just read, where it came in one piece with its body and nothing else."""
        end = self._raw.find(_END) + len(_END)
        if end > HEAD_BYTES_MAX or len(self._raw) - end != len(self._said):
            return  # in pieces, in chunks, or more than one request
        lasting = caller.key is None and not any(name in _WHO for name, _ in self.headers)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        self.common.keep(self._raw[:end], _Head(path, len(self._said), scope, caller if lasting else None))

    def _understood(self, path: str, scope: dict[str, Any], caller: Caller | None, said: bytes) -> Order | None:
        """The order, None where something has to be said about it that the door says itself."""
        if caller is None:
            judged = self.guard.judged(scope)
            if isinstance(judged, RefusedError):
                return None
            caller = judged
        try:
            return self.door.order(path, caller, said)
        except OutlayError:
            return None

    def _carry_out(self, order: Order, *, keep_alive: bool) -> None:
        self.cycle = at_hand = self._at_hand  # type: ignore[assignment]
        at_hand.response_complete = at_hand.disconnected = False
        at_hand.keep_alive = keep_alive
        self.door.ask(order, self._answer)

    def _go_the_long_way(self) -> None:
        said, self._path, self._said = self._said, "", b""
        super().on_headers_complete()
        super().on_body(said)

    def _answer(self, answer: Answer) -> None:
        at_hand, transport = self._at_hand, self.transport
        if at_hand.disconnected or transport.is_closing():
            return
        defaults, body = self.server_state.default_headers, answer.body
        if answer.status == 200:
            begun, name = self.common.beginning(defaults), new_request_id().encode()
            head = b"%scontent-length: %d\r\nx-request-id: %s\r\n" % (begun, len(body), name)
        else:
            pairs = [b"%s: %s\r\n" % pair for pair in (*defaults, *answer.headers)]
            head = STATUS_LINE[answer.status] + b"".join(pairs)
        end = b"\r\n" if at_hand.keep_alive else b"connection: close\r\n\r\n"
        transport.write(head + end + body)
        at_hand.response_complete = True
        if not at_hand.keep_alive:
            transport.close()
        self._go_on()

    def _go_on(self) -> None:
        """The next request may come. One timer is enough for a connection; when it is over it looks what came since."""
        if self.pipeline or self.flow.read_paused or self.timeout_keep_alive_task is None:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
        self._answered_s = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Closes the connection where nothing was asked for long enough."""
        if self.transport.is_closing():
            return
        rest = self._answered_s + self.timeout_keep_alive - self.loop.time()
        if not self._at_hand.response_complete:
            rest = self.timeout_keep_alive
        if rest <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)


def quick_http(guard: Guard, door: LeaseDoor) -> type[QuickHttp]:
    """The protocol for a server with this application."""
    return type("QuickHttp", (QuickHttp,), {"guard": guard, "door": door, "common": _Common()})
