"""One feature as a page: what a completed task of it costs, why, and the sessions behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from outlay.faces import formats
from outlay.faces.task_reasons import why_each
from outlay.faces.web import tables
from outlay.faces.web.changes import change_of, decimal_of
from outlay.faces.web.choice import WINDOWS, Choice
from outlay.faces.web.figures import Asking, Books, session_figures
from outlay.faces.web.view import Number
from outlay.faces.words import CENTRES
from outlay.metrics.measures import UNKNOWN
from outlay.metrics.query import Order
from outlay.metrics.task_cost import TaskCost, task_cost

SESSIONS_SHOWN = 10
_TITLES = {
    "centre": "By cost centre",
    "outcome": "By what became of the work",
    "model": "By model",
    "agent": "By agent",
}

Row = Mapping[str, Any]


def feature_page(books: Books, feature: str, choice: Choice) -> dict[str, Any]:
    """What the template needs. Raises QueryError for a feature without work in the period."""
    found = task_cost(books.ask, feature, choice.period)
    asking = Asking(books, choice)
    return {
        "choice": choice,
        "windows": WINDOWS.values(),
        "feature": feature,
        "numbers": _numbers(found, choice),
        "why": why_each(found),
        "parts": [_part(title, name, found) for name, title in _TITLES.items()],
        "sessions": tables.sessions(session_figures(asking, SESSIONS_SHOWN, Order("cost")), CENTRES),
        "sessions_href": "/sessions?" + _sessions(choice),
        "lost_href": "/sessions?" + _sessions(choice, outcome="failed"),
    }


def _sessions(choice: Choice, **more: str) -> str:
    return urlencode({name: value for name, value in {**choice.said, **more}.items() if value})


def _numbers(found: TaskCost, choice: Choice) -> list[Number]:
    total, before, usual = found.total, found.before, found.usual

    def beside(name: str, show: Any) -> str:
        return f"{show(usual.get(name))} over all features"

    per_task = total.get("cost_per_completed_task")
    return [
        Number(
            "Per completed task",
            tables.money(per_task) if total.get("tasks_completed") else "no task",
            change_of(per_task, before.get("cost_per_completed_task"), "down"),
            beside("cost_per_completed_task", tables.money),
        ),
        Number(
            f"Full cost, {choice.window.label}",
            tables.money(total.get("cost")),
            change_of(total.get("cost"), before.get("cost")),
            f"{tables.count(total.get('sessions'))} sessions",
        ),
        Number(
            "Completed",
            tables.count(total.get("tasks_completed")),
            change_of(total.get("completion_rate"), before.get("completion_rate"), "up"),
            f"{tables.share(total.get('completion_rate'))} of {tables.count(total.get('tasks'))} tasks",
        ),
        Number(
            "Failure multiplies by",
            _multiple(total.get("retry_multiplier")),
            change_of(total.get("retry_multiplier"), before.get("retry_multiplier"), "down"),
            f"{_multiple(usual.get('retry_multiplier'))} over all features",
        ),
        Number(
            "Hidden share",
            tables.share(total.get("hidden_share")),
            change_of(total.get("hidden_share"), before.get("hidden_share"), "down"),
            beside("hidden_share", tables.share),
        ),
        Number(
            "Steps a completed task",
            _steps(total),
            change_of(_steps_text(total), _steps_text(before), "down"),
            f"{_steps(usual)} over all features",
        ),
    ]


def _part(title: str, name: str, found: TaskCost) -> dict[str, Any]:
    """One split of the whole cost, a row a part, each with what it is of a completed task."""
    rows: Sequence[Row] = sorted(found.parts[name], key=lambda row: -(decimal_of(row.get("cost")) or Decimal(0)))
    whole = decimal_of(found.total.get("cost"))
    done = found.total.get("tasks_completed")
    return {
        "title": title,
        "rows": [
            {
                "name": CENTRES.get(str(row[name]), str(row[name])),
                "cost": tables.money(row.get("cost")),
                "share": formats.share(str(cost / whole))
                if (cost := decimal_of(row.get("cost"))) is not None and whole
                else UNKNOWN,
                "each": formats.money(str(cost / done)) if cost is not None and done else UNKNOWN,
            }
            for row in rows
        ],
    }


def _steps_text(total: Row) -> str | None:
    done = total.get("tasks_completed")
    return f"{Decimal(total['usages']) / done:.9f}" if done and total.get("usages") else None


def _steps(total: Row) -> str:
    text = _steps_text(total)
    return UNKNOWN if text is None else formats.count(round(Decimal(text)))


def _multiple(value: object) -> str:
    return formats.multiple(value) if isinstance(value, str) else UNKNOWN
