"""Plain values: what a program reads. One rule for every face, so that the CLI and the API cannot differ.

Records become objects; a field `x_nano` (whole nano-units) or `x_pico` is shown as `x`, an exact decimal text; a field
`x_ns` is shown as `x`, a UTC time in ISO 8601. Nothing here rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

from outlay.core.money import decimal_text
from outlay.core.period import moment_of


class Reply(TypedDict):
    """The one object every question is answered with: what was asked, the rows, their total, how far to trust it."""

    query: dict[str, Any]
    rows: list[dict[str, Any]]
    total: dict[str, Any]
    coverage: dict[str, Any]


def reply(
    query: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]] = (),
    total: Mapping[str, Any] | None = None,
    coverage: Mapping[str, Any] | None = None,
) -> Reply:
    """A reply made of plain values."""
    return {
        "query": plain(query),
        "rows": [plain(row) for row in rows],
        "total": plain(total or {}),
        "coverage": plain(coverage or {}),
    }


def plain(value: object) -> Any:
    """`value` in terms of JSON: objects, lists, texts, whole numbers, booleans and null."""
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (UUID, Path)):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return dict(_field(item.name, getattr(value, item.name)) for item in fields(value))
    if isinstance(value, Mapping):
        return dict(_field(str(key), inner) for key, inner in value.items())
    if isinstance(value, (Sequence, AbstractSet)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value
    return str(value)


def time_text(moment: datetime) -> str:
    """ISO 8601 in UTC with a `Z`; a time without a zone is already UTC, as the books keep it."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def _pico_text(pico: int) -> str:
    """Exact, like `decimal_text`, of a thousandth of its unit: 2_500_000 → `"0.0000025"`."""
    text = f"{Decimal(pico).scaleb(-12):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _field(name: str, value: object) -> tuple[str, Any]:
    if name.endswith("_nano") and (value is None or isinstance(value, int)):
        return name.removesuffix("_nano"), None if value is None else decimal_text(value)
    if name.endswith("_pico") and (value is None or isinstance(value, int)):
        return name.removesuffix("_pico"), None if value is None else _pico_text(value)
    if name.endswith("_ns") and (value is None or isinstance(value, int)):
        return name.removesuffix("_ns"), None if value is None else time_text(moment_of(value))
    return name, plain(value)
