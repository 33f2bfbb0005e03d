"""Coverage: how far an answer can be trusted. Every answer carries it, so that no figure stands without its limits.

Usages are added up by label in one pass, since that costs less than looking at their texts one condition at a time;
what hangs on texts is then asked of the few labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from outlay.core.centre import CostCentre
from outlay.core.envelope import UNTAGGED
from outlay.core.money import NANO, decimal_text
from outlay.ledger.store import Snapshot
from outlay.metrics.cube_kinds import kinds_in, values_in
from outlay.metrics.dialect import dialect_named
from outlay.metrics.groups import outcome_conditions, select, usage_conditions, usage_source
from outlay.metrics.measures import BEARS, UNKNOWN, UNPRICED_TOKEN_SHARE_MAX, UNPRICED_USAGE
from outlay.metrics.parts import OUTCOME, USAGE, Statement, condition
from outlay.metrics.pieces import Pieces
from outlay.metrics.plan import Plan, plan_of, plan_of_usages
from outlay.metrics.query import Query, time_text
from outlay.metrics.rolled import rolled
from outlay.metrics.work import work_tables

UNPRICED_MODELS_MAX = 5

_PERCENT = int(100 * UNPRICED_TOKEN_SHARE_MAX)
_RULE = f"a figure derived from cost is {UNKNOWN} where more than {_PERCENT} % of its tokens are unpriced"

Row = dict[str, Any]

_SUMS = {"cost": "amount_nano", "recorded": "recorded_nano", "priced": "priced_nano"}
_UNPRICED_SUMS = {"unpriced_tokens": "unpriced_tokens", "low": "band_low_nano", "high": "band_high_nano"}
_ADDED = ("usages", "paid", "unpriced", *_SUMS, "unpriced_tokens")


def coverage_of(reader: Snapshot, query: Query, main_currency: str, pieces: Pieces | None = None) -> dict[str, Any]:
    """What is known, guessed and missing in the set a question asks about.

    Shares are of the known cost. `estimate_band` is what the unpriced usages would cost by models of their family;
    amounts are null where currencies differ, since these are never added. Amounts without a word on their currency
    are in `main_currency`.
    """
    kinds = _kinds_of(reader, rolled(plan_of_usages(replace(query, grain=None, counted_only=False)), reader), pieces)
    counted = [row for row in kinds if row["counted"]] if query.counted_only else kinds
    known = {name: _sum(counted, name) for name in _ADDED}
    untagged = _sum((row for row in counted if row["untagged"]), "cost")
    estimated = known["cost"] - known["recorded"] - known["priced"]
    currencies = sorted({row["currency"] or main_currency for row in counted if row["paid"]}) or [main_currency]
    single = len(currencies) < 2
    moments = [(row["first"], row["last"]) for row in counted]
    return {
        "usages": known["usages"],
        "unpriced_usages": known["unpriced"],
        "unpriced_tokens": known["unpriced_tokens"],
        "unpriced_models": _unpriced_models(counted),
        "recorded_share": _share(known["recorded"], known["cost"], single=single),
        "priced_share": _share(known["priced"], known["cost"], single=single),
        "estimated_share": _share(estimated, known["cost"], single=single),
        "untagged_cost": {"team": decimal_text(untagged) if single else None},
        "attributed_share": _share(known["cost"] - untagged, known["cost"], single=single),
        "estimate_band": _band(counted) if single else None,
        "superseded_usages": _sum((row for row in kinds if not row["counted"]), "reports"),
        "orchestration_gap": not any(row["paid"] for row in counted if row["orchestrates"]),
        "from": time_text(min(first for first, _ in moments)) if moments else None,
        "to": time_text(max(last for _, last in moments)) if moments else None,
        "currencies": currencies,
        "rule": _RULE,
    }


def value_currencies(reader: Snapshot, query: Query, main_currency: str, pieces: Pieces | None = None) -> list[str]:
    """The currencies in which the tasks asked about state their value; no word is the main one."""
    plan = plan_of(query)

    def asked(one: Plan) -> list[Row]:
        statement = Statement(dialect_named(reader.dialect))
        wheres = [*outcome_conditions(statement, one), f"{OUTCOME}.value_nano <> 0"]
        text = select([f"DISTINCT {OUTCOME}.currency AS currency"], f"outcomes AS {OUTCOME}", wheres)
        return reader.records(text, statement.parameters)

    if pieces is None:
        return sorted({row["currency"] or main_currency for row in asked(plan)})
    filters = tuple((one, item) for one, item in plan.filters if one.on_outcomes)
    found = pieces.about_outcomes(("values", filters), plan, asked, lambda cube: values_in(cube, filters))
    return sorted({row["currency"] or main_currency for row in found})


def _kinds_of(reader: Snapshot, plan: Plan, pieces: Pieces | None) -> list[Row]:
    """The kinds of usages, those of several stretches beside each other where they are kept apart."""
    found = None
    if pieces is not None:
        question = ("kinds", plan.filters)
        ask, read = partial(_kinds, reader), partial(kinds_in, filters=plan.filters)
        found = pieces.about_usages(question, plan, ask, read)
    return _kinds(reader, plan) if found is None else found


def _kinds(reader: Snapshot, plan: Plan) -> list[Row]:
    """A row for each kind of usage that coverage tells apart: few, whatever the size of the books."""
    statement = Statement(dialect_named(reader.dialect))
    unpriced = condition(statement, UNPRICED_USAGE, USAGE)
    count = _count if plan.reading is not None else _count_rows
    inner = [
        f"{USAGE}.labels",
        f"{USAGE}.counted",
        f"{count('')} AS reports",
        f"{count(condition(statement, BEARS, USAGE))} AS usages",
        f"{count(f'{USAGE}.amount_nano <> 0')} AS paid",
        f"{count(unpriced)} AS unpriced",
        *(f"sum({USAGE}.{column}) AS {name}" for name, column in _SUMS.items()),
        *(f"sum({USAGE}.{column}) FILTER (WHERE {unpriced}) AS {name}" for name, column in _UNPRICED_SUMS.items()),
        *(
            ("min(u.first) AS first", "max(u.last) AS last")
            if plan.reading
            else ("min(u.time) AS first", "max(u.time) AS last")
        ),
    ]
    wheres = usage_conditions(statement, plan)
    source = usage_source(statement, plan, [*inner, *wheres])
    by_label = select(inner, source, wheres, [f"{USAGE}.labels", f"{USAGE}.counted"])
    outer = [
        "counted",
        "l.currency AS currency",
        f"l.team = {statement.bind(UNTAGGED)} AS untagged",
        f"l.centre = {statement.bind(CostCentre.ORCHESTRATION.value)} AS orchestrates",
        "CASE WHEN unpriced > 0 THEN l.model_id END AS model",
        *(f"sum({name}) AS {name}" for name in ("reports", *_ADDED, "low", "high")),
        "min(first) AS first",
        "max(last) AS last",
    ]
    kinds = select(
        outer, f"({by_label}) AS kinds JOIN labels AS l ON l.number = kinds.labels", (), ["1", "2", "3", "4", "5"]
    )
    tables = ", ".join(work_tables(statement, plan))
    return reader.records(f"WITH RECURSIVE {tables} {kinds}" if tables else kinds, statement.parameters)


def _count_rows(where: str) -> str:
    return f"count(*) FILTER (WHERE {where})" if where else "count(*)"


def _count(where: str) -> str:
    return f"sum({USAGE}.n) FILTER (WHERE {where})" if where else f"sum({USAGE}.n)"


def _unpriced_models(counted: Iterable[Row]) -> list[Row]:
    """The models with the most tokens that have no price."""
    found: dict[str, Row] = {}
    for row in counted:
        if row["unpriced"]:
            model = row["model"] or "(none)"
            one = found.setdefault(model, {"model": model, "usages": 0, "tokens": 0})
            one["usages"] += int(row["unpriced"])
            one["tokens"] += int(row["unpriced_tokens"] or 0)
    worst = sorted(found.values(), key=lambda one: (-one["tokens"], -one["usages"], one["model"]))
    return worst[:UNPRICED_MODELS_MAX]


def _band(counted: Iterable[Row]) -> dict[str, str] | None:
    rows = [row for row in counted if row["low"] is not None]
    return {name: decimal_text(_sum(rows, name)) for name in ("low", "high")} if rows else None


def _sum(rows: Iterable[Row], name: str) -> int:
    return sum(int(row[name] or 0) for row in rows)


def tokens_lack_prices(coverage: dict[str, Any]) -> bool:
    """Whether anything in the set has no price, so that derived figures must be judged row by row."""
    return bool(coverage["unpriced_tokens"])


def _share(part: int, whole: int, *, single: bool) -> str | None:
    return decimal_text(round(Fraction(part * NANO, whole))) if whole and single else None
