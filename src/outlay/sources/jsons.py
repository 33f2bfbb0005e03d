"""JSON as sources write it: exact decimals, documents that end too early, values that may be anything."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL)
_CLOSER = {b"{": b"}", b"[": b"]"}

COUNT_MAX = 2**63 - 1


def parse_json(data: bytes) -> Any:
    """The value of a JSON text, fractions as exact decimals. Raises ValueError.

    `NaN` and `Infinity`, which are not JSON but common in evaluation logs, become None.
    """
    try:
        return _DECODER.decode(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        text = data.decode("utf-8-sig", errors="replace")
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_number(_name: str) -> None:
    return None


def parse_cut_json(data: bytes) -> Any:
    """The value of a JSON text whose end is missing: every element that is complete before the cut.

    Raises ValueError where not even the beginning is JSON.
    """
    open_brackets: list[bytes] = []
    keep, closing = 0, b""
    for token in _TOKEN.finditer(data):
        mark = token.group()
        if mark in _CLOSER:
            open_brackets.append(mark)
            keep = token.end()
        elif mark in {b"}", b"]"}:
            if not open_brackets:
                break
            open_brackets.pop()
            keep = token.end()
        elif mark == b",":
            keep = token.start()
        elif mark == b'"':  # a text that never ends: the cut is inside it
            break
        else:
            continue
        closing = b"".join(_CLOSER[bracket] for bracket in reversed(open_brackets))
    if not keep:
        raise ValueError("not JSON")
    return parse_json(data[:keep] + closing)


def mapping_in(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_in(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text_in(value: Any) -> str | None:
    """The value where it is a text that says something, or a number's text; else None."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    return None


def count_in(value: Any, what: str) -> int | None:
    """A whole number that is not negative; None stays None. Raises ValueError with the value and what it was for."""
    if value is None:
        return None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise ValueError(f"{what} cannot be {value!r}")
    return value
