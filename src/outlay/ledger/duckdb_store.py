"""The embedded books: DuckDB, one file, one writer.

All statements of this engine that write stand here and in `duckdb_books.py`. Rows go in through Arrow, in time order;
there is no primary key (it would cost 2.4 times the disk and 4 times the load), duplicates are found by a join that is
bounded by the batch's own times wherever a resend must carry the same time.

The engine writes no log of its own: the journal is the log. A transaction is atomic at once and on disk at the next
`checkpoint`; after a crash the file is that of the last checkpoint, says up to which journal entry it goes, and the
journal supplies the rest. So a row is written once less, and the costly checkpoints come when we choose.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.errors import StoreError, StoreVersionError
from outlay.core.meters import INPUT_METERS, OUTPUT_METERS
from outlay.ledger import duckdb_rollups as rollups
from outlay.ledger.duckdb_cursors import Cursors
from outlay.ledger.duckdb_labels import open_label_book
from outlay.ledger.duckdb_readings import READING_COLUMNS
from outlay.ledger.duckdb_snapshot import Snapshot, store_error
from outlay.ledger.duckdb_upgrades import upgrade
from outlay.ledger.duckdb_whereabouts import Whereabouts
from outlay.ledger.duckdb_whereabouts import prepare as prepare_whereabouts
from outlay.ledger.labels import LABELS, LabelBook
from outlay.ledger.rollups import ROLLUP_VERSION
from outlay.ledger.tables import (
    CHARGE_COLUMNS,
    OUTCOME_COLUMNS,
    SCHEMA_VERSION,
    TEXT_ORDER,
    USAGE_COLUMNS,
    USAGE_FACTS,
    Column,
    Kind,
)
from outlay.ledger.touched import Hours, Touched, hours_of
from outlay.sources.facts import KEY

_TYPES = {
    Kind.KEY: "UUID",
    Kind.TEXT: "VARCHAR",
    Kind.TEXTS: "VARCHAR[]",
    Kind.COUNT: "BIGINT",
    Kind.SMALL: "INTEGER",
    Kind.FLAG: "BOOLEAN",
    Kind.TIME: "TIMESTAMP",
    Kind.UNITS: "STRUCT(meter VARCHAR, quantity BIGINT)[]",
}

_NAME = "books"

_KNOWN = pa.schema(
    [
        ("place", pa.int64()),
        ("seq", pa.int64()),
        ("earlier", pa.bool_()),
        ("time", pa.timestamp("us")),
        ("wins", pa.bool_()),
    ]
)
_WEIGHED = frozenset(("fact_key", "time", "cost_nano", *INPUT_METERS, *OUTPUT_METERS, *TEXT_ORDER))
_USAGE_ROWS = (*(c for c in USAGE_COLUMNS if c.name not in LABELS), Column("labels", Kind.SMALL))
_TABLES = {
    "usage_rows": _USAGE_ROWS,
    "charges": CHARGE_COLUMNS,
    "outcomes": OUTCOME_COLUMNS,
    "readings": READING_COLUMNS,
}


def weight_sql(alias: str) -> str:
    """A row value that orders reports of one fact; the greatest is kept, whatever the order of arrival."""
    outputs = " + ".join(f"{alias}.{meter}" for meter in OUTPUT_METERS)
    inputs = " + ".join(f"{alias}.{meter}" for meter in INPUT_METERS)
    return f"({outputs}, {inputs}, coalesce({alias}.cost_nano, -1))"


def text_order_sql(alias: str) -> str:
    """The text that breaks a tie between equally large reports; the smallest is kept."""
    return "concat_ws(chr(31), " + ", ".join(f"{alias}.{name}" for name in TEXT_ORDER) + ")"


class DuckStore:
    """The tables of the books in one DuckDB file: one process, one writing thread, any number of readers."""

    dialect = "duckdb"

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._write = threading.RLock()
        self._turn = threading.Lock()
        self._touched = Touched()
        self._work: set[int] = set()
        self._outcomes: set[int] = set()
        self._labelled = self._alone = False
        self._stale: frozenset[int] = frozenset()
        self._labels: LabelBook | None = None
        self.whereabouts = Whereabouts()
        self._connection = _connect(path)
        self._cursors = Cursors(self._connection, _NAME)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def reopen(self) -> None:
        """Go back to the last checkpoint, as after a crash: the engine gives up a file it failed to write."""
        with self._write:
            self._cursors.close()
            self._connection.close()
            self._forget()
            self._connection, self._alone = _connect(self.path), False
            self._cursors = Cursors(self._connection, _NAME)
            self._touched = Touched()
            self._prepare()

    def is_usable(self) -> bool:
        """False once the engine has given the file up; see `reopen`."""
        try:
            self.meta("schema_version")
        except StoreError:
            return False
        return True

    # ---- reading -----------------------------------------------------------------------------------------------

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The rows of a question as Arrow; `parameters` fill `?` marks in order."""
        cursor = self.cursor()
        try:
            return cursor.sql(sql, params=list(parameters)).to_arrow_table()
        except duckdb.Error as error:
            raise store_error(error, "a question to the books failed") from error
        finally:
            cursor.close()

    @contextmanager
    def reading(self) -> Generator[Snapshot]:
        """The books as they are at this moment, whatever is posted meanwhile."""
        with self._cursors.lent() as cursor:
            with self._turn:  # the moment begins with the first question, and what was touched until then with it
                cursor.execute("BEGIN")
                stale = cursor.execute(rollups.STALE_DAYS).fetchall()
                touched = self._touched
            yield Snapshot(cursor, touched, tuple(day for (day,) in stale))

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A second connection to the same books, for reading and for temporary tables; the caller closes it."""
        return self._cursors.fresh()

    def scalar(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """One whole number; null is 0."""
        cursor = self.cursor()
        try:
            rows = cursor.execute(sql, list(parameters)).fetchall()
        except duckdb.Error as error:
            raise store_error(error, "a question to the books failed") from error
        finally:
            cursor.close()
        return int(rows[0][0] or 0) if rows else 0

    def usages_where(
        self, condition: str, parameters: Sequence[object] = (), columns: Sequence[Column] = USAGE_FACTS
    ) -> pa.Table:
        """Usages as Arrow with binary keys, in posting order; `condition` is SQL of this engine."""
        names = ", ".join(f"{c.name}::BLOB AS {c.name}" if c.kind is Kind.KEY else c.name for c in columns)
        table = self.rows(f"SELECT {names} FROM usages u WHERE {condition} ORDER BY seq", parameters)
        return with_binary_keys(table, columns)

    def bearing_usages(
        self, start: datetime | None, end: datetime | None, after: int, limit: int, columns: Sequence[Column]
    ) -> pa.Table:
        """Up to `limit` usages that can cost something, in posting order above seq `after`, within a period (UTC)."""
        within, bounds = _within(start, end)
        chunk = f"SELECT seq FROM usages WHERE {within} AND seq > ? ORDER BY seq LIMIT {int(limit)}"
        return self.usages_where(f"seq IN ({chunk})", [*bounds, after], columns)

    def count_bearing(self, start: datetime | None, end: datetime | None) -> int:
        """How many usages of a period can cost something."""
        within, bounds = _within(start, end)
        return self.scalar(f"SELECT count(*) FROM usages WHERE {within}", bounds)

    # ---- writing -----------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Generator[duckdb.DuckDBPyConnection]:
        """One transaction: everything inside is in the books afterwards, or nothing."""
        with self._write:
            connection = self._connection
            try:
                connection.execute("BEGIN")
                yield connection
                with self._turn:
                    connection.execute("COMMIT")
                    self._touched = self._touched.after(self._work, self._outcomes, labels=self._labelled)
            except BaseException as error:
                _roll_back(connection)
                self._forget()
                if isinstance(error, duckdb.Error):
                    raise store_error(error, "the books could not be written") from error
                raise
            finally:
                self._work, self._outcomes, self._labelled = set(), set(), False

    def touch(self, *, work: Hours = frozenset(), outcomes: Hours = frozenset()) -> None:
        """The present transaction changes usages, cost lines or outcomes of these hours."""
        self._work |= work
        self._outcomes |= outcomes

    def _mark(self, transaction: duckdb.DuckDBPyConnection, hours: Hours) -> None:
        """Usages or cost lines of these hours change; a day that is known to be stale is not written down again."""
        self.touch(work=hours)
        days = rollups.days_of(hours)
        if not days <= self._stale:
            rollups.mark_days(transaction, days)
            self._stale |= days

    def work_alone(self, *, alone: bool) -> None:
        """See Books."""
        if alone != self._alone:
            with self._write, suppress(duckdb.Error):  # a file given up says so to whoever wants something of it
                self._connection.execute("SET threads = 1" if alone else "RESET threads")
                self._alone = alone

    def roll_up(self) -> bool:
        """Add up some of the stale days; False where there is none left."""
        days = self.rows(rollups.STALE_DAYS).column("day").to_pylist()
        chunk = rollups.next_chunk(days)
        if chunk is not None:
            with self.writing() as transaction:
                self._stale = frozenset()
                rollups.roll_up(transaction, *chunk)
        return bool(days) and chunk is not None and days[0] < chunk[0]

    def checkpoint(self) -> None:
        """Write everything posted so far into the file."""
        with self._write:
            try:
                self._connection.execute(f"CHECKPOINT {_NAME}")
            except duckdb.Error as error:
                raise store_error(error, "the books could not be written to disk") from error

    def close(self) -> None:
        """Write everything into the file and close it."""
        with self._write:
            try:
                self.checkpoint()
            finally:
                self._cursors.close()
                self._connection.close()

    def append(self, transaction: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
        """Append rows whose columns carry the names of the table; keys are 16-byte binary."""
        if table == "usages":
            table, rows = "usage_rows", rows.append_column("labels", self.label(transaction, rows))
        if table in ("usage_rows", "charges"):
            self._mark(transaction, hours_of(rows.column("time")))
        elif table == "outcomes":
            self.touch(outcomes=hours_of(rows.column("time")))
        columns = _TABLES[table]
        source = with_uuid_keys(rows, columns)
        names = ", ".join(f'"{c.name}"' for c in columns)
        transaction.register("incoming", source)
        try:
            transaction.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM incoming")
            if table == "usage_rows":
                self.whereabouts.note(transaction, rows)
        finally:
            transaction.unregister("incoming")

    def known_reports(self, usages: pa.Table, *, same_time: bool, same_day: bool = False) -> pa.Table:
        """Which of these usages the books hold already.

        Columns: place (row in `usages`), seq, wins (the new report is the larger), earlier (it states an earlier time)
        and time (the earlier of both). With `same_time` only usages within the batch's own times are looked at, with
        `same_day` those of its days.
        """
        bounds = pc.min_max(usages.column("time"))
        within = "u.time BETWEEN $1 AND $2" if same_time else "true"
        within = "u.time BETWEEN date_trunc('day', $1) AND $2 + INTERVAL 1 DAY" if same_day else within
        parameters = [bounds["min"].as_py(), bounds["max"].as_py()] if same_time or same_day else []
        places = _places(usages.num_rows)
        keys = pa.table({"fact_key": _as_uuid(usages.column("fact_key")), "place": places})
        # Most batches hold nothing known, so only the keys are looked for before anything is weighed.
        sql = f"SELECT n.place FROM usage_rows u JOIN probe n ON u.fact_key = n.fact_key WHERE {within}"
        known = self._with_table("probe", keys, sql, parameters).column("place")
        if not len(known):
            return _KNOWN.empty_table()
        wanted = [c for c in USAGE_FACTS if c.name in _WEIGHED]
        probe = with_uuid_keys(usages.select([c.name for c in wanted]).take(known), wanted)
        sql = f"""
            SELECT n.place, u.seq, n.time < u.time AS earlier, least(n.time, u.time) AS time,
                   {weight_sql("n")} > {weight_sql("u")}
                   OR ({weight_sql("n")} = {weight_sql("u")} AND {text_order_sql("n")} < {text_order_sql("u")}) AS wins
            FROM usages u JOIN probe n ON u.fact_key = n.fact_key
            WHERE {within} ORDER BY n.place
        """
        return self._with_table("probe", probe.append_column("place", known), sql, parameters)

    def usages_of(self, seqs: pa.ChunkedArray, columns: Sequence[Column], *, with_stated: bool = False) -> pa.Table:
        """The usages of these numbers, in the order given."""
        wanted = (*columns, Column("stated", Kind.SMALL)) if with_stated else tuple(columns)
        names = ", ".join(f"u.{c.name}::BLOB AS {c.name}" if c.kind is Kind.KEY else f"u.{c.name}" for c in wanted)
        probe = pa.table({"seq": seqs, "place": _places(len(seqs))})
        sql = f"SELECT {names} FROM probe n JOIN usages u USING (seq) ORDER BY n.place"
        return with_binary_keys(self._with_table("probe", probe, sql, []), wanted)

    def unknown_outcomes(self, outcomes: pa.Table) -> tuple[pa.Table, int]:
        """The outcomes whose report the books do not hold yet, each once, and how many were dropped."""
        probe = pa.table({"key": _as_uuid(outcomes.column("outcome_key")), "place": _places(outcomes.num_rows)})
        sql = """
            SELECT min(place) AS place FROM probe n ANTI JOIN outcomes o ON n.key = o.outcome_key
            GROUP BY key ORDER BY 1
        """
        places = self._with_table("probe", probe, sql, []).column("place")
        return outcomes.take(places), outcomes.num_rows - len(places)

    def label(self, transaction: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Array:
        """The number of each row's combination of texts; new combinations are written."""
        if self._labels is None:
            self._labels = open_label_book(transaction)
        numbers, fresh = self._labels.number(rows)
        if fresh is not None:
            self._labelled = True
            transaction.register("fresh_labels", fresh)
            try:
                transaction.execute("INSERT INTO labels SELECT * FROM fresh_labels")
            finally:
                transaction.unregister("fresh_labels")
        return numbers

    def reverse_charges(self, transaction: duckdb.DuckDBPyConnection, seqs: pa.Array, first_line: int) -> int:
        """Reverse every live cost line of these usages by a line that names it; returns how many lines were added."""
        transaction.register("reversed_usages", pa.table({"seq": seqs}))
        try:
            transaction.execute(
                """
                INSERT INTO charges
                SELECT ? - 1 + row_number() OVER (ORDER BY line), seq, time, meter, -quantity, rate_pico, -amount_nano,
                       currency, provenance, price, variant_applied, line
                FROM charges c
                WHERE seq IN (SELECT seq FROM reversed_usages) AND corrects IS NULL
                  AND line NOT IN (SELECT corrects FROM charges
                                   WHERE corrects IS NOT NULL AND seq IN (SELECT seq FROM reversed_usages))
                """,
                [first_line],
            )
            self.touch(work=rollups.mark_seqs(transaction, "reversed_usages"))
            added = transaction.execute("SELECT count(*) FROM charges WHERE line >= ?", [first_line]).fetchall()
        finally:
            transaction.unregister("reversed_usages")
        return int(added[0][0])

    def remove_usages(self, transaction: duckdb.DuckDBPyConnection, seqs: pa.Array) -> None:
        """Take usages out that are put back in a new state in the same transaction; relatives look at them again."""
        transaction.register("removed_usages", pa.table({"seq": seqs}))
        try:
            self.touch(work=rollups.mark_seqs(transaction, "removed_usages"))
            transaction.execute("DELETE FROM usage_rows WHERE seq IN (SELECT seq FROM removed_usages)")
            transaction.execute("INSERT INTO unsettled SELECT seq FROM removed_usages")
        finally:
            transaction.unregister("removed_usages")

    def _with_table(self, name: str, table: pa.Table, sql: str, parameters: Sequence[object]) -> pa.Table:
        cursor = self.cursor()
        try:
            cursor.register(name, table)
            return cursor.sql(sql, params=list(parameters)).to_arrow_table()
        except duckdb.Error as error:
            raise store_error(error, "a question to the books failed") from error
        finally:
            cursor.close()

    @staticmethod
    def park(transaction: duckdb.DuckDBPyConnection, number: int) -> None:
        """Remember a journal entry that could not be posted."""
        transaction.execute("INSERT INTO parked VALUES (?)", [number])

    def meta(self, name: str) -> int:
        """A whole number kept in the books under a name; 0 while it was never set."""
        return self.scalar("SELECT value FROM meta WHERE name = ?", [name])

    def metas(self) -> dict[str, int]:
        """Every whole number kept in the books, by name."""
        table = self.rows("SELECT name, value FROM meta")
        return dict(zip(table.column("name").to_pylist(), table.column("value").to_pylist(), strict=True))

    @staticmethod
    def set_meta(transaction: duckdb.DuckDBPyConnection, **values: int) -> None:
        """Set whole numbers within the present transaction."""
        rows = ", ".join(["(?, ?)"] * len(values))
        parameters = [item for pair in values.items() for item in pair]
        transaction.execute(f"INSERT OR REPLACE INTO meta VALUES {rows}", parameters)

    def _forget(self) -> None:
        """What was noted in a transaction that failed was not written."""
        self._labels = None
        self._stale = frozenset()
        self.whereabouts = Whereabouts()

    def _prepare(self) -> None:
        with self.writing() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS meta (name VARCHAR PRIMARY KEY, value BIGINT)")
            # fetchall, never fetchone: a result that is not read to its end blocks the connection
            known = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchall()
            if known and known[0][0] > SCHEMA_VERSION:
                raise StoreVersionError(
                    f"the books are of version {known[0][0]}, this Outlay knows version {SCHEMA_VERSION}",
                    hint="upgrade Outlay, or open another home with --home",
                )
            for table, columns in _TABLES.items():
                body = ", ".join(f'"{c.name}" {_TYPES[c.kind]}' for c in columns)
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({body})")
            texts = ", ".join(f'"{name}" VARCHAR' for name in LABELS)
            connection.execute(f"CREATE TABLE IF NOT EXISTS labels (number INTEGER, key UBIGINT, {texts})")
            connection.execute("CREATE TABLE IF NOT EXISTS unsettled (seq BIGINT)")
            connection.execute("CREATE TABLE IF NOT EXISTS parked (number BIGINT)")
            connection.execute("CREATE TABLE IF NOT EXISTS refused (first BIGINT, last BIGINT, facts BIGINT)")
            if known and known[0][0] < SCHEMA_VERSION:
                upgrade(connection, {**_TABLES, "labels": [Column(name, Kind.TEXT) for name in LABELS]}, _TYPES)
            prepare_whereabouts(connection)
            shown = ", ".join(f'{"l" if c.name in LABELS else "r"}."{c.name}"' for c in USAGE_COLUMNS)
            joined = f"SELECT {shown} FROM usage_rows r JOIN labels l ON r.labels = l.number"
            connection.execute(f"CREATE OR REPLACE VIEW usages AS {joined}")
            rolled = connection.execute("SELECT value FROM meta WHERE name = 'rollup_version'").fetchall()
            if not rolled or rolled[0][0] != ROLLUP_VERSION:
                rollups.prepare(connection)
            self.set_meta(connection, schema_version=SCHEMA_VERSION, rollup_version=ROLLUP_VERSION)


