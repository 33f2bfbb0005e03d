"""Tags in DuckDB: what a change of the tag policy reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.ledger import duckdb_rollups as rollups
from outlay.ledger.duckdb_outcomes import OUTCOME_HOURS, fetched_hours
from outlay.ledger.duckdb_snapshot import store_error
from outlay.ledger.duckdb_store import DuckStore
from outlay.ledger.labels import LABELS
from outlay.ledger.tables import Column, Kind

DAY_US = 86_400_000_000
"""How far beyond a stretch what moves is looked for: a session may cross its ends."""

_WRITTEN = ("customer", "stated", "inherited", "tags", "said", "tag_source", "tag_gaps")
_OUTCOME_COLUMNS = (*ENVELOPE_KEYS, "tags", "said", "stated")


class DuckTags(DuckStore):
    """See Books."""

    @staticmethod
    def note_refused(transaction: duckdb.DuckDBPyConnection, first: int, last: int, facts: int) -> None:
        """See Books."""
        transaction.execute("DELETE FROM refused WHERE first = ?", [first])
        if facts:
            transaction.execute("INSERT INTO refused VALUES (?, ?, ?)", [first, last, facts])

    def refused_entries(self) -> list[tuple[int, int, int]]:
        """See Books."""
        rows = self.rows("SELECT first, last, facts FROM refused ORDER BY first").to_pylist()
        return [(row["first"], row["last"], row["facts"]) for row in rows]

    def usages_between(
        self, start_us: int | None, end_us: int | None, after: int, limit: int, columns: Sequence[Column]
    ) -> pa.Table:
        """See Books."""
        within = _within(start_us, end_us)
        chunk = f"SELECT seq FROM usage_rows WHERE {within} AND seq > ? ORDER BY seq LIMIT {int(limit)}"
        return self.usages_where(f"seq IN ({chunk})", [after], columns)

    def outcomes_between(self, start_us: int | None, end_us: int | None) -> pa.Table:
        """See Books."""
        names = ", ".join(f'"{name}"' for name in _OUTCOME_COLUMNS)
        where = _within(start_us, end_us)
        return self.rows(f"SELECT seq, epoch_us(time) AS time_us, {names} FROM outcomes WHERE {where} ORDER BY seq")

    def write_tags(self, transaction: duckdb.DuckDBPyConnection, usages: pa.Table) -> None:
        """See Books."""
        held = self.usages_of(usages.column("seq"), tuple(Column(name, Kind.TEXT) for name in LABELS))
        texts = [(usages if name in usages.column_names else held).column(name) for name in LABELS]
        labels = self.label(transaction, pa.table(texts, names=list(LABELS)))
        transaction.register("tagged", usages.append_column("labels", labels))
        try:
            sets = ", ".join(f'"{name}" = t."{name}"' for name in ("labels", *_WRITTEN))
            transaction.execute(f"UPDATE usage_rows SET {sets} FROM tagged t WHERE usage_rows.seq = t.seq")
            transaction.execute("INSERT INTO unsettled SELECT seq FROM tagged")
            self.touch(work=rollups.mark_seqs(transaction, "tagged"))
        finally:
            transaction.unregister("tagged")

    def write_outcome_tags(self, transaction: duckdb.DuckDBPyConnection, outcomes: pa.Table) -> None:
        """See Books."""
        transaction.register("tagged", outcomes)
        try:
            sets = ", ".join(f'"{name}" = t."{name}"' for name in _OUTCOME_COLUMNS)
            transaction.execute(f"UPDATE outcomes SET {sets} FROM tagged t WHERE outcomes.seq = t.seq")
            self.touch(outcomes=fetched_hours(transaction, f"{OUTCOME_HOURS} WHERE seq IN (SELECT seq FROM tagged)"))
            sessions = "SELECT session_id FROM outcomes WHERE seq IN (SELECT seq FROM tagged) AND session_id <> ''"
            transaction.execute(f"INSERT INTO unsettled SELECT seq FROM usage_rows WHERE session_id IN ({sessions})")
        finally:
            transaction.unregister("tagged")

    @contextmanager
    def tags_moved(self, start_us: int | None, end_us: int | None) -> Generator[Callable[[], pa.Table]]:
        """See Books."""
        cursor = self.cursor()
        wide = _within(None if start_us is None else start_us - DAY_US, None if end_us is None else end_us + DAY_US)
        try:
            cursor.execute(
                "CREATE OR REPLACE TEMP TABLE before_tags AS SELECT seq, labels, customer FROM usage_rows "
                f"WHERE counted AND {wide}"
            )
            yield lambda: _moved(cursor)
        except duckdb.Error as error:
            raise store_error(error, "what moved could not be told") from error
        finally:
            cursor.close()


def _moved(cursor: duckdb.DuckDBPyConnection) -> pa.Table:
    parts: list[str] = []
    for key in ENVELOPE_KEYS:
        before, after = (f'b."{key}"', f'a."{key}"') if key in LABELS else (f's."{key}"', f'r."{key}"')
        parts.append(
            f"SELECT '{key}' AS key, {before} AS before, {after} AS after, count(*) AS usages, "
            "sum(r.amount_nano)::BIGINT AS amount_nano, coalesce(nullif(a.currency, ''), '') AS currency "
            "FROM before_tags s JOIN usage_rows r USING (seq) JOIN labels b ON b.number = s.labels "
            f"JOIN labels a ON a.number = r.labels WHERE r.counted AND {before} <> {after} GROUP BY ALL"
        )
    ordered = " UNION ALL ".join(parts)
    return cursor.sql(f"SELECT * FROM ({ordered}) ORDER BY amount_nano DESC, key, before, after").to_arrow_table()


def _within(start_us: int | None, end_us: int | None) -> str:
    parts = [
        f"time {sign} make_timestamp({int(moment)})"
        for moment, sign in ((start_us, ">="), (end_us, "<"))
        if moment is not None
    ]
    return " AND ".join(parts) or "true"
