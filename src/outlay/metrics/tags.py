"""Tags as the books hold them: where each came from, whose cost has none and at which step it was lost.

A cause is told from evidence, never guessed from a name: does the emitter tag anything at all, does the session above
have the tag, did the step around the call arrive, did the call stand inside any step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from enum import StrEnum
from typing import Any

from outlay.core.centre import STRUCTURE
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.money import DEFAULT_CURRENCY
from outlay.core.period import ns_of
from outlay.core.session import NO_SESSION
from outlay.core.tagging import INVALID_BIT, TagSource, digit_at
from outlay.ledger.labels import LABELS
from outlay.ledger.store import Reader
from outlay.ledger.tables import STATED
from outlay.metrics.dialect import Dialect, dialect_named
from outlay.metrics.groups import usage_conditions, usage_source
from outlay.metrics.parts import USAGE, Statement, period_conditions
from outlay.metrics.plan import Plan, plan_of_usages
from outlay.metrics.query import Query
from outlay.metrics.work import work_tables

CAUSES_MAX = 50
CONFLICTS_MAX = 20
_ONE_A_SESSION = tuple(key for key in ENVELOPE_KEYS if key != "agent")
"""A session may well have several agents."""


class Cause(StrEnum):
    """Why a usage has no value under a key, or none that counts."""

    UNKNOWN_VALUE = "unknown value"
    NEVER_TAGS = "emitter never tags"
    SUB_AGENT = "lost in sub-agent"
    THREAD = "lost in thread or queue"
    ROOT = "missing at the root"


@dataclass(frozen=True, slots=True)
class CauseRow:
    """Cost without a valid value under a key, by cause and code path; `example` is a session to look at.

    `value` is the value that is not known, where that is the cause. `amount_nano` is of one currency.
    """

    cause: Cause
    value: str
    agent: str
    service: str
    source: str
    scope: str
    feature: str
    currency: str
    amount_nano: int
    usages: int
    unpriced_usages: int
    sessions: int
    example: str
    last_seen_ns: int


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """A session whose steps say different things under one key; `values` with their cost, the earliest said first.

    Every step keeps its own word. Steps that say nothing take the nearest one, else the earliest, which is `winner`.
    """

    session: str
    key: str
    winner: str
    values: Mapping[str, int]


# ---- causes ---------------------------------------------------------------------------------------------------------


def tag_causes(reader: Reader, query: Query, key: str, *, limit: int = CAUSES_MAX) -> list[CauseRow]:
    """The dearest causes for which usages in the part and period of a question have no valid value under `key`."""
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    tables = [*work_tables(statement, plan), *_evidence(statement, plan, key)]
    value, currency = (
        f"CASE WHEN wrong THEN u.\"{key}\" ELSE '' END",
        f"coalesce(nullif(u.currency, ''), '{DEFAULT_CURRENCY}')",
    )
    selected = ", ".join(
        [
            f"{_cause(statement.dialect)} AS cause",
            f"{value} AS value",
            *(f"u.{name}" for name in ("agent", "origin", "source", "scope", "feature")),
            f"{currency} AS currency",
            "sum(u.amount_nano) AS amount_nano",
            "count(*) AS usages",
            "count(*) FILTER (WHERE u.unpriced_meters > 0) AS unpriced_usages",
            "count(DISTINCT u.session_id) AS sessions",
            "min(u.session_id) AS example",
            "max(u.time) AS last_seen",
        ]
    )
    joins = (
        "LEFT JOIN emitters AS e ON e.origin = u.origin LEFT JOIN runs AS p ON p.session_id = u.parent_session_id "
        "LEFT JOIN steps AS s ON s.fact_key = u.parent_key"
    )
    sql = (
        f"WITH RECURSIVE {', '.join(tables)} SELECT {selected} FROM lacking AS u {joins} "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY amount_nano DESC NULLS LAST, usages DESC, 1, 2, 3, 4 "
        f"LIMIT {statement.bind(limit)}"
    )
    return [_cause_row(row) for row in reader.rows(sql, statement.parameters).to_pylist()]


def _evidence(statement: Statement, plan: Plan, key: str) -> list[str]:
    """The tables a cause is told from: what lacks, which emitters tag, which sessions have the tag, which steps are."""
    dialect = statement.dialect
    own = dialect.has_bits("stated", 1 << STATED.index(key))
    nothing = f'{USAGE}."{key}" = {statement.bind(UNTAGGED)}'
    wrong = dialect.has_bits(f"{USAGE}.tag_gaps", INVALID_BIT[key])
    names = ("agent", "origin", "source", "scope", "feature", "operation", "currency", "amount_nano", "unpriced_meters")
    rest = ("session_id", "parent_session_id", "parent_key", "tree_key", "stated", "time")
    read = dict.fromkeys((key, *names, *rest))
    columns = ", ".join([*(f'{USAGE}."{name}"' for name in read), f"{wrong} AS wrong"])
    costs = f"({USAGE}.bears OR {USAGE}.amount_nano <> 0)"  # the time of a session costs and bears nothing
    wheres = [*usage_conditions(statement, plan), costs, f"({nothing} OR {wrong})"]
    source = usage_source(statement, plan, [columns, *wheres])
    whole = replace(plan, query=replace(plan.query, where=()))
    around = period_conditions(statement, whole, USAGE) or ["true"]
    of_period = f"(SELECT * FROM usages) AS {USAGE} WHERE {' AND '.join(around)}"
    tagged = f'max(CASE WHEN "{key}" <> {statement.bind(UNTAGGED)} THEN 1 ELSE 0 END) AS tags'
    above = "SELECT parent_session_id FROM lacking WHERE parent_session_id <> ''"
    outer = "SELECT parent_key FROM lacking WHERE parent_key IS NOT NULL"
    return [
        f"lacking AS (SELECT {columns} FROM {source} WHERE {' AND '.join(wheres)})",
        f"emitters AS (SELECT origin, max(CASE WHEN {own} THEN 1 ELSE 0 END) AS tags FROM {of_period} GROUP BY origin)",
        f"runs AS (SELECT session_id, {tagged} FROM usages WHERE session_id IN ({above}) GROUP BY session_id)",
        f"steps AS (SELECT fact_key FROM usages WHERE fact_key IN ({outer}))",
    ]


def _cause(dialect: Dialect) -> str:
    structure = ", ".join(f"'{item.value}'" for item in sorted(STRUCTURE))
    session = dialect.has_bits("u.stated", 1 << STATED.index("session_id"))
    bare = f"u.tree_key IS NOT NULL AND u.parent_key IS NULL AND NOT {session} AND u.operation NOT IN ({structure})"
    return (
        f"CASE WHEN wrong THEN '{Cause.UNKNOWN_VALUE}' WHEN p.tags = 1 THEN '{Cause.SUB_AGENT}' "
        f"WHEN coalesce(e.tags, 0) = 0 THEN '{Cause.NEVER_TAGS}' "
        f"WHEN (u.parent_key IS NOT NULL AND s.fact_key IS NULL) OR ({bare}) THEN '{Cause.THREAD}' "
        f"ELSE '{Cause.ROOT}' END"
    )


def _cause_row(row: Mapping[str, Any]) -> CauseRow:
    return CauseRow(
        cause=Cause(row["cause"]),
        value=row["value"],
        agent=row["agent"],
        service=row["origin"],
        source=row["source"],
        scope=row["scope"],
        feature=row["feature"],
        currency=row["currency"],
        amount_nano=int(row["amount_nano"] or 0),
        usages=row["usages"],
        unpriced_usages=row["unpriced_usages"],
        sessions=row["sessions"],
        example=row["example"],
        last_seen_ns=ns_of(row["last_seen"].replace(tzinfo=UTC)),
    )


# ---- findings -------------------------------------------------------------------------------------------------------


def tag_conflicts(reader: Reader, query: Query, *, limit: int = CONFLICTS_MAX) -> tuple[int, list[ConflictRow]]:
    """How many sessions contradict themselves under some key, and the dearest of them."""
    found: list[ConflictRow] = []
    sessions: set[str] = set()
    for key in _contradicted(reader, query):
        rows = _said(reader, query, key)
        for row in rows:
            sessions.add(row["session_id"])
        by_session: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_session.setdefault(row["session_id"], []).append(row)
        for session, said in by_session.items():
            values = {item["value"]: int(item["amount_nano"] or 0) for item in said}
            found.append(ConflictRow(session, key, said[0]["value"], values))
    found.sort(key=lambda row: (-sum(row.values.values()), row.session, row.key))
    return len(sessions), found[:limit]


def _contradicted(reader: Reader, query: Query) -> list[str]:
    """The keys under which some session states several values: few, so that sessions are told apart once for all keys.

    A value of a label stands here as the lowest number of a combination of texts that has it.
    """
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    wheres = [
        *usage_conditions(statement, plan),
        f"{USAGE}.tag_source <> 0",
        f"{USAGE}.session_id <> {statement.bind(NO_SESSION)}",
    ]
    labels, apart = ([key for key in _ONE_A_SESSION if (key in LABELS) is one] for one in (True, False))
    columns = ", ".join(f'{USAGE}."{name}"' for name in ("session_id", "labels", "tag_source", *apart))
    source = usage_source(statement, plan, [columns, *wheres])
    ranks = ", ".join(f'min(number) OVER (PARTITION BY "{key}") AS "{key}"' for key in labels)
    ends: list[str] = []
    for key in _ONE_A_SESSION:
        value = f'CASE WHEN {_own(statement.dialect, "q", key)} THEN {"q" if key in apart else "r"}."{key}" END'
        ends += [f'min({value}) AS "lo_{key}"', f'max({value}) AS "hi_{key}"']
    both = "said AS q JOIN ranks AS r ON r.number = q.labels"
    tables = [
        *work_tables(statement, plan),
        f"said AS (SELECT {columns} FROM {source} WHERE {' AND '.join(wheres)})",
        f"ranks AS (SELECT number, {ranks} FROM labels WHERE number IN (SELECT labels FROM said))",
        f"spans AS (SELECT {', '.join(ends)} FROM {both} GROUP BY q.session_id)",
    ]
    several = (f'max(CASE WHEN "lo_{key}" <> "hi_{key}" THEN 1 ELSE 0 END) AS "{key}"' for key in _ONE_A_SESSION)
    sql = f"WITH RECURSIVE {', '.join(tables)} SELECT {', '.join(several)} FROM spans"
    (row,) = reader.rows(sql, statement.parameters).to_pylist()
    return [key for key in _ONE_A_SESSION if row[key]]


def _own(dialect: Dialect, table: str, key: str) -> str:
    """A usage has its value under a key by itself."""
    digit = dialect.digit(f"{table}.tag_source", digit_at(key))
    return f"{digit} BETWEEN {int(TagSource.OWN)} AND {int(TagSource.OVERRIDE)}"


def _said(reader: Reader, query: Query, key: str) -> list[dict[str, Any]]:
    """Every own value of the sessions that state several under a key, the earliest first."""
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    tables = work_tables(statement, plan)
    wheres = [
        *usage_conditions(statement, plan),
        _own(statement.dialect, USAGE, key),
        f"{USAGE}.session_id <> {statement.bind(NO_SESSION)}",
    ]
    columns = f'{USAGE}.session_id, {USAGE}."{key}" AS value, {USAGE}.amount_nano, {USAGE}.time, {USAGE}.fact_key'
    source = usage_source(statement, plan, [columns, *wheres])
    tables.append(f"said AS (SELECT {columns} FROM {source} WHERE {' AND '.join(wheres)})")
    tables.append("several AS (SELECT session_id FROM said GROUP BY session_id HAVING count(DISTINCT value) > 1)")
    sql = (
        f"WITH RECURSIVE {', '.join(tables)} SELECT session_id, value, sum(amount_nano) AS amount_nano, "
        "min(time) AS first FROM said WHERE session_id IN (SELECT session_id FROM several) "
        "GROUP BY session_id, value ORDER BY session_id, first, min(fact_key)"
    )
    return reader.rows(sql, statement.parameters).to_pylist()


def tag_values(reader: Reader, query: Query) -> dict[str, int]:
    """How many different values each key of the envelope has in the part and period of a question."""
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    wheres = usage_conditions(statement, plan)
    apart = [key for key in ENVELOPE_KEYS if key not in LABELS]
    read = [f"{USAGE}.labels", *(f'{USAGE}."{key}"' for key in apart)]
    source = usage_source(statement, plan, [*read, *wheres])
    where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
    tables = [
        *work_tables(statement, plan),
        f"met AS (SELECT DISTINCT {read[0]} AS labels FROM {source}{where})",  # few: texts are compared of these only
        *(f'met_{key} AS (SELECT count(DISTINCT {USAGE}."{key}") AS n FROM {source}{where})' for key in apart),
    ]
    counts = [
        f'(SELECT n FROM met_{key}) AS "{key}"' if key in apart else f'count(DISTINCT l."{key}") AS "{key}"'
        for key in ENVELOPE_KEYS
    ]
    sql = f"SELECT {', '.join(counts)} FROM met JOIN labels AS l ON l.number = met.labels"
    (row,) = reader.rows(f"WITH RECURSIVE {', '.join(tables)} {sql}", statement.parameters).to_pylist()
    return {key: int(row[key]) for key in ENVELOPE_KEYS}
