"""API keys over the API: for whoever may administer."""

from __future__ import annotations

from outlay.core.errors import InputError
from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply

_TEXTS = {"type": "array", "items": {"type": "string"}}
_KEY = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "may": {**_TEXTS, "description": "write, read, decide, approve, govern, admin"},
        "role": {"type": "string", "description": "instead of may: viewer, lead, finops, administrator"},
        "teams": {**_TEXTS, "description": "for whom it writes and decides; all if left out"},
        "tags": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": 'what it says of facts that name none, like {"team": "search"}',
        },
        "expires": {"type": "string", "description": "90d, or a day like 2027-01-01; never if left out"},
    },
}


def _list(call: Call) -> Reply:
    revoked = call.params.get("revoked", ["no"])[-1]
    if revoked not in {"yes", "no"}:
        raise InputError(f'revoked is "yes" or "no", not "{revoked}"')
    return call.control.keys(revoked=revoked == "yes")


def _add(call: Call) -> Reply:
    return call.control.add_key(call.json_object())


def _remove(call: Call) -> Reply:
    return call.control.remove_key(call.path["id"])


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/keys",
        "The API keys, without their secrets",
        _list,
        (Parameter("revoked", "yes: the revoked ones too", choices=("yes", "no")),),
        room="keys",
        needs="admin",
    ),
    Endpoint(
        "POST",
        "/api/v1/keys",
        "Make a key; its secret is in the answer and nowhere else",
        _add,
        body=Body("the key", schema=_KEY),
        room="keys",
        needs="admin",
    ),
    Endpoint(
        "DELETE",
        "/api/v1/keys/{id}",
        "Revoke a key; it is refused within a second",
        _remove,
        (Parameter("id", "the key's name", place="path", needed=True),),
        room="keys",
        needs="admin",
    ),
)
