"""One shape for every error of the API: RFC 9457 problem details.

`type, title, status, detail, instance, errors[]` and the request id; `errors` lists each problem by itself, `hint` says
the next step. `code` and `message` repeat status and detail the way google.rpc.Status does, because OTLP exporters read
that.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from outlay.core.errors import OutlayError
from outlay.faces.refused import RefusedError, Send

_SIXTEEN_DIGITS = 2**64 - 1
_numbers = itertools.count(int.from_bytes(os.urandom(8), "big"))

PROBLEM_TYPE = "application/problem+json"

_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 8, 429: 8, 503: 14, 504: 4, 507: 8}
_RPC_UNKNOWN, _RPC_INTERNAL = 2, 13


def problem(error: OutlayError, instance: str, request_id: str) -> dict[str, Any]:
    """The problem object of a refusal; `fields` of the error are members beside the usual ones."""
    status = error.status
    known = error.code != RefusedError.code
    return {
        "type": f"/api/docs#{error.code}" if known else "about:blank",
        "title": _title(status),
        "status": status,
        "detail": error.message,
        "instance": instance,
        "errors": [{"detail": line} for line in error.detail],
        "hint": error.hint,
        "request_id": request_id,
        "code": _RPC_CODES.get(status, _RPC_INTERNAL if status >= 500 else _RPC_UNKNOWN),
        "message": error.message,
        **getattr(error, "fields", {}),
    }


@dataclass(slots=True)
class Answer:
    """An answer that is whole: status, headers and body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def problem_answer(error: OutlayError, instance: str) -> Answer:
    """The answer that tells a problem."""
    request_id = new_request_id()
    body = json.dumps(problem(error, instance, request_id)).encode()
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
        *getattr(error, "headers", ()),
    ]
    return Answer(error.status, headers, body)


async def send_problem(send: Send, error: OutlayError, instance: str, *, head: bool = False) -> None:
    """Answers with a problem; `head` leaves the body out, as HEAD asks."""
    answer = problem_answer(error, instance)
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


def new_request_id() -> str:
    """A short name for one request, counted from a random beginning; it stands in the answer and in the log."""
    return f"{next(_numbers) & _SIXTEEN_DIGITS:016x}"


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
