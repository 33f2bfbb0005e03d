"""Changes: a figure beside the same figure of an earlier window, and whether that is good."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from outlay.faces.formats import MINUS

NOISE = Decimal("0.02")
"""A change smaller than this is not a verdict."""
CHANGE_MAX = Decimal(10)
"""Beyond a thousand per cent a percentage says nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """`text` for the eye (`▲ 19 %`), `words` for the ear, `tone` good, bad or plain."""

    text: str
    words: str
    tone: str


def decimal_of(value: object) -> Decimal | None:
    """A figure of an answer as a number; None where it is not known."""
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, str) and value.lstrip("-")[:1].isdigit():
        return Decimal(value)
    return None


def change_of(now: object, before: object, good: str = "") -> Change | None:
    """The relative change from `before` to `now`; `good` is the direction that is good (`up`, `down`), else none is.

    None where one of the two is not known or there was nothing before: that is no change of 0 %.
    """
    later, earlier = decimal_of(now), decimal_of(before)
    if later is None or earlier is None or earlier <= 0:
        return None
    moved = (later - earlier) / earlier
    if moved > CHANGE_MAX:
        return Change("▲ >1,000 %", "up more than tenfold", _tone("up", good))
    whole = abs(moved * 100).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    if not whole:
        return Change("±0 %", "unchanged", "plain")
    way = "up" if moved > 0 else "down"
    sign = "▲" if moved > 0 else "▼"
    return Change(f"{sign} {whole} %", f"{way} {whole} %", _tone(way, good) if abs(moved) >= NOISE else "plain")


def signed_percent(now: object, before: object) -> str:
    """The same change inside a sentence: `−22 %`, `+4 %`; empty where there is none."""
    change = change_of(now, before)
    if change is None:
        return ""
    return change.text.replace("▲ ", "+").replace("▼ ", MINUS)


def _tone(way: str, good: str) -> str:
    return "plain" if not good else "good" if way == good else "bad"
