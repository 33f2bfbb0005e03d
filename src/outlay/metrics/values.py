"""Values: what one can narrow to, read from the labels, which are few, and not from the usages, which are many."""

from __future__ import annotations

from outlay.core.errors import QueryError
from outlay.ledger.labels import LABELS
from outlay.ledger.store import Snapshot
from outlay.metrics.dimensions import dimension_named
from outlay.metrics.parts import quoted, shown

VALUES_MAX = 200


def values_of(reader: Snapshot, dimension: str) -> tuple[str, ...]:
    """The first VALUES_MAX values by name that usages ever carried; QueryError where they are not kept as labels."""
    asked = dimension_named(dimension)
    if asked.tag or asked.column not in LABELS:
        raise QueryError(f"the values of {dimension} are not listed", hint=f"ask for usages by {dimension}")
    column = quoted(asked.column)
    rows = reader.records(f"SELECT DISTINCT {column} AS held FROM labels ORDER BY held LIMIT {VALUES_MAX}")
    return tuple(dict.fromkeys(shown(asked, row["held"]) for row in rows))
