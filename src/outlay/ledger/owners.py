"""Owners: whose work an outcome speaks of, as far as the books know it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from outlay.core.envelope import UNTAGGED
from outlay.ledger.store import Reader

ASKED_MAX = 500
"""How many ids one question holds."""


def owners_of(reader: Reader, outcomes: pa.Table) -> list[frozenset[str]]:
    """For each outcome (OUTCOMES) the teams of the sessions, the task and the answer it names; none where unknown."""
    said = [
        [("session_id", name) for name in sessions or ()] + [("task_id", task or ""), ("response_id", answer or "")]
        for sessions, task, answer in zip(
            *(outcomes.column(name).to_pylist() for name in ("session_ids", "task_id", "response_id")), strict=True
        )
    ]
    teams: dict[tuple[str, str], set[str]] = {}
    for column in ("session_id", "task_id", "response_id"):
        wanted = sorted({value for row in said for name, value in row if name == column and value})
        for start in range(0, len(wanted), ASKED_MAX):
            for value, team in _teams(reader, column, wanted[start : start + ASKED_MAX]):
                teams.setdefault((column, value), set()).add(team)
    return [frozenset().union(*(teams.get(key, ()) for key in row)) for row in said]


def _teams(reader: Reader, column: str, values: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Value and team of all work that carries one of these values; an answer or a task speaks for its session."""
    places = ", ".join("?" for _ in values)
    sql = f"SELECT DISTINCT {column} AS said, team FROM usages WHERE {column} IN ({places}) AND team <> ?"
    return ((row["said"], row["team"]) for row in reader.rows(sql, (*values, UNTAGGED)).to_pylist())
