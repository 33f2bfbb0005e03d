"""Sessions: finding them, the dearest first, and how those of a set lie in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from outlay.core.centre import STRUCTURE, Operation
from outlay.core.session import NO_SESSION, SessionState
from outlay.ledger.store import Reader
from outlay.metrics.dialect import Dialect, dialect_named
from outlay.metrics.groups import usage_conditions, usage_source
from outlay.metrics.parts import USAGE, Statement
from outlay.metrics.plan import plan_of_usages
from outlay.metrics.query import Query
from outlay.metrics.work import work_tables


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One line of a list of sessions; `cost_nano` is None where nothing about it is priced."""

    session: str
    parent_session: str
    state: SessionState
    first_seen_ns: int
    last_seen_ns: int
    team: str
    feature: str
    agent: str
    cost_nano: int | None
    usages: int
    unpriced_usages: int
    failed_usages: int


@dataclass(frozen=True, slots=True)
class Together:
    """`at_once_max` sessions were alive at once, at most; `wall_clock_us` passed from the first sign to the last."""

    at_once_max: int
    wall_clock_us: int


def list_sessions(reader: Reader, query: Query, *, limit: int = 100) -> list[SessionRow]:
    """The dearest sessions in the part and period of a question, at most `limit`; those without a price come last.

    Where one session carries several teams, features or agents, the first by name is shown.
    """
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    tables = work_tables(statement, plan)
    columns = ", ".join([f"{USAGE}.session_id AS session", *_session_columns(statement)])
    wheres = [*usage_conditions(statement, plan), f"{USAGE}.session_id <> {statement.bind(NO_SESSION)}"]
    source = usage_source(statement, plan, [columns, *wheres])
    tables.append(f"runs AS (SELECT {columns} FROM {source} WHERE {' AND '.join(wheres)} GROUP BY 1)")
    tables.append(
        "ended AS (SELECT DISTINCT " + statement.dialect.elements("session_ids") + " AS session FROM outcomes)"
    )
    sql = (
        f"WITH RECURSIVE {', '.join(tables)} SELECT runs.*, ended.session IS NOT NULL AS has_outcome FROM runs "
        f"LEFT JOIN ended ON ended.session = runs.session "
        f"ORDER BY nullif(cost, 0) DESC NULLS LAST, runs.session LIMIT {statement.bind(limit)}"
    )
    return [_session_row(row) for row in reader.rows(sql, statement.parameters).to_pylist()]


def sessions_together(reader: Reader, query: Query) -> Together:
    """How the sessions of a set lie in time: each lives from its first to its last sign."""
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    tables = f"WITH RECURSIVE {', '.join(work_tables(statement, plan))} " if plan.with_work else ""
    first, last = _first(statement.dialect), _last(statement.dialect)
    wheres = [*usage_conditions(statement, plan), f"{USAGE}.session_id <> {statement.bind(NO_SESSION)}"]
    usages = usage_source(statement, plan, [first, last, *wheres])
    source = f"{usages} WHERE {' AND '.join(wheres)} GROUP BY {USAGE}.session_id"
    table = reader.rows(f"{tables}SELECT {first} AS first, {last} AS last FROM {source}", statement.parameters)
    if not table.num_rows:
        return Together(0, 0)
    starts = np.sort(table.column("first").to_numpy())
    ends = np.sort(table.column("last").to_numpy())
    alive = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="left")
    return Together(int(alive.max()), int(ends[-1] - starts[0]))


OPENING = tuple(sorted(item.value for item in STRUCTURE))
"""Operations that hold a whole run: where the outermost of them has an end, so has the session."""


def _first(dialect: Dialect) -> str:
    return dialect.us(f"min({USAGE}.time)")


def _last(dialect: Dialect) -> str:
    return f"max({dialect.end_of(f'{USAGE}.time', f'{USAGE}.duration_ms')})"


def _session_columns(statement: Statement) -> list[str]:
    structure, chat = statement.bind_all(OPENING), statement.bind(Operation.CHAT.value)
    closed = f"{USAGE}.operation IN ({structure}) AND {USAGE}.duration_ms IS NOT NULL AND {USAGE}.parent_key IS NULL"
    return [
        f"max({USAGE}.parent_session_id) AS parent",
        f"{_first(statement.dialect)} AS first",
        f"{_last(statement.dialect)} AS last",
        *(f"min({USAGE}.{key}) AS {key}" for key in ("team", "feature", "agent")),
        f"sum({USAGE}.amount_nano) AS cost",
        f"count(*) FILTER (WHERE {USAGE}.bears) AS usages",
        f"count(*) FILTER (WHERE {USAGE}.unpriced_meters > 0) AS unpriced",
        f"count(*) FILTER (WHERE {USAGE}.failed) AS failed",
        f"count(*) FILTER (WHERE {USAGE}.bears AND {USAGE}.operation = {chat}) AS calls",
        f"count(*) FILTER (WHERE {closed}) AS closed",
    ]


def _session_row(row: Mapping[str, Any]) -> SessionRow:
    return SessionRow(
        session=row["session"],
        parent_session=row["parent"] or "",
        state=state_of(row, has_outcome=row["has_outcome"]),
        first_seen_ns=int(row["first"]) * 1_000,
        last_seen_ns=int(row["last"]) * 1_000,
        team=row["team"],
        feature=row["feature"],
        agent=row["agent"],
        cost_nano=None if not row["cost"] and row["unpriced"] else int(row["cost"] or 0),
        usages=row["usages"],
        unpriced_usages=row["unpriced"],
        failed_usages=row["failed"],
    )


def state_of(facts: Mapping[str, Any], *, has_outcome: bool) -> SessionState:
    """Ended when an outcome names the session or its outermost step has an end; not seen without a model call."""
    if not facts["calls"]:
        return SessionState.NOT_SEEN
    return SessionState.ENDED if has_outcome or facts["closed"] else SessionState.OPEN
