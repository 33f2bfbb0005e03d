"""Outcomes over HTTP: report them, ask what a completed task cost, look at single tasks."""

from __future__ import annotations

from outlay.faces.api.answers import QUESTION
from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.outcomes import FIELDS
from outlay.faces.plain import Reply

_LIST = tuple(item for item in QUESTION if item.name in ("since", "until", "where", "top"))


def _outcomes(call: Call) -> Reply:
    return call.desk.outcomes(call.params)


def _report_outcomes(call: Call) -> Reply:
    return call.desk.report_outcomes(call.json())


def _tasks(call: Call) -> Reply:
    return call.desk.tasks(call.params)


def _task(call: Call) -> Reply:
    return call.desk.task(call.path["id"])


_OUTCOME = {
    "type": "object",
    "required": ["status"],
    "additionalProperties": False,
    "properties": {
        name: {"description": text} | ({"type": "array", "items": {"type": "string"}} if name == "session_ids" else {})
        for name, text in FIELDS.items()
    },
}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/outcomes",
        "Tasks that came to an end, and what a completed one cost, with its 95 % interval",
        _outcomes,
        QUESTION,
        room="questions",
    ),
    Endpoint(
        "POST",
        "/api/v1/outcomes",
        "Report that tasks came to an end; a later report on the same task wins",
        _report_outcomes,
        body=Body("one outcome, or a list", schema={"oneOf": [_OUTCOME, {"type": "array", "items": _OUTCOME}]}),
        room="facts",
        needs="write",
    ),
    Endpoint(
        "GET",
        "/api/v1/tasks",
        "Single tasks with what each cost and was worth, latest first",
        _tasks,
        _LIST,
        room="questions",
    ),
    Endpoint(
        "GET",
        "/api/v1/tasks/{id}",
        "One task: its sessions, its cost, and every report on it",
        _task,
        (Parameter("id", "the task's id", place="path", needed=True),),
        room="questions",
    ),
)
