"""Upgrades in DuckDB: what books of an earlier version lack is added when they are opened."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from outlay.ledger.reports import FALLBACK_SESSION
from outlay.ledger.tables import OUTCOME_COLUMNS, SESSION_STATED, TASK_STATED, Kind

_OUTCOME_WORK = ("task_sessions", "found", "span_key", "response_id", "tree_key")
_FALLBACK = f"starts_with(session_id, '{FALLBACK_SESSION}')"
_FILL = f"""
UPDATE outcomes SET found = false, response_id = '', session_ids = coalesce(session_ids, []),
    task_sessions = coalesce(session_ids, []),
    tree_key = CASE WHEN {_FALLBACK} THEN substr(session_id, {len(FALLBACK_SESSION) + 1})::UUID END,
    stated = stated | CASE WHEN {_FALLBACK} OR session_id = '' THEN 0 ELSE {SESSION_STATED} END
                    | CASE WHEN task_id = session_id THEN 0 ELSE {TASK_STATED} END
"""
_LOOK_AGAIN = "INSERT INTO unsettled SELECT max(seq) FROM usage_rows GROUP BY session_id"


def add_outcome_work(connection: duckdb.DuckDBPyConnection, database: str, types: Mapping[Kind, str]) -> None:
    """Let outcomes of version 1 say which work they belong to; a usage of each session is settled again for that."""
    known = connection.execute(
        "SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND table_name = 'outcomes' AND column_name = ?",
        [database, _OUTCOME_WORK[0]],
    ).fetchall()
    if known:
        return
    for column in OUTCOME_COLUMNS:
        if column.name in _OUTCOME_WORK:
            connection.execute(f"ALTER TABLE outcomes ADD COLUMN IF NOT EXISTS {column.name} {types[column.kind]}")
    connection.execute(_FILL)
    connection.execute(_LOOK_AGAIN)
