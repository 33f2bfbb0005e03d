"""Values: what one can narrow to, read from the labels, which are few, and not from the usages, which are many."""

from __future__ import annotations

from outlay.core.errors import QueryError
from outlay.ledger.labels import LABELS
from outlay.ledger.store import Snapshot
from outlay.metrics.dialect import dialect_named
from outlay.metrics.dimensions import Dimension, dimension_named
from outlay.metrics.parts import Statement, quoted, shown

VALUES_MAX = 200
LIKE_MAX = 8
"""Values told that are like a text somebody typed."""


def values_of(reader: Snapshot, dimension: str) -> tuple[str, ...]:
    """The first VALUES_MAX values by name that usages ever carried; QueryError where they are not kept as labels."""
    asked, column = _column(dimension)
    rows = reader.records(f"SELECT DISTINCT {column} AS held FROM labels ORDER BY held LIMIT {VALUES_MAX}")
    return tuple(dict.fromkeys(shown(asked, row["held"]) for row in rows))


def values_like(reader: Snapshot, dimension: str, text: str) -> tuple[str, ...]:
    """The first LIKE_MAX values by name that hold a text, whatever its case; the text itself first if it is one."""
    asked, column = _column(dimension)
    statement = Statement(dialect_named(reader.dialect))
    typed = statement.bind(text)
    sql = (
        f"SELECT {column} AS held FROM labels WHERE position(lower({typed}) IN lower({column})) > 0 "
        f"GROUP BY {column} ORDER BY CASE WHEN {column} = {typed} THEN 0 ELSE 1 END, held LIMIT {LIKE_MAX}"
    )
    return tuple(shown(asked, row["held"]) for row in reader.records(sql, statement.parameters))


def _column(dimension: str) -> tuple[Dimension, str]:
    asked = dimension_named(dimension)
    if asked.tag or asked.column not in LABELS:
        raise QueryError(f"the values of {dimension} are not listed", hint=f"ask for usages by {dimension}")
    return asked, quoted(asked.column)
