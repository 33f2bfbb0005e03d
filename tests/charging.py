"""A short way to say usages in the tests of prices: everything is empty or zero unless said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from outlay.core.charge import PROVENANCES
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.meters import METER_NAMES
from outlay.normalize.usages import USAGES
from outlay.pricing.book import PriceBook

NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)
_MAY_BE_NULL = frozenset({"duration_ms", "cost_nano", "units", "parent_key", "tree_key", "usage_key", "fact_key"})


def usage(provider: str = "", model: str = "", **said: Any) -> dict[str, Any]:
    """One row of normalize USAGES; loose units may be given by their meter's name, like tokens."""
    row: dict[str, Any] = {}
    for item in USAGES:
        if item.name in ENVELOPE_KEYS:
            row[item.name] = UNTAGGED
        elif item.name in _MAY_BE_NULL:
            row[item.name] = None
        else:
            row[item.name] = "" if pa.types.is_string(item.type) else 0 if pa.types.is_integer(item.type) else None
    units = [
        {"meter": name, "quantity": said.pop(name)} for name in list(said) if name in METER_NAMES and name not in row
    ]
    unknown = set(said) - set(row)
    assert not unknown, unknown
    when: datetime = said.pop("time", NOVEMBER)
    row |= {
        "bears": True,
        "time": when.replace(tzinfo=None),
        "units": units or None,
        "provider": provider,
        "model": model,
    }
    return row | said


def batch(*rows: dict[str, Any]) -> pa.Table:
    """Rows as a batch."""
    return pa.Table.from_pylist(list(rows), schema=USAGES)


def charges(book: PriceBook, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The charges of the rows, with meters and provenances by name."""
    found = book.charge(batch(*rows)).charges.to_pylist()
    return [
        each | {"meter": METER_NAMES[each["meter"]], "provenance": PROVENANCES[each["provenance"]].value}
        for each in found
    ]


def amounts(book: PriceBook, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The usages after charging."""
    return book.charge(batch(*rows)).usages.to_pylist()


def charge(book: PriceBook, row: dict[str, Any], meter: str) -> dict[str, Any]:
    """The one charge of one usage on one meter."""
    (found,) = [each for each in charges(book, row) if each["meter"] == meter]
    return found
