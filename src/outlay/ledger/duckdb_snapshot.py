"""One moment of the embedded books: a transaction that only reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import duckdb
import numpy.typing as npt
import pyarrow as pa

from outlay.core.errors import StoreError, StoreFullError, StoreVersionError
from outlay.ledger.touched import Touched


class Snapshot:
    """One transaction that only reads: all its answers are of the moment of the first. Used by one thread."""

    dialect = "duckdb"

    def __init__(self, cursor: duckdb.DuckDBPyConnection, touched: Touched, stale: tuple[date, ...]) -> None:
        self.touched = touched
        self._cursor, self._stale = cursor, stale

    @property
    def version(self) -> object:
        """Which state of the books this is: the same object as long as nothing was written."""
        return self.touched

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The rows of a question as Arrow; `parameters` stand for `$1`, `$2`, …."""
        try:
            return self._cursor.sql(sql, params=list(parameters)).to_arrow_table()
        except duckdb.Error as error:
            raise store_error(error, "a question to the books failed") from error

    def records(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """The rows of a question with a short answer, by column name; planned once, which `rows` does twice."""
        try:
            found = self._cursor.execute(sql, list(parameters))
            names = [item[0] for item in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            raise store_error(error, "a question to the books failed") from error

    def columns(self, sql: str, parameters: Sequence[object] = ()) -> dict[str, npt.NDArray[Any]]:
        """The rows of a question as columns of numbers, times and texts; masked where values are missing."""
        try:
            return self._cursor.execute(sql, list(parameters)).fetchnumpy()
        except duckdb.Error as error:
            raise store_error(error, "a question to the books failed") from error

    def stale_days(self) -> tuple[date, ...]:
        """The days whose rollups must not be used, in order."""
        return self._stale


def store_error(error: duckdb.Error, what: str) -> StoreError:
    """What the engine says, in our words: `what` could not be done."""
    text = str(error)
    if any(said in text for said in ("No space left", "File too large", "Disk quota exceeded")):
        return StoreFullError(f"{what}: the disk is full", hint="free some space; nothing acknowledged is lost")
    if "newer version" in text or "storage version" in text:
        return StoreVersionError(f"{what}: {text.splitlines()[0]}", hint="upgrade Outlay")
    return StoreError(f"{what}: {text.splitlines()[0]}")
