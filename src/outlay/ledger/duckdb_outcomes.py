"""Settling outcomes in DuckDB: whose they are, which report on a task is the latest, what the session's tags add.

Everything here is a function of the rows alone: what was found earlier is found anew from what the report itself said,
so that reports and work may come in any order. An outcome that names no session belongs to that of the step it judges,
else of the answer it names, else of its trace; one that names no task to the only task its session works on, else the
session is the task.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.outcome import DERIVED
from outlay.core.session import NO_SESSION
from outlay.ledger.reports import FALLBACK_SESSION
from outlay.ledger.tables import SESSION_STATED, TASK_STATED
from outlay.ledger.touched import HOUR_US, Hours

_ENVELOPE_BITS = (1 << len(ENVELOPE_KEYS)) - 1  # the lowest bits of `stated`
_REPORTED = f"source <> '{DERIVED}'"

OUTCOME_HOURS = f"SELECT DISTINCT epoch_us(time) // {HOUR_US} FROM outcomes"
"""The hours of outcomes; a WHERE clause may follow."""

_TOUCHED_USAGES = """
CREATE OR REPLACE TEMP TABLE touched_usages AS
SELECT fact_key, session_id, tree_key, task_id, response_id FROM usage_rows
WHERE seq > ? OR seq IN (SELECT seq FROM unsettled) OR seq IN (SELECT seq FROM decided_seqs)
"""

_TOUCHED_TASKS = f"""
CREATE OR REPLACE TEMP TABLE touched_tasks AS
SELECT DISTINCT task_id FROM outcomes WHERE {_REPORTED} AND (
    seq > ?
    OR task_id IN (SELECT task_id FROM touched_usages WHERE task_id <> '')
    OR ((stated & {SESSION_STATED}) = 0 AND (
        span_key IN (SELECT fact_key FROM touched_usages)
        OR tree_key IN (SELECT tree_key FROM touched_usages WHERE tree_key IS NOT NULL)
        OR response_id IN (SELECT response_id FROM touched_usages WHERE response_id <> '')))
    OR outcome_key IN (
        SELECT outcome_key FROM (SELECT outcome_key, unnest(session_ids) AS session_id FROM outcomes)
        SEMI JOIN touched_usages USING (session_id)))
"""

_UNNAMED = f"""
CREATE OR REPLACE TEMP TABLE unnamed AS
SELECT outcome_key, task_id, session_id, span_key, response_id, tree_key, stated
FROM outcomes SEMI JOIN touched_tasks USING (task_id)
WHERE {_REPORTED} AND (stated & {SESSION_STATED | TASK_STATED}) <> {SESSION_STATED | TASK_STATED}
"""

_STANDS_IN = f"(starts_with(session_id, '{FALLBACK_SESSION}') OR session_id = '{NO_SESSION}')"


def _session_by(key: str, known: str) -> str:
    """The session of the earliest usage with that key; one that is named goes before one that a trace stands in for."""
    wanted = f"SELECT {key} FROM unnamed WHERE (stated & {SESSION_STATED}) = 0 AND {known}"
    usages_key = "fact_key" if key == "span_key" else key
    return (
        f"SELECT {usages_key} AS {key}, arg_min(session_id, ({_STANDS_IN}, time, fact_key)) AS session_id "
        f"FROM usage_rows WHERE {usages_key} IN ({wanted}) GROUP BY 1"
    )


_PLACED = f"""
CREATE OR REPLACE TEMP TABLE placed AS
WITH by_span AS ({_session_by("span_key", "span_key IS NOT NULL")}),
by_response AS ({_session_by("response_id", "response_id <> ''")}),
by_tree AS ({_session_by("tree_key", "tree_key IS NOT NULL")}),
homes AS (
    SELECT n.outcome_key, n.stated, n.task_id, CASE WHEN (n.stated & {SESSION_STATED}) <> 0 THEN n.session_id
           ELSE coalesce(s.session_id, r.session_id, t.session_id,
                         '{FALLBACK_SESSION}' || replace(n.tree_key::VARCHAR, '-', ''), '') END AS session_id
    FROM unnamed n LEFT JOIN by_span s USING (span_key) LEFT JOIN by_response r USING (response_id)
    LEFT JOIN by_tree t USING (tree_key)),
tasks AS (
    SELECT session_id, CASE WHEN min(task_id) = max(task_id) THEN min(task_id) END AS task_id FROM usage_rows
    WHERE session_id IN (SELECT session_id FROM homes) AND task_id <> '' GROUP BY 1)
SELECT h.outcome_key, h.session_id, CASE WHEN (h.stated & {TASK_STATED}) <> 0 THEN h.task_id
       ELSE coalesce(t.task_id, nullif(h.session_id, ''), 'outcome:' || replace(h.outcome_key::VARCHAR, '-', ''))
       END AS task_id
FROM homes h LEFT JOIN tasks t USING (session_id)
"""

_PLACE = f"""
UPDATE outcomes AS o SET task_id = p.task_id, session_id = p.session_id,
    session_ids = CASE WHEN (o.stated & {SESSION_STATED}) <> 0 THEN o.session_ids
                       WHEN p.session_id = '' THEN [] ELSE [p.session_id] END
