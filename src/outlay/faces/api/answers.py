"""Questions to the books: spend, sessions, outcomes, and the words they are asked in."""

from __future__ import annotations

from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.outcomes import FIELDS
from outlay.faces.plain import Reply

QUESTION = (
    Parameter("by", "dimensions to split by, in order; see /api/v1/metrics", repeated=True),
    Parameter("measures", "measures to answer with; see /api/v1/metrics", repeated=True),
    Parameter("grain", "buckets of time", choices=("hour", "day", "week", "month", "quarter", "year")),
    Parameter("since", "from this moment (2026-11-01, 2026-11, 30d, today), included"),
    Parameter("until", "up to this moment, not included"),
    Parameter("where", "filters like team:search|billing or team!=search, all of which must hold", repeated=True),
    Parameter("top", "only the first rows; the rest is one row (other)"),
    Parameter("order", "a measure or dimension of the question to sort by, like cost:asc"),
    Parameter("counted", "all: superseded reports too, only to look at them", choices=("only", "all")),
)


def _spend(call: Call) -> Reply:
    return call.desk.spend(call.params)


def _sessions(call: Call) -> Reply:
    return call.desk.sessions(call.params)


def _session(call: Call) -> Reply:
    return call.desk.session(call.path["id"])


def _outcomes(call: Call) -> Reply:
    return call.desk.outcomes(call.params)


def _report_outcomes(call: Call) -> Reply:
    return call.desk.report_outcomes(call.json())


def _metrics(call: Call) -> Reply:
    return call.desk.metrics()


_OUTCOME = {
    "type": "object",
    "required": ["task_id", "status"],
    "additionalProperties": False,
    "properties": {
        name: {"description": text} | ({"type": "array", "items": {"type": "string"}} if name == "session_ids" else {})
        for name, text in FIELDS.items()
    },
}

ENDPOINTS = (
    Endpoint("GET", "/api/v1/spend", "Cost and other measures, by any dimension", _spend, QUESTION, room="questions"),
    Endpoint("GET", "/api/v1/sessions", "The dearest sessions", _sessions, QUESTION, room="questions"),
    Endpoint(
        "GET",
        "/api/v1/sessions/{id}",
        "One session, usage by usage",
        _session,
        (Parameter("id", "the session's id", place="path", needed=True),),
        room="questions",
    ),
    Endpoint(
        "GET",
        "/api/v1/outcomes",
        "Tasks that came to an end, and what a completed one cost",
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
    Endpoint("GET", "/api/v1/metrics", "The measures and dimensions there are", _metrics, room="questions"),
)
