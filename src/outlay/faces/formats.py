"""How figures look to a person. Takes exact texts and whole numbers; programs get those, people get these.

Money below 100 shows cents, a third decimal below ten cents; above, whole units. Nothing that is not zero is shown as
zero, and what is not known is a word.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from outlay.core.money import decimal_text

MINUS = "\N{MINUS SIGN}"
THIN_SPACE = "\N{THIN SPACE}"

_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_MILL, _CENT, _ONE = Decimal("0.001"), Decimal("0.01"), Decimal(1)
_DIME, _HUNDRED = Decimal("0.1"), Decimal(100)
_TENTH = Decimal("0.1")
_MILLION = Decimal(1_000_000)
_THOUSAND, _TEN_THOUSAND = Decimal(1_000), Decimal(10_000)
_ODDS = (2, 3, 4, 5, 6, 8, 10, 20, 50, 100)
_RARE = 0.01


def money(text: str, currency: str = "USD") -> str:
    """`"9.8412"` → `$9.84`, `"0.0701"` → `$0.070`, `"30400.2"` → `$30,400`, `"0.0000004"` → `<$0.001`."""
    amount = Decimal(text)
    size = abs(amount)
    if amount and size < _MILL:
        return ("" if amount > 0 else MINUS) + "<" + _with_sign("0.001", currency)
    step = _MILL if size < _DIME else _CENT if size < _HUNDRED else _ONE
    rounded = size.quantize(step, rounding=ROUND_HALF_EVEN) if amount else _CENT * 0
    if rounded >= _HUNDRED:
        rounded = rounded.quantize(_ONE)
    return ("" if amount >= 0 else MINUS) + _with_sign(f"{rounded:,f}", currency)


def nano(amount_nano: int, currency: str = "USD") -> str:
    """Whole nano-units in the same form: 9_841_200_000 → `$9.84`."""
    return money(decimal_text(amount_nano), currency)


def rate(text: str, unit: str, currency: str = "USD") -> str:
    """`"0.0000025"` a token → `$2.50 per 1M tokens`; other units are said by the piece, all digits kept."""
    scale, words = (_MILLION, "1M tokens") if unit == "token" else (_ONE, unit)
    figure = f"{Decimal(text) * scale:f}"
    whole, _, rest = figure.partition(".")
    digits = rest.rstrip("0")
    return f"{_with_sign(f'{whole}.{digits:0<2}', currency)} per {words}"


def count(number: int) -> str:
    """`1234567` → `1,234,567`."""
    return f"{abs(number):,}" if number >= 0 else f"{MINUS}{abs(number):,}"


def share(text: str) -> str:
    """`"0.0981"` → `9.8 %`; a share that is not zero never reads 0.0 %, one that is not whole never 100.0 %."""
    per_cent = Decimal(text) * 100
    if 0 < per_cent < Decimal("0.05"):
        return "<0.1 %"
    if Decimal("99.95") <= per_cent < _HUNDRED:
        return ">99.9 %"
    return _signed(per_cent.quantize(_TENTH, rounding=ROUND_HALF_EVEN)) + " %"


def multiple(text: str) -> str:
    """`"1.914"` → `1.91×`."""
    return _signed(Decimal(text).quantize(_CENT, rounding=ROUND_HALF_EVEN)) + "×"


def short(text: str, currency: str = "USD") -> str:
    """Money where only its size matters: `"40100"` → `$40.1 k`, `"640580"` → `$641 k`; below 10,000 as ever."""
    amount = Decimal(text)
    size = abs(amount)
    if size < _TEN_THOUSAND:
        return money(text, currency)
    scale, letter = (_MILLION, "M") if size >= _MILLION else (_THOUSAND, "k")
    scaled = (size / scale).quantize(_TENTH if size / scale < _HUNDRED else _ONE, rounding=ROUND_HALF_EVEN)
    return ("" if amount >= 0 else MINUS) + _with_sign(f"{scaled:,f}{THIN_SPACE}{letter}", currency)


def odds(chance: float) -> str:
    """A chance in words: `0.17` → `1 in 6`, `0.83` → `5 in 6`, `0.004` → `less than 1 in 100`."""
    if chance < _RARE:
        return "less than 1 in 100"
    if chance > 1 - _RARE:
        return "more than 99 in 100"
    over, under = min(
        ((round(chance * under), under) for under in _ODDS), key=lambda pair: (abs(pair[0] / pair[1] - chance), pair[1])
    )
    return f"{over} in {under}" if 0 < over < under else ("1 in 100" if chance < 1 / 2 else "99 in 100")


def duration(text: str) -> str:
    """Seconds as a person says them: `4.2 s`, `3 m 10 s`, `2 h 05 m`."""
    seconds = Decimal(text)
    if seconds < 60:
        return f"{seconds.quantize(_TENTH, rounding=ROUND_HALF_EVEN):f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} m"


def safe(text: str) -> str:
    """A foreign text without the characters that would move a terminal's cursor or colour."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _with_sign(figure: str, currency: str) -> str:
    sign = _SIGNS.get(currency)
    return f"{sign}{figure}" if sign else f"{figure} {currency}"


def _signed(number: Decimal) -> str:
    return f"{number:,f}" if number >= 0 else f"{MINUS}{abs(number):,f}"
