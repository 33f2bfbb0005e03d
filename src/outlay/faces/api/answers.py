"""Questions to the books: spend, sessions, and the words they are asked in."""

from __future__ import annotations

from outlay.faces.api.endpoints import Call, Endpoint, Parameter
from outlay.faces.plain import Reply

QUESTION = (
    Parameter("by", "dimensions to split by, in order; see /api/v1/metrics", repeated=True),
    Parameter("measures", "measures to answer with; see /api/v1/metrics", repeated=True),
    Parameter("grain", "buckets of time", choices=("minute", "hour", "day", "week", "month", "quarter", "year")),
    Parameter("since", "from this moment (2026-11-01, 2026-11, 30d, today), included"),
    Parameter("until", "up to this moment, not included"),
    Parameter("where", "filters like team:search|billing or team!=search, all of which must hold", repeated=True),
    Parameter("top", "only the first rows; the rest is one row (other)"),
    Parameter("order", "a measure or dimension of the question to sort by, like cost:asc"),
    Parameter("counted", "all: superseded reports too, only to look at them", choices=("only", "all")),
)

STEPS = (
    Parameter("top", "this many steps, at most 10000; 1000 if left out"),
    Parameter("order", "time, or the dearest first", choices=("time", "cost")),
    Parameter("only", "only steps like these", choices=("failed", "retries", "unpriced")),
    Parameter("after", "behind this place: `next` of an earlier answer"),
    Parameter("before", "in front of this place: `previous` of an earlier answer"),
)


def _spend(call: Call) -> Reply:
    return call.desk.spend(call.params)


def _sessions(call: Call) -> Reply:
    return call.desk.sessions(call.params)


def _session(call: Call) -> Reply:
    return call.desk.session(call.path["id"], call.params)


def _why(call: Call) -> Reply:
    return call.desk.why(call.path["id"], call.params)


def _metrics(call: Call) -> Reply:
    return call.desk.metrics()


ENDPOINTS = (
    Endpoint("GET", "/api/v1/spend", "Cost and other measures, by any dimension", _spend, QUESTION, room="questions"),
    Endpoint("GET", "/api/v1/sessions", "The dearest sessions", _sessions, QUESTION, room="questions"),
    Endpoint(
        "GET",
        "/api/v1/sessions/{id}",
        "One session, and its steps a page at a time",
        _session,
        (Parameter("id", "the session's id", place="path", needed=True), *STEPS),
        room="questions",
    ),
    Endpoint(
        "GET",
        "/api/v1/features/{id}",
        "Why a completed task of a feature costs what it costs",
        _why,
        (
            Parameter("id", "the feature", place="path", needed=True),
            Parameter("since", "from this moment; 30d if left out"),
            Parameter("until", "up to this moment, not included; now if left out"),
        ),
        room="questions",
    ),
    Endpoint("GET", "/api/v1/metrics", "The measures and dimensions there are", _metrics, room="questions"),
)
