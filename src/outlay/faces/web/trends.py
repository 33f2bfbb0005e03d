"""Trends: figures over time, as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, urlencode

from markupsafe import Markup

from outlay.core.period import Grain
from outlay.faces import formats
from outlay.faces.web import charts
from outlay.faces.web.changes import decimal_of
from outlay.faces.web.choice import FILTERS, Choice
from outlay.faces.web.figures import bucket_of
from outlay.metrics.answer import Answer
from outlay.metrics.measures import UNKNOWN

WORDS = {Grain.HOUR: "hour", Grain.DAY: "day", Grain.WEEK: "week", Grain.MONTH: "month"}
_LABELS_MAX = 7


def by_centre(choice: Choice, trend: Answer, centres: Mapping[str, str]) -> dict[str, Any]:
    """Where the money goes: a bar a bucket, stacked by cost centre, the shares of the last one beside it."""
    found: dict[datetime, dict[str, Decimal]] = {start: {} for start in choice.buckets}
    for row in trend.rows:
        amount = decimal_of(row.get("cost"))
        if amount is not None and bucket_of(row) in found:
            found[bucket_of(row)][str(row["centre"])] = amount
    sums = {start: sum(parts.values(), Decimal(0)) for start, parts in found.items()}
    ticks = _dollars(charts.axis(max(sums.values(), default=Decimal(0))))
    marked = _marked(choice)
    bars = [
        charts.Bar(
            label=marked.get(start, ""),
            title=f"{named(start, choice.window.grain)}: {formats.money(str(sums[start]))}",
            parts=[
                charts.Part(kind, parts[kind], f"{word} {formats.money(str(parts[kind]))}")
                for kind, word in centres.items()
                if kind in parts
            ],
            href=_sessions_of(choice, start),
        )
        for start, parts in found.items()
    ]
    told = _told(sums)
    ends = [
        (kind, formats.share(str(found[told][kind] / sums[told])), word)
        for kind, word in centres.items()
        if kind in found[told] and sums[told]
    ]
    chart = charts.stacked_bars(bars, ticks, ends, choice.buckets.index(told))
    return {
        "grain": WORDS[choice.window.grain],
        "bars": len(bars),
        "chart": chart,
        "told": _short(told, choice.window.grain),
    }


def _told(sums: Mapping[datetime, Decimal]) -> datetime:
    """The bar whose shares are written out: the last one that is over and has a figure, else the running one."""
    running = max(sums)
    return max((start for start, amount in sums.items() if amount and start != running), default=running)


def retrieval_shares(choice: Choice, shares: Answer) -> Markup:
    """Embedding and retrieval as shares of full cost: two figures, two lines."""
    found = {bucket_of(row): row for row in shares.rows}
    series = [
        charts.Line(kind, [decimal_of(found.get(start, {}).get(measure)) for start in choice.buckets], word, "")
        for kind, measure, word in (
            ("retrieval", "retrieval_share", "retrieval, all"),
            ("embedding", "embedding_share", "embedding"),
        )
    ]
    series = [
        charts.Line(
            line.kind,
            line.values,
            line.label,
            formats.share(str(line.values[-1])) if line.values[-1] is not None else "",
        )
        for line in series
    ]
    top = max((value for line in series for value in line.values if value is not None), default=Decimal(0))
    ticks = [(value, f"{(value * 100).normalize():f} %") for value in charts.axis(top, 4)]
    marked = _marked(choice)
    over = [
        charts.Bar(
            "",
            named(start, choice.window.grain),
            [charts.Part(line.kind, Decimal(1), f"{line.label} {_share(line.values[place])}") for line in series],
            _sessions_of(choice, start, centre="retrieval"),
        )
        for place, start in enumerate(choice.buckets)
    ]
    return charts.lines(series, [marked.get(start, "") for start in choice.buckets], ticks, over)


def named(start: datetime, grain: Grain) -> str:
    """A bucket in words: `W47, from 16 Nov`, `Nov 2026`, `23 Nov`, `23 Nov 14:00`."""
    if grain is Grain.WEEK:
        return f"W{start.isocalendar().week:02d}, from {start.day} {start:%b}"
    if grain is Grain.MONTH:
        return f"{start:%b %Y}"
    return f"{start.day} {start:%b}" + (f" {start:%H:%M}" if grain is Grain.HOUR else "")


def _dollars(values: Sequence[Decimal]) -> list[tuple[Decimal, str]]:
    """The texts of an axis of money: all whole, or all as precise as their step."""
    whole = all(value == value.to_integral_value() for value in values)
    return [(value, f"${value:,.0f}" if whole or not value else formats.money(str(value))) for value in values]


def _marked(choice: Choice) -> dict[datetime, str]:
    """The buckets that carry a label: so many that they do not touch."""
    every = -(-len(choice.buckets) // _LABELS_MAX)
    return {start: _short(start, choice.window.grain) for start in choice.buckets[::-1][::every]}


def _short(start: datetime, grain: Grain) -> str:
    if grain is Grain.WEEK:
        return f"W{start.isocalendar().week:02d}"
    if grain is Grain.MONTH:
        return f"{start:%b}"
    return f"{start:%H:%M}" if grain is Grain.HOUR else f"{start.day} {start:%b}"


def _share(value: Decimal | None) -> str:
    return UNKNOWN if value is None else formats.share(str(value))


def _sessions_of(choice: Choice, start: datetime, **more: str) -> str:
    """Where a bar leads: the dearest sessions of its bucket."""
    starts = choice.buckets
    place = starts.index(start)
    end = starts[place + 1] if place + 1 < len(starts) else choice.now + timedelta(seconds=1)
    return sessions_address(choice, start, end, **more)


def sessions_address(choice: Choice, start: datetime, end: datetime, **more: str) -> str:
    """The sessions between two moments, narrowed as the page is."""
    picked = {name: getattr(choice, name) for name in FILTERS} | more
    narrowed = _narrowed(tuple((name, value) for name, value in picked.items() if value))
    return f"/sessions?since={_spelled(start)}&until={_spelled(end)}{narrowed}"


@lru_cache(maxsize=1024)
def _narrowed(picked: tuple[tuple[str, str], ...]) -> str:
    """Hundreds of marks of a page lead to sessions that are narrowed in a dozen ways."""
    return "&" + urlencode(picked) if picked else ""


@lru_cache(maxsize=1024)
def _spelled(moment: datetime) -> str:
    return quote_plus(f"{moment:%Y-%m-%dT%H:%M:%SZ}")
