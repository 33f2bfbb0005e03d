"""Coverage: how far an answer can be trusted. Every answer carries it, so that no figure stands without its limits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from outlay.core.centre import CostCentre
from outlay.core.envelope import UNTAGGED
from outlay.core.money import NANO, decimal_text
from outlay.ledger.store import Reader
from outlay.metrics.dialect import dialect_named
from outlay.metrics.measures import BEARS, UNKNOWN, UNPRICED_TOKEN_SHARE_MAX, UNPRICED_USAGE
from outlay.metrics.parts import USAGE, Statement, condition
from outlay.metrics.plan import Plan
from outlay.metrics.query import time_text
from outlay.metrics.render import usage_conditions, usage_source, work_tables

UNPRICED_MODELS_MAX = 5

Row = dict[str, Any]


def coverage_of(reader: Reader, plan: Plan, currencies: list[str]) -> dict[str, object]:
    """What is known, guessed and missing in the set a question asks about.

    Shares are of the known cost. `estimate_band` is what the unpriced usages would cost by models of their family;
    amounts are null where currencies differ, since these are never added.
    """
    known = _known(reader, plan)
    unpriced = _unpriced(reader, plan)
    cost = known["cost"]
    single = len(currencies) < 2
    lows = [row["low"] for row in unpriced if row["low"] is not None]
    highs = [row["high"] for row in unpriced if row["high"] is not None]
    worst = sorted(unpriced, key=lambda row: (-row["tokens"], -row["usages"], row["model"]))[:UNPRICED_MODELS_MAX]
    return {
        "usages": known["usages"],
        "unpriced_usages": sum(row["usages"] for row in unpriced),
        "unpriced_tokens": sum(row["tokens"] for row in unpriced),
        "unpriced_models": [{"model": row["model"] or "(none)", "usages": row["usages"], "tokens": row["tokens"]} for row in worst],
        "recorded_share": _share(known["recorded"], cost, single=single),
        "priced_share": _share(known["priced"], cost, single=single),
        "estimated_share": _share(known["estimated"], cost, single=single),
        "untagged_cost": {"team": decimal_text(known["untagged"]) if single else None},
        "attributed_share": _share(cost - known["untagged"], cost, single=single),
        "estimate_band": {"low": decimal_text(sum(lows)), "high": decimal_text(sum(highs))} if lows and single else None,
        "superseded_usages": _superseded(reader, plan),
        "orchestration_gap": known["orchestration"] == 0,
        "from": time_text(known["first"]) if known["first"] is not None else None,
        "to": time_text(known["last"]) if known["last"] is not None else None,
        "currencies": currencies,
        "tasks_not_split_by": list(plan.unsplit),
        "rule": f"a figure derived from cost is {UNKNOWN} where more than "
        f"{100 * UNPRICED_TOKEN_SHARE_MAX.numerator // UNPRICED_TOKEN_SHARE_MAX.denominator} % of its tokens are unpriced",
    }


def currencies_of(reader: Reader, plan: Plan, main: str) -> list[str]:
    """The currencies of the known amounts in the set, `main` alone in the common case, which costs no scan."""
    for narrow in (True, False):
        statement = Statement(dialect_named(reader.dialect))
        wheres = [*usage_conditions(statement, plan), f"{USAGE}.amount_nano IS NOT NULL"]
        if narrow:
            wheres.append(f"{USAGE}.currency NOT IN ({statement.bind('')}, {statement.bind(main)})")
        found = _rows(reader, plan, statement, f"DISTINCT {USAGE}.currency AS currency", wheres)
        if narrow and not found:
            return [main]
    return sorted({row["currency"] or main for row in found})


def _known(reader: Reader, plan: Plan) -> Row:
    statement = Statement(dialect_named(reader.dialect))
    amount = f"{USAGE}.amount_nano"
    selected = ", ".join(
        [
            f"count(*) FILTER (WHERE {condition(statement, BEARS, USAGE)}) AS usages",
            f"coalesce(sum({amount}), 0) AS cost",
            *(f"coalesce(sum({USAGE}.{name}_nano), 0) AS {name}" for name in ("recorded", "priced", "estimated")),
            f"coalesce(sum({amount}) FILTER (WHERE {USAGE}.team = {statement.bind(UNTAGGED)}), 0) AS untagged",
            f"count({amount}) FILTER (WHERE {USAGE}.centre = {statement.bind(CostCentre.ORCHESTRATION.value)}) AS orchestration",
            f"min({USAGE}.time) AS first",
            f"max({USAGE}.time) AS last",
        ]
    )
    (row,) = _rows(reader, plan, statement, selected, usage_conditions(statement, plan))
    whole = ("usages", "cost", "recorded", "priced", "estimated", "untagged", "orchestration")
    return {**row, **{name: int(row[name]) for name in whole}}


def _unpriced(reader: Reader, plan: Plan) -> list[Row]:
    """The usages without a price, by model: a narrow scan, since most have one."""
    statement = Statement(dialect_named(reader.dialect))
    wheres = [*usage_conditions(statement, plan), condition(statement, UNPRICED_USAGE, USAGE)]
    sums = {"tokens": "unpriced_tokens", "low": "band_low_nano", "high": "band_high_nano"}
    selected = ", ".join(
        [f"{USAGE}.model_id AS model", "count(*) AS usages", *(f"sum({USAGE}.{name}) AS {short}" for short, name in sums.items())]
    )
    found = _rows(reader, plan, statement, selected, wheres, " GROUP BY 1")
    whole = [{name: value if value is None or name == "model" else int(value) for name, value in row.items()} for row in found]
    return [{**row, "tokens": row["tokens"] or 0} for row in whole]


def _superseded(reader: Reader, plan: Plan) -> int:
    statement = Statement(dialect_named(reader.dialect))
    wheres = [item for item in usage_conditions(statement, plan) if item != f"{USAGE}.counted"]
    (row,) = _rows(reader, plan, statement, "count(*) AS usages", [*wheres, f"NOT {USAGE}.counted"])
    return int(row["usages"])


def tokens_lack_prices(coverage: dict[str, Any]) -> bool:
    """Whether anything in the set has no price, so that derived figures must be judged row by row."""
    return bool(coverage["unpriced_tokens"])


def _rows(reader: Reader, plan: Plan, statement: Statement, selected: str, wheres: list[str], end: str = "") -> list[Row]:
    tables = f"WITH RECURSIVE {', '.join(work_tables(statement.dialect))} " if plan.with_work else ""
    where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
    sql = f"{tables}SELECT {selected} FROM {usage_source(plan)}{where}{end}"
    return reader.rows(sql, statement.parameters).to_pylist()


def _share(part: int, whole: int, *, single: bool) -> str | None:
    return decimal_text(round(Fraction(part * NANO, whole))) if whole and single else None
