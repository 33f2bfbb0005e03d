"""The executive page: will the month close under budget, and is the money worth it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from outlay.core.money import decimal_text
from outlay.core.period import Grain, Period, ns_of
from outlay.faces import formats
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web import executive_charts, executive_words
from outlay.faces.web.changes import change_of, decimal_of
from outlay.faces.web.choice import back
from outlay.faces.web.figures import Asking, Books, foretell
from outlay.faces.web.months import MonthChoice
from outlay.faces.web.outcome_lines import line_rows
from outlay.faces.web.tables import count, money, share
from outlay.faces.web.trends import sessions_address
from outlay.faces.web.view import Number, banners_of, footer_of, freshness_of
from outlay.govern.allotments import COMPANY, Allotment, allotments, allotted
from outlay.govern.efficiency import Point, year_of
from outlay.govern.outlook import Outlooks, outlooks
from outlay.govern.signs import Sign, signs
from outlay.govern.targets import fiscal_month, quarter_at, targets_in
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import NONE
from outlay.metrics.measures import UNKNOWN

LINES_SHOWN = 12
LINES_MAX = 200
PROVIDERS_SHOWN = 6
_OWN = "no provider: own compute"
_OPTIONS = ("team", "product_line", "environment")
_WORTH = ("cost", "tasks_completed", "cost_per_completed_task", "outcome_value", "value_per_completed_task")
_HEADLINE = (*_WORTH, "cost_to_value", "hidden_share", "unpriced_tokens", "total_tokens")


@dataclass(frozen=True, slots=True)
class Year:
    """Everything the page shows, as answered and judged."""

    choice: MonthChoice
    now: Answer
    before: Answer
    months: Answer
    teams: Outlooks
    last_year: Answer  # by day
    budgets: Sequence[Mapping[str, Allotment]]  # one a month
    lines: Answer
    lines_year_ago: Answer
    lines_months: Answer
    kinds: Answer
    points: Sequence[Point]
    providers: Answer
    signs: Sequence[Sign]
    pending: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]
    counters: Mapping[str, int | str]

    @property
    def budget(self) -> Allotment | None:
        """The company's budget of the month."""
        return self.budgets[-1].get(COMPANY)


def collect_year(books: Books, desk: ControlDesk, choice: MonthChoice) -> Year:
    """Ask everything; budgets stand only where nothing narrows the page."""
    foretell(books, choice.period, choice.before)
    asks, control = Asking(books, choice), desk.store
    ago = Period(*map(ns_of, choice.year_ago))
    closed = choice.month if choice.is_over else (back(choice.start, Grain.MONTH, 1), choice.start)
    windows = [(start, back(start, Grain.MONTH, -1)) for start in choice.months]
    points, features = year_of(books.ask, choice.months, choice.now, where=choice.where)
    present = [row for row in features.rows if row["time"].startswith(f"{choice.start:%Y-%m}")]
    teams = outlooks(books.ask, choice.month, choice.now, "team", choice.where)
    budgets = allotments(control, windows, choice.present) if not choice.where else [{} for _ in windows]
    quarter = quarter_at(choice.start, fiscal_month(control))
    return Year(
        choice=choice,
        now=asks(_HEADLINE),
        before=asks(_HEADLINE, period=choice.before),
        months=asks(("cost", "outcome_value"), grain=Grain.MONTH, period=choice.year),
        teams=teams,
        last_year=asks(("cost",), grain=Grain.DAY, period=ago),
        budgets=budgets,
        lines=asks((*_WORTH, "cost_to_value"), ("product_line",), top=LINES_SHOWN),
        lines_year_ago=asks(("cost_per_completed_task",), ("product_line",), period=ago, top=LINES_MAX),
        lines_months=asks(("cost_per_completed_task",), ("product_line",), grain=Grain.MONTH, period=choice.year),
        kinds=asks(("tasks_completed",), ("product_line", "task_type"), top=LINES_MAX),
        points=points,
        providers=asks(("cost",), ("provider",), period=Period(*map(ns_of, closed)), top=PROVIDERS_SHOWN),
        signs=signs(
            present,
            list(teams.parts),
            [team for team in teams.parts if allotted(budgets[-1], team) is not None],
            targets_in(control, quarter),
            list(targets_in(control, quarter.before).values()),
        ),
        pending=desk.overrides("pending")["rows"],
        options={name: asks.options(name) for name in _OPTIONS},
        counters=books.counters(),
    )


