"""Shelf: showing what the book says about a model — now, over time, and where two catalogues disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from outlay.core.errors import Problem
from outlay.core.meters import METER_CODE
from outlay.core.money import PICO_PER_NANO, decimal_text
from outlay.core.period import moment_of, ns_of
from outlay.core.price import ANY, Price
from outlay.pricing import bands, catalogue
from outlay.pricing.course import CONTRACT, OVERRIDE, OWN, Course
from outlay.pricing.litellm import ImportedMap, ImportedPrice
from outlay.pricing.names import Named
from outlay.pricing.rates import Rate, Said
from outlay.pricing.userfiles import own_catalogue, own_version

PRIORITY = {CONTRACT: 60, OVERRIDE: 50, "genai-prices": 40, OWN: 30, "LiteLLM": 20, "family": 10}
"""Order of resolution: of two equally specific rates the higher number wins."""

STALE_AFTER = timedelta(days=45)
"""Publishers change prices every few weeks; a table that has not moved for this long has probably stopped being fed."""

_COMPARED = ("in_uncached", "in_cache_read", "in_cache_write_unspec", "in_cache_write_1h", "out_text")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two catalogues that name different rates for one meter of one model; `used` is the one the order prefers."""

    provider: str
    model: str
    meter: str
    used: str
    used_pico: int
    other: str
    other_pico: int

    @property
    def percent(self) -> Decimal:
        """How much more the other source asks than the one that is used, in percent."""
        if self.used_pico == 0:
            return Decimal("Infinity")
        return (Decimal(self.other_pico) / Decimal(self.used_pico) - 1) * 100  # not money: a share for the screen

    def problem(self) -> Problem:
        """The finding as a sentence."""
        rates = f"{per_million(self.used_pico)} ({self.used}) against {per_million(self.other_pico)} ({self.other})"
        return Problem(
            f"{self.provider}/{self.model}",
            f"price conflict on {self.meter}: {rates}",
            "a contract or override settles it",
        )


def per_million(pico: int) -> str:
    """A rate as people read it: dollars per million units."""
    return f"{decimal_text(pico * 1_000_000 // PICO_PER_NANO)} USD per 1M"


def offers(course: Course, at_ns: int) -> list[Price]:
    """Every rate that any source offers at a moment, best first within each meter, the family as last resort."""
    found: list[Price] = []
    said = [*course.said_at(at_ns), ("family", bands.fallback(course.name, moment_of(at_ns)))]
    for source, rates in said:
        found += _prices(course, rates, PRIORITY[source])
    return sorted(found, key=lambda price: (_rank(price.meter), -price.priority, price.tier_from))


def chosen(course: Course, at_ns: int) -> list[Price]:
    """The rates that are charged at a moment, one a meter and long-context tier."""
    return _prices(course, course.rates_at(at_ns), 0)


def history(course: Course) -> list[Price]:
    """The rates that are charged over all of time: each with the stretch in which it holds."""
    open_: dict[tuple[str, int], Price] = {}
    closed: list[Price] = []
    for start_ns, at_ns in _stretches(course):
        now = {(price.meter, price.tier_from): price for price in chosen(course, at_ns)}
        for key, price in list(open_.items()):
            new = now.get(key)
            if new is None or (new.rate_pico, new.source) != (price.rate_pico, price.source):
                closed.append(replace(open_.pop(key), valid_to_ns=start_ns))
        for key, price in now.items():
            open_.setdefault(key, replace(price, valid_from_ns=start_ns))
    rows = [*closed, *open_.values()]
    return sorted(rows, key=lambda price: (_rank(price.meter), price.tier_from, price.valid_from_ns or 0))


def _stretches(course: Course) -> Iterator[tuple[int | None, int]]:
    days = course.days_ns
    yield None, (days[0] - 1 if days else ns_of(datetime.now(UTC)))
    for day in days:
        yield day, day


def _prices(course: Course, rates: Said, priority: int) -> list[Price]:
    found: list[Price] = []
    for meter, rate in rates.items():
        for start, pico in ((0, rate.pico), *rate.tiers):
            found.append(_price(course.name, course.model_id, meter, rate, priority, start, pico))
    return found


def _price(name: Named, model: str, meter: str, rate: Rate, priority: int, start: int, pico: int) -> Price:
    source = rate.price if rate.variant == "standard" else f"{rate.price} ({rate.variant})"
    return Price(
        name.provider, model, meter, pico, region=name.region or ANY, tier_from=start, source=source, priority=priority
    )


def _rank(meter: str) -> int:
    return METER_CODE[meter]


def listed(row: ImportedPrice) -> bool:
    """Whether the catalogue knows this model of the imported map too."""
    return catalogue.find(Named(row.provider, row.model, row.region, row.model)) is not None


def conflicts(imported: ImportedMap, at: datetime) -> list[Conflict]:
    """Where the imported map and the catalogue name different standard rates for the same model."""
    found: list[Conflict] = []
    for rows in imported.by_name.values():
        for row in rows:
            found += _compared(row, imported.as_of, at)
    return found


def _compared(row: ImportedPrice, as_of: str, at: datetime) -> list[Conflict]:
    name = Named(row.provider, row.model, row.region, row.model)
    entry = catalogue.find(name)
    if entry is None:
        return []
    listed = catalogue.rates(entry, at, {})
    found: list[Conflict] = []
    for meter in _COMPARED:
        other = row.picos.get((meter, "", 0))
        if other is None or meter not in listed or other == listed[meter].pico:
            continue
        found.append(
            Conflict(
                row.provider, row.key, meter, listed[meter].price, listed[meter].pico, f"LiteLLM map of {as_of}", other
            )
        )
    return found


def stale(imported: ImportedMap, now: datetime) -> list[Problem]:
    """Which price tables have not moved for too long, each with its age in days."""
    newest = [
        ("genai-prices", _catalogue_ns(ns_of(now)), "update genai-prices"),
        ("Outlay's own rows", _day_ns(own_version()), "update outlay"),
    ]
    if imported.as_of:
        newest.append(("the imported LiteLLM map", _day_ns(imported.as_of), "outlay prices import litellm FILE|URL"))
    found: list[Problem] = []
    for table, moment, hint in newest:
        age = now - moment_of(moment)
        if age > STALE_AFTER:
            found.append(Problem(table, f"its newest price is {age.days} days old", hint))
    return found


def _catalogue_ns(now_ns: int) -> int:
    """The day the catalogue was last known to be current. It carries no date itself, and prices announced ahead."""
    if catalogue.source_name().endswith(f" {own_catalogue()}"):
        return _day_ns(own_version())
    return max((day for day in catalogue.edges()[0] if day <= now_ns), default=0)


def _day_ns(day: str) -> int:
    found = date.fromisoformat(day)
    return ns_of(datetime(found.year, found.month, found.day, tzinfo=UTC))
