"""Prices: the rates in force, overrides, contracts, a second source."""

from __future__ import annotations

from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply

PRICE_FIELDS = (
    Parameter("provider", "who bills, for instance openai"),
    Parameter("model", "the model as the book spells it"),
    Parameter("at", "the moment; now if left out"),
    Parameter("sources", "all: what every source offers, best first", choices=("used", "all")),
)


def _find(call: Call) -> Reply:
    return call.desk.prices(call.params)


def _check(call: Call) -> Reply:
    return call.desk.check_prices()


def _override(call: Call) -> Reply:
    return call.desk.add_price(call.json_object())


def _contract(call: Call) -> Reply:
    return call.desk.add_contract(call.json_object())


def _alias(call: Call) -> Reply:
    return call.desk.add_alias(call.json_object())


def _import(call: Call) -> Reply:
    return call.desk.import_prices(call.body)


ENDPOINTS = (
    Endpoint("GET", "/api/v1/prices", "The rates in force for a model", _find, PRICE_FIELDS, room="prices"),
    Endpoint(
        "GET",
        "/api/v1/prices/check",
        "What in the books has no price, and where two sources disagree",
        _check,
        room="prices",
    ),
    Endpoint(
        "POST",
        "/api/v1/prices/overrides",
        "Write a price of your own; it wins over every list price",
        _override,
        body=Body("one dated price", schema={"type": "object"}),
        room="prices",
    ),
    Endpoint(
        "POST",
        "/api/v1/prices/contracts",
        "Write a negotiated price",
        _contract,
        body=Body("one dated contract", schema={"type": "object"}),
        room="prices",
    ),
    Endpoint(
        "POST",
        "/api/v1/prices/aliases",
        "Say which model of the book a deployment or profile stands for",
        _alias,
        body=Body("one alias: model (a glob), to, and optionally provider and to_provider", schema={"type": "object"}),
        room="prices",
    ),
    Endpoint(
        "POST",
        "/api/v1/prices/imports/litellm",
        "Take LiteLLM's public price map as a second source",
        _import,
        body=Body("the map, as its project publishes it", schema={"type": "object"}),
        room="prices",
    ),
)
