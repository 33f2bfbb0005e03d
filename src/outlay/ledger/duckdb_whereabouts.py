"""Whereabouts in DuckDB: on which days sessions and tasks did their work, found by an index.

A row of `usage_rows` is found quickly by its time and by nothing else: an index over every row would cost more than the
rows do. `whereabouts` therefore says only where to look: one short number for each session and task and the days on
which work of theirs began. It may name a day too many (two names may share a number, work may have moved), never one
too few; whoever asks reads the rows of those days and no others.
"""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from outlay.core.session import NO_SESSION
from outlay.ledger.whereabouts import KEY_MASK, Named

SEEN_MAX = 1_000_000
"""Pairs of name and day kept in memory so that they are not written again; beyond that some stand twice."""

_DAY_BITS = 20

_SAID = f"""
SELECT DISTINCT (md5_number_lower(said) & {KEY_MASK})::INTEGER AS key, day FROM (
    SELECT '{Named.SESSION.value}' || session_id AS said, time::DATE AS day FROM {{rows}}
    WHERE session_id <> '{NO_SESSION}'
    UNION SELECT '{Named.TASK.value}' || task_id, time::DATE FROM {{rows}} WHERE task_id <> '')
"""
_DECIDED = "(SELECT session_id, task_id, time FROM usage_rows WHERE seq IN (SELECT seq FROM decided))"


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table where the books lack it, from all rows they hold."""
    known = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'whereabouts'").fetchall()
    if known[0][0]:
        return
    connection.execute("CREATE TABLE whereabouts (key INTEGER, day DATE)")
    connection.execute(f"INSERT INTO whereabouts {_SAID.format(rows='usage_rows')}")
    connection.execute("CREATE INDEX whereabouts_by_key ON whereabouts (key)")


class Whereabouts:
    """Notes where work is, within the transaction that writes it."""

    def __init__(self) -> None:
        self._seen: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def note_incoming(self, transaction: duckdb.DuckDBPyConnection) -> None:
        """The usages registered as `incoming` are about to be in the books."""
        self._note(transaction, "incoming")

    def note_decided(self, transaction: duckdb.DuckDBPyConnection) -> None:
        """The usages whose `seq` is registered as `decided` may belong to another session now."""
        self._note(transaction, _DECIDED)

    def _note(self, transaction: duckdb.DuckDBPyConnection, rows: str) -> None:
        said = transaction.sql(_SAID.format(rows=rows)).to_arrow_table()
        keys = said.column("key").to_numpy().astype(np.int64)
        pairs = keys << _DAY_BITS | said.column("day").cast(pa.int32()).to_numpy().astype(np.int64)
        fresh = ~np.isin(pairs, self._seen)
        if not fresh.any():
            return
        transaction.register("noted", said.filter(pa.array(fresh)))
        try:
            transaction.execute("INSERT INTO whereabouts SELECT key, day FROM noted")
        finally:
            transaction.unregister("noted")
        kept = self._seen if len(self._seen) < SEEN_MAX else self._seen[:0]
        self._seen = np.concatenate([kept, pairs[fresh]])
