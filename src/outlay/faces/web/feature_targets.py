"""Features against their targets: what a completed task costs, where that goes, and the verdict; a row a feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from markupsafe import Markup

from outlay.control.targets import Target
from outlay.core.money import decimal_text, nano_of
from outlay.faces import formats
from outlay.faces.web import charts, tables
from outlay.faces.web.changes import Change, change_of, decimal_of
from outlay.faces.web.figures import bucket_of
from outlay.faces.web.months import MonthChoice
from outlay.faces.web.tables import Centres, Key, count, money, share
from outlay.faces.web.trends import sessions_address
from outlay.govern.targets import Verdict, verdict_of
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One line of the table."""

    feature: str
    team: str
    href: str
    sessions_href: str
    cost: str
    completed: str
    completion: str
    bar: Markup
    spark: Markup
    per_task: str
    change: Change | None
    target: str
    verdict: str
    tone: str


def feature_rows(
    features: Answer,
    before: Answer,
    centres: Answer,
    weeks: Answer,
    targets: Mapping[str, Target],
    choice: MonthChoice,
    words: Centres,
) -> list[FeatureRow]:
    """The dearest features first."""
    both: Key = ("feature", "team")
    earlier = {tables.key_of(row, both): row for row in before.rows}
    parts = tables.parts_of(centres.rows, both, "centre", words)
    trend: dict[Key, dict[datetime, Decimal | None]] = {}
    for row in weeks.rows:
        found = trend.setdefault(tables.key_of(row, both), {})
        found[bucket_of(row)] = decimal_of(row.get("cost_per_completed_task"))
    rows = []
    for row in features.rows:
        key = tables.key_of(row, both)
        feature, per_task = str(row["feature"]), row.get("cost_per_completed_task")
        other, target = feature == OTHER, targets.get(feature)
        moved = change_of(per_task, earlier.get(key, {}).get("cost_per_completed_task"), "down")
        verdict = verdict_of(
            None if decimal_of(per_task) is None else nano_of(per_task),
            None if target is None else target.amount_nano,
            row.get("tasks_completed") or 0,
        )
        word, tone = verdict_words(verdict)
        values = [trend.get(key, {}).get(start) for start in choice.buckets]
        limit = None if target is None else Decimal(decimal_text(target.amount_nano))
        said = f"{feature}: cost per completed task over {len(values)} weeks"
        rows.append(
            FeatureRow(
                feature=feature,
                team="" if other or row["team"] == feature else str(row["team"]),
                href="" if other else tables.feature_address(feature, choice),
                sessions_href="" if other else sessions_address(choice, choice.start, choice.end, feature=feature),
                cost=money(row.get("cost")),
                completed=count(row.get("tasks_completed")),
                completion=share(row.get("completion_rate")),
                bar=charts.micro_stack(parts[key], feature),
                spark=charts.sparkline(values, spark_tone(tone), said, limit),
                per_task=money(per_task) if row.get("tasks_completed") else "no task",
                change=moved,
                target="no target" if target is None else formats.nano(target.amount_nano),
                verdict="" if other else word,
                tone=tone,
            )
        )
    return rows


def verdict_words(verdict: Verdict) -> tuple[str, str]:
    """A verdict in words, and its tone."""
    over = "" if verdict.over is None else f"{abs(round(verdict.over * 100))} %"
    match verdict.word:
        case "met":
            return "met", "good"
        case "near":
            return f"{over} over", "warn"
        case "over":
            return f"{over} over", "bad"
        case "few":
            return "few tasks", "plain"
        case "open":
            return "no task yet", "plain"
        case _:
            return "set a target", "plain"


def spark_tone(tone: str) -> str:
    """A line is red where the verdict is; good news stays grey."""
    return "bad" if tone == "bad" else "plain"
