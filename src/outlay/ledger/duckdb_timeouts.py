"""Time-outs in DuckDB: tasks with work in the books that nobody completed in time are abandoned.

A pure function of the rows, the settings and a moment: the outcomes it wants are computed anew and compared with those
that stand, so that a rebuild as of the same moment gives the same. A derived outcome never stands beside a report on
the same task or session; a report that only says that a task exists (status unknown) gives way where the settings name
its kind of task.

The unit is the task that usages name, else the outermost session with everything below it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from outlay.core.centre import Operation
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.outcome import DERIVED, OutcomeStatus, Timeouts
from outlay.core.session import NO_SESSION
from outlay.ledger.duckdb_outcomes import EARLIEST_TAGS, OUTCOME_HOURS, fetched_hours
from outlay.ledger.tables import SESSION_STATED, TASK_STATED
from outlay.ledger.touched import HOUR_US, Hours

_REPORTED = f"source <> '{DERIVED}'"
_NEVER_S = -1
_GENERATIONS_MAX = 32
_NO_WORK = ", ".join(f"'{item.value}'" for item in (Operation.EVALUATION, Operation.GUARDRAIL, Operation.RUNTIME))
_TABLES = ("said_features", "said_types")

_ROOTS = f"""
CREATE OR REPLACE TEMP TABLE timeout_roots AS
WITH RECURSIVE links AS (
    SELECT session_id, min(parent_session_id) AS above FROM usage_rows
    WHERE parent_session_id <> '' AND parent_session_id <> session_id GROUP BY 1),
climb AS (
    SELECT session_id, above, 1 AS generation FROM links
    UNION ALL
    SELECT c.session_id, l.above, generation + 1 FROM climb c JOIN links l ON l.session_id = c.above
    WHERE generation < {_GENERATIONS_MAX})
SELECT session_id, arg_max(above, generation) AS root FROM climb GROUP BY 1
"""

_UNITS = f"""
CREATE OR REPLACE TEMP TABLE timeout_units AS
SELECT CASE WHEN task_id <> '' THEN task_id ELSE coalesce(r.root, u.session_id) END AS unit, task_id <> '' AS named,
       coalesce(r.root, u.session_id) AS root, u.session_id, min(u.time) AS first,
       max(u.time + to_milliseconds(coalesce(duration_ms, 0))) AS last,
       bool_or(bears AND counted AND l.operation NOT IN ({_NO_WORK})) AS worked,
       arg_min(l.feature, (u.time, fact_key)) FILTER (l.feature <> '{UNTAGGED}') AS feature
FROM usage_rows u JOIN labels l ON l.number = u.labels LEFT JOIN timeout_roots r ON r.session_id = u.session_id
WHERE u.session_id <> '{NO_SESSION}'
GROUP BY ALL
"""

_SILENT = f"""
CREATE OR REPLACE TEMP TABLE silent AS
WITH reported AS (SELECT DISTINCT task_id FROM outcomes WHERE {_REPORTED}),
named AS (SELECT DISTINCT unnest(session_ids) AS session_id FROM outcomes WHERE {_REPORTED}),
heard AS (  -- trees in which somebody has spoken of a session or of a task
    SELECT root FROM timeout_units SEMI JOIN named USING (session_id)
    UNION SELECT session_id FROM named
    UNION SELECT root FROM timeout_units WHERE named),
told AS (SELECT DISTINCT unnest(session_ids) AS session_id FROM outcomes
         WHERE {_REPORTED} AND (stated & {TASK_STATED}) = 0),
groups AS (
    SELECT unit, named, list_sort(list_distinct(list(session_id))) AS sessions, max(last) AS last,
           bool_or(worked) AS worked, arg_min(feature, (first, session_id)) FILTER (feature IS NOT NULL) AS feature
    FROM timeout_units
    WHERE (named AND unit NOT IN (FROM reported) AND session_id NOT IN (FROM told))
       OR (NOT named AND unit NOT IN (FROM heard))
    GROUP BY unit, named),
reporting AS (SELECT DISTINCT feature FROM outcomes WHERE {_REPORTED} AND feature <> '{UNTAGGED}'),
judged AS (
    SELECT g.*, coalesce(f.seconds, CASE WHEN g.feature IN (FROM reporting) THEN $default END) AS seconds
    FROM groups g LEFT JOIN said_features f ON f.name = g.feature
    WHERE worked)
SELECT unit AS task_id,
       CASE WHEN named THEN sessions[1] ELSE unit END AS session_id, sessions,
       '' AS task_type, last + to_seconds(seconds) AS time, seconds FROM judged
WHERE seconds > {_NEVER_S} AND last + to_seconds(seconds) <= $as_of
"""

_OPENED = f"""
INSERT INTO silent
WITH signs AS (
    SELECT task_id, max(last) AS last FROM (
        SELECT o.task_id, last FROM timeout_units JOIN (
            SELECT task_id, unnest(task_sessions) AS session_id FROM outcomes WHERE {_REPORTED}) o USING (session_id)
        UNION ALL SELECT unit, last FROM timeout_units)
    GROUP BY 1),
latest AS (
    SELECT task_id, arg_max(status, (reported_at, outcome_key)) AS status, max(reported_at) AS reported_at,
           arg_max(task_type, (reported_at, outcome_key)) AS task_type,
           list_sort(list_distinct(flatten(list(session_ids)))) AS sessions
    FROM outcomes WHERE {_REPORTED} GROUP BY task_id HAVING status = '{OutcomeStatus.UNKNOWN}')
