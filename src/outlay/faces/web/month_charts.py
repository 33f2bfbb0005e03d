"""Three charts of months: sums that lead to a forecast with its fan, months against budgets, and an index of 100."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from markupsafe import Markup

from outlay.faces.web.charts import Bar, Part, axis, axis_labels, below, end_labels, grid, height, hit, hits, place_text
from outlay.faces.web.marks import filled, joined

Ticks = Sequence[tuple[Decimal, str]]
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Fan:
    """Sums of a month of `days` days, and of the same month a year ago.

    `actual` and `before` are the sums at the end of each whole day. At `now_day` days into the month `now` was reached;
    `middle` and the pairs (low, high) of each interval by per cent are the sums at the ends of the days after that.
    `limit` is the budget of the whole month. `ends` are what is labelled at the right: kind, value, figure, words.
    """

    days: int
    actual: Sequence[Decimal]
    now_day: float
    now: Decimal
    middle: Sequence[Decimal]
    intervals: Sequence[tuple[int, Sequence[tuple[Decimal, Decimal]]]]
    before: Sequence[Decimal]
    limit: Decimal | None
    labels: Sequence[tuple[int, str]]
    ends: Sequence[tuple[str, Decimal, str, str]]
    note: tuple[str, str]
    """Figure and words that stand beside the dot; empty where the month is over."""
    hits: Sequence[Bar] = field(default_factory=list[Bar])


def fan(told: Fan, ticks: Ticks, words: str) -> Markup:
    """Cumulative lines to the month's end; the shades hold 50, 80 and 95 of a hundred such months."""

    def at(day: float, value: Decimal) -> tuple[float, float]:
        return day / told.days * 100, height(value, ticks)

    def sums(values: Sequence[Decimal]) -> list[tuple[float, float]]:
        shown = values[: told.days]
        return [at(0, Decimal(0)), *(at(place, value) for place, value in enumerate(shown, 1))]

    first, now = len(told.actual) + 1, at(told.now_day, told.now)
    drawn: list[Markup] = []
    for percent, pairs in sorted(told.intervals, reverse=True):
        upper = [at(place, high) for place, (_, high) in enumerate(pairs, first)]
        lower = [at(place, low) for place, (low, _) in enumerate(pairs, first)]
        drawn.append(_shape(f"fan p{percent}", [now, *upper, *reversed(lower)]))
    if told.limit is not None:
        drawn.append(_line("budget", [at(0, Decimal(0)), at(told.days, told.limit)]))
    if told.before:
        drawn.append(_line("before", sums(told.before)))
    drawn.append(_line("actual", [*sums(told.actual), now]))
    if told.middle:
        drawn.append(_line("ahead", [now, *(at(place, value) for place, value in enumerate(told.middle, first))]))
    slot = 100 / told.days
    return _chart(
        "fan",
        words,
        ticks,
        drawn,
        [_dot(*now), _note(*now, *told.note), *(hit(bar, place * slot, slot) for place, bar in enumerate(told.hits))],
        [
            end_labels([(kind, height(value, ticks), figure, text) for kind, value, figure, text in told.ends]),
            below([(day / told.days * 100, label) for day, label in told.labels]),
        ],
    )


@dataclass(frozen=True, slots=True)
class MonthBar:
    """One month: what it cost, what it may still come to, and what was allowed."""

    label: str
    title: str
    spent: Decimal
    ahead: Decimal
    limit: Decimal | None
    href: str
    lines: Sequence[tuple[str, str]]


def month_bars(bars: Sequence[MonthBar], ticks: Ticks, words: str) -> Markup:
    """Bars up to the budget, the excess in red, the forecast pale, the budget as a dark line."""
    slot = 100 / max(len(bars), 1)
    width = slot * 0.72
    drawn: list[Markup] = []
    for place, bar in enumerate(bars):
        left = place * slot + slot * 0.14
        within = bar.spent if bar.limit is None else min(bar.spent, bar.limit)
        drawn.append(_bar("frontier", left, width, Decimal(0), within, ticks))
        drawn.append(_bar("excess", left, width, within, bar.spent, ticks))
        drawn.append(_bar("pale", left, width, bar.spent, bar.spent + bar.ahead, ticks))
        if bar.limit is not None:
            drawn.append(
                filled(
                    '<line class="limit" x1="{}" x2="{}" y1="{}" y2="{}" vector-effect="non-scaling-stroke"/>',
                    place_text(place * slot + slot * 0.04),
                    place_text(place * slot + slot * 0.96),
                    *[place_text(height(bar.limit, ticks))] * 2,
                )
            )
    hits = [
        hit(
            Bar(bar.label, bar.title, [Part(kind, Decimal(1), text) for kind, text in bar.lines], bar.href),
            place * slot,
            slot,
        )
        for place, bar in enumerate(bars)
    ]
    labels = below([(place * slot + slot / 2, bar.label) for place, bar in enumerate(bars)])
    return _chart("months", words, ticks, drawn, hits, [labels])


