"""Steps: the rows of a session's timeline, each with its place in time and its cost lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from outlay.core.charge import UNPRICED
from outlay.core.meters import UNIT_OF
from outlay.core.money import decimal_text
from outlay.core.period import moment_of
from outlay.faces import formats
from outlay.faces.plain import plain
from outlay.metrics.session import SessionDetail
from outlay.metrics.steps import ChargeRow, UsageRow

STEPS_SHOWN = 200
"""Steps on one page; of a session of two hundred thousand no page reads more."""
INDENT_MAX = 8
_BAR_MIN = 0.4
"""Per cent of the timeline's width: a step of a millisecond can still be seen."""


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """One cost line in words."""

    meter: str
    quantity: str
    rate: str
    amount: str
    provenance: str
    source: str


@dataclass(frozen=True, slots=True)
class StepLine:
    """One row of the timeline; `marks` are (tone, word) of what is odd about it."""

    at: str
    indent: int
    name: str
    beside: str
    bar: Markup
    lasted: str
    tokens: str
    cost: str
    marks: Sequence[tuple[str, str]]
    charges: Sequence[ChargeLine]
    counted: bool


def step_lines(detail: SessionDetail) -> list[StepLine]:
    """The rows of the page that was asked for."""
    start, end = detail.first_seen_ns, detail.last_seen_ns
    return [_line(step, start, max(end - start, 1)) for step in detail.usages]


def _line(step: UsageRow, start_ns: int, span_ns: int) -> StepLine:
    tokens = f"{formats.count(step.input_tokens)} → {formats.count(step.output_tokens)}"
    return StepLine(
        at=f"{moment_of(step.time_ns):%H:%M:%S}",
        indent=min(step.depth, INDENT_MAX),
        name=_name(step),
        beside=step.model or (step.operation if step.name else ""),
        bar=_bar(step, start_ns, span_ns),
        lasted="" if step.duration_ms is None else formats.duration(str(Decimal(step.duration_ms) / 1000)),
        tokens=tokens if step.input_tokens or step.output_tokens else "",
        cost=_cost(step),
        marks=_marks(step),
        charges=[_charge(line) for line in step.charges],
        counted=step.counted,
    )


def _name(step: UsageRow) -> str:
    """What a person would call the step; a span that is named after its model is called by what it did."""
    return step.operation if not step.name or (step.model and step.model in step.name) else step.name


def _cost(step: UsageRow) -> str:
    if not step.charges:
        return ""  # a step without cost lines has no cost, not a cost of zero
    return UNPRICED if step.cost_nano is None else formats.nano(step.cost_nano)


def _bar(step: UsageRow, start_ns: int, span_ns: int) -> Markup:
    left = (step.time_ns - start_ns) / span_ns * 100
    width = max((step.duration_ms or 0) * 1_000_000 / span_ns * 100, _BAR_MIN)
    left = min(left, 100 - _BAR_MIN)
    return Markup(
        '<svg class="when" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="k-{}" x="{}" y="20" width="{}" height="60"/></svg>'
    ).format(step.centre, f"{left:.2f}", f"{min(width, 100 - left):.2f}")


def _marks(step: UsageRow) -> list[tuple[str, str]]:
    marks: list[tuple[str, str]] = []
    if step.failed:
        marks.append(("bad", step.error_type or "failed"))
    if step.attempt:
        marks.append(("warn", f"attempt {step.attempt + 1}"))
    if step.reason and not (step.failed and step.error_type and step.error_type in step.reason):
        marks.append(("warn", step.reason.replace("_", " ")))
    if not step.counted:
        marks.append(("plain", f"not counted: {step.why_not_counted.replace('_', ' ')}"))
    return marks


def _charge(line: ChargeRow) -> ChargeLine:
    rate = plain({"rate_pico": line.rate_pico})["rate"]
    return ChargeLine(
        meter=line.meter,
        quantity=formats.count(line.quantity),
        rate="" if rate is None else formats.rate(rate, UNIT_OF[line.meter], line.currency or "USD"),
        amount=UNPRICED if line.amount_nano is None else _exact(line.amount_nano, line.currency or "USD"),
        provenance=line.provenance,
        source=" · ".join(part for part in (line.price, line.variant_applied) if part),
    )


def _exact(nano: int, currency: str) -> str:
    return f"{decimal_text(nano)} {currency}"
