"""The first view of each role over the API."""

from __future__ import annotations

from typing import Any

from outlay.faces.api.endpoints import Body, Call, Endpoint
from outlay.faces.plain import Reply
from outlay.govern.views import DEFAULTS, VIEWS

_VIEWS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {role: {"enum": list(VIEWS)} for role in DEFAULTS},
}


def _views(call: Call) -> Reply:
    return call.control.views()


def _set(call: Call) -> Reply:
    return call.control.set_views(call.json())


ENDPOINTS = (
    Endpoint("GET", "/api/v1/views", "Which page each role is led to first", _views, room="keys"),
    Endpoint(
        "POST",
        "/api/v1/views",
        "Change which page some roles are led to first; an empty object goes back to the defaults",
        _set,
        body=Body("views by role", schema=_VIEWS),
        room="keys",
        needs="admin",
    ),
)
