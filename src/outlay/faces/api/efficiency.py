"""Efficiency over the API."""

from __future__ import annotations

from outlay.faces.api.endpoints import Call, Endpoint, Parameter
from outlay.faces.plain import Reply


def _efficiency(call: Call) -> Reply:
    return call.desk.efficiency(call.params)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/efficiency",
        "What an outcome costs, month by month, against a year ago as 100, for the mix of work of each month",
        _efficiency,
        (
            Parameter("by", "what a kind of work is: feature if left out, or product_line, agent"),
            Parameter("month", "the last month, like 2026-11; the present one if left out"),
            Parameter("where", "filters like team:search, all of which must hold", repeated=True),
        ),
        room="questions",
    ),
)
