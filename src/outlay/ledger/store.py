"""The store protocol: what a room may ask of the books without knowing which engine keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa


class Reader(Protocol):
    """Somebody who can answer a statement from the books; never writes.

    `dialect` names the SQL that `rows` understands (`duckdb`, later `clickhouse`).
    """

    @property
    def dialect(self) -> str:
        """The dialect of the statements."""
        ...

    def rows(self, sql: str, parameters: Sequence[object]) -> pa.Table:
        """The answer to one SELECT; `parameters` stand for `$1`, `$2`, … in the statement."""
        ...