FROM placed p WHERE p.outcome_key = o.outcome_key
"""

_LATEST = f"""
UPDATE outcomes AS o SET current = (l.outcome_key = o.outcome_key), found = false,
    task_sessions = CASE WHEN l.outcome_key = o.outcome_key THEN l.sessions ELSE [] END
FROM (SELECT task_id, arg_max(outcome_key, (reported_at, outcome_key)) AS outcome_key,
             list_sort(list_distinct(flatten(list(session_ids)))) AS sessions
      FROM outcomes SEMI JOIN touched_tasks USING (task_id) WHERE {_REPORTED} GROUP BY task_id) l
WHERE o.task_id = l.task_id AND o.{_REPORTED}
"""

_REPORTED_SINCE = f"""
WHERE source = '{DERIVED}' AND (
    task_id IN (SELECT task_id FROM touched_tasks)
    OR session_id IN (SELECT unnest(session_ids) FROM outcomes SEMI JOIN touched_tasks USING (task_id)
                      WHERE {_REPORTED}))
"""

_FOUND = f"""
UPDATE outcomes SET found = true WHERE outcome_key IN (
    WITH now AS (SELECT outcome_key, task_id, unnest(list_append(task_sessions, NULL)) AS session_id
                 FROM outcomes SEMI JOIN touched_tasks USING (task_id) WHERE current AND {_REPORTED})
    SELECT outcome_key FROM now SEMI JOIN usage_rows USING (session_id)
    UNION SELECT outcome_key FROM now SEMI JOIN usage_rows USING (task_id))
"""

EARLIEST_TAGS = ", ".join(
    f'arg_min("{key}", (parent_key IS NOT NULL, time, fact_key)) FILTER ("{key}" <> \'{UNTAGGED}\') AS "{key}"'
    for key in ENVELOPE_KEYS
)
_SETS = ", ".join(
    f'"{key}" = CASE WHEN (o.stated & {1 << bit}) <> 0 THEN o."{key}" ELSE f."{key}" END'
    for bit, key in enumerate(ENVELOPE_KEYS)
)
_FROM_WORK = ", ".join(f'coalesce(s."{key}", t."{key}", \'{UNTAGGED}\') AS "{key}"' for key in ENVELOPE_KEYS)

_TAGS = f"""
UPDATE outcomes AS o SET {_SETS} FROM (
    WITH lacking AS (
        SELECT outcome_key, task_id, coalesce(nullif(session_id, ''), task_sessions[1], '') AS session_id
        FROM outcomes SEMI JOIN touched_tasks USING (task_id)
        WHERE {_REPORTED} AND (stated & {_ENVELOPE_BITS}) <> {_ENVELOPE_BITS}),
    of_sessions AS (
        SELECT session_id, {EARLIEST_TAGS} FROM usages
        WHERE session_id IN (SELECT session_id FROM lacking WHERE session_id <> '') GROUP BY 1),
    of_tasks AS (
        SELECT task_id, {EARLIEST_TAGS} FROM usages
        WHERE task_id IN (SELECT task_id FROM lacking WHERE session_id = '') GROUP BY 1)
    SELECT l.outcome_key, {_FROM_WORK} FROM lacking l LEFT JOIN of_sessions s USING (session_id)
    LEFT JOIN of_tasks t ON t.task_id = l.task_id AND l.session_id = '') f
WHERE f.outcome_key = o.outcome_key
"""


def settle_outcomes(transaction: duckdb.DuckDBPyConnection, after: int, decided: pa.Array | pa.ChunkedArray) -> Hours:
    """Settle the outcomes that are new after seq `after`, or whose work is; `decided` are usages that changed.

    Returns the hours of all it looked at.
    """
    if not _count(transaction, f"SELECT count(*) FROM outcomes WHERE {_REPORTED}"):
        return frozenset()
    transaction.register("decided_seqs", pa.table({"seq": decided}))
    try:
        transaction.execute(_TOUCHED_USAGES, [after])
        transaction.execute(_TOUCHED_TASKS, [after])
        if not _count(transaction, "SELECT count(*) FROM touched_tasks"):
            return frozenset()
        transaction.execute(_UNNAMED)
        if _count(transaction, "SELECT count(*) FROM unnamed"):
            transaction.execute(_PLACED)
            transaction.execute(_PLACE)
            transaction.execute("INSERT INTO touched_tasks SELECT DISTINCT task_id FROM placed")
        transaction.execute(_LATEST)
        gone = fetched_hours(transaction, f"{OUTCOME_HOURS} {_REPORTED_SINCE}")
        transaction.execute(f"DELETE FROM outcomes {_REPORTED_SINCE}")
        transaction.execute(_FOUND)
        transaction.execute(_TAGS)
        return gone | fetched_hours(
            transaction, f"{OUTCOME_HOURS} WHERE task_id IN (SELECT task_id FROM touched_tasks)"
        )
    finally:
        transaction.unregister("decided_seqs")


def fetched_hours(transaction: duckdb.DuckDBPyConnection, sql: str) -> Hours:
    """The hours a statement tells."""
    return frozenset(hour for (hour,) in transaction.execute(sql).fetchall())


def _count(transaction: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(transaction.execute(sql).fetchall()[0][0])
