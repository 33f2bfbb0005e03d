"""Talk: what is said over one socket to OpenAI, where one connection carries many answers.

Each answer is an exchange of its own. It begins when the client asks for it or, where the server decides by itself that
it is its turn, with the first word of it; it is over with the event that says so, or with the connection.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

from outlay.sdk.bodies.openai_realtime import REALTIME
from outlay.sdk.bodies.reading import part
from outlay.sdk.wire.exchange import Exchange
from outlay.sdk.wire.layers import begin

_STREAM = {"content-type": "text/event-stream"}
_WHOLE = {"content-type": "application/json"}
_ASKS = re.compile(rb'"type"\s*:\s*"response\.create"')
_HEARD = re.compile(
    rb'"type"\s*:\s*"(?:response\.(?:created|done|completed|incomplete|failed|cancelled)|error'
    rb'|session\.(?:created|updated)|conversation\.item\.input_audio_transcription\.completed)"'
)
"""The events that say something; what lies between them is passed over, or counted where it is text."""

_OVER = frozenset(f"response.{word}" for word in ("done", "completed", "incomplete", "failed", "cancelled"))
_TRANSCRIPTIONS = "/audio/transcriptions"
_REFUSED = 400


class Talk:
    """One connection. Nothing here raises."""

    def __init__(self, host: str, port: int, path: str, model: str) -> None:
        self._address = host, port, path
        self._model = model
        self._transcriber = ""
        self._waiting: deque[tuple[Exchange, str]] = deque()  # asked for and not begun, with the event's id
        self._open: dict[str, Exchange] = {}  # by the id of the answer

    # ------------------------------------------------------------------------------------------------------- sending

    def asked(self, message: bytes) -> Exchange | None:
        """The answer that a message asks for; None for any other message."""
        if not _ASKS.search(message):
            return None
        event = _read(message)
        if event.get("type") != "response.create":
            return None
        exchange = self._begun(message)
        if exchange is not None:
            self._waiting.append((exchange, str(event.get("event_id") or "")))
        return exchange

    def forget(self, exchange: Exchange) -> None:
        """It was refused, or could not be sent."""
        self._waiting = deque(item for item in self._waiting if item[0] is not exchange)

    # ----------------------------------------------------------------------------------------------------- receiving

    def received(self, message: bytes) -> bool:
        """Takes what came; False where a gate wants no more of it."""
        try:
            if not _HEARD.search(message):
                return self._passed_over(message)
            return self._take(_read(message), message)
        except Exception:  # noqa: BLE001 - foreign bytes may be anything; the agent's call goes on
            return True

    def over(self, error: BaseException | None) -> None:
        """The connection is gone, by its other end with an error, else by the client: so are its answers."""
        ended = [*self._open.values(), *(exchange for exchange, _ in self._waiting)]
        self._open.clear()
        self._waiting.clear()
        for exchange in ended:
            if error is None:
                exchange.closed()
            else:
                exchange.failed(error)

    def _take(self, event: Mapping[str, Any], message: bytes) -> bool:
        kind = event.get("type")
        if kind in {"session.created", "session.updated"}:
            self._note(part(event, "session"))
        elif kind == "conversation.item.input_audio_transcription.completed":
            self._write_transcription(message)
        elif kind == "error":
            self._fail(event, message)
        elif kind == "response.created":
            exchange = self._next()
            if exchange is not None:
                self._open[_id(event)] = exchange
                return exchange.feed(_framed(message))
        elif kind in _OVER:
            exchange = self._open.pop(_id(event), None) or self._next()
            if exchange is not None:
                exchange.feed(_framed(message))
                exchange.ended()
        return True

    def _passed_over(self, message: bytes) -> bool:
        """Text counts towards a budget, where there is one answer that it can belong to."""
        if len(self._open) != 1:
            return True
        (exchange,) = self._open.values()
        return exchange.route.shape.generated is None or exchange.feed(_framed(message))

    def _next(self) -> Exchange | None:
        """The answer that was asked for first; where none was, the server began one by itself."""
        exchange = self._waiting.popleft()[0] if self._waiting else self._begun(b"")
        if exchange is not None:
            exchange.answered(200, _STREAM)
        return exchange

    def _begun(self, message: bytes) -> Exchange | None:
        host, port, path = self._address
        exchange = begin("POST", host, port, path, lambda: message, {})
        if exchange is not None and exchange.route.shape.name == REALTIME.name:
            exchange.asked.model = self._model
            exchange.asked.body_bytes = 0  # the conversation is with the server: this says nothing of its length
        return exchange

    def _note(self, session: Mapping[str, Any]) -> None:
        """Which models work here."""
        model = session.get("model")
        self._model = model if isinstance(model, str) and model else self._model
        heard = part(part(part(session, "audio"), "input"), "transcription") or part(
            session, "input_audio_transcription"
        )
        said = heard.get("model")
        self._transcriber = said if isinstance(said, str) and said else self._transcriber

    def _write_transcription(self, message: bytes) -> None:
        """What the user said is written down by a model of its own, with a usage of its own."""
        host, port, path = self._address
        exchange = begin("POST", host, port, path.replace("/realtime", _TRANSCRIPTIONS), lambda: b"", {})
        if exchange is not None:
            exchange.asked.model = self._transcriber
            exchange.answered(200, _WHOLE)
            exchange.feed(message)
            exchange.ended()

    def _fail(self, event: Mapping[str, Any], message: bytes) -> None:
        """An error concerns what it names; without a name, the answer asked for first, else the only one at work."""
        cause = str(part(event, "error").get("event_id") or "")
        status = event.get("status")
        for exchange, name in self._waiting:
            if not cause or cause == name:
                self._waiting.remove((exchange, name))
                exchange.answered(status if isinstance(status, int) and status >= _REFUSED else _REFUSED, _STREAM)
                exchange.feed(_framed(message))
                exchange.ended()
                return
        if not cause and len(self._open) == 1:
            _, exchange = self._open.popitem()
            exchange.feed(_framed(message))
            exchange.ended()


def _read(message: bytes) -> Mapping[str, Any]:
    try:
        data: object = json.loads(message)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", data) if isinstance(data, dict) else {}


def _id(event: Mapping[str, Any]) -> str:
    return str(part(event, "response").get("id") or "")


def _framed(message: bytes) -> bytes:
    """A message as an event of a stream, which is how answers are read; no line breaks stand within JSON's texts."""
    return b"data: " + message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"
