"""Teams against their budgets: a row a team with its bullet, the forecast, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from outlay.core.budget import EACH
from outlay.core.envelope import UNTAGGED
from outlay.core.money import NANO
from outlay.faces import formats
from outlay.faces.web.bullets import bullet
from outlay.faces.web.months import MonthChoice
from outlay.faces.web.trends import sessions_address
from outlay.govern.allotments import COMPANY, Allotment, Judged, allotted, judged
from outlay.govern.outlook import Outlook, Outlooks
from outlay.metrics.dimensions import OTHER
from outlay.metrics.measures import UNKNOWN

TEAMS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class TeamRow:
    """One line of the table; `name` is empty for the company as a whole."""

    name: str
    href: str
    budget_href: str
    bar: Markup
    spent: str
    limit: str
    used: str
    forecast: str
    range: str
    told_at: str
    state: str
    tone: str


def team_rows(found: Outlooks, budgets: Mapping[str, Allotment], choice: MonthChoice) -> list[TeamRow]:
    """Teams with the highest forecast first, then those with a budget and no work, then all together."""
    told = {name: outlook for name, outlook in found.parts.items() if outlook.spent_nano or outlook.forecast_nano}
    ranked = sorted(told, key=lambda name: (name == OTHER, -(told[name].forecast_nano or told[name].spent_nano), name))
    rows = [_row(name, told[name], allotted(budgets, name), choice) for name in ranked[:TEAMS_SHOWN]]
    picked = {choice.team} if choice.team else set(budgets) - {COMPANY, EACH}
    idle = Outlook("over" if choice.is_over else "open", 0, (), (), is_prior=True, days_known=0, spread=0.0)
    rows += [_row(name, idle, budgets[name], choice) for name in sorted((picked & set(budgets)) - set(told))]
    if choice.team:
        return rows
    return [*rows, _row(COMPANY, found.total, allotted(budgets, COMPANY), choice)]


def _row(name: str, outlook: Outlook, budget: Allotment | None, choice: MonthChoice) -> TeamRow:
    verdict = judged(outlook, budget, choice.start.date())
    forecast, ends = outlook.forecast_nano, outlook.ends(80)
    state, tone = _state(verdict, outlook, budget)
    spent, limit = outlook.spent_nano, None if budget is None else budget.limit_nano
    narrowed = {"team": name} if name and name != OTHER else {}
    used = None if not limit else Decimal(spent) / limit
    return TeamRow(
        name=name,
        href="" if name == OTHER else sessions_address(choice, choice.start, choice.end, **narrowed),
        budget_href="/budgets" if budget is None else f"/budgets/{budget.budget}",
        bar=_bar(name, outlook, budget, tone),
        spent=formats.nano(spent),
        limit="no budget" if limit is None else formats.nano(limit),
        used="" if used is None else formats.share(str(used)),
        forecast=UNKNOWN if forecast is None else formats.nano(forecast),
        range="" if ends is None or choice.is_over else f"{formats.nano(ends[0])} to {formats.nano(ends[1])}",
        told_at=_told_at(used, budget),
        state="no team" if name in {UNTAGGED, OTHER} else state,
        tone=tone,
    )


def _bar(name: str, outlook: Outlook, budget: Allotment | None, tone: str) -> Markup:
    """Spent solid, forecast hatched; without a budget a grey bar."""
    forecast = outlook.forecast_nano or outlook.spent_nano
    who = name or "All teams"
    told = f"{who}: {formats.nano(outlook.spent_nano)} spent, {formats.nano(forecast)} forecast"
    if budget is None:
        return bullet(Decimal(0), Decimal(0), Decimal(0), f"{told}, no budget")
    return bullet(
        Decimal(outlook.spent_nano) / NANO,
        Decimal(max(0, forecast - outlook.spent_nano)) / NANO,
        Decimal(budget.limit_nano) / NANO,
        f"{told}, budget {formats.nano(budget.limit_nano)}",
        budget.percents,
        tone if tone in {"bad", "warn"} else "",
    )


def _state(verdict: Judged, outlook: Outlook, budget: Allotment | None) -> tuple[str, str]:
    """The verdict in words, and its tone."""
    beyond = "" if verdict.beyond_nano is None else formats.nano(abs(verdict.beyond_nano))
    match verdict.word:
        case "over":
            return f"over by {beyond}", "bad"
        case "exceeds":
            return f"will be over by {beyond}", "bad"
        case "tight":
            chance = None if budget is None else outlook.chance_within(budget.limit_nano)
            return (f"{formats.odds(1 - chance)} it passes" if chance is not None else "may pass"), "warn"
        case "under" | "on track":
            return f"{beyond} under" if verdict.word == "under" else "on track", "good"
        case "young":
            return "too young to forecast", "plain"
        case _:
            return "set a budget", "plain"


def _told_at(used: Decimal | None, budget: Allotment | None) -> str:
    """The highest threshold that was passed."""
    passed = [] if used is None or budget is None else [item for item in budget.percents if used * 100 >= item]
    return f"{max(passed)} %" if passed else "\N{EM DASH}"
