"""Readings in DuckDB: what meters of metrics showed, and what that makes of each day.

A delta stands for its interval; a cumulative value for the largest of its series on a day, from which that of the day
before is taken. Both are sets: no order and no repetition of arrival changes them, and a restart loses nothing,
because they stand in the books and come from the journal.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from outlay.ledger.tables import Column, Kind

READING_COLUMNS: tuple[Column, ...] = (
    Column("series", Kind.KEY),  # the emitter, its attributes and the start of its counter
    Column("slot", Kind.COUNT),  # the day (cumulative) or the end of the interval in nanoseconds (delta)
    Column("fact_key", Kind.KEY),  # the usage of the day that the reading is part of
    Column("quantity", Kind.TEXT),
    Column("place_of_name", Kind.SMALL),  # which of several metrics that state one quantity; the first one counts
    Column("cumulative", Kind.FLAG),
    Column("start_ns", Kind.COUNT),
    Column("at_ns", Kind.COUNT),
    Column("value", Kind.COUNT),
)
TOTAL_COLUMNS: tuple[Column, ...] = (
    Column("place", Kind.COUNT),
    Column("fact_key", Kind.KEY),
    Column("quantity", Kind.TEXT),
    Column("total", Kind.COUNT),
    Column("start_ns", Kind.COUNT),
    Column("at_ns", Kind.COUNT),
)
"""What a merge answers with: the totals of each usage that changes."""

_NAMES = ", ".join(column.name for column in READING_COLUMNS)
_SAME = "series, slot, fact_key, quantity, place_of_name, cumulative, start_ns"

_NEWS = f"""
CREATE OR REPLACE TEMP TABLE news AS
WITH told AS (
    SELECT {_SAME}, max(value) AS value, arg_min(at_ns, (-value, at_ns)) AS at_ns, min(place) AS place
    FROM incoming GROUP BY {_SAME})
SELECT t.* FROM told t LEFT JOIN readings r ON t.series = r.series AND t.slot = r.slot
WHERE r.series IS NULL OR t.value > r.value OR (t.value = r.value AND t.at_ns < r.at_ns)
"""

_AFFECTED = """
CREATE OR REPLACE TEMP TABLE affected AS
SELECT fact_key, min(place) AS place FROM (
    SELECT fact_key, place FROM news
    UNION ALL
    SELECT arg_min(r.fact_key, r.slot), n.place FROM readings r JOIN news n ON r.series = n.series AND r.slot > n.slot
    WHERE r.cumulative GROUP BY n.series, n.slot, n.place)
GROUP BY fact_key
"""

_PARTS_OF = """
CREATE OR REPLACE TEMP TABLE affected AS SELECT fact_key, min(place) AS place FROM held GROUP BY fact_key
"""

_TOTALS = """
WITH parts AS (
    SELECT fact_key, quantity, place_of_name, at_ns,
           CASE WHEN cumulative THEN greatest(start_ns, slot * 86400000000000) ELSE start_ns END AS start_ns,
           value - CASE WHEN cumulative THEN coalesce(lag(value) OVER (PARTITION BY series ORDER BY slot), 0) ELSE 0 END
           AS part
    FROM readings WHERE series IN (SELECT series FROM readings SEMI JOIN affected USING (fact_key))),
totals AS (
    SELECT fact_key, quantity, place_of_name, sum(greatest(part, 0))::BIGINT AS total, min(start_ns) AS start_ns,
           max(at_ns) AS at_ns
    FROM parts SEMI JOIN affected USING (fact_key) GROUP BY ALL)
SELECT a.place, a.fact_key::BLOB AS fact_key, t.quantity, arg_min(t.total, t.place_of_name) AS total,
       min(t.start_ns) AS start_ns, max(t.at_ns) AS at_ns
FROM totals t JOIN affected a USING (fact_key) GROUP BY ALL ORDER BY 2, 3
"""


def merge_readings(transaction: duckdb.DuckDBPyConnection, incoming: pa.Table) -> pa.Table:
    """Add readings; returns the totals of every usage they change: place, fact_key, quantity, total, start_ns, at_ns.

    `incoming` has the columns of the table (keys as UUID) and `place`, its row; the place of a total is that of a
    reading of the same series.
    """
    transaction.register("incoming", incoming)
    try:
        transaction.execute(_NEWS)
        transaction.execute("DELETE FROM readings r USING news n WHERE r.series = n.series AND r.slot = n.slot")
        transaction.execute(f"INSERT INTO readings ({_NAMES}) SELECT {_NAMES} FROM news")
        transaction.execute(_AFFECTED)
        return transaction.sql(_TOTALS).to_arrow_table()
    finally:
        transaction.unregister("incoming")


def totals_of(transaction: duckdb.DuckDBPyConnection, held: pa.Table) -> pa.Table:
    """The totals of the usages that readings are part of, as `merge_readings` gives them; the books hold the readings.

    `held` has the columns of the table (keys as UUID) and `place`.
    """
    transaction.register("held", held)
    try:
        transaction.execute(_PARTS_OF)
        return transaction.sql(_TOTALS).to_arrow_table()
    finally:
        transaction.unregister("held")
