"""View: answers become the words and charts of a page. Formats and scales; every figure is an answer's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from outlay.core.charge import UNPRICED
from outlay.faces import formats
from outlay.faces.web import charts, tables, trends
from outlay.faces.web.changes import Change, change_of, decimal_of
from outlay.faces.web.choice import WINDOWS, Choice
from outlay.faces.web.figures import Figures
from outlay.faces.web.tables import count, money, share
from outlay.faces.words import CENTRES
from outlay.metrics.measures import UNKNOWN

TASKS_MIN = 5
"""Completed tasks a feature has before its cost per task is called the largest."""

STALE_AFTER = timedelta(hours=1)
UNTAGGED_SHARE_MIN = Decimal("0.005")
"""Less than half a per cent without a tag is not worth a banner; the footer says it anyway."""


@dataclass(frozen=True, slots=True)
class Number:
    """One of the six: what it is, the figure, its change, what it is measured against, and where it leads."""

    label: str
    figure: str
    change: Change | None
    against: str
    href: str = ""


def page_of(figures: Figures) -> dict[str, Any]:
    """What the template of the page needs."""
    choice, total = figures.choice, figures.now.total
    return {
        "choice": choice,
        "windows": WINDOWS.values(),
        "options": figures.options,
        "empty": not figures.now.coverage.get("usages") and not figures.counters.get("metered_through"),
        "quiet": not figures.now.coverage.get("usages"),
        "span": _span(choice),
        "lede": lede(figures),
        "numbers": numbers(figures),
        "banners": banners(figures),
        "key": charts.key(CENTRES),
        "trend": trends.by_centre(choice, figures.trend, CENTRES),
        "shares": trends.retrieval_shares(choice, figures.shares),
        "teams": tables.teams(figures, CENTRES),
        "features": tables.features(figures, CENTRES),
        "tiers": tables.tiers(figures),
        "sessions": tables.sessions(figures.sessions, CENTRES),
        "total": {
            "cost": money(total.get("cost")),
            "sessions": count(total.get("sessions")),
            "tasks_completed": count(total.get("tasks_completed")),
            "completion_rate": share(total.get("completion_rate")),
            "cost_per_completed_task": money(total.get("cost_per_completed_task")),
            "hidden_share": share(total.get("hidden_share")),
        },
        "fresh": freshness_of(figures.counters, choice.now),
        "footer": footer(figures),
    }


def lede(figures: Figures) -> Markup:
    """The overall figures in a few sentences."""
    now, before, window = figures.now.total, figures.before.total, figures.choice.window
    moved = change_of(now.get("cost"), before.get("cost"))
    than = f", {_more(moved)} than in the {window.label} before" if moved else ""
    told = [Markup("In {}, the agents cost <b>{}</b>{}.").format(window.words, money(now.get("cost")), than)]
    if decimal_of(now.get("hidden_share")):
        told.append(
            Markup("The token bill shows <b>{}</b> of it; the other {} is work around the model.").format(
                money(now.get("inference_cost")), share(now.get("hidden_share"))
            )
        )
    told.append(_tasks_told(now, before))
    told += _dearest_told(figures)
    worst = max(figures.features.rows, key=lambda row: decimal_of(row.get("retry_cost")) or Decimal(0), default=None)
    if worst is not None and decimal_of(worst.get("retry_cost")):
        told.append(
            Markup("Most is lost to retries in <b>{}</b>: {}.").format(worst["feature"], money(worst["retry_cost"]))
        )
    return Markup(" ").join(told)


def _dearest_told(figures: Figures) -> list[Markup]:
    """The feature whose completed task costs most, with the way to why; a few tasks are no finding."""
    ended = [row for row in figures.features.rows if int(row.get("tasks_completed") or 0) >= TASKS_MIN]
    named = [row for row in ended if not str(row["feature"]).startswith("(")]
    if len(named) < 2:
        return []
    dearest = max(named, key=lambda row: decimal_of(row.get("cost_per_completed_task")) or Decimal(0))
    href = tables.feature_address(str(dearest["feature"]), figures.choice)
    told = Markup('It costs most in <a href="{}">{}</a>: <b>{}</b>.')
    return [told.format(href, dearest["feature"], money(dearest.get("cost_per_completed_task")))]


def _tasks_told(now: Mapping[str, Any], before: Mapping[str, Any]) -> Markup:
    if not now.get("tasks_completed"):
        return Markup("No task was reported as completed.")
    moved = change_of(now.get("cost_per_completed_task"), before.get("cost_per_completed_task"), "down")
    verdict = Markup(", <span class='{}'>{}</span> than before").format(moved.tone, _more(moved)) if moved else ""
    told = Markup("<b>{}</b> tasks were completed at <b>{}</b> each{}.").format(
        count(now["tasks_completed"]), money(now.get("cost_per_completed_task")), verdict
    )
    if decimal_of(now.get("outcome_value")):
        told += Markup(" They were worth <b>{}</b>.").format(money(now["outcome_value"]))
    return told


def _more(change: Change) -> str:
    if change.words == "unchanged":
        return "no more"
    return change.words.removeprefix("up ").removeprefix("down ") + (
        " more" if change.words.startswith("up") else " less"
    )


def numbers(figures: Figures) -> list[Number]:
    """The six numbers."""
    now, before = figures.now.total, figures.before.total
    choice = figures.choice
    versus = f"vs {_day(choice.start - (choice.now - choice.start))} to {_day(choice.start)}"
    if not figures.before.coverage.get("usages"):
        versus = "nothing is known of the time before"

    def moved(name: str, good: str = "") -> Change | None:
        return change_of(now.get(name), before.get(name), good)

    retries = tables.largest_share(figures, "retry_cost")
    multiple = now.get("full_cost_multiple")
    frontier, frontier_before = tables.frontier(figures.tiers), tables.frontier(figures.tiers_before)
    return [
        Number(f"Full cost, {choice.window.label}", money(now.get("cost")), moved("cost"), versus),
        Number(
            "Per completed task",
            money(now.get("cost_per_completed_task")) if now.get("tasks_completed") else "no task",
            moved("cost_per_completed_task", "down"),
            f"{count(now.get('tasks_completed'))} tasks, {share(now.get('completion_rate'))} completed",
        ),
        Number(
            "Full cost ÷ token bill",
            formats.multiple(str(multiple)) if decimal_of(multiple) is not None else UNKNOWN,
            moved("full_cost_multiple", "down"),
            f"tokens alone show {money(now.get('inference_cost'))}",
        ),
        Number(
            "Retries & recovery", share(now.get("retry_share")), moved("retry_share", "down"), retries or "of full cost"
        ),
        Number(
            "Embedding & retrieval",
            share(now.get("retrieval_share")),
            moved("retrieval_share"),
            f"of full cost; embedding {share(now.get('embedding_share'))}",
        ),
        Number("Frontier share", share(frontier), change_of(frontier, frontier_before), "of inference spend"),
    ]


def banners(figures: Figures) -> list[tuple[str, str]]:
    """What is missing from the figures above, with the address that shows it."""
    return banners_of(figures.now.coverage, figures.now.total)


def banners_of(coverage: Mapping[str, Any], total: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same of any answer."""
    told: list[tuple[str, str]] = []
    usages = coverage.get("unpriced_usages")
    if usages:
        models = ", ".join(str(model["model"]) for model in coverage.get("unpriced_models", ()))
        text = f"{count(usages)} usages have no price and are not in these sums{_of_tokens(total)}: {models}."
        told.append((text, "/api/v1/spend?by=model_raw&measures=unpriced_usages,unpriced_tokens"))
    attributed = decimal_of(coverage.get("attributed_share"))
    if attributed is not None and 1 - attributed >= UNTAGGED_SHARE_MIN:
        untagged = money(coverage.get("untagged_cost", {}).get("team"))
        told.append(
            (
                f"{untagged} carries no team tag ({share(str(1 - attributed))} of full cost).",
                "/overview?team=%28untagged%29",
            )
        )
    if coverage.get("orchestration_gap"):
        told.append(("Orchestration is not in these sums: no rate card is configured.", ""))
    return told


