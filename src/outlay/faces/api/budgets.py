"""Budgets over the API."""

from __future__ import annotations

from typing import Any

from outlay.core.errors import InputError
from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply
from outlay.govern.budget_words import FIELDS

_NAME = Parameter("id", "the budget's name", place="path", needed=True)
_NAMED = Parameter("name", "the budget's name", place="path", needed=True)
_BUDGET: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {name: {"description": text} for name, text in FIELDS.items()},
}
_GRANT: dict[str, Any] = {
    "type": "object",
    "required": ["amount"],
    "additionalProperties": False,
    "properties": {
        "amount": {"description": "how much more"},
        "until": {"type": "string", "description": "when the rest goes back; the window's end if left out"},
        "from": {"type": "string", "description": "when it begins; now if left out"},
        "reason": {"type": "string"},
        "part": {"type": "string", "description": "one balance of a budget for each of something"},
        "to": {"type": "string", "description": "moves the amount to this budget instead"},
    },
}


def _list(call: Call) -> Reply:
    call.desk.true_up()
    return call.control.budgets()


def _check(call: Call) -> Reply:
    return call.desk.check_budgets()


def _true_up(call: Call) -> Reply:
    return call.desk.true_up()


def _show(call: Call) -> Reply:
    return call.control.budget(call.path["id"])


def _history(call: Call) -> Reply:
    return call.control.budget_history(call.path["name"])


def _set(call: Call) -> Reply:
    expect = call.params.get("expect", [""])[-1]
    return call.control.set_budget(call.json_object(), expect)


def _remove(call: Call) -> Reply:
    return call.control.remove_budget(call.path["id"])


def _apply(call: Call) -> Reply:
    said = {name: call.params.get(name, ["no"])[-1] for name in ("dry_run", "prune")}
    for name, value in said.items():
        if value not in {"yes", "no"}:
            raise InputError(f'{name} is "yes" or "no", not "{value}"')
    return call.control.apply_budgets(call.json(), dry_run=said["dry_run"] == "yes", prune=said["prune"] == "yes")


def _grant(call: Call) -> Reply:
    return call.control.grant_budget(call.path["name"], call.json_object())


def _end_grant(call: Call) -> Reply:
    return call.control.end_grant(call.path["id"])


ENDPOINTS = (
    Endpoint("GET", "/api/v1/budgets", "Every budget as it stands, a row a balance", _list, room="budgets"),
    Endpoint("GET", "/api/v1/budgets/check", "What is doubtful about the budgets in force", _check, room="budgets"),
    Endpoint(
        "POST",
        "/api/v1/budgets/true-up",
        "Set what every budget has spent by the books; a server does so by itself each minute",
        _true_up,
        body=Body("an empty object", schema={"type": "object", "additionalProperties": False}),
        room="budgets",
    ),
    Endpoint(
        "POST",
        "/api/v1/budgets",
        "Make a budget, or change the one of its name",
        _set,
        (Parameter("expect", "only if it is still of this `version`, or `none`; else 409"),),
        body=Body("the budget", schema=_BUDGET),
        room="budgets",
    ),
    Endpoint(
        "POST",
        "/api/v1/budgets/apply",
        "Put a list of budgets into force, all or none",
        _apply,
        (
            Parameter("dry_run", "yes: only tell what would change", choices=("yes", "no")),
            Parameter("prune", "yes: remove those that are not in the list", choices=("yes", "no")),
        ),
        body=Body("the list", schema={"type": "array", "items": _BUDGET}),
        room="budgets",
    ),
    Endpoint("GET", "/api/v1/budgets/{name}/history", "Every window it has had", _history, (_NAMED,), room="budgets"),
    Endpoint("GET", "/api/v1/budgets/{id}", "One budget, with its grants", _show, (_NAME,), room="budgets"),
    Endpoint("DELETE", "/api/v1/budgets/{id}", "Take a budget out of force", _remove, (_NAME,), room="budgets"),
    Endpoint(
        "POST",
        "/api/v1/budgets/{name}/grants",
        "Give a budget more until a moment, or move money to another",
        _grant,
        (_NAMED,),
        body=Body("the grant", schema=_GRANT),
        room="budgets",
    ),
    Endpoint(
        "DELETE",
        "/api/v1/grants/{id}",
        "End a grant now; what was spent of it stays spent",
        _end_grant,
        (Parameter("id", "the grant's number", place="path", needed=True),),
        room="budgets",
    ),
)
