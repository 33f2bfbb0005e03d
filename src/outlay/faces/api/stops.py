"""Stops and actions over the API: the switch that ends work, and what rules ask for when money runs short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlay.core.budget import SCOPE_KEYS
from outlay.core.stop import LEVELS
from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply
from outlay.faces.refused import RefusedError

_ID = Parameter("id", "the stop's number", place="path", needed=True)
_NUMBER = Parameter("number", "the action's number", place="path", needed=True)
_STOP: dict[str, Any] = {
    "type": "object",
    "required": ["reason"],
    "additionalProperties": False,
    "properties": {
        **{key: {"type": "string"} for key in SCOPE_KEYS},
        "everything": {"type": "boolean", "description": "all work there is; instead of a scope"},
        "level": {"enum": list(LEVELS), "description": "stop if left out"},
        "reason": {"type": "string"},
        "until": {"type": "string", "description": "a moment, or 2h from now; until it is lifted if left out"},
    },
}
_DECISION: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"note": {"type": "string", "description": "why; kept in the audit log"}},
}


def _stops(call: Call) -> Reply:
    return call.control.stops.stops()


def _stop(call: Call) -> Reply:
    said = call.json_object()
    _demand_team(call, said.get("team"))
    return call.control.stops.stop(said)


def _lift(call: Call) -> Reply:
    desk = call.control.stops
    if call.caller.teams is not None:
        teams = {str(row["stop"]): row["team"] for row in desk.stops()["rows"]}
        _demand_team(call, teams.get(call.path["id"]))
    return desk.lift(call.path["id"])


def _demand_team(call: Call, team: object) -> None:
    teams = call.caller.teams
    if teams is not None and team not in teams:
        raise RefusedError(403, f"this key stops work of {', '.join(teams)} only", hint="name the team, or another key")


def _actions(call: Call) -> Reply:
    return call.control.stops.actions(str(call.params.get("state", [""])[-1]))


def _decided(verdict: str) -> Callable[[Call], Reply]:
    def answer(call: Call) -> Reply:
        desk = call.control.stops
        named = {str(row["action"]): str(row["budget"]) for row in desk.actions()["rows"]}
        call.caller.demand_budget(call.control, named.get(call.path["number"], ""))
        return desk.decide(call.path["number"], verdict, call.json_object())

    return answer


ENDPOINTS = (
    Endpoint("GET", "/api/v1/stops", "The stops in force", _stops, room="alerts"),
    Endpoint(
        "POST",
        "/api/v1/stops",
        "Stop a session, an agent, a feature, or whatever carries a scope, at once",
        _stop,
        body=Body("what, how hard, why", schema=_STOP),
        room="alerts",
        needs="approve",
    ),
    Endpoint("DELETE", "/api/v1/stops/{id}", "Take a stop back", _lift, (_ID,), room="alerts", needs="approve"),
    Endpoint(
        "GET",
        "/api/v1/actions",
        "What followed when money ran short, and what waits for approval",
        _actions,
        (Parameter("state", "pending, in force, denied, expired or reversed"),),
        room="alerts",
    ),
    *(
        Endpoint(
            "POST",
            f"/api/v1/actions/{{number}}/{verdict}",
            text,
            _decided(verdict),
            (_NUMBER,),
            body=Body("the decision, or an empty object", schema=_DECISION),
            room="alerts",
            needs="approve",
        )
        for verdict, text in (("approve", "Put an action that waits into force"), ("deny", "Say no to one that waits"))
    ),
)
