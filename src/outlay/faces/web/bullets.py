"""Bullets: what is used of a limit as a bar; hatched is what is held, ticks are where somebody is told, dark is all."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from markupsafe import Markup

from outlay.faces.web.marks import filled, joined

ALERTS_PERCENT = (70, 90)
_ROOM = Decimal("1.1")  # of the limit: the tick at 100 % does not stand on the edge


def bullet(
    spent: Decimal,
    more: Decimal,
    limit: Decimal,
    words: str,
    ticks_percent: Sequence[int] = ALERTS_PERCENT,
    tone: str | None = None,
) -> Markup:
    """`spent` solid, `more` (held, or forecast) hatched behind it; `words` say it to who cannot see it.

    `tone` (bad, warn or empty) is the caller's verdict; without one what is used decides.
    """
    if limit <= 0:
        return filled('<span class="bullet none" role="img" aria-label="{}"></span>', words)
    whole = max(limit * _ROOM, spent + more)
    scale = Decimal(100) / whole
    if tone is None:
        tone = "bad" if spent > limit else "warn" if spent + more > limit or spent * 100 >= limit * 90 else ""
    marks = [_mark("spent", Decimal(0), spent * scale), _mark("more", spent * scale, more * scale)]
    marks += [_tick("tick", limit * share / 100 * scale) for share in ticks_percent]
    marks.append(_tick("full", limit * scale))
    return filled('<span class="bullet {}" role="img" aria-label="{}">{}</span>', tone, words, joined(marks))


def _mark(kind: str, left: Decimal, width: Decimal) -> Markup:
    if width <= 0:
        return Markup("")
    return filled('<i class="{}" style="left:{}%;width:{}%"></i>', kind, _round(left), _round(width))


def _tick(kind: str, left: Decimal) -> Markup:
    return filled('<i class="{}" style="left:{}%"></i>', kind, _round(left))


def _round(value: Decimal) -> Decimal:
    return round(value, 2)
