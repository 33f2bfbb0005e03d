"""Coverage: how far an answer can be trusted. Every answer carries it, so that no figure stands without its limits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from outlay.core.centre import CostCentre
from outlay.core.envelope import UNTAGGED
from outlay.core.money import NANO, decimal_text
from outlay.ledger.store import Reader
from outlay.metrics.dialect import dialect_named
from outlay.metrics.groups import usage_conditions, usage_source, work_tables
from outlay.metrics.measures import BEARS, UNKNOWN, UNPRICED_TOKEN_SHARE_MAX, UNPRICED_USAGE
from outlay.metrics.parts import USAGE, Statement, condition
from outlay.metrics.plan import Plan, plan_of_usages
from outlay.metrics.query import Query, time_text

UNPRICED_MODELS_MAX = 5

_PERCENT = int(100 * UNPRICED_TOKEN_SHARE_MAX)
_RULE = f"a figure derived from cost is {UNKNOWN} where more than {_PERCENT} % of its tokens are unpriced"

Row = dict[str, Any]


def coverage_of(reader: Reader, query: Query, currencies: list[str]) -> dict[str, Any]:
    """What is known, guessed and missing in the set a question asks about.

    Shares are of the known cost. `estimate_band` is what the unpriced usages would cost by models of their family;
    amounts are null where currencies differ, since these are never added.
    """
    plan = plan_of_usages(query)
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
        "unpriced_models": [
            {"model": row["model"] or "(none)", "usages": row["usages"], "tokens": row["tokens"]} for row in worst
        ],
        "recorded_share": _share(known["recorded"], cost, single=single),
        "priced_share": _share(known["priced"], cost, single=single),
        "estimated_share": _share(known["estimated"], cost, single=single),
        "untagged_cost": {"team": decimal_text(known["untagged"]) if single else None},
        "attributed_share": _share(cost - known["untagged"], cost, single=single),
        "estimate_band": {"low": decimal_text(sum(lows)), "high": decimal_text(sum(highs))}
        if lows and single
        else None,
        "superseded_usages": _superseded(reader, plan),
        "orchestration_gap": not _has_orchestration(reader, plan),
        "from": time_text(known["first"]) if known["first"] is not None else None,
        "to": time_text(known["last"]) if known["last"] is not None else None,
        "currencies": currencies,
        "rule": _RULE,
    }


def currencies_of(reader: Reader, query: Query, main: str) -> list[str]:
    """The currencies of the known amounts in the set, `main` alone in the common case, which costs no scan."""
    plan = plan_of_usages(query)
    found: list[Row] = []
    for narrow in (True, False):
        statement = Statement(dialect_named(reader.dialect))
        wheres = [*usage_conditions(statement, plan), f"{USAGE}.amount_nano <> 0"]
        if narrow:
            wheres.append(f"{USAGE}.currency NOT IN ({statement.bind('')}, {statement.bind(main)})")
        found = _rows(reader, plan, statement, f"DISTINCT {USAGE}.currency AS currency", wheres)
        if narrow and not found:
            return [main]
    return sorted({row["currency"] or main for row in found})


def _known(reader: Reader, plan: Plan) -> Row:
    """The sums that say where the cost comes from. What is rare is asked for apart: a narrow scan is nearly free."""
    statement = Statement(dialect_named(reader.dialect))
    selected = [
        f"count(*) FILTER (WHERE {condition(statement, BEARS, USAGE)}) AS usages",
        *(f"sum({USAGE}.{column}) AS {name}" for name, column in _KNOWN.items()),
        f"min({USAGE}.time) AS first",
        f"max({USAGE}.time) AS last",
    ]
    (row,) = _rows(reader, plan, statement, ", ".join(selected), usage_conditions(statement, plan))
    sums = {name: int(row[name] or 0) for name in ("usages", *_KNOWN)}
    estimated = sums["cost"] - sums["recorded"] - sums["priced"]  # every known amount has one of three provenances
    return {**row, **sums, "estimated": estimated, "untagged": _untagged(reader, plan)}


_KNOWN = {"cost": "amount_nano", "recorded": "recorded_nano", "priced": "priced_nano"}


def _untagged(reader: Reader, plan: Plan) -> int:
    statement = Statement(dialect_named(reader.dialect))
    wheres = [*usage_conditions(statement, plan), f"{USAGE}.team = {statement.bind(UNTAGGED)}"]
    (row,) = _rows(reader, plan, statement, f"sum({USAGE}.amount_nano) AS cost", wheres)
    return int(row["cost"] or 0)


def _has_orchestration(reader: Reader, plan: Plan) -> bool:
    """Whether any time of a session was charged: without a rate card none is, and the full cost has a gap."""
    statement = Statement(dialect_named(reader.dialect))
    wheres = [*usage_conditions(statement, plan), f"{USAGE}.amount_nano <> 0"]
    wheres.append(f"{USAGE}.centre = {statement.bind(CostCentre.ORCHESTRATION.value)}")
    return bool(_rows(reader, plan, statement, "1 AS found", wheres, " LIMIT 1"))


def _unpriced(reader: Reader, plan: Plan) -> list[Row]:
    """The usages without a price, by model: a narrow scan, since most have one."""
    statement = Statement(dialect_named(reader.dialect))
    wheres = [*usage_conditions(statement, plan), condition(statement, UNPRICED_USAGE, USAGE)]
    sums = {"tokens": "unpriced_tokens", "low": "band_low_nano", "high": "band_high_nano"}
    selected = ", ".join(
        [
            f"{USAGE}.model_id AS model",
            "count(*) AS usages",
            *(f"sum({USAGE}.{name}) AS {short}" for short, name in sums.items()),
        ]
    )
    found = _rows(reader, plan, statement, selected, wheres, " GROUP BY 1")
    whole = [
        {name: value if value is None or name == "model" else int(value) for name, value in row.items()}
        for row in found
    ]
    return [{**row, "tokens": row["tokens"] or 0} for row in whole]


def _superseded(reader: Reader, plan: Plan) -> int:
    statement = Statement(dialect_named(reader.dialect))
    wheres = [item for item in usage_conditions(statement, plan) if item != f"{USAGE}.counted"]
    (row,) = _rows(reader, plan, statement, "count(*) AS usages", [*wheres, f"NOT {USAGE}.counted"])
    return int(row["usages"])


def tokens_lack_prices(coverage: dict[str, Any]) -> bool:
    """Whether anything in the set has no price, so that derived figures must be judged row by row."""
    return bool(coverage["unpriced_tokens"])


def _rows(
    reader: Reader, plan: Plan, statement: Statement, selected: str, wheres: list[str], end: str = ""
) -> list[Row]:
    tables = f"WITH RECURSIVE {', '.join(work_tables(statement.dialect, plan))} " if plan.with_work else ""
    where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
    sql = f"{tables}SELECT {selected} FROM {usage_source(plan)}{where}{end}"
    return reader.rows(sql, statement.parameters).to_pylist()


def _share(part: int, whole: int, *, single: bool) -> str | None:
    return decimal_text(round(Fraction(part * NANO, whole))) if whole and single else None
