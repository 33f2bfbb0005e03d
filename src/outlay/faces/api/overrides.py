"""Exceptions over the API: an agent or a team lead asks, somebody else decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    call.caller.demand_budget(call.control, str(said.get("budget") or ""))
    return call.control.request_override(said)


def _decided(verdict: str) -> Callable[[Call], Reply]:
    def answer(call: Call) -> Reply:
        number = call.path["number"]
        if call.caller.teams is not None:
            call.caller.demand_budget(call.control, call.control.override(number)["total"]["budget"])
        return call.control.decide_override(number, verdict, call.json_object())

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
            ("approve", "Grant all of a request, or a part; who asked cannot", "approve"),
            ("deny", "Say no to a request; who asked cannot", "approve"),
            ("end", "End an approved exception before its time", "approve"),
            ("withdraw", "Take back your own request", "decide"),
        )
    ),
)