def _of_tokens(total: Mapping[str, Any]) -> str:
    unpriced, tokens = decimal_of(total.get("unpriced_tokens")), decimal_of(total.get("total_tokens"))
    return f" ({formats.share(str(unpriced / tokens))} of the tokens)" if unpriced and tokens else ""


def freshness_of(counters: Mapping[str, int | str], now: datetime) -> dict[str, str]:
    """The dot in the corner: green while facts come in, amber with the time of the last one when they stopped."""
    latest = str(counters.get("metered_through") or "")
    if not latest:
        return {"tone": "plain", "text": "nothing metered yet"}
    moment = datetime.fromisoformat(latest).astimezone(UTC)
    stale = now - moment > STALE_AFTER
    when = f"{moment:%H:%M}" if moment.date() == now.date() else _moment(moment)
    return (
        {"tone": "stale", "text": f"last fact {when}"} if stale else {"tone": "good", "text": f"metered through {when}"}
    )


def footer(figures: Figures) -> list[str]:
    """How the figures were obtained, and what was checked."""
    return [*footer_of(figures.now.coverage), _checked(figures)]


def footer_of(coverage: Mapping[str, Any]) -> list[str]:
    """How figures were obtained, and what they lack."""
    parts = [f"{share(coverage.get(f'{name}_share'))} {name}" for name in ("recorded", "priced", "estimated")]
    told = [
        ", ".join(parts),
        f"{count(coverage.get('unpriced_usages', 0))} usages {UNPRICED}",
        f"{share(coverage.get('attributed_share'))} attributed to a team",
    ]
    if coverage.get("superseded_usages"):
        told.append(f"{count(coverage['superseded_usages'])} repeated reports not counted")
    return told


def _checked(figures: Figures) -> str:
    """Conservation, looked at on this very page: cost centres against the total."""
    parts = [decimal_of(row.get("cost")) for row in figures.team_centres.rows]
    total = decimal_of(figures.now.total.get("cost"))
    if total is None or None in parts:
        return "the sums cannot be checked where amounts are unknown"
    whole = sum((part for part in parts if part is not None), Decimal(0))
    return (
        "teams and cost centres add up to the full cost"
        if whole == total
        else f"sums differ by {money(str(whole - total))}"
    )


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b}"


def _span(choice: Choice) -> str:
    """From when to when, with the year where it is not one and the same."""
    year = "" if choice.start.year == choice.now.year else f" {choice.start.year}"
    return f"{_day(choice.start)}{year} {choice.start:%H:%M} to {_day(choice.now)} {choice.now:%Y %H:%M}"


def _moment(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %H:%M}"


__all__ = ["CENTRES", "Choice", "Number", "page_of"]
