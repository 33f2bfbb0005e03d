"""The strategic page: who spends against which budget, and what does a finished task cost?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outlay.control.store import ControlStore
from outlay.control.targets import Target
from outlay.core.period import Grain
from outlay.faces import formats
from outlay.faces.web import charts, tables, trends
from outlay.faces.web.changes import Change, change_of, decimal_of
from outlay.faces.web.feature_targets import feature_rows
from outlay.faces.web.figures import FEATURES_SHOWN, HEADLINE, Asking, Books, foretell
from outlay.faces.web.months import MonthChoice
from outlay.faces.web.tables import count, money, share
from outlay.faces.web.team_budgets import team_rows
from outlay.faces.web.view import Number, banners_of, footer_of, freshness_of
from outlay.faces.words import CENTRES
from outlay.govern.allotments import COMPANY, Allotment, Judged, allotments, allotted, judged
from outlay.govern.outlook import Outlooks, outlooks
from outlay.govern.targets import Quarter, fiscal_month, quarter_at, targets_in
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER
from outlay.metrics.filters import Filter
from outlay.metrics.measures import UNKNOWN

_HEADLINE = (*(name for name in HEADLINE if name != "sessions"), "retry_multiplier")
TIERS_MAX = 300
_OPTIONS = ("team", "product_line", "user_tier", "environment")


@dataclass(frozen=True, slots=True)
class Strategy:
    """Everything the page shows, as answered and judged."""

    choice: MonthChoice
    now: Answer
    before: Answer
    weeks: Answer  # by centre
    shares: Answer
    teams: Outlooks
    budgets: Mapping[str, Allotment]
    features: Answer
    features_before: Answer
    feature_centres: Answer
    feature_weeks: Answer
    team_tiers: Answer
    tiers: Answer
    tiers_before: Answer
    quarter: Quarter
    targets: Mapping[str, Target]
    options: Mapping[str, Any]
    counters: Mapping[str, int | str]


def collect_strategy(books: Books, control: ControlStore, choice: MonthChoice) -> Strategy:
    """Ask everything; budgets stand only where nothing but a team narrows the page, as they bind all of its work."""
    foretell(books, choice.period, choice.before, choice.trend)
    asks = Asking(books, choice)
    both, week = ("feature", "team"), Grain.WEEK
    measures = ("cost", "tasks_completed", "completion_rate", "cost_per_completed_task")
    features = asks(measures, both, top=FEATURES_SHOWN)
    these = _these(features)
    whole = all(item.dimension == "team" for item in choice.where)
    quarter = quarter_at(choice.start, fiscal_month(control))
    return Strategy(
        choice=choice,
        now=asks(_HEADLINE),
        before=asks(_HEADLINE, period=choice.before),
        weeks=asks(("cost",), ("centre",), grain=week, period=choice.trend),
        shares=asks(("embedding_share", "retrieval_share"), grain=week, period=choice.trend),
        teams=outlooks(books.ask, choice.month, choice.now, "team", choice.where),
        budgets=allotments(control, [choice.month], choice.present)[0] if whole else {},
        features=features,
        features_before=asks(("cost_per_completed_task",), both, period=choice.before, where=these),
        feature_centres=asks(("cost",), (*both, "centre"), where=these),
        feature_weeks=asks(("cost_per_completed_task",), both, grain=week, period=choice.trend, where=these),
        team_tiers=asks(("inference_cost",), ("team", "model_tier"), top=TIERS_MAX),
        tiers=asks(("inference_cost",), ("model_tier",)),
        tiers_before=asks(("inference_cost",), ("model_tier",), period=choice.before),
        quarter=quarter,
        targets=targets_in(control, quarter),
        options={name: asks.options(name) for name in _OPTIONS},
        counters=books.counters(),
    )


def _these(features: Answer) -> tuple[Filter, ...]:
    """Only the features that are shown, where there are more: what nobody sees need not be read."""
    names = tuple(dict.fromkeys(str(row["feature"]) for row in features.rows))
    return (Filter("feature", tuple(name for name in names if name != OTHER)),) if OTHER in names else ()


def strategic_page(found: Strategy) -> dict[str, Any]:
    """What the template of the page needs."""
    choice, total = found.choice, found.now.total
    teams = team_rows(found.teams, found.budgets, choice)
    return {
        "choice": choice,
        "options": found.options,
        "quiet": not found.now.coverage.get("usages"),
        "words": words(found),
        "numbers": numbers(found),
        "banners": banners_of(found.now.coverage, found.now.total),
        "teams": teams,
        "percents": sorted({percent for item in found.budgets.values() for percent in item.percents}),
        "key": charts.key(CENTRES),
        "trend": trends.by_centre(choice, found.weeks, CENTRES),
        "shares": trends.retrieval_shares(choice, found.shares),
        "tiers": tables.tier_rows([row.name for row in teams if row.name], found.team_tiers, found.tiers, choice),
        "frontier": _frontier(found),
        "features": feature_rows(
            found.features,
            found.features_before,
            found.feature_centres,
            found.feature_weeks,
            found.targets,
            choice,
            CENTRES,
        ),
        "quarter": found.quarter.name,
        "total": {
            "cost": money(total.get("cost")),
            "tasks_completed": count(total.get("tasks_completed")),
            "completion_rate": share(total.get("completion_rate")),
            "cost_per_completed_task": money(total.get("cost_per_completed_task")),
        },
        "fresh": freshness_of(found.counters, choice.present),
        "footer": footer_of(found.now.coverage),
    }


def words(found: Strategy) -> str:
    """The window, and which teams pass their budgets when."""
    choice = found.choice
    last = choice.now - timedelta(seconds=1)
    said = (
        f"{'Week ' + str(last.isocalendar().week) + ', month to date ' if not choice.is_over else ''}{_days(choice)}."
    )
    verdicts = [
        (name or "The company", judged(outlook, allotted(found.budgets, name), choice.start.date()))
        for name, outlook in ((COMPANY, found.teams.total), *found.teams.parts.items())
    ]
    passed = [_passed(name, verdict, over=choice.is_over) for name, verdict in verdicts if verdict.day is not None]
    return " ".join([said, *passed]) if passed or not found.budgets else f"{said} No budget is about to be passed."


def _passed(name: str, verdict: Judged, *, over: bool) -> str:
    assert verdict.day is not None
    will = "passed" if over or verdict.word == "over" else "will pass"
    return f"{name} {will} its budget on {verdict.day.day} {verdict.day:%B}."


def numbers(found: Strategy) -> list[Number]:
    """The six numbers, each against the same days of the month before."""
    now, before, choice = found.now.total, found.before.total, found.choice

    def moved(name: str, good: str = "") -> Change | None:
        return change_of(now.get(name), before.get(name), good)

    def behind(**more: str) -> str:
        return trends.sessions_address(choice, choice.start, choice.end, **more)

    multiple, multiplier = now.get("full_cost_multiple"), now.get("retry_multiplier")
    return [
        Number(
            f"Full cost, {choice.window.label}",
            money(now.get("cost")),
            moved("cost"),
            f"vs {_before(choice)}",
            behind(),
        ),
        Number(
            "Per completed task",
            money(now.get("cost_per_completed_task")) if now.get("tasks_completed") else "no task",
            moved("cost_per_completed_task", "down"),
            f"{count(now.get('tasks_completed'))} tasks, {share(now.get('completion_rate'))} completed",
            behind(outcome="done"),
        ),
        Number(
            "Full cost ÷ token bill",
            _multiple(multiple),
            moved("full_cost_multiple", "down"),
            f"{share(now.get('hidden_share'))} is hidden; tokens alone show {money(now.get('inference_cost'))}",
            behind(),
        ),
        Number(
            "Retries & recovery",
            share(now.get("retry_share")),
            moved("retry_share", "down"),
            f"of full cost; they multiply inference by {_multiple(multiplier)}",
            behind(order="retries"),
        ),
        Number(
            "Embedding share",
            share(now.get("embedding_share")),
            moved("embedding_share"),
            "of full cost",
            behind(centre="retrieval"),
        ),
        Number(
            "Retrieval share",
            share(now.get("retrieval_share")),
            moved("retrieval_share"),
            "of full cost: embedding, search, reranking",
            behind(centre="retrieval"),
        ),
    ]


def _frontier(found: Strategy) -> dict[str, Any]:
    now, before = tables.frontier(found.tiers), tables.frontier(found.tiers_before)
    return {"share": UNKNOWN if now is None else share(now), "change": change_of(now, before)}


def _multiple(value: object) -> str:
    return formats.multiple(str(value)) if decimal_of(value) is not None else UNKNOWN


def _days(choice: MonthChoice) -> str:
    """`1 to 23 November`, `1 to 31 October 2026` where the month is over."""
    last = (choice.now - timedelta(seconds=1)).day
    return f"{choice.start.day} to {last} {choice.start:%B}" + (f" {choice.start:%Y}" if choice.is_over else "")


def _before(choice: MonthChoice) -> str:
    first = datetime.fromtimestamp((choice.before.start_ns or 0) // 10**9, choice.now.tzinfo)
    last = datetime.fromtimestamp(((choice.before.end_ns or 1) - 1) // 10**9, choice.now.tzinfo)
    return f"{first.day} to {last.day} {first:%B}"
