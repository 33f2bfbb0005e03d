"""Books in miniature: answer a page's questions from a list of plain rows, without a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from outlay.core.errors import QueryError
from outlay.core.period import Grain, ns_of
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query
from outlay.metrics.session import SessionDetail
from outlay.metrics.steps import StepsAsked

NOW = datetime(2026, 11, 23, 14, 52, tzinfo=UTC)

Rows = Sequence[Mapping[str, Any]]


def work(days_ago: float, cost: str, centre: str = "inference", **facts: Any) -> dict[str, Any]:
    """One usage; `task` is done, failed or empty where the row ends no task."""
    row = {
        "time": NOW - timedelta(days=days_ago),
        "cost": Decimal(cost),
        "centre": centre,
        "team": "onboarding",
        "feature": "kyc-onboarding",
        "environment": "production",
        "session": f"kyc-{int(days_ago * 10)}",
        "model_tier": "mid" if centre == "inference" else "",
        "outcome": "done",
        "task": "",
        "agent": "kyc-agent",
        "customer": "(untagged)",
        "user": "(none)",
        "model": "gpt-5.4",
        "product_line": "Onboarding",
        "task_type": "customer_activated",
        "provider": "openai",
        "user_tier": "pro",
    }
    return row | facts


def company() -> list[dict[str, Any]]:
    """Two teams over twelve weeks: every centre, two tiers, a task a week each."""
    rows: list[dict[str, Any]] = []
    for week in range(12):
        at = week * 7 + 0.5
        review = {"team": "documents", "feature": "contract-review", "session": f"doc-{week}"}
        rows += [
            work(at, f"{40 + week}", task="done"),
            work(at, f"{9 - week // 2}", "retries"),
            work(at, "3.5", "retrieval"),
            work(at, "4", "guardrails"),
            work(at, "1.25", "tools"),
            work(at, "6", "orchestration"),
            work(at, "30", **review, model_tier="frontier", task="done"),
            work(at, "2", "orchestration", **review),
        ]  # fmt: skip
    return rows


def _cost(rows: Rows, *centres: str) -> Decimal:
    return sum((row["cost"] for row in rows if not centres or row["centre"] in centres), Decimal(0))


def _ratio(over: Decimal | int, under: Decimal | int) -> str | None:
    return f"{Decimal(over) / Decimal(under):.9f}" if under else None


def _tasks(rows: Rows, *status: str) -> int:
    return sum(row["task"] in (status or ("done", "failed")) for row in rows)


MEASURES: dict[str, Callable[[Rows], str | int | None]] = {
    "cost": lambda rows: str(_cost(rows)),
    "inference_cost": lambda rows: str(_cost(rows, "inference")),
    "retry_cost": lambda rows: str(_cost(rows, "retries")),
    "hidden_share": lambda rows: _ratio(_cost(rows) - _cost(rows, "inference"), _cost(rows)),
    "full_cost_multiple": lambda rows: _ratio(_cost(rows), _cost(rows, "inference")),
    "retry_share": lambda rows: _ratio(_cost(rows, "retries"), _cost(rows)),
    "retrieval_share": lambda rows: _ratio(_cost(rows, "retrieval"), _cost(rows)),
    "embedding_share": lambda rows: _ratio(_cost(rows, "retrieval") / 2, _cost(rows)),
    "tasks": _tasks,
    "tasks_completed": lambda rows: _tasks(rows, "done"),
    "completion_rate": lambda rows: _ratio(_tasks(rows, "done"), _tasks(rows)),
    "cost_per_completed_task": lambda rows: _ratio(_cost(rows), _tasks(rows, "done")),
    "retry_multiplier": lambda rows: _ratio(_cost(rows, "inference", "retries"), _cost(rows, "inference")),
    "value_per_completed_task": lambda rows: _ratio(146 * _tasks(rows, "done"), _tasks(rows, "done")),
    "cost_to_value": lambda rows: _ratio(_cost(rows), 146 * _tasks(rows, "done")),
    "outcome_value": lambda rows: str(146 * _tasks(rows, "done")),
    "sessions": lambda rows: len({row["session"] for row in rows}),
    "session_seconds": lambda rows: str(2_280 * len({row["session"] for row in rows})),
    "retry_rate": lambda rows: _ratio(sum(row["centre"] == "retries" for row in rows), len(rows)),
    "cost_per_session": lambda rows: _ratio(_cost(rows), len({row["session"] for row in rows})),
    "usages": len,
    "retries": lambda rows: sum(row["centre"] == "retries" for row in rows),
    "total_tokens": lambda rows: 1_000_000 * len(rows),
    "unpriced_tokens": lambda rows: 0,
}


@dataclass
class Miniature:
    """Books over `rows`; `coverage` and `through` are said as they stand."""

    rows: Rows = field(default_factory=company)
    coverage: Mapping[str, Any] = field(default_factory=dict)
    through: str = "2026-11-23T14:50:00Z"
    asked: list[Query] = field(default_factory=list)

    def ask(self, query: Query) -> Answer:
        """See Books."""
        self.asked.append(query)
        rows = [row for row in self.rows if _meets(row, query)]
        groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for row in rows:
            bucket = (_bucket(row["time"], query.grain),) if query.grain else ()
            groups.setdefault((*bucket, *(row[name] for name in query.by)), []).append(row)
        names = (*(("time",) if query.grain else ()), *query.by)
        told = (
            [dict(zip(names, key, strict=True)) | _measured(query, group) for key, group in groups.items()]
            if names
            else []
        )
        return Answer({}, _ranked(told, query), _measured(query, rows), self._coverage(rows))

    def values(self, dimension: str) -> Sequence[str]:
        """See Books."""
        return sorted({str(row[dimension]) for row in self.rows})

    def like(self, dimension: str, text: str) -> Sequence[str]:
        """See Books."""
        held = [value for value in self.values(dimension) if text.lower() in value.lower()]
        return sorted(held, key=lambda value: (value != text, value))[:8]

    def session(self, session_id: str, steps: StepsAsked | None = None) -> SessionDetail:
        """See Books."""
        raise QueryError(f'no session is called "{session_id}"', hint="outlay sessions lists them")

    @contextmanager
    def moment(self) -> Iterator[Self]:
        """These books do not change."""
        yield self

    def counters(self) -> Mapping[str, int | str]:
        """See Books."""
        return {"metered_through": self.through}

    def _coverage(self, rows: Rows) -> dict[str, Any]:
        said = {
            "usages": len(rows),
            "unpriced_usages": 0,
            "unpriced_models": [],
            "recorded_share": "0.2",
            "priced_share": "0.8",
            "estimated_share": "0",
            "attributed_share": "1",
            "untagged_cost": {"team": "0"},
            "superseded_usages": 0,
            "orchestration_gap": False,
        }
        return said | dict(self.coverage)


def _measured(query: Query, rows: Rows) -> dict[str, Any]:
    return {name: MEASURES[name](rows) for name in query.measures}


def _meets(row: Mapping[str, Any], query: Query) -> bool:
    start, end = query.period.start_ns, query.period.end_ns
    at = ns_of(row["time"])
    inside = (start is None or at >= start) and (end is None or at < end)
    return inside and all((row[item.dimension] in item.values) != item.exclude for item in query.where)


def _bucket(moment: datetime, grain: Grain) -> str:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    start = {
        Grain.HOUR: moment.replace(minute=0, second=0, microsecond=0),
        Grain.DAY: midnight,
        Grain.WEEK: midnight - timedelta(days=midnight.weekday()),
        Grain.MONTH: midnight.replace(day=1),
    }[grain]
    return start.replace(tzinfo=None).isoformat() + "Z"


def _ranked(rows: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    def rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
        value = row[query.ranked_by.name]
        return (Decimal(value),) if query.ranked_by.name in MEASURES and value is not None else (str(value),)

    ranked: Iterable[dict[str, Any]] = sorted(rows, key=rank, reverse=query.ranked_by.descending)
    return list(ranked)[: None if query.grain else query.top]  # of a series, `top` counts groups and not rows
