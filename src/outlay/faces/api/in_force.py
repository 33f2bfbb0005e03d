"""What an agent elsewhere needs to decide in its own memory, over the API."""

from __future__ import annotations

from outlay.faces import in_force
from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply


def _in_force(call: Call) -> Reply:
    return in_force.in_force_reply(call.control.store, call.params.get("known", [""])[-1], call.caller.teams)


def _costs(call: Call) -> Reply:
    said = {name: call.params.get(name, [""])[-1] for name in ("provider", "model", "kind")}
    return in_force.costs_reply(call.control.store, **said)


def _learn(call: Call) -> Reply:
    return in_force.learn_reply(call.control.store, call.json_object())


_AMOUNTS = {"type": "array", "items": {"type": "integer"}, "description": "whole nano-units"}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/in-force",
        "The budgets and stops in force, as an agent needs them to decide in its own memory",
        _in_force,
        (Parameter("known", "the version that is known; where it still holds nothing else is told"),),
        room="budgets",
        needs="decide",
    ),
    Endpoint(
        "GET",
        "/api/v1/costs",
        "What a model charges now, and what calls of a kind cost",
        _costs,
        (
            Parameter("provider", "as telemetry spells it, like openai"),
            Parameter("model", "as a request spells it"),
            Parameter("kind", "feature, model and step as a JSON list"),
        ),
        room="budgets",
        needs="decide",
    ),
    Endpoint(
        "POST",
        "/api/v1/costs",
        "Learn what calls of a kind were billed",
        _learn,
        body=Body(
            "the kind and the amounts",
            schema={"type": "object", "properties": {"kind": {"type": "string"}, "amounts": _AMOUNTS}},
        ),
        room="budgets",
        needs="decide",
    ),
)
