"""The rows of one session: found once, then read within the stretch of time in which they lie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from outlay.core.errors import QueryError
from outlay.core.period import ns_of
from outlay.ledger.store import Snapshot
from outlay.ledger.whereabouts import Named, Stretch, span_of
from outlay.metrics.dialect import Dialect, dialect_named
from outlay.metrics.parts import USAGE, Statement

COUNTED = f"{USAGE}.counted"
COSTS = f"{USAGE}.amount_nano <> 0"
BEARS = f"({USAGE}.bears OR {USAGE}.amount_nano > 0)"
"""As the measure `usages` has it: the time of a session bears no quantity, and may cost."""


@dataclass(frozen=True, slots=True)
class SessionRows:
    """One session in the books: its rows lie between `first` and `last`, both included.

    Only aggregates and single pages are ever read out of them: a session may have any number of rows.
    """

    reader: Snapshot
    session: str
    first: datetime
    last: datetime

    @property
    def dialect(self) -> Dialect:
        """How the engine spells things."""
        return dialect_named(self.reader.dialect)

    def start(self, *columns: str) -> tuple[Statement, str]:
        """A new statement, and `FROM … WHERE …` of these rows; more conditions go on with AND.

        The stretch of time lets the engine pass over every part of the books that lies elsewhere. Where `columns` are
        named, only they can be read, from the narrowest table that has them.
        """
        statement = Statement(self.dialect)
        where = (
            f"{USAGE}.session_id = {statement.bind(self.session)} "
            f"AND {USAGE}.time BETWEEN {statement.bind(self.first)} AND {statement.bind(self.last)}"
        )
        source = self.dialect.usages(frozenset({"session_id", "time", *columns})) if columns else "usages"
        return statement, f"FROM {source} AS {USAGE} WHERE {where}"

    def read(self, statement: Statement, sql: str) -> list[dict[str, Any]]:
        """The rows of an answer, each by column name."""
        return self.reader.rows(sql, statement.parameters).to_pylist()

    def summed(self, selected: Iterable[str], condition: str, tail: str = "") -> list[dict[str, Any]]:
        """Aggregates over the rows that meet a condition without bound values."""
        statement, rows = self.start()
        return self.read(statement, f"SELECT {', '.join(selected)} {rows} AND {condition} {tail}")


def rows_of_session(reader: Snapshot, session: str) -> SessionRows:
    """Where a session lies in the books. QueryError where no usage carries that id."""
    span = span_of(reader, Named.SESSION, session)
    found = _ends(reader, session, span) if span else None
    if found is None:
        raise QueryError(f'no session is called "{session}"', hint="outlay sessions lists them")
    return SessionRows(reader, session, *found)


def _ends(reader: Snapshot, session: str, span: Stretch) -> tuple[datetime, datetime] | None:
    """The first and the last time of a session's rows, all of which lie in these days; None where there are none."""
    statement = Statement(dialect_named(reader.dialect))
    source = statement.dialect.usages(frozenset({"session_id", "time"}))
    sql = (
        f"SELECT min({USAGE}.time) AS first, max({USAGE}.time) AS last FROM {source} AS {USAGE} "
        f"WHERE {USAGE}.session_id = {statement.bind(session)} "
        f"AND {USAGE}.time >= {statement.bind(span[0])} AND {USAGE}.time < {statement.bind(span[1])}"
    )
    (row,) = reader.rows(sql, statement.parameters).to_pylist()
    return None if row["first"] is None else (row["first"], row["last"])


def moment_ns(moment: datetime) -> int:
    """A time as the books hold it, in nanoseconds since 1970."""
    return ns_of(moment.replace(tzinfo=UTC))
