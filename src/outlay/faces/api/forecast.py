"""The forecast over the API."""

from __future__ import annotations

from outlay.faces.api.endpoints import Call, Endpoint, Parameter
from outlay.faces.plain import Reply


def _forecast(call: Call) -> Reply:
    return call.desk.forecast(call.params)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/forecast",
        "What a month will have cost when it is over, with 50, 80 and 95 % intervals and the budgets of teams",
        _forecast,
        (
            Parameter("by", "one dimension to split by, like team; see /api/v1/metrics"),
            Parameter("month", "a month like 2026-11; the present one if left out"),
            Parameter("where", "filters like team:search, all of which must hold", repeated=True),
        ),
        room="questions",
    ),
)
