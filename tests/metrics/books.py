"""Small books for the tests of metrics: the three tables in DuckDB, filled from plain rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from outlay.core.charge import PROVENANCE_CODE
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.meters import METER_CODE, TOKEN_METERS
from outlay.ledger.duckdb_whereabouts import prepare
from outlay.ledger.labels import LABELS
from outlay.metrics.answer import Answer, ask
from outlay.metrics.query import parse_query
from outlay.normalize.usages import USAGES
from outlay.sources.facts import KEY

_TEXT = pa.string()
_COUNT = pa.int64()
_TIME = pa.timestamp("us")

AMOUNTS: dict[str, pa.DataType] = {
    "model_id": _TEXT,
    "model_tier": _TEXT,
    **dict.fromkeys(("amount_nano", "recorded_nano", "priced_nano", "estimated_nano", "list_nano"), _COUNT),
    "unpriced_tokens": _COUNT,
    "unpriced_meters": pa.int32(),
    "band_low_nano": _COUNT,
    "band_high_nano": _COUNT,
}
LEDGER: dict[str, pa.DataType] = {
    "seq": _COUNT,
    "counted": pa.bool_(),
    "why_not_counted": _TEXT,
    "stated": pa.int32(),
    "inherited": pa.int32(),
    "tag_gaps": pa.int32(),
    "posted_at": _TIME,
}
USAGE_TABLE = pa.schema([*USAGES, *AMOUNTS.items(), *LEDGER.items()])
CHARGE_TABLE = pa.schema(
    {
        "seq": _COUNT,
        "time": _TIME,
        "meter": pa.uint8(),
        "quantity": _COUNT,
        "rate_pico": _COUNT,
        "amount_nano": _COUNT,
        "currency": _TEXT,
        "provenance": pa.uint8(),
        "price": _TEXT,
        "variant_applied": _TEXT,
        "line": _COUNT,
        "corrects": _COUNT,
    }
)
OUTCOME_TABLE = pa.schema(
    {
        "outcome_key": KEY,
        "task_id": _TEXT,
        "session_id": _TEXT,
        "session_ids": pa.list_(_TEXT),
        "task_sessions": pa.list_(_TEXT),
        "found": pa.bool_(),
        "status": _TEXT,
        "time": _TIME,
        "reported_at": _TIME,
        "task_type": _TEXT,
        "value_nano": _COUNT,
        "currency": _TEXT,
        "source": _TEXT,
        "origin": _TEXT,
        **dict.fromkeys(ENVELOPE_KEYS, _TEXT),
        "tags": _TEXT,
        "current": pa.bool_(),
    }
)

DAY = datetime(2026, 11, 2, 8, 0)  # noqa: DTZ001 - a Monday, in UTC without a zone, as the books hold it
Row = dict[str, Any]


def usage(cost: int | None = None, **stated: Any) -> Row:
    """One usage: a chat call of a priced model unless stated otherwise; `cost` in nano-units, None is unpriced."""
    row: Row = dict.fromkeys(USAGE_TABLE.names, "")
    row |= dict.fromkeys(ENVELOPE_KEYS, UNTAGGED) | dict.fromkeys(TOKEN_METERS, 0)
    row |= {"time": DAY, "duration_ms": None, "operation": "chat", "centre": "inference", "session_id": "s1"}
    row |= {"attempt": 0, "failed": False, "bears": True, "aggregate": False, "zone_assumed": False, "currency": "USD"}
    row |= {"parent_key": None, "tree_key": None, "units": None, "cost_nano": None, "counted": True, "inherited": 0}
    row |= {"stated": 0, "tag_source": 0, "tag_gaps": 0}
    row |= {"provenance": "priced", "in_uncached": 100, "out_text": 10, "list_nano": cost, "posted_at": DAY}
    row |= {"band_low_nano": None, "band_high_nano": None} | stated
    tokens = sum(row[meter] for meter in TOKEN_METERS)
    unpriced = cost is None and row["bears"]
    row |= {"amount_nano": cost or 0, "unpriced_meters": int(unpriced), "unpriced_tokens": tokens if unpriced else 0}
    for kind in ("recorded", "priced", "estimated"):
        row[f"{kind}_nano"] = (cost or 0) if row["provenance"] == kind else 0
    return row


def outcome(task: str, status: str = "done", sessions: Sequence[str] = (), **stated: Any) -> Row:
    """One report on a task."""
    row: Row = dict.fromkeys(OUTCOME_TABLE.names, "") | dict.fromkeys(ENVELOPE_KEYS, UNTAGGED)
    row |= {"task_id": task, "status": status, "session_ids": list(sessions), "session_id": next(iter(sessions), "")}
    row |= {"task_sessions": list(sessions), "found": True}
    row |= {"time": DAY, "reported_at": DAY, "value_nano": None, "currency": "USD", "current": True}
    return row | {"outcome_key": _key(task)} | stated


class Books:
    """A reader over three tables held in memory."""

    dialect = "duckdb"

    def __init__(self, usages: Iterable[Row], outcomes: Iterable[Row] = ()) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        numbered = [
            {**row, "seq": place, "usage_key": _key(f"u{place}"), "fact_key": _key(f"f{place}")}
            for place, row in enumerate(usages)
        ]
        self._create("stated_usages", USAGE_TABLE, numbered)
        self._label()
        self._create("charges", CHARGE_TABLE, [line for row in numbered for line in charges_of(row)])
        self._create("outcomes", OUTCOME_TABLE, list(outcomes))

    def _create(self, name: str, schema: pa.Schema, rows: list[Row]) -> None:
        table = pa.table([pa.array([row[item.name] for row in rows], item.type) for item in schema], schema=schema)
        self.connection.register("arrived", table)
        self.connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arrived")
        self.connection.unregister("arrived")

    def _label(self) -> None:
        """Lays usages out as the ledger does: rows, the labels they share, and both as `usages`."""
        texts = ", ".join(f'"{name}"' for name in LABELS)
        distinct = f"SELECT DISTINCT {texts} FROM stated_usages"
        numbered = (
            f"SELECT u.* EXCLUDE ({texts}), l.number AS labels FROM stated_usages u JOIN labels l USING ({texts})"
        )
        joined = "SELECT r.*, l.* EXCLUDE (number) FROM usage_rows r JOIN labels l ON r.labels = l.number"
        self.connection.execute(f"CREATE TABLE labels AS SELECT row_number() OVER () AS number, * FROM ({distinct})")
        self.connection.execute(f"CREATE TABLE usage_rows AS {numbered}")
        self.connection.execute(f"CREATE VIEW usages AS {joined}")
        prepare(self.connection)

    def rows(self, sql: str, parameters: Sequence[object]) -> pa.Table:
        """The answer to one statement."""
        return self.connection.cursor().sql(sql, params=list(parameters)).to_arrow_table()

    def records(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        """The answer to one statement, row by row."""
        return self.rows(sql, parameters).to_pylist()

    def stale_days(self) -> None:
        """These books have no rollups."""

    def ask(self, **parameters: str | Sequence[str]) -> Answer:
        """The answer to a question as an address spells it."""
        return ask(self, parse_query(parameters))


def charges_of(row: Row) -> list[Row]:
    """The cost lines of a usage: a recorded cost on `total`, a price split over input and output."""
    if not row["bears"]:
        return []
    line: Row = {
        "seq": row["seq"],
        "time": row["time"],
        "currency": row["currency"],
        "rate_pico": None,
        "price": "test",
    }
    line |= {"variant_applied": "", "line": row["seq"], "corrects": None}
    if row["unpriced_meters"]:
        return [line | _amount("in_uncached", row["in_uncached"], None, "unpriced")]
    if row["provenance"] == "recorded":
        return [line | _amount("total", 1, row["amount_nano"], "recorded")]
    part = row["amount_nano"] // 3
    return [
        line | _amount("in_uncached", row["in_uncached"], part, row["provenance"]),
        line | _amount("out_text", row["out_text"], row["amount_nano"] - part, row["provenance"]),
    ]


def tags(**given: str) -> str:
    """Free tags as the books hold them."""
    return json.dumps(given, sort_keys=True)


def nano(rows: Iterable[Mapping[str, Any]], name: str = "cost") -> int:
    """The sum of an amount over rows of an answer, in nano-units; an unpriced one adds nothing."""
    total = 0
    for row in rows:
        whole, _, rest = (row[name] or "0").partition(".")
        total += int(whole + rest.ljust(9, "0"))
    return total


def _amount(meter: str, quantity: int, amount: int | None, provenance: str) -> Row:
    return {
        "meter": METER_CODE[meter],
        "quantity": quantity,
        "amount_nano": amount,
        "provenance": PROVENANCE_CODE[provenance],
    }


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