SELECT l.task_id, coalesce(l.sessions[1], '') AS session_id, l.sessions, l.task_type,
       greatest(l.reported_at, s.last) + to_seconds(t.seconds) AS due, t.seconds
FROM latest l JOIN said_types t ON t.name = l.task_type LEFT JOIN signs s USING (task_id)
WHERE t.seconds > {_NEVER_S} AND due <= $as_of
"""

_TAGS = ", ".join(f'coalesce(t."{key}", \'{UNTAGGED}\') AS "{key}"' for key in ENVELOPE_KEYS)
_COLUMNS = (
    *("outcome_key", "task_id", "session_id", "session_ids", "task_sessions", "found", "status", "time", "reported_at"),
    *("task_type", "currency", "source", "origin", "zone_assumed", *ENVELOPE_KEYS, "tags", "said", "stated"),
    *("current", "seq"),
)

_WANTED = f"""
CREATE OR REPLACE TEMP TABLE wanted AS
WITH tags AS (
    SELECT session_id, {EARLIEST_TAGS} FROM usages WHERE session_id IN (SELECT session_id FROM silent) GROUP BY 1)
SELECT md5('timeout/' || task_id)::UUID AS outcome_key, task_id, session_id, sessions AS session_ids,
       sessions AS task_sessions, true AS found, '{OutcomeStatus.ABANDONED}' AS status, time, time AS reported_at,
       task_type, 'USD' AS currency, '{DERIVED}' AS source, 'no sign for ' || seconds || ' s' AS origin,
       false AS zone_assumed, {_TAGS}, '' AS tags, '' AS said,
       {SESSION_STATED | TASK_STATED}::INTEGER AS stated, true AS current,
       0 AS seq
FROM silent LEFT JOIN tags t USING (session_id)
"""
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_ROW = f"({_NAMES})"

_GONE = f"""
CREATE OR REPLACE TEMP TABLE gone AS
SELECT task_id, outcome_key FROM outcomes WHERE source = '{DERIVED}' AND {_ROW} NOT IN (SELECT {_ROW} FROM wanted)
"""
_RESTORE = f"""
UPDATE outcomes AS o SET current = (l.outcome_key = o.outcome_key)
FROM (SELECT task_id, arg_max(outcome_key, (reported_at, outcome_key)) AS outcome_key FROM outcomes
      SEMI JOIN gone USING (task_id) WHERE {_REPORTED} GROUP BY task_id) l
WHERE o.task_id = l.task_id AND o.{_REPORTED}
"""
_STEPS_BACK = f"WHERE {_REPORTED} AND current AND task_id IN (SELECT task_id FROM wanted)"
_NEW = "FROM wanted WHERE outcome_key NOT IN (SELECT outcome_key FROM outcomes)"
_CHANGED = f"""
{OUTCOME_HOURS} WHERE task_id IN (SELECT task_id FROM gone)
UNION {OUTCOME_HOURS} {_STEPS_BACK}
UNION SELECT DISTINCT epoch_us(time) // {HOUR_US} {_NEW}
"""


def settle_timeouts(transaction: duckdb.DuckDBPyConnection, timeouts: Timeouts, as_of: datetime) -> tuple[int, Hours]:
    """Make the derived outcomes those of `as_of` (UTC); returns how many came or went, and which hours changed."""
    outcomes = transaction.execute("SELECT 1 FROM outcomes LIMIT 1").fetchall()
    if not outcomes and not timeouts.by_feature and not timeouts.by_task_type:
        return 0, frozenset()
    moment = as_of.astimezone(UTC).replace(tzinfo=None)
    said = (timeouts.by_feature, timeouts.by_task_type)
    for name, seconds in zip(_TABLES, said, strict=True):
        rows = [(key, _NEVER_S if value is None else value) for key, value in seconds.items()]
        table = pa.table(
            {"name": [key for key, _ in rows], "seconds": [value for _, value in rows]},
            schema=pa.schema([("name", pa.string()), ("seconds", pa.int64())]),
        )
        transaction.register(name, table)
    default = _NEVER_S if timeouts.default_s is None else timeouts.default_s
    try:
        transaction.execute(_ROOTS)
        transaction.execute(_UNITS)
        transaction.execute(_SILENT, {"default": default, "as_of": moment})
        transaction.execute(_OPENED, {"as_of": moment})
        transaction.execute(_WANTED)
        transaction.execute(_GONE)
        hours = fetched_hours(transaction, _CHANGED)
        transaction.execute("DELETE FROM outcomes WHERE outcome_key IN (SELECT outcome_key FROM gone)")
        transaction.execute(_RESTORE)
        hours |= fetched_hours(transaction, _CHANGED)  # and those that step back now
        transaction.execute(f"UPDATE outcomes SET current = false {_STEPS_BACK}")
        transaction.execute(f"INSERT INTO outcomes ({_NAMES}) SELECT {_NAMES} {_NEW}")
        counts = [transaction.execute(f"SELECT count(*) FROM {table}").fetchall() for table in ("gone", "wanted")]
    finally:
        for name in _TABLES:
            transaction.unregister(name)
    return int(counts[0][0][0]) + int(counts[1][0][0]), hours
