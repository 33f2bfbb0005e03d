"""Settling in DuckDB: find the usages whose relatives matter, hand them out, write back what relations decided.

Most traces need nothing: every usage says its own tags and nobody repeats anybody. One pass of the engine finds the
traces, sessions and answers where that is not so; only those are looked at row by row.
"""

from __future__ import annotations

from datetime import datetime

import duckdb
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.meters import INPUT_METERS, OUTPUT_METERS
from outlay.core.outcome import Timeouts
from outlay.core.session import NO_SESSION
from outlay.ledger import duckdb_rollups as rollups
from outlay.ledger.duckdb_outcomes import settle_outcomes
from outlay.ledger.duckdb_readings import READING_COLUMNS, TOTAL_COLUMNS, merge_readings, totals_of
from outlay.ledger.duckdb_snapshot import store_error
from outlay.ledger.duckdb_store import with_binary_keys, with_uuid_keys
from outlay.ledger.duckdb_tags import DuckTags
from outlay.ledger.duckdb_timeouts import settle_timeouts
from outlay.ledger.duckdb_whereabouts import UNNOTED
from outlay.ledger.labels import LABELS
from outlay.ledger.reports import FALLBACK_SESSION
from outlay.ledger.store import Work
from outlay.ledger.tables import RESOLVED, RULE_BIT, STATED, Column, Kind
from outlay.normalize.relations import METRIC_SLACK_US

_SESSION_BIT = 1 << STATED.index("session_id")
_REASON_BIT = 1 << STATED.index("reason")
_INHERITED_BITS = (1 << RULE_BIT) - 1  # what rules filled in does not depend on relatives
_TAG_BITS = _REASON_BIT - 1  # every bit that relatives may fill; the reason is the last one

_TOUCHED = "(seq > $after OR seq IN (SELECT seq FROM unsettled))"

_UNSETTLED_TREES = f"""
WITH touched AS (SELECT DISTINCT tree_key FROM usage_rows WHERE {_TOUCHED} AND tree_key IS NOT NULL),
logs AS (SELECT number FROM labels WHERE signal IN ('log', 'event')),
mine AS MATERIALIZED (
    SELECT u.tree_key, u.fact_key, u.parent_key, u.labels, u.bears, u.aggregate, u.counted, u.stated,
           u.inherited, u.attempt, u.failed, u.time
    FROM usage_rows u SEMI JOIN touched USING (tree_key)),
uneven AS (
    SELECT tree_key FROM mine GROUP BY tree_key
    HAVING bit_or(stated & {_TAG_BITS}) <> bit_and(stated & {_TAG_BITS}) OR bool_or(aggregate) OR bool_or(NOT counted)
        OR bool_or((inherited & {_INHERITED_BITS}) <> 0)
        OR (bool_or(labels IN (FROM logs)) AND bool_or(labels NOT IN (FROM logs)))),
nested AS (
    SELECT DISTINCT c.tree_key FROM mine c JOIN mine p ON c.parent_key = p.fact_key JOIN labels l ON l.number = p.labels
    WHERE p.bears AND l.operation IN ('chat', 'embedding', 'retrieval', 'rerank', 'guardrail', 'evaluation')),
tried AS (SELECT DISTINCT tree_key FROM mine WHERE attempt > 0),
repeated AS (
    SELECT DISTINCT tree_key FROM (
        SELECT tree_key, attempt, failed, lag(attempt) OVER before AS earlier, lag(failed) OVER before AS earlier_failed
        FROM mine SEMI JOIN tried USING (tree_key) JOIN labels l ON l.number = mine.labels WHERE bears
        WINDOW before AS (PARTITION BY tree_key, parent_key, operation ORDER BY time, attempt))
    WHERE attempt > 0 AND earlier = attempt - 1 AND NOT earlier_failed)
SELECT tree_key FROM uneven UNION SELECT tree_key FROM nested UNION SELECT tree_key FROM repeated
"""

_UNSETTLED_SESSIONS = f"""
WITH touched AS (SELECT DISTINCT session_id FROM usage_rows WHERE {_TOUCHED} AND (stated & {_SESSION_BIT}) <> 0),
metrics AS (SELECT number FROM labels WHERE signal = 'metric'),
logs AS (SELECT number FROM labels WHERE signal IN ('log', 'event')),
files AS (SELECT number FROM labels WHERE signal = 'file')
SELECT session_id FROM usage_rows u SEMI JOIN touched USING (session_id)
GROUP BY session_id
HAVING bit_or(stated & {_TAG_BITS}) <> bit_and(stated & {_TAG_BITS})
    OR bool_or((inherited & {_INHERITED_BITS}) <> 0)
    OR (bool_or(labels IN (FROM metrics)) AND bool_or(labels NOT IN (FROM metrics)))
    OR (bool_or(labels IN (FROM logs)) AND bool_or(labels NOT IN (FROM logs)))
    OR (bool_or(labels IN (FROM files)) AND bool_or(labels NOT IN (FROM files)))
"""

