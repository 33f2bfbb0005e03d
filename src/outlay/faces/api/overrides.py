"""Exceptions over the API: an agent or a team lead asks, somebody else decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlay.core.errors import InputError
from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply

_ID = Parameter("id", "the request's number", place="path", needed=True)
_NUMBER = Parameter("number", "the request's number", place="path", needed=True)
_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["budget", "amount", "reason", "until"],
    "additionalProperties": False,
    "properties": {
        "budget": {"type": "string", "description": "the budget's name"},
        "amount": {"description": "how much more"},
        "reason": {"type": "string"},
        "until": {"type": "string", "description": "when what is left goes back: a day, or 7d from now"},
        "part": {"type": "string", "description": "one balance of a budget for each of something"},
    },
}
_DECISION: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "amount": {"description": "with approve: a part of what was asked for"},
        "note": {"type": "string", "description": "why; kept in the audit log"},
    },
}
_POLICY: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "deny_after_hours": {"type": "integer", "description": "what nobody decided by then is denied; 72 if left out"},
        "rules": {"type": "array", "description": "each with budget, approvers and up_to", "items": {"type": "object"}},
    },
}


def _list(call: Call) -> Reply:
    state, budget = (call.params.get(name, [""])[-1] for name in ("state", "budget"))
    return call.control.overrides(state, budget)


def _show(call: Call) -> Reply:
    return call.control.override(call.path["id"])


def _request(call: Call) -> Reply:
    said = call.json_object()
    teams = call.caller.teams
    if teams is not None and said.get("budget"):
        scope = call.control.budget(str(said["budget"]))["total"]["scope"]
        if scope.get("team") not in teams:
            refused = InputError(f"this key asks for {', '.join(teams)} only", hint="ask with a key of that team")
            refused.status = 403
            raise refused
    return call.control.request_override(said)


def _decided(verdict: str) -> Callable[[Call], Reply]:
    def answer(call: Call) -> Reply:
        return call.control.decide_override(call.path["number"], verdict, call.json_object())

    return answer


def _policy(call: Call) -> Reply:
    return call.control.override_policy()


def _set_policy(call: Call) -> Reply:
    return call.control.set_override_policy(call.json())


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/overrides",
        "Requests for exceptions, the newest first",
        _list,
        (Parameter("state", "only those that are so"), Parameter("budget", "only those for this budget")),
        room="budgets",
    ),
    Endpoint(
        "POST",
        "/api/v1/overrides",
        "Ask for more money for a budget until a moment",
        _request,
        body=Body("the request", schema=_REQUEST),
        room="budgets",
        needs="decide",
    ),
    Endpoint("GET", "/api/v1/override-policy", "Who may decide about exceptions", _policy, room="budgets"),
    Endpoint(
        "POST",
        "/api/v1/override-policy",
        "Change who may decide; an empty object goes back to the default",
        _set_policy,
        body=Body("the policy", schema=_POLICY),
        room="budgets",
    ),
    Endpoint(
        "GET", "/api/v1/overrides/{id}", "One request, who may decide, and its trail", _show, (_ID,), room="budgets"
    ),
    *(
        Endpoint(
            "POST",
            f"/api/v1/overrides/{{number}}/{verdict}",
            text,
            _decided(verdict),
            (_NUMBER,),
            body=Body("the decision, or an empty object", schema=_DECISION),
            room="budgets",
            needs=needs,
        )
        for verdict, text, needs in (
            ("approve", "Grant all of a request, or a part; who asked cannot", "admin"),
            ("deny", "Say no to a request; who asked cannot", "admin"),
            ("end", "End an approved exception before its time", "admin"),
            ("withdraw", "Take back your own request", "decide"),
        )
    ),
)
