"""Exchanges: one wire attempt from before it is sent until it is over, whichever client carries it.

Whatever happens to it, an exchange is written down once, with what was known at that moment. Nothing here raises into
the agent but a RefusedError of a gate, and nothing is kept but names, counts, times and states.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from outlay.sdk import context
from outlay.sdk.bodies import bedrock_rerank
from outlay.sdk.bodies.asked import Asked, read_request
from outlay.sdk.bodies.reader import Reader
from outlay.sdk.bodies.reading import Reading
from outlay.sdk.bodies.routes import Route
from outlay.sdk.gate import Gate, PendingCall, RefusedError, gates
from outlay.sdk.wire import fetched, rewriting, settings
from outlay.sdk.wire.attempts import Identity, failures
from outlay.sdk.wire.estimates import tokens_of
from outlay.sdk.wire.hiding import Hiding
from outlay.sdk.wire.writing import write

CLOSED_EARLY = "closed_early"
CANCELLED = "cancelled"
BUDGET = "budget"

_NEVER_SENT = frozenset(
    {
        *("NewConnectionError", "NameResolutionError"),  # urllib3 takes them for time-outs
        *("ConnectTimeout", "ConnectTimeoutError", "ConnectionTimeoutError", "PoolTimeout"),
    }
)
"""What broke before a byte of the request had left, so that nothing was charged."""

_WANTED_FIELDS = frozenset({"content-type", "content-encoding", "x-amzn-requestid", "x-litellm-response-cost"})
_WANTED_PREFIX = "x-amzn-bedrock-"


class Exchange:
    """One attempt. `body` is the request as it will be sent, after a gate or the settings changed it."""

    def __init__(self, route: Route, asked: Asked, *, host: str, identity: Identity) -> None:
        self.route = route
        self.asked = asked
        self.host = host
        self.attempt = 0
        self.retry_reason = ""
        self.start_ns = time.time_ns()
        self.end_ns = 0
        self.status: int | None = None
        self.error_type = ""
        self.request_id = ""
        self.superseded = False  # a layer below meters this attempt
        self.adopted = False
        self.context = context.current()
        self.call: PendingCall | None = None
        self._identity: Identity | None = identity
        self._unasked = gates() if not route.fetches else ()
        self._gates: tuple[Gate, ...] = ()  # those that let it pass
        self._reader: Reader | None = None
        self._over = False
        self._added_usage = False
        self.hiding: Hiding | None = None  # where the agent did not ask for the usage it would see

    # ------------------------------------------------------------------------------------------ before it is sent

    def ask(self) -> None:
        """Asks every gate. If one refuses, those that had let it pass are told that nothing was sent."""
        call = self._pending()
        if call is None:
            return
        for gate in self._unasked:
            try:
                gate.before(call)
            except (RefusedError, KeyboardInterrupt, SystemExit):
                self._withdraw()
                raise
            except Exception:  # noqa: BLE001, S112 - a broken gate stops no agent; one that fails closed refuses
                continue
            self._gates = (*self._gates, gate)

    async def ask_async(self) -> None:
        """The same, with a gate's `before_async` where it has one; a task that is cancelled meanwhile withdraws."""
        call = self._pending()
        if call is None:
            return
        for gate in self._unasked:
            patient = getattr(gate, "before_async", None)
            try:
                if patient is None:
                    gate.before(call)
                else:
                    await patient(call)
            except RefusedError:
                self._withdraw()
                raise
            except Exception:  # noqa: BLE001, S112 - see ask
                continue
            except BaseException:
                self._withdraw()
                raise
            self._gates = (*self._gates, gate)

    def _pending(self) -> PendingCall | None:
        if not self._unasked:
            return None
        self.call = PendingCall(
            operation=self.route.shape.operation.value,
            provider=self.route.provider,
            model=self.route.model or self.asked.model,
            host=self.host,
            stream=self.asked.stream or self.route.stream,
            attempt=self.attempt,
            max_tokens=self.asked.max_tokens,
            answers=self.asked.answers,
            input_tokens_estimate=self.asked.input_tokens_estimate,
            context=self.context,
            can_clamp=rewriting.may_clamp(self.route, self.asked),
            can_swap=rewriting.may_swap(self.route, self.asked),
            start_ns=self.start_ns,
        )
        return self.call

    def _withdraw(self) -> None:
        self._over = True
        self._settle([])

    def adopt(self, outer: Exchange) -> None:
        """Takes the place of the attempt a layer above began: the gates were asked once and are settled once."""
        self._unasked = ()
        outer.adopted = outer.superseded = True
        outer._over = True
        self.call, self._gates, outer._gates = outer.call, outer._gates, ()
        if self.call is not None:  # the layer above changed the body already
            self.call.lower_to, self.call.swap_to = None, ""
        self.attempt, self.retry_reason = outer.attempt, outer.retry_reason
        self.start_ns = outer.start_ns
        self._identity = outer._identity

    @property
    def wants_change(self) -> bool:
        """Whether a gate or the settings want another body sent."""
        asked_for = self.call is not None and (self.call.lower_to is not None or bool(self.call.swap_to))
        return asked_for or settings.current().include_usage

    def change(self, body: bytes) -> bytes | None:
        """The body to be sent instead; None where it stays as it is."""
        if not self.wants_change:
            return None
        lower_to, swap_to = (self.call.lower_to, self.call.swap_to) if self.call is not None else (None, "")
        try:
            usage = settings.current().include_usage and rewriting.asks_usage(self.route, self.asked)
            if lower_to is None and not swap_to and not usage:
                return None
            changed = rewriting.rewritten(body, self.route, self.asked, lower_to=lower_to, swap_to=swap_to, usage=usage)
        except Exception:  # noqa: BLE001 - a body of a make nobody thought of is sent as it is
            return None
        self.asked.model = swap_to or self.asked.model
        self._added_usage = usage
        return changed

    # --------------------------------------------------------------------------------------------------- the answer

    def answered(self, status: int, fields: Mapping[str, str]) -> None:
        """The head of the answer is here; `fields` are its headers as `wanted` chose them."""
        if self._over:
            return
        self.status = status
        self.request_id = fields.get("x-amzn-requestid") or ""  # others may be the client's, echoed to each retry
        streams = self.asked.stream or self.route.stream
        self._reader = Reader(self.route.shape, fields, counts_text=streams and bool(self._gates))
        if self._added_usage and self._reader.is_stream and not fields.get("content-encoding"):
            self.hiding = Hiding()

    def feed(self, data: bytes) -> bool:
        """Reads the next bytes of the answer; False where a gate wants no more of them."""
        reader = self._reader
        if self._over or reader is None:
            return True
        reader.feed(data)
        if reader.lines:
            self._take_lines(reader)
        if self._gates and reader.is_stream and self.call is not None:
            return self._may_go_on(reader.reading, self.call)
        return True

    def _take_lines(self, reader: Reader) -> None:
        lines, reader.lines = reader.lines, []
        with suppress(Exception):  # metering never breaks the agent's call
            for shape, reading in lines:
                write(self, reading, shape=shape)

    def _may_go_on(self, reading: Reading, call: PendingCall) -> bool:
        tokens = reading.output_tokens if reading.complete else None
        tokens = tokens if tokens is not None else tokens_of(reading.characters)
        call.output_tokens_seen = tokens
        for gate in self._gates:
            try:
                if not gate.on_chunk(call, tokens):
                    self._finish(BUDGET)
                    return False
            except Exception:  # noqa: BLE001, S112 - see ask
                continue
        return True

    # ------------------------------------------------------------------------------------------------ how it is over

    def ended(self) -> None:
        """The body is read to its end."""
        self._finish("")

    def closed(self) -> None:
        """The client closed the answer. What had said that it was over was over; else it was cut."""
        if self._over:
            return
        reading = self._reader.reading if self._reader is not None else None
        whole = reading is not None and (reading.ended or reading.complete)
        self._finish("" if whole or (self.status or 0) >= 300 else CLOSED_EARLY)

    def failed(self, error: BaseException) -> None:
        """The attempt or its answer broke off with an exception."""
        if self._over:
            return
        if isinstance(error, GeneratorExit):
            self.closed()
            return
        status = getattr(error, "status", None)
        if self.status is None and isinstance(status, int) and not isinstance(status, bool):
            self.status = status
        self._finish(kind_of(error))

    def __del__(self) -> None:
        """An answer that nobody read or closed is gone: it is written down as cut."""
        try:
            if not self._over and self.status is not None:
                self.closed()
        except Exception:  # noqa: BLE001 - the interpreter may be going down
            return

    def _finish(self, error_type: str) -> None:
        if self._over:
            return
        self._over = True
        steps: list[Any] = []
        try:
            self.end_ns = time.time_ns()
            reading = self._reader.end() if self._reader is not None else Reading()
            if self._reader is not None and self._reader.lines:
                self._take_lines(self._reader)
            self.error_type = error_type or self._answered_error(reading)
            if not (300 <= (self.status or 0) < 400) and fetched.is_news(self.route, self.asked, reading):
                steps = write(self, reading)
            if self.error_type and self.error_type not in {CLOSED_EARLY, BUDGET} and self._identity is not None:
                failures.remember(self._identity, self.attempt, self.error_type)
        except Exception:  # noqa: BLE001 - metering never breaks the agent's call
            steps = []
        self._identity = None
        self._settle(steps)

    def _answered_error(self, reading: Reading) -> str:
        """The status where it says enough, so that a body left unread names the same error as one that was read."""
        if self.status is None or self.status < 400:
            return reading.error_type
        plain = self.status == 429 or self.status >= 500 or reading.error_type in {"", "error"}
        return str(self.status) if plain else reading.error_type

    def _settle(self, steps: Iterable[Any]) -> None:
        standing, self._gates = self._gates, ()
        for gate in standing:
            try:
                if self.call is not None:
                    gate.settle(self.call, list(steps))
            except Exception:  # noqa: BLE001, S112 - see ask
                continue


