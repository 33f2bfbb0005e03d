"""Cells: values of JSON and YAML as a table of text would hold them, looked up by dotted paths."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from outlay.sources.jsons import parse_json

_NO_TEXT = frozenset({"", "null", "~"})


def text_of(value: Any) -> str | None:
    """A value of JSON or YAML as a table would hold it; nothing for an empty one."""
    if isinstance(value, str):
        return None if value in _NO_TEXT else value
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return msgspec.json.encode(value, order="sorted").decode()
    return str(value)


def at(record: Any, path: str) -> Any:
    """The value below a dotted path; numbers count list items, negative ones from the end; JSON in a text is opened."""
    if isinstance(record, dict) and path in record:
        return record[path]
    value = record
    for part in path.split("."):
        if isinstance(value, str) and value[:1] == "{":
            try:
                value = parse_json(value.encode())
            except ValueError:
                return None
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def values_at(records: list[dict[str, Any]], name: str) -> list[Any]:
    """What stands under a name or a dotted path in each record."""
    if "." not in name:
        return [record.get(name) for record in records]
    top = name.split(".", 1)[0]
    return [at(record, name) if top in record or name in record else None for record in records]


def text_column(values: list[Any]) -> pa.Array:
    """A column of text from values of JSON; the common cases, all text or all whole numbers, without a step per row."""
    kinds = set(map(type, values))
    if kinds <= {type(None)}:
        return pa.nulls(len(values), pa.string())
    if kinds <= {str, type(None)}:
        texts = pa.array(values, pa.string())
        return pc.if_else(pc.is_in(texts, value_set=pa.array(sorted(_NO_TEXT))), pa.scalar(None, pa.string()), texts)
    if kinds <= {int, type(None)}:
        try:
            return pa.array(values, pa.int64()).cast(pa.string())
        except (pa.ArrowInvalid, OverflowError):
            pass
    return pa.array([text_of(value) for value in values], pa.string())
