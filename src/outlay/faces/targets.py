"""Questions and orders about targets, for every face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from outlay.control import targets as stored
from outlay.control.targets import Target
from outlay.core.envelope import VALUE_CHARACTERS_MAX
from outlay.core.errors import InputError
from outlay.core.money import DEFAULT_CURRENCY, decimal_text
from outlay.faces.orders import amount_of, known_fields, text_of
from outlay.faces.plain import Reply, reply
from outlay.govern.targets import Review, Reviewed, fiscal_month, quarter_at, quarter_named, review, targets_in
from outlay.metrics.answer import Answer
from outlay.metrics.filters import parse_filters
from outlay.metrics.query import Query

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

TARGET_FIELDS = ("feature", "amount", "quarter", "note")
DECISION_FIELDS = ("quarter", "decision")
PARAMETERS = ("quarter", "where")
_AMOUNT = "what one completed task may cost, more than 0: 0.45"


def review_reply(
    ask: Callable[[Query], Answer], control: Callable[[], ControlStore], params: Mapping[str, Sequence[str]]
) -> Reply:
    """Every feature of a quarter beside its target and the quarter before, dearest first."""
    now = datetime.now(UTC)
    said = _last(params, "quarter")
    store = control()
    month = fiscal_month(store)
    quarter = quarter_named(said, month) if said else quarter_at(now, month)
    where = tuple(item for text in params.get("where", ()) for item in parse_filters(text))
    return shown(review(ask, targets_in(store, quarter), quarter, now, where), [str(item) for item in where])


def shown(found: Review, where: Sequence[str]) -> Reply:
    """A review in plain values."""
    counts = {word: found.counted(word) for word in ("met", "near", "over", "few", "open", "none")}
    asked = {"quarter": found.quarter.name, "since": found.quarter.start, "until": found.quarter.end, "where": where}
    return reply(asked, [_row(row) for row in found.rows], counts, found.answer.coverage)


def list_reply(store: ControlStore, quarter: str) -> Reply:
    """The targets as they were set, of one quarter or of all."""
    wanted = (quarter_named(quarter).name,) if quarter else ()
    rows = stored.list_targets(store, wanted)
    return reply({"quarter": wanted[0] if wanted else ""}, rows_of(rows), {"targets": len(rows)})


def set_target(store: ControlStore, said: Mapping[str, Any], actor: str) -> Reply:
    """Sets what a completed task of a feature may cost in a quarter, the present one if none is named."""
    target = read_target(said, fiscal_month(store))
    changed = stored.set_targets(store, [target], actor)
    held = [row for row in stored.list_targets(store, (target.quarter,)) if row.feature == target.feature]
    return reply({"feature": target.feature, "quarter": target.quarter}, rows_of(held), {"changed": bool(changed)})


def remove_target(store: ControlStore, feature: str, quarter: str, actor: str) -> Reply:
    """Takes a target away."""
    name = _quarter(quarter, fiscal_month(store))
    stored.remove_target(store, feature, name, actor)
    return reply({"feature": feature, "quarter": name}, (), {"removed": 1})


def decide_target(store: ControlStore, feature: str, said: Mapping[str, Any], actor: str) -> Reply:
    """Writes down what the review of a quarter decided about a feature."""
    known_fields(said, DECISION_FIELDS, "a decision")
    name = _quarter(text_of(said, "quarter"), fiscal_month(store))
    decision = text_of(said, "decision", needed=True)
    stored.decide(store, feature, name, decision, actor)
    held = [row for row in stored.list_targets(store, (name,)) if row.feature == feature]
    return reply({"feature": feature, "quarter": name}, rows_of(held), {"decided": 1})


def read_target(said: Mapping[str, Any], month: int) -> Target:
    """A target somebody wrote, of the present quarter of a year that begins with `month` if of none. InputError."""
    known_fields(said, TARGET_FIELDS, "a target")
    feature = text_of(said, "feature", needed=True)
    if len(feature) > VALUE_CHARACTERS_MAX:
        raise InputError(f"a feature has at most {VALUE_CHARACTERS_MAX} characters")
    amount = amount_of(said.get("amount"), _AMOUNT)
    quarter = _quarter(text_of(said, "quarter"), month)
    return Target(feature, quarter, amount, DEFAULT_CURRENCY, text_of(said, "note"))


def rows_of(rows: Sequence[Target]) -> list[dict[str, Any]]:
    """Targets in the words of a reply."""
    return [_target(row) for row in rows]


def _target(row: Target) -> dict[str, Any]:
    return {
        "feature": row.feature,
        "quarter": row.quarter,
        "target_nano": row.amount_nano,
        "note": row.note,
        "changed_ns": row.changed_ns,
        "changed_by": row.changed_by,
        "decision": row.decision,
        "decided_ns": row.decided_ns,
        "decided_by": row.decided_by,
    }


def _row(row: Reviewed) -> dict[str, Any]:
    return {
        "feature": row.feature,
        "team": row.team,
        "cost_nano": row.now.cost_nano,
        "tasks_completed": row.now.tasks_completed,
        "completion_rate": row.now.completion_rate,
        "cost_per_completed_task_nano": row.now.per_task_nano,
        "before_nano": row.before.per_task_nano,
        "target_nano": None if row.target is None else row.target.amount_nano,
        "verdict": row.verdict.word,
        "over_share": _share(row.verdict.over),
        "moved": {centre: decimal_text(nano) for centre, nano in row.moved_nano.items()},
        "note": "" if row.target is None else row.target.note,
        "decision": "" if row.target is None else row.target.decision,
    }


def _share(ratio: Fraction | None) -> str | None:
    return None if ratio is None else f"{Decimal(ratio.numerator) / Decimal(ratio.denominator):.4f}"


def _quarter(text: str, month: int) -> str:
    return (quarter_named(text, month) if text else quarter_at(datetime.now(UTC), month)).name


def _last(params: Mapping[str, Sequence[str]], name: str) -> str:
    return next((text.strip() for text in reversed(params.get(name, ())) if text.strip()), "")
