"""The control store: one engine, short transactions, the same behaviour on SQLite and PostgreSQL.

A writing transaction on SQLite takes the write lock when it begins (BEGIN IMMEDIATE), so that what it reads is still so
when it writes; on PostgreSQL the rows that are decided about are locked by the statement that reads them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from outlay.control.tables import HEAD
from outlay.core.errors import InputError, StoreBusyError, StoreError, StoreVersionError

BUSY_S = 10
"""How long a statement waits for the write lock of SQLite before it gives up."""

Transaction = Connection
"""One transaction, for whoever hands it on and does not look inside."""

_MIGRATION_LOCK = 7_166_529  # any number: one process at a time brings the tables up to date
_CONNECTIONS = 8
_RECYCLE_S = 1800


class ControlStore:
    """An open control store; safe to share between threads. `close` gives its connections back."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._writer = self.engine.execution_options(outlay_writes=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._own: list[Any] = []
        self.shown = self.engine.url.render_as_string(hide_password=True)
        try:
            self._bring_up_to_date()
        except BaseException:
            self.engine.dispose()
            raise

    def close(self) -> None:
        """Gives every connection back."""
        for connection in tuple(self._own):
            self.disown(connection)
        self.engine.dispose()

    def own(self) -> Any:
        """A connection of the driver that stays with whoever asked until `disown`, or until the store is closed."""
        with _translated(self.shown):
            pooled = self.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        self._own.append(connection)
        return connection

    def disown(self, connection: Any) -> None:
        """Closes a connection that somebody had for himself."""
        self._own.remove(connection)
        with suppress(Exception):  # a server that is gone cannot be said good-bye to
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """One transaction that may write: all of it or nothing. Raises StoreBusyError, StoreError."""
        with _translated(self.shown), self._writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """One transaction that only reads, of one moment."""
        with _translated(self.shown), self.engine.connect() as connection, connection.begin():
            yield connection

    def _bring_up_to_date(self) -> None:
        with _translated(self.shown), self.engine.connect() as connection:
            found = _version(connection)
            connection.rollback()
            if found == HEAD:
                return
            if found and found > HEAD:
                raise StoreVersionError(
                    f"the control store was written by a newer Outlay (version {found}, this one knows {HEAD})",
                    hint="use the newer Outlay",
                )
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            if _version(connection) != HEAD:  # somebody else may have been quicker
                _migrate(connection)


def _engine(url: str) -> Engine:
    try:
        place = make_url(url)
    except ArgumentError as error:
        raise InputError("the address of the control store cannot be read", hint="postgresql://user@host/db") from error
    if place.get_backend_name() != "sqlite":
        return create_engine(
            place,
            pool_size=_CONNECTIONS,
            pool_pre_ping=True,
            pool_recycle=_RECYCLE_S,
            connect_args={"connect_timeout": BUSY_S},
        )
    if place.database in {None, "", ":memory:"}:
        raise InputError("a control store in memory would forget every budget", hint="sqlite:///file")
    _make_private(Path(str(place.database)))
    engine = create_engine(place, connect_args={"timeout": BUSY_S, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """Makes the file, readable by its owner only; what SQLite puts beside it takes the same rights."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"cannot open the control store {path}: {error.strerror}", hint="check its rights") from error


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; see _begin_sqlite
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("outlay_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _version(connection: Connection) -> str:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    given: dict[Any, Any] = config.attributes
    given["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _translated(shown: str) -> Generator[None]:
    """Errors of the engine in the words of the error tree; what is not the engine's passes unchanged."""
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if "locked" in reason or "busy" in reason:
            raise StoreBusyError(f"the control store stayed busy for {BUSY_S} s", hint="try again") from error
        raise StoreError(f"the control store {shown} failed: {reason}", hint="outlay doctor") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the control store {shown} failed: {error}", hint="outlay doctor") from error
