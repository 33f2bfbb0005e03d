"""Digests over the API."""

from __future__ import annotations

from typing import Any

from outlay.faces.api.endpoints import Body, Call, Endpoint
from outlay.faces.plain import Reply

_DIGESTS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["every", "channel"],
        "additionalProperties": False,
        "properties": {
            "every": {"enum": ["week", "month"]},
            "channel": {"type": "string", "description": "the channel it goes to"},
            "hour": {"type": "integer", "description": "8 if left out"},
            "zone": {"type": "string", "description": "IANA; UTC if left out"},
        },
    },
}


def _digests(call: Call) -> Reply:
    return call.control.digests()


def _set(call: Call) -> Reply:
    return call.control.set_digests(call.json())


ENDPOINTS = (
    Endpoint("GET", "/api/v1/digests", "Which view goes to which channel every week or month", _digests, room="alerts"),
    Endpoint(
        "POST",
        "/api/v1/digests",
        "Change which digests are sent; an empty list ends them",
        _set,
        body=Body("the digests", schema=_DIGESTS),
        room="alerts",
    ),
)
