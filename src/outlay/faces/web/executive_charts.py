"""The charts of the executive page: from outlooks, months and points to what `month_charts` draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from decimal import Decimal

from markupsafe import Markup

from outlay.core.money import decimal_text
from outlay.core.period import Grain
from outlay.faces import formats
from outlay.faces.web.changes import decimal_of
from outlay.faces.web.charts import Bar, Part
from outlay.faces.web.choice import back
from outlay.faces.web.figures import bucket_of
from outlay.faces.web.marks import filled
from outlay.faces.web.month_charts import Fan, MonthBar, fan, index_line, money_ticks, month_bars
from outlay.faces.web.months import MonthChoice
from outlay.faces.web.trends import sessions_address
from outlay.govern.allotments import COMPANY, Allotment
from outlay.govern.efficiency import Point
from outlay.govern.forecast import LEVELS
from outlay.govern.outlook import Outlook
from outlay.metrics.answer import Answer

_DAY = timedelta(days=1)


def month_fan(choice: MonthChoice, outlook: Outlook, last_year: Answer, budget: Allotment | None) -> Markup:
    """The month day by day: what was spent, where it leads, what is allowed, and the same month a year ago."""
    days = (choice.end - choice.start) // _DAY
    whole = len(outlook.so_far) if choice.is_over else (choice.now - choice.start) // _DAY
    actual = [_dollars(nano) for nano in outlook.so_far[:whole]]
    spent = _dollars(outlook.spent_nano)
    before = _last_year(last_year, choice, days)
    limit = None if budget is None else _dollars(budget.limit_nano)
    middle = [_dollars(step.middle_nano) for step in outlook.path]
    intervals = [
        (percent, [(_dollars(step.low_nano[percent]), _dollars(step.high_nano[percent])) for step in outlook.path])
        for percent in LEVELS
        if outlook.path
    ]
    tops = [
        spent,
        *actual,
        *middle,
        *before,
        *(high for _, pairs in intervals for _, high in pairs),
        limit or Decimal(0),
    ]
    ends = []
    if limit is not None:
        ends.append(("budget", limit, formats.short(str(limit)), "budget"))
    if middle:
        ends.append(("frontier", middle[-1], formats.short(str(middle[-1])), "forecast"))
    else:
        ends.append(("frontier", spent, formats.short(str(spent)), "actual"))
    if before:
        ends.append(("before", before[-1], formats.short(str(before[-1])), f"{choice.year_ago[0]:%b %Y}"))
    drawn = Fan(
        days=days,
        actual=actual,
        now_day=(choice.now - choice.start) / _DAY,
        now=spent,
        middle=middle,
        intervals=intervals,
        before=before,
        limit=limit,
        note=("", "") if choice.is_over else (formats.short(str(spent)), f"to {choice.now.day} {choice.now:%b}"),
        labels=_labels(choice, days, len(actual)),
        ends=ends,
        hits=_hits(choice, outlook, days),
    )
    words = f"Full cost of {choice.window.words} added up by day: {formats.money(str(spent))} so far" + (
        f", {formats.money(str(middle[-1]))} forecast" if middle else ""
    )
    return fan(drawn, money_ticks(max(tops, default=Decimal(0))), words)


def year_bars(
    choice: MonthChoice, months: Answer, outlook: Outlook, budgets: Sequence[Mapping[str, Allotment]]
) -> Markup:
    """Thirteen months, each against what was allowed."""
    found = {bucket_of(row).astimezone(UTC): decimal_of(row.get("cost")) for row in months.rows}
    bars = []
    for start, allowed in zip(choice.months, budgets, strict=True):
        spent, budget = found.get(start) or Decimal(0), allowed.get(COMPANY)
        is_last = start == choice.start
        forecast = outlook.forecast_nano if is_last else None
        ahead = max(Decimal(0), _dollars(forecast) - spent) if forecast is not None else Decimal(0)
        limit = None if budget is None else _dollars(budget.limit_nano)
        lines = [("frontier", f"{formats.money(str(spent))} spent")]
        lines += [("pale", f"{formats.money(str(spent + ahead))} forecast")] if ahead else []
        lines += [("before", "no budget" if limit is None else f"{formats.money(str(limit))} budget")]
        if limit is not None and spent > limit:
            lines.append(("excess", f"{formats.money(str(spent - limit))} over"))
        bars.append(
            MonthBar(
                label=f"{start:%b}"[0],
                title=f"{start:%B %Y}",
                spent=spent,
                ahead=ahead,
                limit=limit,
                href=sessions_address(choice, start, back(start, Grain.MONTH, -1)),
                lines=lines,
            )
        )
    top = max((max(bar.spent + bar.ahead, bar.limit or Decimal(0)) for bar in bars), default=Decimal(0))
    return month_bars(bars, money_ticks(top), "Full cost of thirteen months against their budgets")


def efficiency(choice: MonthChoice, points: Sequence[Point]) -> Markup:
    """What an outcome costs against a year ago, month by month."""
    values = [None if point.index is None else Decimal(round(point.index * 10)) / 10 for point in points]
    if all(value is None for value in values):
        return filled('<p class="word">{}</p>', "no month a year ago had outcomes to compare with")
    labels = [(0, f"{choice.months[0]:%b %y}"), (6, f"{choice.months[6]:%b}"), (12, f"{choice.months[12]:%b %y}")]
    last = "unknown" if values[-1] is None else f"{values[-1]:f}"
    over = [
        Bar(
            "",
            f"{start:%B %Y}",
            [Part("frontier", Decimal(1), "unknown" if value is None else f"{value:f}")],
            sessions_address(choice, start, back(start, Grain.MONTH, -1), outcome="done"),
        )
        for start, value in zip(choice.months, values, strict=True)
    ]
    return index_line(values, labels, f"Cost per outcome against {choice.months[0]:%B %Y} as 100: {last} now", over)


def _last_year(answer: Answer, choice: MonthChoice, days: int) -> list[Decimal]:
    """The sums of the same month a year ago; empty where nothing is known of it."""
    found = {bucket_of(row).astimezone(UTC): decimal_of(row.get("cost")) or Decimal(0) for row in answer.rows}
    if not found:
        return []
    start, end = choice.year_ago
    sums, reached = [], Decimal(0)
    for place in range(min(days, (end - start) // _DAY)):
        reached += found.get(start + place * _DAY, Decimal(0))
        sums.append(reached)
    return sums


def _hits(choice: MonthChoice, outlook: Outlook, days: int) -> list[Bar]:
    """A column a day that tells its figures; days that were lead to their sessions."""
    ahead = {step.day.day: step for step in outlook.path}
    bars = []
    for place in range(days):
        day = choice.start + place * _DAY
        parts = []
        if place < len(outlook.so_far):
            parts.append(Part("frontier", Decimal(1), f"{formats.nano(outlook.so_far[place])} so far"))
        step = ahead.get(day.day)
        if step is not None:
            low, high = formats.nano(step.low_nano[80]), formats.nano(step.high_nano[80])
            parts.insert(
                0, Part("pale", Decimal(1), f"{formats.nano(step.middle_nano)} by its end, 80 % {low} to {high}")
            )
        href = sessions_address(choice, day, day + _DAY) if place < len(outlook.so_far) else ""
        bars.append(Bar("", f"{day.day} {day:%B}", parts, href))
    return bars


def _labels(choice: MonthChoice, days: int, known: int) -> list[tuple[int, str]]:
    wanted = {1, 8, 15, 22, days}
    told = sorted(day for day in wanted if day in (days, known) or abs(day - known) > 2) if known else sorted(wanted)
    if known and all(abs(day - known) > 2 for day in told):
        told = sorted([*told, known])
    return [(day, f"{day} {choice.start:%b}" if day in {1, days} else str(day)) for day in told]


def _dollars(nano: int) -> Decimal:
    return Decimal(decimal_text(nano))
