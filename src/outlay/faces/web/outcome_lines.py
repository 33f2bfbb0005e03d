"""Product lines by what an outcome costs: this month, a year ago, over thirteen months, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup

from outlay.faces import formats
from outlay.faces.web import charts
from outlay.faces.web.changes import Change, change_of, decimal_of
from outlay.faces.web.figures import bucket_of
from outlay.faces.web.months import MonthChoice
from outlay.faces.web.tables import count, money, share
from outlay.faces.web.trends import sessions_address
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import NONE, OTHER
from outlay.metrics.measures import UNKNOWN

_KINDS_NAMED = 3


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line of the table."""

    name: str
    kinds: str
    href: str
    outcomes: str
    cost: str
    spark: Markup
    each: str
    year_ago: str
    change: Change | None
    value_each: str
    ratio: str


def line_rows(lines: Answer, year_ago: Answer, months: Answer, kinds: Answer, choice: MonthChoice) -> list[LineRow]:
    """The dearest product lines first."""
    earlier = {str(row["product_line"]): row.get("cost_per_completed_task") for row in year_ago.rows}
    trend: dict[str, dict[datetime, Decimal | None]] = {}
    for row in months.rows:
        found = trend.setdefault(str(row["product_line"]), {})
        found[bucket_of(row).astimezone(UTC)] = decimal_of(row.get("cost_per_completed_task"))
    words = _kinds(kinds)
    rows = []
    for row in lines.rows:
        name, each = str(row["product_line"]), row.get("cost_per_completed_task")
        moved = change_of(each, earlier.get(name), "down")
        values = [trend.get(name, {}).get(start) for start in choice.months]
        tone = moved.tone if moved else "plain"
        other = name == OTHER
        rows.append(
            LineRow(
                name=name,
                kinds="" if other else words.get(name, ""),
                href="" if other else sessions_address(choice, choice.start, choice.end, product_line=name),
                outcomes=count(row.get("tasks_completed")),
                cost=money(row.get("cost")),
                spark=charts.sparkline(values, tone, f"{name}: cost per outcome over 13 months"),
                each=money(each) if row.get("tasks_completed") else "no outcome",
                year_ago=_known(earlier.get(name)),
                change=moved,
                value_each=_worth(row.get("value_per_completed_task")),
                ratio=share(row.get("cost_to_value")),
            )
        )
    return rows


def _kinds(answer: Answer) -> Mapping[str, str]:
    """The kinds of outcome of each line, in the words of the sources, the commonest first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in answer.rows:
        if row.get("tasks_completed") and row["task_type"] not in {NONE, OTHER}:
            told = str(row["task_type"]).replace("_", " ")
            found.setdefault(str(row["product_line"]), []).append((-row["tasks_completed"], told))
    return {
        line: ", ".join(word for _, word in sorted(words)[:_KINDS_NAMED])
        + (f" and {len(words) - _KINDS_NAMED} more" if len(words) > _KINDS_NAMED else "")
        for line, words in found.items()
    }


def _known(value: object) -> str:
    return "no earlier" if decimal_of(value) is None else formats.money(str(value))


def _worth(value: object) -> str:
    known = decimal_of(value)
    return UNKNOWN if known is None else formats.money(str(value)) if known else "not stated"
