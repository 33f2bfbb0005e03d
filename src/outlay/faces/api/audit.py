"""The audit log over the API."""

from __future__ import annotations

from outlay.faces.api.endpoints import Call, Endpoint, Parameter
from outlay.faces.plain import Reply


def _lines(call: Call) -> Reply:
    return call.control.audit(call.params)


def _verify(call: Call) -> Reply:
    return call.control.verify_audit(call.params.get("expect", [""])[-1])


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/audit",
        "Who changed which budget, price, key or override, from what to what",
        _lines,
        (
            Parameter("subject", "only lines about this"),
            Parameter("after", "only lines behind this number"),
            Parameter("top", "the newest so many; 50 if left out"),
        ),
        room="audit",
        needs="admin",
    ),
    Endpoint(
        "GET",
        "/api/v1/audit/verify",
        "Whether the log is as it was written; 500 audit-broken if not",
        _verify,
        (Parameter("expect", "a hash noted earlier, which must still be in the chain"),),
        room="audit",
        needs="admin",
    ),
)
