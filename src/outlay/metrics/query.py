"""Query: the one form in which every face asks for figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from outlay.core.errors import QueryError, nearest
from outlay.core.period import NS_PER_SECOND, Grain, Period, moment_of, ns_of, parse_moment
from outlay.metrics import dimensions, measures
from outlay.metrics.filters import FILTERS_MAX, Filter, checked, parse_filters

BY_MAX = 4
"""A table with more columns to the left is a cube: nobody reads it, and groups multiply."""
TOP_MAX = 10_000
"""More groups are an export, not an answer; the rest is one row `(other)`, so nothing is lost."""
TOP_OF_SERIES = 50
"""Groups of a time series where nobody says how many."""
MEASURES_MAX = 40
MINUTES_PERIOD_MAX = timedelta(days=2)
"""Minutes are for looking closely at an incident: beyond that nobody reads them, and nothing keeps them added up."""

ALWAYS = Period()

PARAMETERS = ("measures", "by", "grain", "since", "until", "where", "top", "order", "counted")
_ORDER = re.compile(r"^(?P<name>[^:]+?)(?::(?P<way>asc|desc))?$")


@dataclass(frozen=True, slots=True)
class Order:
    """What groups are ranked by: a measure or a dimension of the question."""

    name: str
    descending: bool = True

    def __str__(self) -> str:
        return f"{self.name}:{'desc' if self.descending else 'asc'}"


@dataclass(frozen=True, slots=True)
class Query:
    """A question: which measures, split by what, cut into which buckets, over which period and part.

    Groups beyond the first `top` in `order` become one row `(other)`. With `counted_only` False superseded reports
    enter the figures too: only to look at them, such figures are not the books.
    """

    measures: tuple[str, ...] = measures.DEFAULT_MEASURES
    by: tuple[str, ...] = ()
    grain: Grain | None = None
    where: tuple[Filter, ...] = ()
    period: Period = ALWAYS
    top: int | None = None
    order: Order | None = None
    counted_only: bool = True

    @property
    def limit(self) -> int:
        """How many groups come by name."""
        return self.top or (TOP_OF_SERIES if self.grain else TOP_MAX)

    @property
    def ranked_by(self) -> Order:
        """The order asked for, else the first measure, largest first."""
        return self.order or Order(self.measures[0])

    @property
    def at_any_time(self) -> Query:
        """The same question of no period."""
        return Query(self.measures, self.by, self.grain, self.where, ALWAYS, self.top, self.order, self.counted_only)

    def described(self) -> dict[str, object]:
        """The question in plain values, as answers repeat it."""
        start, end = self.period.start_ns, self.period.end_ns
        return {
            "measures": list(self.measures),
            "by": list(self.by),
            "grain": self.grain.value if self.grain else None,
            "since": time_text(moment_of(start)) if start is not None else None,
            "until": time_text(moment_of(end)) if end is not None else None,
            "where": [str(item) for item in self.where],
            "top": self.limit if self.by else None,
            "order": str(self.ranked_by),
            "counted_only": self.counted_only,
        }


def time_text(moment: datetime) -> str:
    """A UTC moment as answers write it: `2026-11-01T00:00:00Z`; a moment without zone is UTC."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def check(query: Query) -> Query:
    """The query, every name known and every limit kept; QueryError names what is wrong and the nearest valid name."""
    if not query.measures or len(query.measures) > MEASURES_MAX:
        raise QueryError(f"a question takes 1 to {MEASURES_MAX} measures, not {len(query.measures)}")
    for name in query.measures:
        measures.measure_named(name)
    for name in query.by:
        dimensions.dimension_named(name)
    if len(set(query.by)) < len(query.by) or len(set(query.measures)) < len(query.measures):
        raise QueryError("a measure or dimension is named twice")
    if len(query.by) > BY_MAX:
        raise QueryError(
            f"a question splits by at most {BY_MAX} dimensions, not {len(query.by)}", hint="filter, then split"
        )
    if query.top is not None and not 1 <= query.top <= TOP_MAX:
        raise QueryError(f"top must be 1 to {TOP_MAX}, not {query.top}", hint="the rest comes as one row (other)")
    if len(query.where) > FILTERS_MAX:
        raise QueryError(f"a question takes at most {FILTERS_MAX} filters, not {len(query.where)}")
    for item in query.where:
        checked(item)
    asked = (*query.measures, *query.by)
    if query.order is not None and query.order.name not in asked:
        raise QueryError(
            f'cannot order by "{query.order.name}": it is not asked for', hint=nearest(query.order.name, asked)
        )
    start, end = query.period.start_ns, query.period.end_ns
    if start is not None and end is not None and start >= end:
        raise QueryError(
            "the period ends before it starts", hint="since is the first moment, until the first one after"
        )
    if query.grain is Grain.MINUTE:
        _check_minutes(start, end)
    return query


