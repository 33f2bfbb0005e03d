"""`POST /api/v1/decide`, `/settle`, `/return` and `/renew`: the door at which money is asked for before it is spent.

Raw ASGI, because every call of a company may come through here. Requests that arrive together are decided in one
transaction, on the loop itself while nobody else writes: that takes less than handing them to a thread. Where somebody
does write, or the store is across a network, a thread waits for it, and whoever comes meanwhile is in the next one.

A refusal is 402 with everything a program needs to go on; while the store fails, a hard budget that fails closed
refuses, and everything else passes unasked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from outlay.control.teller import Teller, Work
from outlay.core.errors import InputError, OutlayError, StoreBusyError, StoreError
from outlay.core.in_force import InForce
from outlay.core.leasing import Book
from outlay.core.money import decimal_text
from outlay.faces.api.endpoints import JSON_TYPE
from outlay.faces.api.lease_words import BODY_BYTES_MAX
from outlay.faces.api.problems import Answer, problem_answer
from outlay.faces.callers import Caller, caller_of
from outlay.faces.leases import (
    BudgetRefusedError,
    Decide,
    Renew,
    Return,
    Settle,
    amount_of,
    ask_of,
    grant_fields,
    may_touch,
    refusal_fields,
    stop_fields,
    ttl_of,
)
from outlay.faces.refused import Receive, RefusedError, Scope, Send

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

AT_ONCE_MAX = 256
"""Orders in one transaction; more wait for the next, so that nobody waits long for a crowd."""

_JSON_HEADER = (b"content-type", b"application/json")
OK_HEADERS = (_JSON_HEADER, (b"cache-control", b"no-store"))
"""Those of a good answer beside its length."""

_encode = msgspec.json.Encoder().encode
log = logging.getLogger("outlay.api")

Waiting = tuple[Work, Callable[[Any], None]]
"""An order, and who is told of its answer."""


def _decide(said: Decide, caller: Caller) -> Work:
    ask = ask_of(said, caller.actor, caller.teams)
    return lambda book, force, now_ns: grant_fields(book.decide(force, ask, now_ns))


def _settle(said: Settle, caller: Caller) -> Work:
    amount_nano, teams = amount_of(said.amount_usd, "amount_usd"), caller.teams

    def work(book: Book, _force: InForce, now_ns: int) -> dict[str, Any]:
        if teams is not None:
            may_touch(book.lease(said.lease), teams)
        return {"lease": said.lease, "settled": book.settle(said.lease, amount_nano, now_ns)}

    return work


def _return(said: Return, caller: Caller) -> Work:
    teams = caller.teams

    def work(book: Book, _force: InForce, now_ns: int) -> dict[str, Any]:
        if teams is not None:
            may_touch(book.lease(said.lease), teams)
        return {"lease": said.lease, "returned": book.give_back(said.lease, now_ns)}

    return work


def _renew(said: Renew, caller: Caller) -> Work:
    ttl_ns, teams = ttl_of(said.ttl_s), caller.teams
    spent = 0 if said.spent_usd is None else amount_of(said.spent_usd, "spent_usd")
    more = 0 if said.more_usd is None else amount_of(said.more_usd, "more_usd")

    def work(book: Book, force: InForce, now_ns: int) -> dict[str, Any]:
        if teams is not None:
            may_touch(book.lease(said.lease), teams)
        stop = book.spend(said.lease, spent, now_ns, ttl_ns, force)
        drawn = book.draw(force, said.lease, more, now_ns) if more else None
        row = book.lease(said.lease)
        told: dict[str, Any] = {
            "lease": said.lease,
            "amount_usd": decimal_text(row.free_nano),
            "expires_ns": row.expires_ns,
        }
        if stop is not None:
            told["stop"] = stop_fields(stop)
        if drawn is not None and drawn.refusal is not None:
            told["refusal"] = refusal_fields(drawn.refusal)
        return told

    return work


_ORDERS: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Any, Caller], Work]]] = {
    "/api/v1/decide": (msgspec.json.Decoder(Decide), _decide),
    "/api/v1/settle": (msgspec.json.Decoder(Settle), _settle),
    "/api/v1/return": (msgspec.json.Decoder(Return), _return),
    "/api/v1/renew": (msgspec.json.Decoder(Renew), _renew),
}
PATHS = frozenset(_ORDERS)


@dataclass(slots=True)
class Order:
    """One request that was understood: who asks for what, and how it is done."""

    path: str
    said: object
    caller: Caller
    work: Work


class LeaseDoor:
    """The ASGI application behind each of `PATHS`; `faces/quick.py` comes in by its parts."""

    def __init__(self, control: Callable[[], ControlStore]) -> None:
        self._crowd = Crowd(control)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope["path"]
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            order = self.order(path, caller_of(scope), await _body(scope, receive))
        except _ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            answer = answer_of(error, path)
        else:
            self.ask(order, lambda answer: None if future.done() else future.set_result(answer))
            answer = await future
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": body})

    def order(self, path: str, caller: Caller, body: bytes) -> Order:
        """What a request wants. Raises OutlayError where the caller may not, or it cannot be understood."""
        caller.demand("decide")
        decoder, work = _ORDERS[path]
        said = _read(decoder, body)
        return Order(path, said, caller, work(said, caller))

    def ask(self, order: Order, done: Callable[[Answer], None]) -> None:
        """Has an order carried out, on the event loop; `done` is called with the answer, whatever became of it."""
        self._crowd.join(order.work, lambda told: done(self._answered(order, told)))

    def _answered(self, order: Order, told: Any) -> Answer:
        if isinstance(told, StoreError) and isinstance(order.said, Decide):
            log.warning("decided without the control store: %s", told.message)
            try:
                told = self._crowd.unasked(order.said, order.caller)
            except OutlayError as error:
                told = error
        return answer_of(told, order.path)


def answer_of(told: Any, path: str) -> Answer:
    """What was decided, or what went wrong, as HTTP says it."""
    if not isinstance(told, BaseException):
        body = _encode(told)
        return Answer(200, [*OK_HEADERS, (b"content-length", b"%d" % len(body))], body)
    if not isinstance(told, OutlayError):
        log.error("the door of leases failed", exc_info=told)
        told = RefusedError(500, "something went wrong inside Outlay", hint="see the server's log")
    return problem_answer(told, path)


class Crowd:
    """Whoever waits for an answer: all of them are answered in one transaction. Used on one event loop."""

    def __init__(self, control: Callable[[], ControlStore]) -> None:
        self._control = control
        self._teller: Teller | None = None
        self._inline = False
        self._waiting: list[Waiting] = []
        self._coming = False  # somebody is to serve those who wait

    def join(self, work: Work, done: Callable[[Any], None]) -> None:
        """Waits for the answer to one order; `done` is called with it, or with the error in its place."""
        self._waiting.append((work, done))
        if not self._coming:
            self._coming = True
            asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        """Answers those who wait, at once or by a thread."""
        crowd, self._waiting = self._waiting[:AT_ONCE_MAX], self._waiting[AT_ONCE_MAX:]
        works = [work for work, _ in crowd]
        if self._inline and self._teller is not None:
            try:
                _tell(crowd, self._teller.answer(works, wait=False))
                self._next()
                return
            except StoreBusyError:
                pass
            except Exception as error:  # noqa: BLE001 - told to whoever asked; the next crowd is served
                _tell(crowd, [error] * len(crowd))
                self._next()
                return
        asyncio.get_running_loop().run_in_executor(None, self._answer_patiently, works).add_done_callback(
            lambda done: self._served(crowd, done)
        )

    def _answer_patiently(self, works: list[Work]) -> list[Any]:
        if self._teller is None:
            store = self._control()
            self._teller, self._inline = Teller(store), store.is_sqlite
        return self._teller.answer(works)

    def _served(self, crowd: list[Waiting], done: asyncio.Future[list[Any]]) -> None:
        error = done.exception()
        _tell(crowd, [error] * len(crowd) if error is not None else done.result())
        self._next()

    def _next(self) -> None:
        self._coming = bool(self._waiting)
        if self._coming:
            asyncio.get_running_loop().call_soon(self._serve)

    def unasked(self, said: Decide, caller: Caller) -> dict[str, Any]:
        """What happens while nothing can be asked, by what held when it last could be."""
        force = None if self._teller is None else self._teller.force
        refusal = None if force is None else force.unasked(ask_of(said, "", caller.teams).envelope, time.time_ns())
        if refusal is not None:
            raise BudgetRefusedError(refusal)
        return {"lease": "", "amount_usd": "0", "unasked": True, "over": []}


def _tell(crowd: list[Waiting], answers: list[Any]) -> None:
    for (_, done), answer in zip(crowd, answers, strict=True):
        try:
            done(answer)  # whose client went away does not hear it: the lease lives until its time is over
        except Exception:
            log.exception("an answer could not be given")


class _ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


async def _body(scope: Scope, receive: Receive) -> bytes:
    if scope["method"] != "POST":
        raise RefusedError(405, f"{scope['method']} is not possible on {scope['path']}", headers=[(b"allow", b"POST")])
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if kind != b"application/json" and kind.split(b";", 1)[0].strip().lower() != b"application/json":
        raise RefusedError(415, f'content type "{kind.decode("latin-1") or "(none)"}"', hint=f"valid: {JSON_TYPE}")
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            raise RefusedError(413, f"the body exceeds the limit of {BODY_BYTES_MAX >> 10} KiB")
    return body


def _read(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InputError(f"the body: {error}", hint="GET /api/docs names the fields") from error
    except msgspec.DecodeError as error:
        raise InputError(f"the body is not JSON: {error}") from error
