"""OTLP protobuf, written by hand: only what an exporter of spans needs.

The field numbers are those of opentelemetry-proto's trace.proto, common.proto and resource.proto. Attributes repeat
from span to span, so their bytes are kept; that makes this several times faster than building message objects, and the
demo has to be on the screen within a minute.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache

Value = str | int | float | bool | tuple[str, ...]

SPAN_KIND_INTERNAL, SPAN_KIND_CLIENT = 1, 3
STATUS_ERROR = 2

_VARINT, _FIXED64, _BYTES = 0, 1, 2


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(maxsize=256)
def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def delimited(field: int, payload: bytes) -> bytes:
    """A field that holds bytes, text or a message."""
    return _tag(field, _BYTES) + _varint(len(payload)) + payload


def _any_value(value: Value) -> bytes:
    if isinstance(value, bool):
        return _tag(2, _VARINT) + _varint(value)
    if isinstance(value, str):
        return delimited(1, value.encode())
    if isinstance(value, int):
        return _tag(3, _VARINT) + _varint(value)
    if isinstance(value, float):
        return _tag(4, _FIXED64) + struct.pack("<d", value)
    return delimited(5, b"".join(delimited(1, _any_value(item)) for item in value))


@lru_cache(maxsize=65_536)
def _attribute(field: int, key: str, value: Value, _kind: type) -> bytes:
    return delimited(field, delimited(1, key.encode()) + delimited(2, _any_value(value)))


def attributes(field: int, values: Mapping[str, Value]) -> bytes:
    """Key-values as repeated `field`; `True` and `1` stay what they are."""
    return b"".join([_attribute(field, key, value, type(value)) for key, value in values.items()])


def span(
    ids: tuple[bytes, bytes, bytes],
    name: str,
    kind: int,
    start_ns: int,
    end_ns: int,
    values: Mapping[str, Value],
    *,
    failed: bool,
) -> bytes:
    """A span; `ids` are trace, span and parent, the last one empty for a root."""
    trace_id, span_id, parent_id = ids
    parts = [delimited(1, trace_id), delimited(2, span_id)]
    if parent_id:
        parts.append(delimited(4, parent_id))
    parts += [
        delimited(5, name.encode()),
        _tag(6, _VARINT) + _varint(kind),
        _tag(7, _FIXED64) + struct.pack("<Q", start_ns),
        _tag(8, _FIXED64) + struct.pack("<Q", end_ns),
        attributes(9, values),
    ]
    if failed:
        parts.append(delimited(15, _tag(3, _VARINT) + _varint(STATUS_ERROR)))
    return b"".join(parts)


def resource_spans(resource: Mapping[str, Value], scopes: Mapping[tuple[str, str], Iterable[bytes]]) -> bytes:
    """One process's spans, by instrumentation scope (name, version), as one field of an export request."""
    parts = [delimited(1, attributes(1, resource))]
    for (name, version), spans in scopes.items():
        scope = delimited(1, delimited(1, name.encode()) + delimited(2, version.encode()))
        parts.append(delimited(2, scope + b"".join([delimited(2, each) for each in spans])))
    return delimited(1, b"".join(parts))
