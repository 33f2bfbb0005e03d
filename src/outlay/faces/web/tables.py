"""Tables: the rows that prove the figures above them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from outlay.core.charge import UNPRICED
from outlay.core.outcome import OutcomeStatus
from outlay.faces import formats
from outlay.faces.web import charts
from outlay.faces.web.changes import change_of, decimal_of
from outlay.faces.web.choice import Choice
from outlay.faces.web.figures import Figures, Row, SessionFigures, bucket_of
from outlay.faces.web.trends import sessions_address
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER
from outlay.metrics.measures import UNKNOWN

TIERS = {"frontier": "frontier", "mid": "mid", "efficient": "efficient", "(unknown)": "tier unknown"}
_STATES = {OutcomeStatus.DONE.value: "good", OutcomeStatus.FAILED.value: "bad", OutcomeStatus.ABANDONED.value: "warn"}

Centres = Mapping[str, str]
Key = tuple[str, ...]


def teams(figures: Figures, centres: Centres) -> list[dict[str, Any]]:
    """A row a team: spend with its cost centres, drawn to one scale."""
    before = _by(figures.teams_before.rows, ("team",))
    parts = parts_of(figures.team_centres.rows, ("team",), "centre", centres)
    whole = max((decimal_of(row.get("cost")) or Decimal(0) for row in figures.teams.rows), default=Decimal(0))
    total = figures.now.total.get("cost")
    return [
        {
            "team": row["team"],
            "href": "" if row["team"] == OTHER else figures.choice.address(team=str(row["team"])),
            "bar": charts.scaled_stack(parts[key_of(row, ("team",))], whole, str(row["team"])),
            "cost": money(row.get("cost")),
            "share": _part(row.get("cost"), total),
            "change": change_of(row.get("cost"), before.get(key_of(row, ("team",)), {}).get("cost")),
            "sessions": count(row.get("sessions")),
            "hidden": share(row.get("hidden_share")),
            "completed": count(row.get("tasks_completed")),
            "per_task": _per_task(row),
        }
        for row in figures.teams.rows
    ]


def feature_address(feature: str, choice: Choice) -> str:
    """Where the page of a feature is, for the same period."""
    return f"/features/{quote(feature, safe='')}?" + urlencode(choice.stretch)


def features(figures: Figures, centres: Centres) -> list[dict[str, Any]]:
    """A row a feature: what a completed task costs, where that money goes, and how it moved."""
    both = ("feature", "team")
    before = _by(figures.features_before.rows, both)
    parts = parts_of(figures.feature_centres.rows, both, "centre", centres)
    trend: dict[Key, dict[Any, Decimal | None]] = defaultdict(dict)
    for row in figures.feature_trend.rows:
        trend[key_of(row, both)][bucket_of(row)] = decimal_of(row.get("cost_per_completed_task"))
    rows: list[dict[str, Any]] = []
    for row in figures.features.rows:
        key = key_of(row, both)
        moved = change_of(
            row.get("cost_per_completed_task"), before.get(key, {}).get("cost_per_completed_task"), "down"
        )
        values = [trend[key].get(start) for start in figures.choice.buckets]
        words = f"cost per completed task, {len(values)} {figures.choice.window.grain.value}s" + (
            f", {moved.words}" if moved else ""
        )
        other = row["feature"] == OTHER
        rows.append(
            {
                "feature": row["feature"],
                "team": "" if other or row["team"] == row["feature"] else row["team"],
                "href": "" if other else figures.choice.address(feature=str(row["feature"])),
                "cost": money(row.get("cost")),
                "completed": count(row.get("tasks_completed")),
                "completion": share(row.get("completion_rate")),
                "bar": charts.micro_stack(parts[key], str(row["feature"])),
                "spark": charts.sparkline(values, moved.tone if moved else "plain", words),
                "per_task": _per_task(row),
                "why_href": "" if other else feature_address(str(row["feature"]), figures.choice),
                "change": moved,
            }
        )
    return rows


def tiers(figures: Figures) -> dict[str, Any]:
    """Model tier by team: shares of inference spend; the number is the frontier share."""
    names = [str(team["team"]) for team in figures.teams.rows]
    return tier_rows(names, figures.team_tiers, figures.tiers, figures.choice)


def tier_rows(names: Iterable[str], by_team: Answer, by_tier: Answer, choice: Choice) -> dict[str, Any]:
    """A row for each of these teams that spent on inference, and the key of the tiers that occur."""
    parts = parts_of(by_team.rows, ("team",), "model_tier", TIERS)
    rows: list[dict[str, Any]] = []
    for name in names:
        own = parts[(name,)]
        whole = sum((part.value for part in own), Decimal(0))
        if whole > 0:
            top = next((part.value for part in own if part.kind == "frontier"), Decimal(0))
            href = sessions_address(choice, choice.start, choice.now, **({} if name == OTHER else {"team": name}))
            bar = charts.micro_stack(own, name)
            rows.append({"team": name, "bar": bar, "share": formats.share(str(top / whole)), "href": href})
    seen = {str(row["model_tier"]) for row in by_tier.rows if decimal_of(row.get("inference_cost"))}
    return {"rows": rows, "key": charts.key({_kind(name): word for name, word in TIERS.items() if name in seen})}


def sessions(found: SessionFigures, centres: Centres) -> list[dict[str, Any]]:
    """A row a session, in the order in which they were ranked."""
    facts = {key_of(row, ("session",)): row for row in reversed(found.facts.rows)}
    parts = parts_of(found.centres.rows, ("session",), "centre", centres)
    rows: list[dict[str, Any]] = []
    for row in found.ranked.rows:
        key = key_of(row, ("session",))
        if row["session"] == OTHER:
            continue
        fact = facts.get(key, {})
        outcome = str(fact.get("outcome", UNKNOWN))
        alive = decimal_of(row.get("session_seconds"))
        rows.append(
            {
                "session": row["session"],
                "href": "/sessions/" + quote(str(row["session"]), safe=""),
                "feature": fact.get("feature", UNKNOWN),
                "team": "" if fact.get("team") == fact.get("feature") else fact.get("team", ""),
                "alive": formats.duration(str(alive)) if alive is not None else UNKNOWN,
                "steps": count(row.get("usages")),
                "retries": count(row.get("retries")),
                "bar": charts.micro_stack(parts[key], str(row["session"])),
                "cost": money(row.get("cost")),
                "outcome": outcome,
                "tone": outcome_tone(outcome),
            }
        )
    return rows


def centre_parts(rows: Iterable[Row], centres: Centres) -> dict[str, list[charts.Part]]:
    """The pieces of each session's bar."""
    return {key[0]: parts for key, parts in parts_of(rows, ("session",), "centre", centres).items()}


