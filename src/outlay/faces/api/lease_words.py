"""What the API says of leases: the orders that a door of their own answers, and the list of those that live."""

from __future__ import annotations

from typing import Any

from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply

BODY_BYTES_MAX = 64 * 1024


def _list(call: Call) -> Reply:
    return call.control.leases(call.params.get("budget", [""])[-1])


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/leases",
        "The leases that live, those that expire first on top",
        _list,
        (Parameter("budget", "only those that hold money of this budget"),),
        room="leases",
    ),
)

_AMOUNT = {"type": ["string", "number"], "description": "whole units of the currency, as a decimal text"}
_LEASE = {"type": "string", "description": "the lease, from the answer to decide"}
_TTL = {"type": "integer", "description": "seconds without a word after which the lease comes home; 120 if left out"}
_DECIDE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "envelope": {"type": "object", "description": "team, feature, agent and the other tags; session too"},
        "session": {"type": "string", "description": "the root of the session tree"},
        "provider": {"type": "string"},
        "model": {"type": "string", "description": "left out where it is no model call: then name estimate_usd"},
        "step": {"type": "string", "description": "what kind of call it is, to learn what it usually costs"},
        "input_tokens": {"type": "integer"},
        "max_tokens": {"type": ["integer", "null"], "description": "the ceiling the request names"},
        "answers": {"type": "integer", "description": "how many answers are asked for"},
        "metered": {"type": "boolean", "description": "its stream is read on the way and can be cut"},
        "can_clamp": {"type": "boolean"},
        "can_swap": {"type": "boolean"},
        "estimate_usd": _AMOUNT,
        "least_usd": _AMOUNT,
        "chunk": {"type": "boolean", "description": "money for several such calls at once"},
        "final": {"type": "boolean", "description": "a last step, which may use the reserve"},
        "parent": {"type": "string", "description": "the lease to draw from"},
        "counts": {"type": "object", "description": "steps, tool_calls, width: how many of each it uses"},
        "depth": {"type": "integer", "description": "how many agents are above"},
        "ttl_s": _TTL,
        "id": {"type": "string", "description": "the caller's own id: asked again, it is answered with the same lease"},
    },
}
_GRANT: dict[str, Any] = {
    "type": "object",
    "required": ["lease", "amount_usd", "over"],
    "properties": {
        "lease": {"type": "string", "description": "empty where nothing could be asked: then nothing is to settle"},
        "amount_usd": _AMOUNT,
        "expires_ns": {"type": "integer"},
        "max_tokens": {"type": ["integer", "null"], "description": "clamp the request to this; null: as it is"},
        "model": {"type": "string", "description": "send the request to this model instead, where it is not empty"},
        "chunk": {"type": "boolean", "description": "for several calls"},
        "call_usd": {**_AMOUNT, "description": "what one of them may hold"},
        "over": {"type": "array", "items": {"type": "string"}, "description": "soft budgets that are exceeded"},
        "budget": {"type": "string", "description": "the hard budget with the least left"},
        "left_usd": {**_AMOUNT, "description": "what it has left"},
        "stop": {"type": "object", "description": "an order that is only told here"},
        "unasked": {"type": "boolean"},
    },
}


def _order(path: str, summary: str, schema: dict[str, Any], answer: dict[str, Any]) -> Endpoint:
    body = Body("the order", schema=schema, bytes_max=BODY_BYTES_MAX)
    return Endpoint("POST", path, summary, None, body=body, room="leases", needs="decide", reply=answer)


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(properties)[:1], "properties": properties}


DESCRIBED = (
    _order("/api/v1/decide", "Ask for money before it is spent: a lease, or 402 with why not", _DECIDE, _GRANT),
    _order(
        "/api/v1/settle",
        "The work is over and cost this much; settled twice counts once",
        _object(lease=_LEASE, amount_usd=_AMOUNT),
        _object(lease=_LEASE, settled={"type": "boolean", "description": "false: it was settled before"}),
    ),
    _order(
        "/api/v1/return",
        "Nothing more was spent: what is left of a lease goes back",
        _object(lease=_LEASE),
        _object(lease=_LEASE, returned={"type": "boolean", "description": "false: it was over before"}),
    ),
    _order(
        "/api/v1/renew",
        "The owner is alive; part of it may have been spent, and more may be drawn",
        _object(lease=_LEASE, spent_usd=_AMOUNT, more_usd=_AMOUNT, ttl_s=_TTL),
        _object(
            lease=_LEASE,
            amount_usd={**_AMOUNT, "description": "what may still be spent of it"},
            expires_ns={"type": "integer"},
            stop={"type": "object", "description": "an order its owner has come under"},
            refusal={"type": "object", "description": "why no more could be drawn"},
        ),
    ),
)
"""What this door answers, for the description of the API."""