def _check_minutes(start_ns: int | None, end_ns: int | None) -> None:
    days = MINUTES_PERIOD_MAX.days
    hint = "say since and until, like since=2026-11-01T08:00Z and until=2026-11-01T10:00Z, or take grain=hour"
    if start_ns is None or end_ns is None:
        raise QueryError(f"the grain minute takes a period of at most {days} days; this one is open", hint=hint)
    if end_ns - start_ns > MINUTES_PERIOD_MAX // timedelta(seconds=1) * NS_PER_SECOND:
        asked_days = (end_ns - start_ns) // (86_400 * NS_PER_SECOND)
        raise QueryError(f"the grain minute takes a period of at most {days} days, not {asked_days}", hint=hint)


def parse_query(parameters: Mapping[str, str | Sequence[str]], now: datetime | None = None) -> Query:
    """The query that a command line or an address spells: see `PARAMETERS`.

    Lists are comma-separated or repeated. `since` and `until` take what `core.period.parse_moment` takes, read at
    `now`. QueryError names the word that is wrong and the nearest valid one.
    """
    for name in parameters:
        if name not in PARAMETERS:
            raise QueryError(f'unknown parameter "{name}"', hint=nearest(name, PARAMETERS))
    now = now or datetime.now(UTC)
    grain = _one(parameters, "grain")
    start, end = _moment_ns(parameters, "since", now), _moment_ns(parameters, "until", now)
    if grain == Grain.MINUTE and start is not None and end is None:
        end = ns_of(now)  # `since=2h` means the last two hours
    top = _one(parameters, "top")
    filters = tuple(item for text in _texts(parameters, "where") for item in parse_filters(text))
    return check(
        Query(
            measures=_words(parameters, "measures") or measures.DEFAULT_MEASURES,
            by=_words(parameters, "by"),
            grain=_grain(grain) if grain else None,
            where=filters,
            period=Period(start, end),
            top=_whole(top) if top else None,
            order=_order(_one(parameters, "order")),
            counted_only=_counted_only(_one(parameters, "counted")),
        )
    )


def _texts(parameters: Mapping[str, str | Sequence[str]], name: str) -> list[str]:
    given = parameters.get(name, ())
    return [given] if isinstance(given, str) else list(given)


def _one(parameters: Mapping[str, str | Sequence[str]], name: str) -> str:
    texts = [text.strip() for text in _texts(parameters, name) if text.strip()]
    if len(texts) > 1:
        raise QueryError(f"{name} is given {len(texts)} times; one is enough")
    return texts[0] if texts else ""


def _words(parameters: Mapping[str, str | Sequence[str]], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for text in _texts(parameters, name) for word in text.split(",") if word.strip())


def _grain(word: str) -> Grain:
    if word not in set(Grain):
        raise QueryError(f'no grain is called "{word}"', hint=nearest(word, [grain.value for grain in Grain]))
    return Grain(word)


def _whole(word: str) -> int:
    if not re.fullmatch(r"\d{1,9}", word):
        raise QueryError(f'top must be a whole number, not "{word}"')
    return int(word)


def _moment_ns(parameters: Mapping[str, str | Sequence[str]], name: str, now: datetime) -> int | None:
    word = _one(parameters, name)
    if not word:
        return None
    try:
        return ns_of(parse_moment(word, now))
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{name}: {error}") from error


def _order(word: str) -> Order | None:
    found = _ORDER.match(word)
    if not word or found is None:
        return None
    name = found["name"].strip()
    way = found["way"] or ("desc" if name in measures.BY_NAME else "asc")
    return Order(name, way == "desc")


def _counted_only(word: str) -> bool:
    if word not in ("", "only", "all"):
        raise QueryError(f'counted is "only" or "all", not "{word}"')
    return word != "all"