def kind_of(error: BaseException) -> str:
    """A stable word for what broke: timeout, cancelled, connection, or the name of the exception."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if any("CancelledError" in name for name in names):
        return CANCELLED
    if names[0] in _NEVER_SENT:
        return "connection"
    if any("Timeout" in name or "TimedOut" in name for name in names):
        return "timeout"
    words = (
        "Connect",
        "Network",
        "Protocol",
        "ProxyError",
        "SSLError",
        "Payload",
        "IncompleteRead",
        "ReadError",
        "OSError",
    )
    if any(word in name for name in names for word in words):
        return "connection"
    return names[0]


def wanted(fields: Iterable[tuple[bytes | str, bytes | str]]) -> dict[str, str]:
    """Of an answer's headers those that are read, names in lower case."""
    found: dict[str, str] = {}
    for name, value in fields:
        low = (name.decode("latin-1") if isinstance(name, bytes) else name).lower()
        if low in _WANTED_FIELDS or low.startswith(_WANTED_PREFIX):
            found[low] = value.decode("latin-1") if isinstance(value, bytes) else value
    return found


def request_of(route: Route, body: bytes | None, kind: str) -> Asked:
    """What a request asks for; a body that cannot be seen without consuming it asks for nothing known."""
    if not body:
        return Asked(is_json=False)
    if route.fetches:
        return Asked(body_bytes=len(body))
    asked = read_request(body, kind)
    if route.shape is bedrock_rerank.RERANK:
        model, asked.searches = bedrock_rerank.asked(body)
        asked.model = asked.model or model
    return asked
