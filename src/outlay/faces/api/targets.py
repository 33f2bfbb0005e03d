"""Targets over the API."""

from __future__ import annotations

from typing import Any

from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply

_FEATURE = Parameter("feature", "the feature", place="path", needed=True)
_NAMED = Parameter("id", "the feature", place="path", needed=True)
_QUARTER = Parameter("quarter", "a quarter like 2026-Q4; the present one if left out")
_TARGET: dict[str, Any] = {
    "type": "object",
    "required": ["feature", "amount"],
    "additionalProperties": False,
    "properties": {
        "feature": {"type": "string"},
        "amount": {"description": "what one completed task may cost"},
        "quarter": {"type": "string", "description": "like 2026-Q4; the present one if left out"},
        "note": {"type": "string", "description": "why this much; kept with it"},
    },
}
_DECISION: dict[str, Any] = {
    "type": "object",
    "required": ["decision"],
    "additionalProperties": False,
    "properties": {
        "decision": {"type": "string", "description": "what the review decided"},
        "quarter": {"type": "string", "description": "like 2026-Q4; the present one if left out"},
    },
}


def _review(call: Call) -> Reply:
    return call.desk.targets(call.params)


def _list(call: Call) -> Reply:
    return call.control.targets(call.params.get("quarter", [""])[-1])


def _set(call: Call) -> Reply:
    return call.control.set_target(call.json_object())


def _decide(call: Call) -> Reply:
    return call.control.decide_target(call.path["feature"], call.json_object())


def _remove(call: Call) -> Reply:
    return call.control.remove_target(call.path["id"], call.params.get("quarter", [""])[-1])


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/targets/review",
        "Every feature of a quarter beside its target and the quarter before",
        _review,
        (_QUARTER, Parameter("where", "filters like team:search, all of which must hold", repeated=True)),
        room="questions",
    ),
    Endpoint(
        "GET",
        "/api/v1/targets",
        "The targets as they were set, with what their reviews decided",
        _list,
        (Parameter("quarter", "only those of a quarter like 2026-Q4"),),
        room="budgets",
    ),
    Endpoint(
        "POST",
        "/api/v1/targets",
        "Set what a completed task of a feature may cost in a quarter",
        _set,
        body=Body("the target", schema=_TARGET),
        room="budgets",
    ),
    Endpoint(
        "POST",
        "/api/v1/targets/{feature}/decision",
        "Write down what the review of a quarter decided about a feature",
        _decide,
        (_FEATURE,),
        body=Body("the decision", schema=_DECISION),
        room="budgets",
    ),
    Endpoint(
        "DELETE",
        "/api/v1/targets/{id}",
        "Take a target away",
        _remove,
        (_NAMED, _QUARTER),
        room="budgets",
    ),
)
