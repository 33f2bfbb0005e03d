"""What orders to the control store have in common: known fields, printable texts, amounts, and moments to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from outlay.core.errors import InputError, nearest
from outlay.core.money import nano_of
from outlay.core.period import ns_of, parse_moment
from outlay.govern.budget_words import AMOUNT_NANO_MAX

TEXT_CHARACTERS_MAX = 500
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def known_fields(said: Mapping[str, Any], fields: Iterable[str], what: str) -> None:
    """Raises InputError with the nearest name for a field that `what` does not have."""
    valid = tuple(fields)
    for name in said:
        if name not in valid:
            raise InputError(f'{what} has no field "{name}"', hint=nearest(name, valid))


def text_of(said: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    """A printable text, empty where it may be left out. Raises InputError."""
    value = said.get(name)
    if value is None or (value == "" and not needed):
        value = ""
    least = 1 if needed else 0
    if not isinstance(value, str) or not least <= len(value.strip()) <= TEXT_CHARACTERS_MAX or not value.isprintable():
        raise InputError(f"{name} must be a printable text of {least} to {TEXT_CHARACTERS_MAX} characters")
    return value.strip()


def amount_of(value: object, hint: str) -> int:
    """Nano-units of an amount above 0 and within reason. Raises InputError."""
    try:
        nano = nano_of(value)
    except ValueError as error:
        raise InputError(f"the amount: {error}", hint="like 500 or 12.50") from error
    if not 0 < nano <= AMOUNT_NANO_MAX:
        raise InputError(f"an amount of {value}", hint=hint)
    return nano


def end_ns(text: str, now: datetime) -> int | None:
    """When something ends: a moment, or a length like 24h, 90d, 12w from now; None for an empty text.

    Raises InputError. Periods of the past count lengths backwards (`core.period.parse_moment`); an end
    lies ahead.
    """
    if not text:
        return None
    if text[:-1].isdecimal() and text[-1:] in _UNITS and len(text) <= 6:
        return ns_of(now + int(text[:-1]) * _UNITS[text[-1]])
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdecimal() and len(text) >= 10 else parse_moment(text, now)
    except (ValueError, OverflowError) as error:
        raise InputError(f'"{text}" is no end', hint="24h, 90d, 12w, or a day like 2027-01-01") from error
    return ns_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