def executive_page(found: Year) -> dict[str, Any]:
    """What the template of the page needs."""
    choice, total = found.choice, found.now.total
    closed = f"{choice.start:%B}" if choice.is_over else f"{back(choice.start, Grain.MONTH, 1):%B}"
    last = found.points[-1]
    return {
        "choice": choice,
        "options": found.options,
        "quiet": not found.now.coverage.get("usages") and not found.teams.total.spent_nano,
        "lede": executive_words.lede(
            choice, found.teams, found.budgets[-1], total, None if last.index is None else last.index
        ),
        "numbers": numbers(found),
        "banners": banners_of(found.now.coverage, found.now.total),
        "fan": executive_charts.month_fan(choice, found.teams.total, found.last_year, found.budget),
        "months": executive_charts.year_bars(choice, found.months, found.teams.total, found.budgets),
        "has_budget": any(COMPANY in month for month in found.budgets),
        "lines": line_rows(found.lines, found.lines_year_ago, found.lines_months, found.kinds, choice),
        "year_ago": f"{choice.year_ago[0]:%b %Y}",
        "total": {
            "cost": money(total.get("cost")),
            "value": _worth(total.get("outcome_value")),
            "ratio": share(total.get("cost_to_value")),
            "change": None if last.index is None else change_of(str(_decimal(last.index)), "100", "down"),
        },
        "index": executive_charts.efficiency(choice, found.points),
        "index_covered": "" if last.index is None else formats.share(str(_decimal(last.covered))),
        "closed": closed,
        "providers": [
            {"name": _OWN if row["provider"] == NONE else row["provider"], "cost": money(row.get("cost"))}
            for row in found.providers.rows
        ],
        "providers_total": money(found.providers.total.get("cost")),
        "attributed": share(found.now.coverage.get("attributed_share")),
        "signs": [
            {
                "words": sign.words,
                "figure": f"{sign.met} of {sign.of}" if sign.of else "nothing to count",
                "tone": _tone(sign),
            }
            for sign in found.signs
        ],
        "fresh": freshness_of(found.counters, choice.present),
        "footer": footer_of(found.now.coverage),
    }


def numbers(found: Year) -> list[Number]:
    """The six numbers."""
    now, before, choice = found.now.total, found.before.total, found.choice
    outlook, budget, last = found.teams.total, found.budget, found.points[-1]
    spent, forecast, ends = outlook.spent_nano, outlook.forecast_nano, outlook.ends(80)
    gone = (choice.now - choice.start) / (choice.end - choice.start)
    used = "no budget" if budget is None or not budget.limit_nano else _percent(Decimal(spent) / budget.limit_nano)
    said = used if budget is None else f"{used} of budget"
    ratio = before.get("cost_to_value")
    index = None if last.index is None else str(_decimal(last.index))
    done = sessions_address(choice, choice.start, choice.end, outcome="done")
    return [
        Number(
            f"Full cost, {choice.window.label}",
            _short(now.get("cost")),
            change_of(now.get("cost"), before.get("cost")),
            said if choice.is_over else f"{said}, {_percent(Decimal(gone))} of the month",
            sessions_address(choice, choice.start, choice.end),
        ),
        Number(
            "Forecast",
            UNKNOWN if forecast is None else formats.short(decimal_text(forecast)),
            None,
            "the month is over: this is what it cost"
            if choice.is_over
            else "three whole days are needed"
            if ends is None
            else "80 % between " + " and ".join(formats.short(decimal_text(end)) for end in ends),
        ),
        Number(
            "Outcome value",
            _worth(now.get("outcome_value"), short=True),
            change_of(now.get("outcome_value"), before.get("outcome_value"), "up"),
            f"from {count(now.get('tasks_completed'))} outcomes",
            done,
        ),
        Number(
            "Cost ÷ value",
            share(now.get("cost_to_value")),
            change_of(now.get("cost_to_value"), ratio, "down"),
            f"was {share(ratio)} in {back(choice.start, Grain.MONTH, 1):%B}",
            done,
        ),
        Number(
            "Cost per outcome",
            executive_words.against_a_year_ago(last.index) or "no year before",
            None if index is None else change_of(index, "100", "down"),
            "nothing a year ago to compare with"
            if index is None
            else f"year on year, mix-adjusted; covers {formats.share(str(_decimal(last.covered)))} of cost",
            done,
        ),
        Number(
            "Open exceptions",
            count(len(found.pending)),
            None,
            f"{found.pending[0]['budget']} asks for {formats.money(found.pending[0]['amount'])}"
            if found.pending
            else "nobody waits for a decision",
        ),
    ]


def _short(value: object) -> str:
    return money(value) if decimal_of(value) is None else formats.short(str(value))


def _worth(value: object, *, short: bool = False) -> str:
    """A value that nobody stated is unknown, not nothing."""
    known = decimal_of(value)
    if known is None:
        return UNKNOWN
    if not known:
        return "not stated"
    return formats.short(str(value)) if short else formats.money(str(value))


def _percent(ratio: Decimal) -> str:
    return f"{round(ratio * 100)} %"


def _decimal(ratio: Fraction) -> Decimal:
    return Decimal(ratio.numerator) / Decimal(ratio.denominator)


def _tone(sign: Sign) -> str:
    return {"all": "good", "some": "warn", "none": "bad"}.get(sign.word, "plain")
