"""Upgrades in DuckDB: books of an earlier version get the columns they lack, filled from those they have.

`outlay rebuild` says more: it computes every row again from the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from outlay.core.envelope import UNTAGGED
from outlay.core.tagging import BITS, MISSING_BIT, SOURCED_KEYS, TagSource
from outlay.ledger.reports import FALLBACK_SESSION
from outlay.ledger.tables import SESSION_STATED, STATED, TASK_STATED, Column, Kind

_DEFAULTS = {Kind.TEXT: "''", Kind.COUNT: "0", Kind.SMALL: "0", Kind.FLAG: "false"}

_FALLBACK = f"starts_with(session_id, '{FALLBACK_SESSION}')"
_OUTCOME_WORK = f"""
UPDATE outcomes SET session_ids = coalesce(session_ids, []), task_sessions = coalesce(session_ids, []),
    tree_key = CASE WHEN {_FALLBACK} THEN substr(session_id, {len(FALLBACK_SESSION) + 1})::UUID END,
    stated = stated | CASE WHEN {_FALLBACK} OR session_id = '' THEN 0 ELSE {SESSION_STATED} END
                    | CASE WHEN task_id = session_id THEN 0 ELSE {TASK_STATED} END
"""
_LOOK_AGAIN = "INSERT INTO unsettled SELECT max(seq) FROM usage_rows GROUP BY session_id"

_OWN = " + ".join(
    f"((stated >> {STATED.index(key)}) & 1)::BIGINT * {int(TagSource.OWN) << (BITS * place)}"
    for place, key in enumerate(SOURCED_KEYS)
)
_FIRST_SOURCES = f"UPDATE usage_rows SET tag_source = {_OWN}"
_FIRST_GAPS = f"""
UPDATE usage_rows SET tag_gaps = {MISSING_BIT["team"]}
WHERE labels IN (SELECT number FROM labels WHERE team = '{UNTAGGED}')
"""
_ALL_AGAIN = "INSERT INTO unsettled SELECT seq FROM usage_rows WHERE inherited <> 0"


def upgrade(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[Column]], types: Mapping[Kind, str]
) -> None:
    """Bring the tables of earlier versions up to the present one, within the present transaction.

    1 to 2: outcomes say which work they belong to; a usage of each session is settled again for that.
    2 to 3: usages say where each tag came from, what is wrong with their tags, and which key and scope they came with;
    what was inherited is settled again, which tells from whom.
    3 and 4 to 5: the table `whereabouts`, which is made anew where it is missing.
    """
    added = {item for table, columns in tables.items() for item in _add_columns(connection, table, columns, types)}
    connection.execute("DROP TABLE IF EXISTS whereabouts")
    if ("outcomes", "task_sessions") in added:
        connection.execute(_OUTCOME_WORK)
        connection.execute(_LOOK_AGAIN)
    if ("usage_rows", "tag_source") in added:
        connection.execute(_FIRST_SOURCES)
        connection.execute(_FIRST_GAPS)
        connection.execute(_ALL_AGAIN)


def _add_columns(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[Column], types: Mapping[Kind, str]
) -> set[tuple[str, str]]:
    held = {row[0] for row in connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchall()}
    lacking = [column for column in columns if column.name not in held]
    for column in lacking:
        default = f" DEFAULT {_DEFAULTS[column.kind]}" if column.kind in _DEFAULTS else ""
        connection.execute(f'ALTER TABLE {table} ADD COLUMN "{column.name}" {types[column.kind]}{default}')
    return {(table, column.name) for column in lacking}
