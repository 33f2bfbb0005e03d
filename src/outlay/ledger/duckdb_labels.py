"""Labels in DuckDB: the combinations met lately, and the way back to all others."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from outlay.ledger import labels
from outlay.ledger.labels import LabelBook


def open_label_book(connection: duckdb.DuckDBPyConnection) -> LabelBook:
    """The numbers of the latest combinations; those of older ones are looked up when they come again."""
    limit = labels.REMEMBERED_MAX
    known = connection.execute(f"SELECT key, number FROM labels ORDER BY number DESC LIMIT {limit}").fetchall()

    def look_up(keys: list[int]) -> dict[int, int]:
        connection.register("keys_asked", pa.table({"key": pa.array(keys, pa.uint64())}))
        try:
            return dict(connection.execute("SELECT key, number FROM labels JOIN keys_asked USING (key)").fetchall())
        finally:
            connection.unregister("keys_asked")

    return LabelBook(look_up, dict(known), known[0][1] if known else 0, whole=len(known) < limit)