_SAME_ANSWER = f"""
WITH touched AS (SELECT DISTINCT usage_key FROM usage_rows WHERE {_TOUCHED} AND usage_key <> fact_key)
SELECT usage_key FROM usage_rows u SEMI JOIN touched USING (usage_key) GROUP BY usage_key HAVING count(*) > 1
"""

_LOOSE = f"""
WITH touched AS (SELECT min(time) AS first, max(time) AS last FROM usage_rows WHERE {_TOUCHED}),
loose AS (
    SELECT u.seq, u.time, l.signal, l.origin, u."user", u.duration_ms
    FROM usage_rows u JOIN labels l ON u.labels = l.number, touched
    WHERE (u.stated & {_SESSION_BIT}) = 0 AND (l.signal = 'metric'
            OR (l.signal = 'span' AND u.bears AND l.origin IN (SELECT origin FROM labels WHERE signal = 'log')))
      AND u.time BETWEEN touched.first - INTERVAL 1 DAY AND touched.last + INTERVAL 1 DAY),
calls AS (
    SELECT min(c.seq) AS seq FROM loose m
    JOIN labels l ON l.origin = m.origin AND (l.signal = 'log' OR (l.signal = 'span' AND m.signal = 'metric'))
    JOIN usage_rows c ON c.labels = l.number AND c.bears AND (m."user" = '' OR c."user" = m."user")
      AND (m.signal = 'metric' OR c.tree_key IS NULL)
      AND {" + ".join(f"c.{meter}" for meter in (*INPUT_METERS, *OUTPUT_METERS))} > 0
      AND c.time BETWEEN m.time - INTERVAL {METRIC_SLACK_US} MICROSECOND
          AND m.time + INTERVAL {METRIC_SLACK_US} MICROSECOND + to_milliseconds(coalesce(m.duration_ms, 0))
    GROUP BY m.seq)
SELECT seq FROM loose UNION SELECT seq FROM calls
"""

_HAS_LOOSE = "SELECT count(*) FROM labels WHERE signal IN ('metric', 'log')"
_NO_ROWS = "SELECT 0::BIGINT AS seq WHERE false"

_FIND = """
CREATE OR REPLACE TEMP TABLE settling AS
SELECT seq FROM usage_rows WHERE tree_key IN (SELECT tree_key FROM unsettled_trees)
UNION SELECT seq FROM usage_rows WHERE session_id IN (SELECT session_id FROM unsettled_sessions)
UNION SELECT seq FROM usage_rows WHERE usage_key IN (SELECT usage_key FROM same_answer)
UNION SELECT seq FROM loose_rows
"""

_WIDEN = f"""
INSERT INTO settling
SELECT seq FROM usage_rows u WHERE (
    tree_key IN (SELECT tree_key FROM usage_rows WHERE seq IN (SELECT seq FROM settling) AND tree_key IS NOT NULL)
    OR ((stated & {_SESSION_BIT}) <> 0 AND session_id IN (
        SELECT session_id FROM usage_rows WHERE seq IN (SELECT seq FROM settling) AND (stated & {_SESSION_BIT}) <> 0)))
EXCEPT SELECT seq FROM settling
"""

WIDEN_ROUNDS_MAX = 4
"""Traces share sessions and sessions share traces; more rounds than this do not occur outside of made-up data."""


def _own(name: str) -> str:
    """SQL of a column as the fact itself stated it, whatever relatives have filled in since."""
    bit = 1 << STATED.index(name)
    empty, said = "''", f'"{name}"'
    if name in ENVELOPE_KEYS:
        empty = f"'{UNTAGGED}'"
    elif name == "session_id":
        trace = f"'{FALLBACK_SESSION}' || replace(tree_key::VARCHAR, '-', '')"
        empty = f"CASE WHEN tree_key IS NULL THEN '{NO_SESSION}' ELSE {trace} END"
    elif name == "parent_session_id":  # stated and not shown: it names the session itself, as far as that is known yet
        said = "CASE WHEN parent_session_id = '' THEN session_id ELSE parent_session_id END"
    return f'CASE WHEN (stated & {bit}) <> 0 THEN {said} ELSE {empty} END AS "{name}"'


