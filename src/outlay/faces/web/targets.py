"""The page of targets: a quarter reviewed feature by feature, ready for a retrospective and for the printer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from outlay.core.errors import InputError
from outlay.core.money import decimal_text
from outlay.core.period import ns_of
from outlay.faces import formats
from outlay.faces.web import charts
from outlay.faces.web.changes import Change, change_of
from outlay.faces.web.choice import Choice
from outlay.faces.web.feature_targets import spark_tone, verdict_words
from outlay.faces.web.figures import Asking
from outlay.faces.web.months import parse_month
from outlay.faces.web.trends import sessions_address
from outlay.faces.web.view import footer_of, freshness_of
from outlay.faces.web.visit import Order, Visit
from outlay.faces.words import CENTRES
from outlay.govern.targets import (
    Quarter,
    Review,
    Reviewed,
    fiscal_month,
    quarter_at,
    quarter_named,
    review,
    targets_in,
)
from outlay.metrics.measures import UNKNOWN

QUARTERS_SHOWN = 5
_OPTIONS = ("team", "product_line")


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One feature: its figures, its verdict, what moved it and what was decided."""

    feature: str
    team: str
    href: str
    sessions_href: str
    per_task: str
    before: str
    change: Change | None
    completed: str
    completion: str
    spark: Markup
    target: str
    verdict: str
    tone: str
    moved: Sequence[tuple[str, str]]
    words: str
    note: str
    decision: str


def targets_page(visit: Visit) -> dict[str, Any]:
    """What the template of the page needs. Raises InputError for a quarter there is not."""
    said = visit.asked.get("quarter", "").strip()
    month = fiscal_month(visit.control.store)
    quarter = quarter_named(said, month) if said else quarter_at(visit.now, month)
    choice = parse_month({name: value for name, value in visit.asked.items() if name != "month"}, visit.now, "/targets")
    targets = targets_in(visit.control.store, quarter)
    begun = quarter.start <= visit.now
    found = review(visit.books.ask, targets, quarter, choice.present, choice.where) if begun else None
    asks = Asking(visit.books, choice)
    rows = [] if found is None else [_row(row, quarter, choice) for row in found.rows]
    return {
        "choice": choice,
        "options": {name: asks.options(name) for name in _OPTIONS},
        "quarter": quarter,
        "quarters": _quarters(quarter_at(visit.now, month), quarter),
        "begun": begun,
        "words": _words(found, quarter, visit),
        "rows": rows,
        "centres": [(name, word) for name, word in CENTRES.items()],
        "waiting": []
        if begun
        else [(target.feature, formats.nano(target.amount_nano), target.note) for target in targets.values()],
        "features": sorted({row.feature for row in rows} | set(targets)) or asks.options("feature"),
        "settable": [quarter.name, *(name for name in (quarter.after.name,) if name != quarter.name)],
        "fresh": freshness_of(visit.books.counters(), visit.now),
        "footer": [] if found is None else footer_of(found.answer.coverage),
    }


def change_targets(order: Order) -> str:
    """Sets a target, takes one away or writes down a decision, as the button said."""
    order.demand("govern")
    what, feature, quarter = (order.fields.get(name, "") for name in ("do", "feature", "quarter"))
    match what:
        case "set":
            order.control.set_target(order.said("feature", "amount", "quarter", "note"))
        case "decide":
            order.control.decide_target(feature, order.said("quarter", "decision"))
        case "remove":
            order.control.remove_target(feature, quarter)
        case _:
            raise InputError(f'"{what}" is nothing to do with a target', hint="set, decide or remove")
    return "/targets" + (f"?{urlencode({'quarter': quarter})}" if quarter else "")


def _row(row: Reviewed, quarter: Quarter, choice: Choice) -> ReviewRow:
    word, tone = verdict_words(row.verdict)
    per_task, before = row.now.per_task_nano, row.before.per_task_nano
    target = None if row.target is None else Decimal(decimal_text(row.target.amount_nano))
    weeks = [None if nano is None else Decimal(decimal_text(nano)) for _, nano in row.weeks]
    stretch = {"since": f"{quarter.start:%Y-%m-%d}", "until": f"{quarter.end:%Y-%m-%d}"}
    return ReviewRow(
        feature=row.feature,
        team="" if row.team == row.feature else row.team,
        href=f"/features/{row.feature}?{urlencode(stretch)}",
        sessions_href=sessions_address(choice, quarter.start, quarter.end, feature=row.feature),
        per_task="no task" if not row.now.tasks_completed else _money(per_task),
        before="no earlier" if before is None else formats.nano(before),
        change=None
        if per_task is None or before is None
        else change_of(decimal_text(per_task), decimal_text(before), "down"),
        completed=formats.count(row.now.tasks_completed),
        completion=UNKNOWN if row.now.completion_rate is None else formats.share(row.now.completion_rate),
        spark=charts.sparkline(weeks, spark_tone(tone), f"{row.feature}: cost per completed task by week", target),
        target="no target" if row.target is None else formats.nano(row.target.amount_nano),
        verdict=word,
        tone=tone,
        moved=[(_signed(row.moved_nano[name]) if name in row.moved_nano else "", name) for name in CENTRES],
        words=_moved(row),
        note="" if row.target is None else row.target.note,
        decision="" if row.target is None else row.target.decision,
    )


def _moved(row: Reviewed) -> str:
    """What moved it most, in a sentence; empty where nothing is known of the quarter before."""
    if not row.moved_nano or row.now.per_task_nano is None or row.before.per_task_nano is None:
        return ""
    whole = row.now.per_task_nano - row.before.per_task_nano
    if not whole:
        return "Costs what it did the quarter before."
    name, most = max(row.moved_nano.items(), key=lambda item: item[1] if whole > 0 else -item[1])
    way = "dearer" if whole > 0 else "cheaper"
    return f"{formats.nano(abs(whole))} {way} a task; most of it {CENTRES.get(name, name).lower()} ({_signed(most)})."


def _words(found: Review | None, quarter: Quarter, visit: Visit) -> str:
    if found is None:
        return f"{quarter.name} begins on {quarter.start.day} {quarter.start:%B %Y}; what is set for it waits."
    counts = {
        "met": found.counted("met"),
        "near": found.counted("near"),
        "over": found.counted("over"),
        "without a target": found.counted("none"),
    }
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no feature cost anything"
    last = min(quarter.end, visit.now) - timedelta(seconds=1)
    return f"{quarter.name}, {quarter.start.day} {quarter.start:%B} to {last.day} {last:%B}: {told}."


def _quarters(present: Quarter, shown: Quarter) -> list[str]:
    """The quarters one can turn to: the one to come, this one and those before it."""
    told = [present.after]
    while len(told) < QUARTERS_SHOWN + 1:
        told.append(told[-1].before)
    names = {ns_of(quarter.start): quarter.name for quarter in (*told, shown)}
    return [names[start] for start in sorted(names, reverse=True)]


def _money(nano: int | None) -> str:
    return "(unpriced)" if nano is None else formats.nano(nano)


def _signed(nano: int) -> str:
    return formats.nano(nano) if nano < 0 else f"+{formats.nano(nano)}" if nano else formats.nano(0)
