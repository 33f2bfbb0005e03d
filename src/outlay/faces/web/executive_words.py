"""The month in one paragraph: how it will close, what it was worth, how it stands against a year ago, who is over."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from markupsafe import Markup

from outlay.core.money import decimal_text
from outlay.faces import formats
from outlay.faces.web.changes import decimal_of
from outlay.faces.web.months import MonthChoice
from outlay.govern.allotments import COMPANY, Allotment, allotted, judged
from outlay.govern.efficiency import BASE
from outlay.govern.outlook import Outlook, Outlooks

_TEAMS_NAMED = 3
_SURE = 0.01


def lede(
    choice: MonthChoice,
    found: Outlooks,
    budgets: Mapping[str, Allotment],
    total: Mapping[str, Any],
    index: Fraction | None,
) -> Markup:
    """The paragraph. What is not known is said to be so."""
    told = [_close(choice, found.total, budgets.get(COMPANY)), _worth(total), _year(index)]
    over = [
        (name, verdict.beyond_nano or 0)
        for name, outlook in found.parts.items()
        if (verdict := judged(outlook, allotted(budgets, name), choice.start.date())).word in {"over", "exceeds"}
    ]
    over.sort(key=lambda item: -item[1])
    will = "exceeded" if choice.is_over else "will exceed"
    told += [
        Markup("<span class='bad'>{} {} its budget by {}.</span>").format(name, will, _short(beyond))
        for name, beyond in over[:_TEAMS_NAMED]
    ]
    if len(over) > _TEAMS_NAMED:
        told.append(Markup("So do {} more teams.").format(len(over) - _TEAMS_NAMED))
    return Markup(" ").join(told)


def against_a_year_ago(index: Fraction | None) -> str:
    """`−22 %`: how the cost of an outcome moved, empty where nothing is known of a year ago."""
    if index is None:
        return ""
    moved = round(index - BASE)
    return f"{formats.MINUS}{-moved} %" if moved < 0 else f"+{moved} %" if moved else "±0 %"


def _close(choice: MonthChoice, total: Outlook, budget: Allotment | None) -> Markup:
    name, forecast = f"{choice.start:%B}", total.forecast_nano
    if forecast is None:
        return Markup("{} has cost <b>{}</b> so far; three whole days are needed to say where it will end.").format(
            name, _short(total.spent_nano)
        )
    closes = Markup("{} {} at <b>{}</b>").format(name, "closed" if choice.is_over else "should close", _short(forecast))
    if budget is None:
        return closes + (Markup(".") if choice.where else Markup("; no monthly budget stands against it."))
    beyond = forecast - budget.limit_nano
    side = ("bad", "over") if beyond > 0 else ("good", "under")
    said = Markup(", <span class='{}'>{} {} budget</span>").format(side[0], _short(abs(beyond)), side[1])
    chance = None if choice.is_over else total.chance_within(budget.limit_nano)
    if chance is None:
        return closes + said + Markup(".")
    if not _SURE < chance < 1 - _SURE:
        return closes + said + Markup(", almost certainly.")
    return closes + said + Markup(", with a {} chance of staying under.").format(formats.odds(chance))


def _worth(total: Mapping[str, Any]) -> Markup:
    value, cost = decimal_of(total.get("outcome_value")), decimal_of(total.get("cost"))
    if not total.get("tasks_completed"):
        return Markup("No outcome was reported, so nothing can be said of what it was worth.")
    if not value or not cost or decimal_of(total.get("cost_to_value")) is None:
        return Markup("No outcome states what it is worth, so cost cannot be set against value.")
    return Markup("Each dollar of agent cost supports <b>{}</b> of outcome value.").format(
        formats.money(str(round(value / cost, 2 if value < cost * 10 else 0))).removesuffix(".00")
    )


def _year(index: Fraction | None) -> Markup:
    if index is None:
        return Markup("There is no month a year ago to compare an outcome with.")
    moved = round(index - BASE)
    if not moved:
        return Markup("An outcome costs what it did a year ago.")
    tone, word = ("good", "less") if moved < 0 else ("bad", "more")
    return Markup("An outcome costs <span class='{}'>{} % {}</span> than a year ago.").format(tone, abs(moved), word)


def _short(nano: int) -> str:
    return formats.short(decimal_text(nano)) if abs(nano) >= 10**12 * 10 else formats.nano(nano)
