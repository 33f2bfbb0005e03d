"""Why a session is dear, in words: the same sentences in the page and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from outlay.faces import formats
from outlay.faces.plain import plain
from outlay.metrics.session import SessionDetail
from outlay.metrics.why import ReasonKind

_NEAR = Decimal("0.15")
"""A session within this share of the usual cost is called usual."""


def why_dear(total: Mapping[str, Any]) -> list[str]:
    """Sentences from the total of a session's reply: the comparison first, then the largest reasons.

    Empty where nothing is known of the cost.
    """
    if not total["cost"] or not Decimal(total["cost"]):
        return []
    return [_compared(total), *(_told(reason, Decimal(total["cost"])) for reason in total["reasons"])]


def why_dear_of(detail: SessionDetail) -> list[str]:
    """The same for a session that is at hand."""
    return why_dear(
        plain(
            {
                "cost_nano": detail.cost_nano,
                "usual_cost_nano": detail.usual_cost_nano,
                "envelope": detail.envelope,
                "reasons": detail.reasons,
            }
        )
    )


def _compared(total: Mapping[str, Any]) -> str:
    usual = Decimal(total["usual_cost"] or 0)
    if not usual:
        return "There is no usual cost to compare it with."
    times = Decimal(total["cost"]) / usual
    what = f"the {formats.money(str(usual))} that a session of {total['envelope']['feature']} costs on average."
    return f"It cost about {what}" if abs(times - 1) <= _NEAR else f"It cost {formats.multiple(str(times))} {what}"


def _told(reason: Mapping[str, Any], cost: Decimal) -> str:
    amount = Decimal(reason["amount"])
    money = f"{formats.money(str(amount))} ({formats.share(str(amount / cost))})"
    count, name = formats.count(reason["count"]), reason["name"]
    once = reason["count"] == 1
    match ReasonKind(reason["kind"]):
        case ReasonKind.RETRIES:
            return f"{money} went to retries and failure recovery: {count} {'step' if once else 'steps'}."
        case ReasonKind.MODEL:
            return f"{money} went to {name} in {count} {'call' if once else 'calls'}."
        case ReasonKind.REPEATED:
            return f"{money} went to {name}, which ran {count} times."
        case ReasonKind.CONTEXT:
            grown = f"from {formats.count(reason['first'])} to {formats.count(reason['last'])} input tokens"
            return f"About {money} was paid because its context grew {grown}."
        case ReasonKind.COMPUTE:
            return f"{money} went to the compute that kept it alive."
        case ReasonKind.CHILDREN:
            return f"The sessions it started cost {formats.money(str(amount))} on top."
