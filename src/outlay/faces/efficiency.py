"""What an outcome costs against a year ago, for every face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from outlay.core.errors import QueryError
from outlay.faces.forecast import month_named, one_of
from outlay.faces.plain import Reply, reply
from outlay.govern.efficiency import year_of
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import dimension_named
from outlay.metrics.filters import parse_filters
from outlay.metrics.query import Query

MONTHS = 13


def efficiency_reply(ask: Callable[[Query], Answer], params: Mapping[str, Sequence[str]]) -> Reply:
    """A row a month with its index, 100 a year before the month asked for; the last one as total."""
    now = datetime.now(UTC)
    by, (start, end) = one_of(params, "by") or "feature", month_named(one_of(params, "month"), now)
    if start > now:
        raise QueryError(f"{start:%Y-%m} has not begun", hint=f"like {now:%Y-%m}")
    if not dimension_named(by).on_outcomes:
        raise QueryError(f"outcomes are not told apart by {by}", hint="by feature, product_line, team or agent")
    where = tuple(item for text in params.get("where", ()) for item in parse_filters(text))
    points, answer = year_of(ask, months_to(start), min(end, now), by, where)
    rows = [
        {"month": f"{point.month:%Y-%m}", "index": _text(point.index, 1), "covered_share": _text(point.covered, 4)}
        for point in points
    ]
    asked = {"month": f"{start:%Y-%m}", "by": by, "where": [str(item) for item in where]}
    return reply(asked, rows, rows[-1], answer.coverage)


def months_to(start: datetime) -> tuple[datetime, ...]:
    """The starts of a month and of the twelve before it."""
    place = start.year * 12 + start.month - 1
    places = range(place - MONTHS + 1, place + 1)
    return tuple(start.replace(year=each // 12, month=each % 12 + 1) for each in places)


def _text(ratio: Fraction | None, digits: int) -> str | None:
    return None if ratio is None else f"{Decimal(ratio.numerator) / Decimal(ratio.denominator):.{digits}f}"
