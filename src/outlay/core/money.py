"""Money: whole nano-units of a currency in an integer, and the one place where rounding happens.

An amount is nano-units (10^-9 of the currency) in an `int`. A rate is pico-units (10^-12) per unit of a meter in an
`int`, because a tenth of a cent per thousand tokens is less than one nano-unit a token. Floats never carry money: a
recorded float is read through its shortest decimal text and rounded once, at the door.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

NANO = 1_000_000_000
PICO_PER_NANO = 1_000
AMOUNT_NANO_MAX = 2**63 - 1
DEFAULT_CURRENCY = "USD"

_NANO_DECIMAL = Decimal(NANO)
_PICO_DECIMAL = Decimal(NANO * PICO_PER_NANO)
_ONE = Decimal(1)
_PLAIN = re.compile(r"(-?)([0-9]{1,9})(?:\.([0-9]{1,9}))?")
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""Only calculates: whether a result was rounded is never asked of it, so threads may share it."""


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An exact amount: `nano` nano-units of `currency` (ISO 4217)."""

    nano: int
    currency: str = DEFAULT_CURRENCY

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.nano + other.nano, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.nano, self.currency)

    def __str__(self) -> str:
        return f"{decimal_text(self.nano)} {self.currency}"


def _whole(value: Decimal, factor: Decimal, per: int, what: str) -> int:
    """Value × factor ÷ per as a whole number, half to even. Raises ValueError for what has no such number."""
    if not value.is_finite():
        raise ValueError(f"{what} must be a finite number, not {value}")
    try:
        scaled = _EXACT.multiply(value, factor)
        if per != 1:
            scaled = _EXACT.divide(scaled, per)
        return int(scaled.quantize(_ONE, ROUND_HALF_EVEN, _EXACT))
    except ArithmeticError as error:
        raise ValueError(f"{what} is out of range: {value}") from error


def to_decimal(value: object) -> Decimal:
    """The exact decimal a person wrote; a binary number is read through its shortest text.

    Raises ValueError for anything that is not a number.
    """
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or value is None:
        raise ValueError(f"not an amount: {value!r}")
    try:
        return Decimal(str(value).strip().removeprefix("$").replace(",", ""))
    except InvalidOperation as error:
        raise ValueError(f"not an amount: {value!r}") from error


def nano_of(value: object) -> int:
    """Nano-units of an amount written in whole currency units (`"0.0125"` → 12_500_000); half to even."""
    if isinstance(value, str) and (plain := _PLAIN.fullmatch(value)) is not None:  # as `decimal_text` writes it: exact
        sign, whole, rest = plain.groups()
        size = int(whole) * NANO + (int(rest.ljust(9, "0")) if rest else 0)
        return -size if sign else size
    nano = _whole(to_decimal(value), _NANO_DECIMAL, 1, "an amount")
    if abs(nano) > AMOUNT_NANO_MAX:
        raise ValueError(f"amount out of range: {value!r}")
    return nano


def pico_of(value: object, per: int = 1) -> int:
    """Pico-units per unit of a price written per `per` units (`pico_of("2.5", 1_000_000)` → 2_500_000)."""
    return _whole(to_decimal(value), _PICO_DECIMAL, per, "a rate")


def amount_nano(quantity: int, rate_pico: int) -> int:
    """Quantity × rate in nano-units, rounded half to even: the one rounding place for a single charge."""
    whole, rest = divmod(quantity * rate_pico, PICO_PER_NANO)
    half = PICO_PER_NANO // 2
    return whole + (rest > half or (rest == half and whole % 2 == 1))


def decimal_text(nano: int) -> str:
    """The exact decimal text of nano-units, without trailing zeros: 12_500_000 → `"0.0125"`."""
    if nano < 0:
        return f"-{decimal_text(-nano)}"
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09d}".rstrip("0") if rest else f"{whole}"