def outcome_tone(outcome: str) -> str:
    """The colour of a verdict: good, bad, warn, or plain where none was reported."""
    return _STATES.get(outcome, "plain")


def frontier(answer: Answer) -> str | None:
    """The part of inference spend that frontier models took; None where none was spent."""
    found = {str(row["model_tier"]): decimal_of(row.get("inference_cost")) or Decimal(0) for row in answer.rows}
    whole = sum(found.values(), Decimal(0))
    return str(found.get("frontier", Decimal(0)) / whole) if whole else None


def largest_share(figures: Figures, measure: str) -> str:
    """`kyc-onboarding is 48 % of it`: the feature that takes most of a measure."""
    total = decimal_of(figures.now.total.get(measure))
    named = [row for row in figures.features.rows if row["feature"] != OTHER]
    row = max(named, key=lambda row: decimal_of(row.get(measure)) or Decimal(0), default=None)
    amount = decimal_of(row.get(measure)) if row else None
    if not total or not amount or row is None:
        return ""
    return f"{row['feature']} is {formats.share(str(amount / total))} of it"


def parts_of(rows: Iterable[Row], by: Key, kind: str, words: Mapping[str, str]) -> dict[Key, list[charts.Part]]:
    """The pieces of each group's bar, in the order of `words`."""
    found: dict[Key, dict[str, Decimal]] = defaultdict(dict)
    for row in rows:
        amount = decimal_of(row.get("cost", row.get("inference_cost")))
        if amount is not None and amount > 0:
            found[key_of(row, by)][str(row[kind])] = amount
    parts: dict[Key, list[charts.Part]] = defaultdict(list)
    for key, amounts in found.items():
        whole = sum(amounts.values(), Decimal(0))
        parts[key] = [
            charts.Part(_kind(name), amounts[name], f"{word} {formats.share(str(amounts[name] / whole))}")
            for name, word in words.items()
            if name in amounts
        ]
    return parts


def _kind(name: str) -> str:
    return name.strip("()")


def _by(rows: Iterable[Row], by: Key) -> dict[Key, Row]:
    return {key_of(row, by): row for row in rows}


def key_of(row: Row, by: Key) -> Key:
    """The values by which a row is known."""
    return tuple(str(row[name]) for name in by)


def money(value: object) -> str:
    """An amount as a person reads it."""
    return UNPRICED if decimal_of(value) is None else formats.money(str(value))


def share(value: object) -> str:
    """A ratio in per cent."""
    return UNKNOWN if decimal_of(value) is None else formats.share(str(value))


def _part(value: object, whole: object) -> str:
    part, total = decimal_of(value), decimal_of(whole)
    return UNKNOWN if part is None or not total else formats.share(str(part / total))


def count(value: object) -> str:
    """A whole number."""
    return formats.count(value) if isinstance(value, int) else UNKNOWN


def _per_task(row: Row) -> str:
    return money(row.get("cost_per_completed_task")) if row.get("tasks_completed") else "no task"
