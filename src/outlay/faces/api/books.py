"""Orders to the books: write facts, value again, make again, check."""

from __future__ import annotations

from outlay.core.errors import InputError, nearest
from outlay.faces.api.endpoints import Body, Call, Endpoint
from outlay.faces.plain import Reply
from outlay.faces.wire import CONTENT_TYPE, unpack

FACTS_BODY_BYTES_MAX = 256 * 1024 * 1024
"""A batch of 50,000 facts is a tenth of this; the limit keeps one client from taking the machine."""

_ENDS = {
    "from": {"type": "string", "description": "included; everything before `to` if left out"},
    "to": {"type": "string", "description": "not included; everything since `from` if left out"},
}
_PERIOD = {"type": "object", "additionalProperties": False, "properties": _ENDS}


def _post_facts(call: Call) -> Reply:
    return call.desk.post_batch(unpack(call.body))


def _reprice(call: Call) -> Reply:
    said = call.json_object()
    for name in said:
        if name not in _ENDS:
            raise InputError(f'unknown field "{name}"', hint=nearest(name, _ENDS))
    since, until = said.get("from", ""), said.get("to", "")
    if not isinstance(since, str) or not isinstance(until, str):
        raise InputError("from and to are texts such as 2026-11-01")
    return call.desk.reprice(since, until, None)


def _rebuild(call: Call) -> Reply:
    return call.desk.rebuild(None)


def _doctor(call: Call) -> Reply:
    return call.desk.doctor()


def _counters(call: Call) -> Reply:
    return call.desk.counters()


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/facts",
        "Write a batch of facts that was read elsewhere; durable when answered",
        _post_facts,
        body=Body(
            "one JSON line and Arrow streams, as outlay.faces.wire writes them",
            CONTENT_TYPE,
            {"type": "string", "format": "binary"},
            FACTS_BODY_BYTES_MAX,
        ),
        room="facts",
        needs="write",
    ),
    Endpoint(
        "POST",
        "/api/v1/reprice",
        "Value a period again at today's price book; differences become correcting lines",
        _reprice,
        body=Body("the period", schema=_PERIOD),
    ),
    Endpoint(
        "POST",
        "/api/v1/rebuild",
        "Make the books again from the journal and compare",
        _rebuild,
        body=Body("an empty object", schema={"type": "object", "additionalProperties": False}),
        needs="admin",
    ),
    Endpoint("GET", "/api/v1/doctor", "One line a check: journal, sums, prices, coverage", _doctor),
    Endpoint(
        "GET",
        "/api/v1/counters",
        "What came in and what became of it, and the latest spans that were refused",
        _counters,
    ),
)
