"""Owners: whose work an outcome speaks of, as far as the books know it.

Asked while a request waits, so nothing here reads the books from end to end: `whereabouts` names the days on which a
session or a task did its work, and only those days are read. An answer is looked for only where it is all an outcome
names, and among the answers of the last `ANSWERED_DAYS_MAX` days.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from outlay.core.envelope import UNTAGGED
from outlay.ledger.store import Reader
from outlay.ledger.whereabouts import ASKED_MAX, Named, Stretch, stretches_of

ANSWERED_DAYS_MAX = 31
"""How old an answer may be that is judged by its id alone; what is older counts as unknown work."""

_COLUMNS = {"session_id": Named.SESSION, "task_id": Named.TASK, "response_id": None}


def owners_of(reader: Reader, outcomes: pa.Table, now: datetime | None = None) -> list[frozenset[str]]:
    """For each outcome (OUTCOMES) the teams of the sessions and the task it names, else of the answer.

    None where they are unknown. `now` is the moment from which the age of an answer counts.
    """
    said = [
        _said(sessions or (), task or "", answer or "")
        for sessions, task, answer in zip(
            *(outcomes.column(name).to_pylist() for name in ("session_ids", "task_id", "response_id")), strict=True
        )
    ]
    teams: dict[tuple[str, str], set[str]] = {}
    for column, named in _COLUMNS.items():
        wanted = sorted({value for row in said for name, value in row if name == column})
        for start in range(0, len(wanted), ASKED_MAX):
            names = wanted[start : start + ASKED_MAX]
            within = stretches_of(reader, named, names) if named else _lately(now or datetime.now(UTC))
            for value, team in _teams(reader, column, names, within):
                teams.setdefault((column, value), set()).add(team)
    return [frozenset().union(*(teams.get(key, ()) for key in row)) for row in said]


def _said(sessions: Sequence[str], task: str, answer: str) -> list[tuple[str, str]]:
    """Column and value of the work an outcome names; an answer names it where nothing else does."""
    named = [("session_id", name) for name in sessions if name] + ([("task_id", task)] if task else [])
    return named or ([("response_id", answer)] if answer else [])


def _lately(now: datetime) -> list[Stretch]:
    """From some weeks ago on; a clock may run ahead."""
    at = now.astimezone(UTC).replace(tzinfo=None)
    return [(at - timedelta(days=ANSWERED_DAYS_MAX), at + timedelta(days=1))]


def _teams(reader: Reader, column: str, values: Sequence[str], within: Sequence[Stretch]) -> Iterable[tuple[str, str]]:
    """Value and team of the work of these stretches that carries one of these values."""
    if not within:
        return []
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    bounds = [moment for stretch in within for moment in stretch]
    first = len(values) + 1
    parts = " UNION ".join(
        f"SELECT {column} AS said, labels FROM usage_rows WHERE {column} IN ({places}) "
        f"AND time >= ${first + 2 * place} AND time < ${first + 2 * place + 1}"
        for place in range(len(within))
    )
    untagged = f"${first + len(bounds)}"
    sql = (
        f"SELECT DISTINCT said, team FROM ({parts}) AS work JOIN labels ON number = work.labels "
        f"WHERE team <> {untagged}"
    )
    return ((row["said"], row["team"]) for row in reader.rows(sql, (*values, *bounds, UNTAGGED)).to_pylist())