def _connect(path: Path | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    place = str(path).replace("'", "''") if path else ":memory:"
    options = "(RECOVERY_MODE NO_WAL_WRITES)" if path else ""
    try:
        connection.execute(f"ATTACH '{place}' AS {_NAME} {options}")
        connection.execute("SET checkpoint_threshold = '1TB'")  # only when we say so: see `checkpoint`
        connection.execute(f"USE {_NAME}")
    except duckdb.Error as error:
        connection.close()
        raise store_error(error, f"cannot open the books {path}") from error
    return connection


def with_uuid_keys(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The columns in order, 16-byte keys marked as UUID so that the engine stores them as numbers."""
    arrays = [_as_uuid(table.column(c.name)) if c.kind is Kind.KEY else table.column(c.name) for c in columns]
    return pa.table(arrays, names=[c.name for c in columns])


def with_binary_keys(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """Keys read back as the 16 bytes the rest of the house speaks of."""
    for place, column in enumerate(columns):
        if column.kind is Kind.KEY:
            table = table.set_column(place, column.name, pc.cast(table.column(place), KEY))
    return table


def _places(count: int) -> pa.Array:
    return pa.array(np.arange(count, dtype=np.int64))


def _as_uuid(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    flat = flat.chunk(0) if isinstance(flat, pa.ChunkedArray) else flat
    return pa.ExtensionArray.from_storage(pa.uuid(), flat)


def _within(start: datetime | None, end: datetime | None) -> tuple[str, list[object]]:
    """SQL and values for usages that can cost something, from `start` up to, not including, `end`."""
    parts, bounds = ["(bears OR units IS NOT NULL)"], list[object]()
    for moment, sign in ((start, ">="), (end, "<")):
        if moment is not None:
            parts.append(f"time {sign} ?")
            bounds.append(moment.astimezone(UTC).replace(tzinfo=None))
    return " AND ".join(parts), bounds


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("ROLLBACK")
    except duckdb.Error:
        return  # the engine has already ended the transaction itself
