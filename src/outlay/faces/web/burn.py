"""Two marks of the tactical page: a line over its usual band, and a bar with a tick at the usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from outlay.faces.web.charts import Bar, axis, axis_labels, below, grid, hits, place_text
from outlay.faces.web.marks import filled, joined
from outlay.govern.baseline import Band

_MILLION, _THOUSAND = 1_000_000, 1_000


@dataclass(frozen=True, slots=True)
class Pin:
    """A numbered dot on the line: `place` is the index of its value, `tone` bad or warn."""

    number: int
    place: int
    tone: str
    href: str
    words: str


def burn_chart(
    values: Sequence[int],
    usual: Sequence[Band | None],
    labels: Sequence[str],
    pins: Sequence[Pin],
    words: str,
    over: Sequence[Bar] = (),
) -> Markup:
    """Values an hour against the band of the same hours; what is above the band is red. `words` are for the ear.

    `over` are the columns that tell the figures of an hour and lead to its sessions.
    """
    tops = [float(max(values, default=0)), *(band.high for band in usual if band is not None)]
    ticks = [(value, short(int(value))) for value in axis(Decimal(int(max(tops, default=0.0))), 4)]
    top = float(ticks[-1][0])
    xs = [place / max(len(values) - 1, 1) * 100 for place in range(len(values))]
    ys = [100 - value / top * 100 for value in values]
    drawn = [
        *_bands(xs, usual, top),
        _line("usual", [(x, 100 - band.middle / top * 100) for x, band in zip(xs, usual, strict=True) if band]),
        _line("value", list(zip(xs, ys, strict=True))),
        *_excess(xs, ys, values, usual),
    ]
    dots = [
        filled(
            '<a class="pin {}" href="{}" aria-label="{}" style="left:{}%;top:{}%">{}</a>',
            pin.tone,
            pin.href,
            pin.words,
            place_text(xs[pin.place]),
            place_text(ys[pin.place]),
            pin.number,
        )
        for pin in pins
    ]
    return filled(
        '<div class="chart burn" role="group" aria-label="{}">{}<div class="plot">{}'
        '<svg class="marks" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
        "{}</div>{}</div>",
        words,
        axis_labels(ticks),
        grid(ticks),
        joined(drawn),
        hits(over) + joined(dots),
        below(list(zip(xs, labels, strict=True))),
    )


def tick_bar(value: float, usual: float | None, whole: float, tone: str, words: str) -> Markup:
    """A bar of `value` on a scale up to `whole`, with a tick where the usual is."""
    width = min(value / whole * 100, 100) if whole else 0.0
    tick = Markup("")
    if usual is not None and whole:
        tick = filled(
            '<rect class="tick" x="{}" y="0" width="1.2" height="100"/>', place_text(min(usual / whole * 100, 98.8))
        )
    return filled(
        '<svg class="tickbar {}" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="bar" x="0" y="22" width="{}" height="56"/>{}</svg>',
        tone,
        words,
        place_text(width),
        tick,
    )


def short(number: int) -> str:
    """A number of tokens on an axis: `0`, `850`, `12 k`, `3.4 M`."""
    if number >= _MILLION:
        return f"{Decimal(number) / _MILLION:.1f}".removesuffix(".0") + " M"
    return f"{number // _THOUSAND} k" if number >= _THOUSAND else str(number)


def _bands(xs: Sequence[float], usual: Sequence[Band | None], top: float) -> list[Markup]:
    """The band as one shape for each stretch in which it is known."""
    shapes: list[Markup] = []
    run: list[tuple[float, Band]] = []
    for x, band in [*zip(xs, usual, strict=True), (100.0, None)]:
        if band is not None:
            run.append((x, band))
            continue
        if len(run) > 1:
            upper = [f"{place_text(x)},{place_text(100 - band.high / top * 100)}" for x, band in run]
            lower = [f"{place_text(x)},{place_text(100 - band.low / top * 100)}" for x, band in reversed(run)]
            shapes.append(filled('<polygon class="band" points="{}"/>', " ".join(upper + lower)))
        run = []
    return shapes


def _excess(
    xs: Sequence[float], ys: Sequence[float], values: Sequence[int], usual: Sequence[Band | None]
) -> list[Markup]:
    """The pieces of the line that touch a value above its band."""
    over = [band is not None and value > band.high for value, band in zip(values, usual, strict=True)]
    return [
        _line("over", [(xs[place], ys[place]), (xs[place + 1], ys[place + 1])])
        for place in range(len(values) - 1)
        if over[place] or over[place + 1]
    ]


def _line(kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    told = " ".join(f"{place_text(x)},{place_text(y)}" for x, y in points)
    return filled('<polyline class="line {}" points="{}" fill="none" vector-effect="non-scaling-stroke"/>', kind, told)
