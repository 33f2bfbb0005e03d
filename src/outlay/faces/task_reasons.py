"""Why a completed task of a feature costs what it costs, in words: the same sentences in the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from outlay.core.errors import QueryError
from outlay.core.period import Period, ns_of, parse_moment
from outlay.faces import formats
from outlay.faces.plain import Reply, plain, reply
from outlay.faces.words import CENTRES
from outlay.metrics.task_cost import Asks, DriverKind, TaskCost, task_cost

DEFAULT_SINCE = "30d"
_NEAR = Decimal("0.1")
"""Within this share of each other two figures are called alike."""
_PLACES = 4


def why_reply(ask: Asks, feature: str, since: str, until: str, now: datetime) -> Reply:
    """The reply to `outlay why`: a row a driver, the totals beside those of all features and of the time before."""
    period = Period(ns_of(parse_moment(since or DEFAULT_SINCE, now)), ns_of(parse_moment(until, now) if until else now))
    if (period.start_ns or 0) >= (period.end_ns or 0):
        raise QueryError(f"the period ends before it begins: {since} to {until}", hint="--since 30d")
    found = task_cost(ask, feature, period)
    rows = [
        {**plain(driver), "share": _text(driver.share), "usual_share": _text(driver.usual_share)}
        for driver in found.drivers
    ]
    totals = {"usual": found.usual, "before": found.before, "parts": found.parts, "why": why_each(found)}
    return reply({"feature": feature, "period": period}, rows, {**found.total, **totals}, found.coverage)


def why_each(found: TaskCost) -> list[str]:
    """Sentences: the comparison first, then what the money goes to, the largest part first."""
    each = found.total.get("cost_per_completed_task")
    if not isinstance(each, str):
        lost = found.total.get("tasks") or 0
        return [
            f"None of its {formats.count(lost)} tasks was completed, so there is no cost per completed task."
            if lost
            else "No task was reported as ended, so there is no cost per completed task."
        ]
    told = [_compared(Decimal(each), found.usual, "all features together"), *_moved(Decimal(each), found.before)]
    return [*told, *(_driver(plain(driver), driver.share, driver.usual_share) for driver in found.drivers)]


def _compared(each: Decimal, usual: Mapping[str, Any], what: str) -> str:
    other = usual.get("cost_per_completed_task")
    told = f"A completed task costs {formats.money(str(each))}"
    if not isinstance(other, str) or not Decimal(other):
        return told + "."
    times = each / Decimal(other)
    if abs(times - 1) <= _NEAR:
        return f"{told}, about what it costs over {what} ({formats.money(other)})."
    return f"{told}, {formats.multiple(str(times))} the {formats.money(other)} of {what}."


def _moved(each: Decimal, before: Mapping[str, Any]) -> list[str]:
    other = before.get("cost_per_completed_task")
    if not isinstance(other, str) or not Decimal(other):
        return []
    moved = each / Decimal(other) - 1
    if abs(moved) <= _NEAR:
        return [f"In the time before it was about the same ({formats.money(other)})."]
    way = "more" if moved > 0 else "less"
    return [f"In the time before it was {formats.money(other)}: {formats.share(str(abs(moved)))} {way} now."]


def _driver(driver: Mapping[str, Any], share: Decimal, usual: Decimal | None) -> str:
    each = f"{formats.money(driver['each'])} of each ({formats.share(str(share))})"
    beside = "" if usual is None else f"; over all features {formats.share(str(usual))}"
    count = formats.count(driver["count"])
    match DriverKind(driver["kind"]):
        case DriverKind.FAILURES:
            return f"{each} pays for {count} tasks that failed or were abandoned{beside}."
        case DriverKind.CENTRE:
            return f"{each} goes to {CENTRES[driver['name']].lower()}{beside}."
        case DriverKind.MODEL:
            return f"{each} goes to {driver['name']} in {count} calls."
        case DriverKind.STEPS:
            steps = f"{count} steps a completed task, {formats.count(driver['usual_count'])} are usual"
            return f"It takes {steps}: those beyond cost {each}."


def _text(share: Decimal | None) -> str | None:
    return None if share is None else f"{round(share, _PLACES):f}"
