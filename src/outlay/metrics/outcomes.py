"""Outcomes as data: which tasks ended how, and every report on one task in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.period import ns_of
from outlay.ledger.store import Reader
from outlay.metrics.dialect import dialect_named
from outlay.metrics.groups import outcome_conditions
from outlay.metrics.parts import OUTCOME, Statement, quoted
from outlay.metrics.plan import plan_of_usages
from outlay.metrics.query import Query

OUTCOMES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One report on a task; `current` is False for a report that a later one replaced. `value_nano` None is unknown.

    `task_sessions`, on the current one, are those of every report on the task; `found` says that the books hold work.
    """

    task: str
    outcome: str
    sessions: tuple[str, ...]
    time_ns: int
    reported_ns: int
    task_type: str
    value_nano: int | None
    currency: str
    source: str
    origin: str
    envelope: dict[str, str]
    current: bool
    task_sessions: tuple[str, ...]
    found: bool


def list_outcomes(reader: Reader, query: Query, *, limit: int = OUTCOMES_MAX) -> list[OutcomeRow]:
    """The current outcomes in the part and period of a question, latest first, at most `limit`."""
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    return _read(reader, statement, outcome_conditions(statement, plan), limit)


def outcome_history(reader: Reader, task: str) -> list[OutcomeRow]:
    """Every report on one task, latest first; empty where the task is not known."""
    statement = Statement(dialect_named(reader.dialect))
    return _read(reader, statement, [f"{OUTCOME}.task_id = {statement.bind(task)}"], OUTCOMES_MAX)


def outcomes_of_session(reader: Reader, session: str, *, limit: int = OUTCOMES_MAX) -> tuple[list[OutcomeRow], int]:
    """The current outcomes that name a session, latest first, at most `limit`, and how many there are."""
    statement = Statement(dialect_named(reader.dialect))
    named = statement.dialect.contains(f"{OUTCOME}.task_sessions", statement.bind(session))
    wheres = [f"{OUTCOME}.{quoted('current')}", named]
    sql = f"SELECT count(*) AS n FROM outcomes AS {OUTCOME} WHERE {' AND '.join(wheres)}"
    (row,) = reader.rows(sql, statement.parameters).to_pylist()
    return (_read(reader, statement, wheres, limit) if row["n"] else []), row["n"]


def _read(reader: Reader, statement: Statement, wheres: list[str], limit: int) -> list[OutcomeRow]:
    sql = (
        f"SELECT * FROM outcomes AS {OUTCOME} WHERE {' AND '.join(wheres)} "
        f"ORDER BY {OUTCOME}.time DESC, {OUTCOME}.reported_at DESC, {OUTCOME}.task_id LIMIT {statement.bind(limit)}"
    )
    return [_row(row) for row in reader.rows(sql, statement.parameters).to_pylist()]


def _row(row: dict[str, Any]) -> OutcomeRow:
    return OutcomeRow(
        task=row["task_id"],
        outcome=row["status"],
        sessions=tuple(row["session_ids"] or ()),
        time_ns=_ns(row["time"]),
        reported_ns=_ns(row["reported_at"] or row["time"]),
        task_type=row["task_type"] or "",
        value_nano=row["value_nano"],
        currency=row["currency"] or "",
        source=row["source"],
        origin=row["origin"] or "",
        envelope={key: row[key] for key in ENVELOPE_KEYS},
        current=row["current"],
        task_sessions=tuple(row["task_sessions"] or ()),
        found=bool(row["found"]),
    )


def _ns(moment: datetime) -> int:
    return ns_of(moment.replace(tzinfo=UTC))