def index_line(
    values: Sequence[Decimal | None], labels: Sequence[tuple[int, str]], words: str, over: Sequence[Bar] = ()
) -> Markup:
    """A line around 100, where the dashes are; its axis is as wide as it needs and no narrower than 80 to 110.

    At least one value is known. `over` are the columns that tell the figure of a month and lead to what is behind it.
    """
    known = [value for value in values if value is not None]
    low = min([*known, Decimal(80)]) // 10 * 10
    high = -(-max([*known, Decimal(110)]) // 10) * 10
    step = max(Decimal(10), (high - low) // 4 // 10 * 10)
    ticks = [(low + step * place, f"{low + step * place:f}") for place in range(int((high - low) / step) + 1)]
    if ticks[-1][0] < high:
        ticks.append((ticks[-1][0] + step, f"{ticks[-1][0] + step:f}"))
    count = max(len(values) - 1, 1)
    points = [(place / count * 100, height(value, ticks)) for place, value in enumerate(values) if value is not None]
    drawn = [
        _line("budget", [(0.0, height(_HUNDRED, ticks)), (100.0, height(_HUNDRED, ticks))]),
        _line("actual", points),
    ]
    x, y = points[-1]
    ends = end_labels([("frontier", y, str(round(known[-1])), "")])
    placed = below([(place / count * 100, label) for place, label in labels])
    return _chart("index", words, ticks, drawn, [_dot(x, y), hits(over)], [ends, placed])


def money_ticks(top: Decimal) -> list[tuple[Decimal, str]]:
    """An axis of money in thousands where it reaches them: `$0`, `$10 k`, `$20 k`."""
    values = axis(top)
    if top < 10_000:
        return [(value, f"${value:,.0f}" if value == value.to_integral_value() else f"${value:,f}") for value in values]
    scale, letter = (1_000_000, "M") if top >= 10_000_000 else (1_000, "k")
    return [(value, f"${(value / scale).normalize():,f}\N{THIN SPACE}{letter}" if value else "$0") for value in values]


def _chart(
    kind: str, words: str, ticks: Ticks, drawn: Sequence[Markup], over: Sequence[Markup], beside: Sequence[Markup]
) -> Markup:
    """Axis, grid and marks, what lies over the marks, and what stands beside the plot."""
    return filled(
        '<div class="chart {}" role="group" aria-label="{}">{}<div class="plot">{}<svg class="marks" '
        'viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>{}</div>{}</div>',
        kind,
        words,
        axis_labels(ticks),
        grid(ticks),
        joined(drawn),
        joined(over),
        joined(beside),
    )


def _note(x: float, y: float, figure: str, words: str) -> Markup:
    if not figure:
        return Markup("")
    return filled(
        '<span class="note" style="left:{}%;top:{}%"><b>{}</b> {}</span>', place_text(x), place_text(y), figure, words
    )


def _dot(x: float, y: float) -> Markup:
    return filled('<i class="dot k-frontier" style="left:{}%;top:{}%"></i>', place_text(x), place_text(y))


def _bar(kind: str, left: float, width: float, foot: Decimal, top: Decimal, ticks: Ticks) -> Markup:
    if top <= foot:
        return Markup("")
    upper, lower = height(top, ticks), height(foot, ticks)
    return filled(
        '<rect class="k-{}" x="{}" y="{}" width="{}" height="{}"/>',
        kind,
        place_text(left),
        place_text(upper),
        place_text(width),
        place_text(lower - upper),
    )


def _line(kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    told = " ".join(f"{place_text(x)},{place_text(y)}" for x, y in points)
    return filled('<polyline class="line {}" points="{}" fill="none" vector-effect="non-scaling-stroke"/>', kind, told)


def _shape(kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    told = " ".join(f"{place_text(x)},{place_text(y)}" for x, y in points)
    return filled('<polygon class="{}" points="{}"/>', kind, told)
