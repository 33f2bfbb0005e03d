"""Charts: pure functions from figures to HTML. Marks stand in stretched SVG, labels are HTML placed in per cent.

So a chart is fluid without a script and its text is never distorted. Colour lives in the stylesheet: a mark names its
class only. Heights and places are floats, since they are pixels; money reaches this module as Decimal and leaves it as
the text that `formats` made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from markupsafe import Markup, escape

from outlay.faces.web.marks import filled, joined

SPARK_RANGE_MIN = Decimal("0.15")
"""A sparkline's range is at least this share of its level: noise is not drama."""
LABEL_GAP = 7.0
"""Per cent of the chart's height between two labels at its edge, at least."""
SMALL_LABEL_GAP = 15.0
"""The same where the chart is as low as `lines` draws it."""
TICKS_MAX = 5

_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: `kind` names its colour, `text` says it in words."""

    kind: str
    value: Decimal
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart over time; `label` stands below it where there is one, `href` is where a click leads."""

    label: str
    title: str
    parts: Sequence[Part]
    href: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart over time: a value a bucket, None where nothing is known, labelled at its end."""

    kind: str
    values: Sequence[Decimal | None]
    label: str
    end: str


def axis(top: Decimal, ticks_max: int = TICKS_MAX) -> list[Decimal]:
    """Round ticks from 0 to just above `top`, at most so many."""
    if top <= 0:
        return [Decimal(0), Decimal(1)]
    power = Decimal(10) ** (top.adjusted() - 1)
    steps = [step * power * scale for scale in (1, 10) for step in _STEPS]
    step = next(step for step in steps if step * (ticks_max - 1) >= top)
    count = int((top / step).to_integral_value(rounding=ROUND_CEILING))
    return [step * place for place in range(count + 1)]


def stacked_bars(
    bars: Sequence[Bar], ticks: Sequence[tuple[Decimal, str]], ends: Sequence[tuple[str, str, str]], ends_of: int = -1
) -> Markup:
    """Stacked bars over time, with the first part of every bar at the base.

    `ticks` are the values of the axis with their text, lowest first; `ends` label the parts of the bar `ends_of`, an
    index, as (kind, figure, words), in stacking order.
    """
    top = ticks[-1][0]
    slot = 100 / max(len(bars), 1)
    marks = [_column(bar, place * slot + slot * 0.11, slot * 0.78, top) for place, bar in enumerate(bars)]
    last = _middles(bars[ends_of].parts, top) if bars else {}
    labels = [(kind, last[kind], figure, words) for kind, figure, words in ends if kind in last]
    return filled(
        '<div class="chart">{}<div class="plot">{}{}{}</div>{}{}</div>',
        axis_labels(ticks),
        grid(ticks),
        filled(
            '<svg class="marks" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
            joined(marks),
        ),
        joined([hit(bar, place * slot, slot) for place, bar in enumerate(bars)]),
        end_labels(labels),
        below([(place * slot + slot / 2, bar.label) for place, bar in enumerate(bars)]),
    )


def lines(
    series: Sequence[Line], labels: Sequence[str], ticks: Sequence[tuple[Decimal, str]], over: Sequence[Bar] = ()
) -> Markup:
    """Lines over time on one axis from 0; each says its name and its last figure at its end.

    `over` are the columns that tell the figures of a bucket and lead to what is behind them.
    """
    top = ticks[-1][0]
    count = max(len(labels), 2)
    drawn = [
        filled(
            '<polyline class="line k-{}" points="{}" fill="none" vector-effect="non-scaling-stroke"/>',
            line.kind,
            points,
        )
        for line in series
        for points in _runs(line.values, count, top)
    ]
    ends = [
        (line.kind, 100 - float(line.values[-1] / top * 100), line.end, line.label)
        for line in series
        if line.values and line.values[-1] is not None
    ]
    return filled(
        '<div class="chart small">{}<div class="plot">{}{}{}</div>{}{}</div>',
        axis_labels(ticks),
        grid(ticks),
        filled(
            '<svg class="marks" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
            joined(drawn),
        ),
        joined(
            [
                filled('<i class="dot k-{}" style="left:100%;top:{}%"></i>', kind, place_text(y))
                for kind, y, _, _ in ends
            ]
        )
        + hits(over),
        end_labels(ends, SMALL_LABEL_GAP),
        below([(place / (count - 1) * 100, label) for place, label in enumerate(labels)]),
    )


def micro_stack(parts: Sequence[Part], name: str) -> Markup:
    """A bar of 100 % in one table cell."""
    return _stack(parts, sum((part.value for part in parts), Decimal(0)), name, "micro")


def scaled_stack(parts: Sequence[Part], whole: Decimal, name: str) -> Markup:
    """A bar whose full width is `whole`, so that the bars of a table can be compared."""
    return _stack(parts, whole, name, "micro scaled")


def sparkline(values: Sequence[Decimal | None], tone: str, words: str, target: Decimal | None = None) -> Markup:
    """A line without axes in one table cell; gaps stay gaps. `tone` is good, bad or plain; `target` is a hairline."""
    known = [value for value in values if value is not None]
    if not known:
        return filled('<span class="word">{}</span>', "no task completed")
    bounds = known if target is None else [*known, target]
    low, high = min(bounds), max(bounds)
    level = max(abs(high), abs(low))
    span = max(high - low, level * SPARK_RANGE_MIN) or Decimal(1)
    base = (high + low - span) / 2
    count = max(len(values), 2)

    def placed(value: Decimal) -> Decimal:
        return (value - base) * Decimal("0.8") + span / 10

    scaled = [None if value is None else placed(value) for value in values]
    drawn = [
        filled('<polyline points="{}" fill="none" vector-effect="non-scaling-stroke"/>', points)
        for points in _runs(scaled, count, span)
    ]
    if target is not None:
        y = place_text(100 - float(placed(target) / span * 100))
        drawn.append(
            filled('<line class="target" x1="0" x2="100" y1="{0}" y2="{0}" vector-effect="non-scaling-stroke"/>', y)
        )
    last = max(place for place, value in enumerate(values) if value is not None)
    point = scaled[last]
    assert point is not None
    dot = filled(
        '<i class="dot" style="left:{}%;top:{}%"></i>',
        place_text(last / (count - 1) * 100),
        place_text(100 - float(point / span * 100)),
    )
    return filled(
        '<span class="spark {}" role="img" aria-label="{}">'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>{}</span>',
        tone,
        words,
        joined(drawn),
        dot,
    )


def _stack(parts: Sequence[Part], whole: Decimal, name: str, kind: str) -> Markup:
    x, marks = 0.0, []
    for part in parts:
        width = float(part.value / whole * 100) if whole > 0 else 0.0
        if width > 0:
            marks.append(_rect(part.kind, (x, 0.0, width, 100.0), part.text))
            x += width
    words = ", ".join(part.text for part in parts if part.value > 0)
    return filled(
        '<svg class="{}" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        kind,
        f"{name}: {words or 'nothing'}",
        joined(marks),
    )


def _column(bar: Bar, x: float, width: float, top: Decimal) -> Markup:
    y, marks = 100.0, []
    for part in bar.parts:
        height = float(part.value / top * 100)
        if height > 0:
            y -= height
            marks.append(_rect(part.kind, (x, y, width, height), ""))
    return joined(marks)


def _rect(kind: str, place: tuple[float, float, float, float], title: str) -> Markup:
    x, y, width, height = map(place_text, place)
    told = filled("<title>{}</title>", title) if title else ""
    return filled('<rect class="k-{}" x="{}" y="{}" width="{}" height="{}">{}</rect>', kind, x, y, width, height, told)


def hit(bar: Bar, x: float, width: float) -> Markup:
    """What can be pointed at and focused: the whole column, with the figures as its text."""
    place = filled('style="left:{}%;width:{}%"', place_text(x), place_text(width))
    rows = joined(
        [filled('<span class="k-{}">{}</span>', part.kind, part.text) for part in reversed(bar.parts) if part.value > 0]
    )
    tip = filled('<span class="tip"><b>{}</b>{}</span>', bar.title, rows)
    if not bar.href:
        return filled('<span class="hit" {}>{}</span>', place, tip)
    words = ", ".join([bar.title, *(part.text for part in bar.parts if part.value > 0)])
    return filled('<a class="hit" href="{}" aria-label="{}" {}>{}</a>', bar.href, words, place, tip)


def hits(bars: Sequence[Bar]) -> Markup:
    """A column for each bucket of a line, around its point."""
    step = 100 / max(len(bars) - 1, 1)
    places = [(max(0.0, (place - 0.5) * step), min(100.0, (place + 0.5) * step)) for place in range(len(bars))]
    return joined([hit(bar, left, right - left) for bar, (left, right) in zip(bars, places, strict=True)])


def _middles(parts: Sequence[Part], top: Decimal) -> dict[str, float]:
    middles, reached = {}, Decimal(0)
    for part in parts:
        if part.value > 0:
            middles[part.kind] = 100 - float((reached + part.value / 2) / top * 100)
            reached += part.value
    return middles


def end_labels(labels: Sequence[tuple[str, float, str, str]], gap: float = LABEL_GAP) -> Markup:
    """Labels right of the plot, pushed apart where they would touch."""
    ordered = sorted(labels, key=lambda label: label[1])
    places: list[float] = []
    for _, y, _, _ in ordered:
        places.append(max(y, places[-1] + gap) if places else y)
    over = max(0.0, places[-1] - 97) if places else 0.0
    for place in reversed(range(len(places))):
        limit = places[place + 1] - gap if place + 1 < len(places) else places[place] - over
        places[place] = min(places[place], limit)
    told = [
        filled('<span class="k-{}" style="top:{}%"><b>{}</b> {}</span>', kind, place_text(y), figure, words)
        for (kind, _, figure, words), y in zip(ordered, places, strict=True)
    ]
    return filled('<div class="ends">{}</div>', joined(told))


def height(value: Decimal, ticks: Sequence[tuple[Decimal, str]]) -> float:
    """Where a value stands on an axis, in per cent from the top; the first tick is at the foot."""
    foot, top = ticks[0][0], ticks[-1][0]
    return 100 - float((value - foot) / (top - foot) * 100)


def axis_labels(ticks: Sequence[tuple[Decimal, str]]) -> Markup:
    """The texts of an axis, placed in per cent of its height."""
    told = [filled('<span style="top:{}%">{}</span>', place_text(height(value, ticks)), text) for value, text in ticks]
    return filled('<div class="axis" aria-hidden="true">{}</div>', joined(told))


def grid(ticks: Sequence[tuple[Decimal, str]]) -> Markup:
    """A line for each tick."""
    drawn = [filled('<i style="top:{}%"></i>', place_text(height(value, ticks))) for value, _ in ticks]
    return filled('<div class="grid" aria-hidden="true">{}</div>', joined(drawn))


def below(labels: Sequence[tuple[float, str]]) -> Markup:
    """Labels under a chart, each at its place in per cent; empty ones are left out."""
    told = [filled('<span style="left:{}%">{}</span>', place_text(x), label) for x, label in labels if label]
    return filled('<div class="below" aria-hidden="true">{}</div>', joined(told))


def _runs(values: Sequence[Decimal | None], count: int, top: Decimal) -> list[str]:
    """The points of each unbroken stretch; a single point becomes a short dash."""
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        runs[-1].append(f"{place_text(place / (count - 1) * 100)},{place_text(100 - float(value / top * 100))}")
    return [" ".join(run if len(run) > 1 else run * 2) for run in runs if run]


def place_text(number: float) -> str:
    """A place with at most two decimals."""
    return f"{number:.2f}".rstrip("0").rstrip(".") if number else "0"


def key(kinds: Mapping[str, str]) -> Markup:
    """The one key of a page: kind → word."""
    told = [filled('<span class="k-{}">{}</span>', kind, escape(word)) for kind, word in kinds.items()]
    return filled('<p class="key">{}</p>', joined(told))
