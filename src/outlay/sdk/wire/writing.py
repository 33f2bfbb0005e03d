"""Writing: what was learnt of one exchange becomes Steps: the call itself, and what was charged inside it.

A call whose usage is not all known says why in the tag `usage_gap`; what can be estimated then is (`estimates.py`), and
is marked as an estimate. The rest stays unsaid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from outlay.core.centre import Operation
from outlay.sdk import recorder
from outlay.sdk.bodies.reading import TOKEN_FIELDS, Aside, Reading
from outlay.sdk.bodies.routes import is_guard
from outlay.sdk.bodies.shape import Shape
from outlay.sdk.step import Step
from outlay.sdk.wire.estimates import estimate

if TYPE_CHECKING:
    from outlay.sdk.wire.exchange import Exchange

USAGE_GAP = "usage_gap"


def write(exchange: Exchange, reading: Reading, shape: Shape | None = None) -> list[Step]:
    """Records the call and its asides; `shape` is another than the route's for the lines of a batch."""
    asides = [_aside(exchange, reading, item, number) for number, item in enumerate(reading.asides)]
    steps = [_call(exchange, reading, shape or exchange.route.shape), *asides]
    for step in steps:
        recorder.record(step)
    return steps


def gap(exchange: Exchange, reading: Reading) -> str:
    """Why the usage of this call is not all known; empty where it is, or where a refusal charged nothing."""
    if reading.complete or (exchange.status or 0) >= 400:
        return ""
    if reading.unreadable:
        return "unreadable"
    if exchange.status is None:
        return "cut" if exchange.error_type in {"timeout", "cancelled"} else ""
    if exchange.error_type:
        return "cut"
    return "not asked for" if exchange.asked.stream else "not stated"


def _call(exchange: Exchange, reading: Reading, shape: Shape) -> Step:
    route, asked = exchange.route, exchange.asked
    units = dict(reading.units)
    if (
        asked.input_characters
        and shape.name == "openai_audio"
        and not exchange.error_type
        and reading.input_tokens is None
    ):
        units.setdefault("characters", asked.input_characters)  # speech is charged by the character
    if asked.searches and reading.complete:
        units.setdefault("searches", asked.searches)
    why = gap(exchange, reading)
    estimated = estimate(exchange, reading, why)
    return Step(
        operation=_operation(exchange, reading, shape),
        name=route.guardrail,
        start_ns=exchange.start_ns,
        end_ns=exchange.end_ns,
        provider=route.provider,
        model_requested=route.model or asked.model or route.guardrail,
        model_served=reading.model,
        response_id=reading.response_id or exchange.request_id,
        service_tier=reading.service_tier or asked.service_tier,
        processing=reading.processing,
        speed=reading.speed or asked.speed,
        region=reading.region or route.region,
        server_address=exchange.host,
        http_status=exchange.status or 0,
        error_type=exchange.error_type,
        finish_reason=reading.finish_reason,
        attempt=exchange.attempt,
        retry_reason=_repeats(exchange),
        tokens={name: number for name in TOKEN_FIELDS if (number := getattr(reading, name)) is not None},
        units=units,
        cost=Decimal(reading.cost_usd) if reading.cost_usd else None,
        currency="USD" if reading.cost_usd else "",
        cost_source="provider" if reading.cost_usd else "",
        tags={USAGE_GAP: why, **estimated} if why else {},
        context=exchange.context,
    )


def _operation(exchange: Exchange, reading: Reading, shape: Shape) -> str:
    """What the call did. A model that is made for checks, or asked within one, is part of the check."""
    if shape.operation is not Operation.CHAT:
        return shape.operation.value
    if is_guard(reading.model or exchange.route.model or exchange.asked.model):
        return Operation.GUARDRAIL.value
    return exchange.context.purpose or Operation.CHAT.value


def _repeats(exchange: Exchange) -> str:
    """Why this attempt repeats another, where it failed too.

    The one that at last succeeds says nothing: it is what the call costs where nothing fails, and would be charged to
    the retries.
    """
    return exchange.retry_reason if exchange.error_type else ""


def _aside(exchange: Exchange, reading: Reading, aside: Aside, number: int) -> Step:
    response = reading.response_id or exchange.request_id
    return Step(
        operation=Operation(aside.operation).value,
        name=aside.name,
        start_ns=exchange.start_ns,
        end_ns=exchange.end_ns,
        provider=exchange.route.provider,
        model_requested=aside.model or exchange.route.model or exchange.asked.model,
        model_served=aside.model or reading.model,
        response_id=f"{response}/{number}" if response else "",
        region=reading.region or exchange.route.region,
        server_address=exchange.host,
        http_status=exchange.status or 0,
        attempt=exchange.attempt,
        retry_reason=_repeats(exchange),
        tokens=dict(aside.tokens),
        units=dict(aside.units),
        context=exchange.context,
    )
