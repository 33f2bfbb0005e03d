"""Coverage: how far an answer can be trusted. Every answer carries it, so that no figure stands without its limits.

Usages are added up by label in one pass, since that costs less than looking at their texts one condition at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from outlay.core.centre import CostCentre
from outlay.core.envelope import UNTAGGED
from outlay.core.money import NANO, decimal_text
from outlay.ledger.store import Reader
from outlay.metrics.dialect import dialect_named
from outlay.metrics.groups import select, usage_conditions, usage_source, work_tables
from outlay.metrics.measures import BEARS, UNKNOWN, UNPRICED_TOKEN_SHARE_MAX, UNPRICED_USAGE
from outlay.metrics.parts import USAGE, Statement, condition
from outlay.metrics.plan import Plan, plan_of_usages
from outlay.metrics.query import Query, time_text

UNPRICED_MODELS_MAX = 5

_PERCENT = int(100 * UNPRICED_TOKEN_SHARE_MAX)
_RULE = f"a figure derived from cost is {UNKNOWN} where more than {_PERCENT} % of its tokens are unpriced"

Row = dict[str, Any]

_KINDS = ("labels", "counted")
_SUMMED = {"cost": "amount_nano", "recorded": "recorded_nano", "priced": "priced_nano"}
_UNPRICED_SUMS = {"tokens": "unpriced_tokens", "low": "band_low_nano", "high": "band_high_nano"}


def coverage_of(reader: Reader, query: Query, main_currency: str) -> dict[str, Any]:
    """What is known, guessed and missing in the set a question asks about.

    Shares are of the known cost. `estimate_band` is what the unpriced usages would cost by models of their family;
    amounts are null where currencies differ, since these are never added. Amounts without a word on their currency
    are in `main_currency`.
    """
    asked = _Asked(reader, plan_of_usages(query))
    known = asked.known(main_currency)
    unpriced = asked.unpriced()
    currencies = asked.currencies(main_currency) if known["foreign"] else [main_currency]
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
        "superseded_usages": known["superseded"],
        "orchestration_gap": not known["orchestrated"],
        "from": time_text(known["first"]) if known["first"] is not None else None,
        "to": time_text(known["last"]) if known["last"] is not None else None,
        "currencies": currencies,
        "rule": _RULE,
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """The usages a question asks about."""

    reader: Reader
    plan: Plan

    def known(self, main_currency: str) -> Row:
        """The sums that say where the cost comes from, how much is no cost at all, and which gaps there are.

        One pass adds up by label, which is a small number; what hangs on texts is then asked of the few labels.
        """
        statement = Statement(dialect_named(self.reader.dialect))
        inner = [
            *(f"{USAGE}.{name}" for name in _KINDS),
            "count(*) AS reports",
            f"count(*) FILTER (WHERE {condition(statement, BEARS, USAGE)}) AS usages",
            *(f"sum({USAGE}.{column}) AS {name}" for name, column in _SUMMED.items()),
            f"count(*) FILTER (WHERE {USAGE}.amount_nano <> 0) AS paid",
        ]
        ends = {"first": f"min({USAGE}.time)", "last": f"max({USAGE}.time)"}
        if self.plan.filters:
            inner += [f"{text} AS {name}" for name, text in ends.items()]
        kinds = self._select(statement, inner, [], " GROUP BY " + ", ".join(f"{USAGE}.{name}" for name in _KINDS))
        only = "counted" if self.plan.query.counted_only else "true"
        centre, foreign = CostCentre.ORCHESTRATION.value, (statement.bind(""), statement.bind(main_currency))
        outer = [
            "sum(reports) FILTER (WHERE NOT counted) AS superseded",
            *(f"sum({name}) FILTER (WHERE {only}) AS {name}" for name in ("usages", *_SUMMED)),
            f"sum(cost) FILTER (WHERE {only} AND l.team = {statement.bind(UNTAGGED)}) AS untagged",
            f"sum(paid) FILTER (WHERE {only} AND l.centre = {statement.bind(centre)}) AS orchestrated",
            f"sum(paid) FILTER (WHERE {only} AND l.currency NOT IN ({', '.join(foreign)})) AS foreign",
            *(self._end(statement, name, only) for name in ends),
        ]
        text = select(outer, f"({kinds}) AS kinds JOIN labels AS l ON l.number = kinds.labels")
        (row,) = self._rows(statement, text)
        sums = {name: int(value or 0) for name, value in row.items() if name not in ends}
        return {**row, **sums, "estimated": sums["cost"] - sums["recorded"] - sums["priced"]}

    def _end(self, statement: Statement, name: str, only: str) -> str:
        """The first or last moment; the engine finds it at the edge of the books where no filter is in the way."""
        if self.plan.filters:
            return f"{'min' if name == 'first' else 'max'}({name}) FILTER (WHERE {only}) AS {name}"
        way = "" if name == "first" else " DESC"
        text = self._select(statement, [f"{USAGE}.time"], self._counted, f" ORDER BY {USAGE}.time{way} LIMIT 1")
        return f"({text}) AS {name}"

    def unpriced(self) -> list[Row]:
        """The usages without a price, by model: a narrow scan, since most have one."""
        statement = Statement(dialect_named(self.reader.dialect))
        sums = [f"sum({USAGE}.{name}) AS {short}" for short, name in _UNPRICED_SUMS.items()]
        selected = [f"{USAGE}.model_id AS model", "count(*) AS usages", *sums]
        wheres = [condition(statement, UNPRICED_USAGE, USAGE), *self._counted]
        found = self._rows(statement, self._select(statement, selected, wheres, " GROUP BY 1"))
        whole = [
            {name: value if value is None or name == "model" else int(value) for name, value in row.items()}
            for row in found
        ]
        return [{**row, "tokens": row["tokens"] or 0} for row in whole]

    def currencies(self, main: str) -> list[str]:
        """The currencies of the known amounts; no word is the main one."""
        statement = Statement(dialect_named(self.reader.dialect))
        selected, wheres = [f"DISTINCT {USAGE}.currency AS currency"], [f"{USAGE}.amount_nano <> 0", *self._counted]
        found = self._rows(statement, self._select(statement, selected, wheres))
        return sorted({row["currency"] or main for row in found})

    @property
    def _counted(self) -> list[str]:
        return [f"{USAGE}.counted"] if self.plan.query.counted_only else []

    def _select(self, statement: Statement, selected: list[str], wheres: list[str], end: str = "") -> str:
        picking = [item for item in usage_conditions(statement, self.plan) if item != f"{USAGE}.counted"]
        source = usage_source(self.plan, statement.dialect, [*selected, *picking, *wheres])
        return select(selected, source, [*picking, *wheres]) + end

    def _rows(self, statement: Statement, sql: str) -> list[Row]:
        tables = ", ".join(work_tables(statement.dialect, self.plan))
        sql = f"WITH RECURSIVE {tables} {sql}" if tables else sql
        return self.reader.rows(sql, statement.parameters).to_pylist()


def tokens_lack_prices(coverage: dict[str, Any]) -> bool:
    """Whether anything in the set has no price, so that derived figures must be judged row by row."""
    return bool(coverage["unpriced_tokens"])


def _share(part: int, whole: int, *, single: bool) -> str | None:
    return decimal_text(round(Fraction(part * NANO, whole))) if whole and single else None
