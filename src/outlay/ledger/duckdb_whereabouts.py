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

from outlay.ledger.whereabouts import KEY_MASK, Named, keys_of

SEEN_MAX = 100_000
"""Pairs of name and day kept in memory so that they are not written again; beyond that some stand twice."""

_DAY_BITS = 20

_FROM_ROWS = f"""
SELECT (md5_number_lower(said) & {KEY_MASK})::INTEGER AS key, day FROM (
    SELECT DISTINCT '{Named.SESSION.value}' || session_id AS said, time::DATE AS day FROM usage_rows
    UNION ALL SELECT DISTINCT '{Named.TASK.value}' || task_id, time::DATE FROM usage_rows WHERE task_id <> ''
    UNION ALL SELECT DISTINCT '{Named.PARENT.value}' || parent_session_id, time::DATE FROM usage_rows
    WHERE parent_session_id <> '')
"""
UNNOTED = f"SELECT count(*) FROM ({_FROM_ROWS}) AS worked ANTI JOIN whereabouts USING (key, day)"
"""How many days of sessions and tasks are not noted; none, or work would not be found."""
_DECIDED = "SELECT session_id, task_id, parent_session_id, time FROM usage_rows WHERE seq IN (SELECT seq FROM decided)"
_COLUMNS = {Named.SESSION: "session_id", Named.TASK: "task_id", Named.PARENT: "parent_session_id"}


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table where the books lack it, from all rows they hold."""
    known = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'whereabouts'").fetchall()
    if known[0][0]:
        return
    connection.execute("CREATE TABLE whereabouts (key INTEGER, day DATE)")
    connection.execute(f"INSERT INTO whereabouts {_FROM_ROWS}")
    connection.execute("CREATE INDEX whereabouts_by_key ON whereabouts (key)")


class Whereabouts:
    """Notes where work is, within the transaction that writes it."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def note(self, transaction: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
        """These usages are about to be in the books; read are their time and the columns of `_COLUMNS`."""
        days = rows.column("time").cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy().astype(np.int64)
        fresh = [pair for named in Named for pair in self._fresh(rows.column(_COLUMNS[named]), days, named)]
        if not fresh:
            return
        pairs = np.array(fresh, np.int64)
        noted = {"key": pairs >> _DAY_BITS, "day": (pairs & ((1 << _DAY_BITS) - 1)).astype("datetime64[D]")}
        transaction.register("noted", pa.table(noted))
        try:
            transaction.execute("INSERT INTO whereabouts SELECT key, day FROM noted")
        finally:
            transaction.unregister("noted")
        if len(self._seen) > SEEN_MAX:
            self._seen.clear()
        self._seen.update(fresh)

    def note_decided(self, transaction: duckdb.DuckDBPyConnection) -> None:
        """The usages whose `seq` is registered as `decided` may belong to another session now."""
        self.note(transaction, transaction.sql(_DECIDED).to_arrow_table())

    def _fresh(self, names: pa.ChunkedArray, days: npt.NDArray[np.int64], named: Named) -> list[int]:
        """Number and day, packed, of each name and day that was not noted lately."""
        encoded = names.combine_chunks().dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        if texts in ([], [""]):
            return []
        packed = np.asarray(encoded.indices).astype(np.int64) << _DAY_BITS | days
        met = np.unique(packed[np.flatnonzero(np.diff(packed, prepend=-1))])  # a session's rows mostly stand together
        places = met >> _DAY_BITS
        pairs = keys_of(named, texts)[places] << _DAY_BITS | met & ((1 << _DAY_BITS) - 1)
        if "" in texts:
            pairs = pairs[places != texts.index("")]
        return [pair for pair in pairs.tolist() if pair not in self._seen]