_PLAIN = (
    *("time", "duration_ms", "operation", "signal", "origin", "bears", "aggregate", "attempt", "failed", "provider"),
    *("model", "cost_nano", "basis", "tag_source", "tag_rule"),
)
_KEYS = tuple(Column(name, Kind.KEY) for name in ("usage_key", "fact_key", "parent_key", "tree_key"))
_RELATIVES = f"""
SELECT {", ".join(f"{c.name}::BLOB AS {c.name}" for c in _KEYS)}, {", ".join(_PLAIN)}, task_id, seq, $read
       {" + ".join(OUTPUT_METERS)} AS output_tokens, {" + ".join(INPUT_METERS)} AS input_tokens,
       {", ".join(_own(name) for name in STATED)},
       {", ".join(f'"{name}" AS "now_{name}"' for name in RESOLVED)}
FROM usages WHERE seq IN (SELECT seq FROM settling) ORDER BY seq
"""
_RELATIVE_NAMES = frozenset((*_PLAIN, *STATED, "task_id", "seq"))


class DuckBooks(DuckTags):
    """The embedded books: the tables, and the statements that settle them."""

    def find_work(self, after: int, read: frozenset[str] = frozenset()) -> Work:
        """See Books."""
        cursor = self.cursor()
        try:
            through = self.scalar("SELECT greatest((SELECT max(seq) FROM usages), (SELECT max(seq) FROM outcomes))")
            for name, sql in (
                ("unsettled_trees", _UNSETTLED_TREES),
                ("unsettled_sessions", _UNSETTLED_SESSIONS),
                ("same_answer", _SAME_ANSWER),
                ("loose_rows", _LOOSE if self.scalar(_HAS_LOOSE) else _NO_ROWS),
            ):
                cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql.replace('$after', str(int(after)))}")
            cursor.execute(_FIND)
            for _ in range(WIDEN_ROUNDS_MAX):
                if not _changed(cursor, _WIDEN):
                    break
            beside = "".join(f'"{name}", ' for name in sorted(read - _RELATIVE_NAMES))
            relatives = cursor.sql(_RELATIVES.replace("$read", beside)).to_arrow_table()
        except duckdb.Error as error:
            raise store_error(error, "the books could not be settled") from error
        finally:
            cursor.close()
        return Work(with_binary_keys(relatives, _KEYS), through)

    @staticmethod
    def merge_readings(transaction: duckdb.DuckDBPyConnection, readings: pa.Table) -> pa.Table:
        """Add readings of metrics; returns the totals of the usages they change."""
        columns = (*READING_COLUMNS, Column("place", Kind.COUNT))
        return with_binary_keys(merge_readings(transaction, with_uuid_keys(readings, columns)), TOTAL_COLUMNS)

    @staticmethod
    def totals_of(transaction: duckdb.DuckDBPyConnection, readings: pa.Table) -> pa.Table:
        """The totals of the usages that these readings are part of."""
        columns = (*READING_COLUMNS, Column("place", Kind.COUNT))
        return with_binary_keys(totals_of(transaction, with_uuid_keys(readings, columns)), TOTAL_COLUMNS)

    def write_back(self, transaction: duckdb.DuckDBPyConnection, changed: pa.Table) -> None:
        """Give usages what relations decided; `changed` has seq and the columns of RESOLVED."""
        held = self.usages_of(changed.column("seq"), tuple(Column(name, Kind.TEXT) for name in LABELS))
        texts = [(changed if name in RESOLVED else held).column(name) for name in LABELS]
        labels = self.label(transaction, pa.table(texts, names=list(LABELS)))
        transaction.register("decided", changed.append_column("labels", labels))
        try:
            names = ("labels", *(name for name in RESOLVED if name not in LABELS))
            sets = ", ".join(f'"{name}" = d."{name}"' for name in names)
            transaction.execute(f"UPDATE usage_rows SET {sets} FROM decided d WHERE usage_rows.seq = d.seq")
            self.touch(work=rollups.mark_seqs(transaction, "decided"))
            self.whereabouts.note_decided(transaction)
        finally:
            transaction.unregister("decided")

    def settle_outcomes(
        self, transaction: duckdb.DuckDBPyConnection, after: int, decided: pa.Array | pa.ChunkedArray
    ) -> None:
        """Find the sessions and the task of outcomes that name none, mark the latest report of each task, tag them."""
        self.touch(outcomes=settle_outcomes(transaction, after, decided))

    def settle_timeouts(self, transaction: duckdb.DuckDBPyConnection, timeouts: Timeouts, as_of: datetime) -> int:
        """Have exactly those tasks abandoned that nobody completed in time, as of a moment (UTC)."""
        changed, hours = settle_timeouts(transaction, timeouts, as_of)
        self.touch(outcomes=hours)
        return changed

    def unnoted(self) -> int:
        """See Books."""
        return self.scalar(UNNOTED)

    @classmethod
    def all_settled(cls, transaction: duckdb.DuckDBPyConnection, through: int) -> None:
        """Remember that everything up to seq `through` is settled."""
        transaction.execute("DELETE FROM unsettled")
        cls.set_meta(transaction, settled_through=through)


def _changed(cursor: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(cursor.execute(sql).fetchall()[0][0])
