"""Rows: dated prices written in TOML, by us (`data/prices.toml`) or by a person (overrides, contracts).

    [[price]]
    provider = "cohere"
    model = "rerank-v3.5"            # a glob
    from = 2024-12-02                # optional, as is `to`; days begin at midnight UTC
    source = "Cohere, pricing page"
    searches = "2.00 per 1k"         # any meter: an amount in USD, per 1, 1k, 1M or a number of units

Everything wrong in a file is collected and reported together; a file with a problem is not used at all.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from outlay.core.errors import Problem, nearest
from outlay.core.meters import METER_NAMES
from outlay.core.money import pico_of
from outlay.core.period import ns_of
from outlay.core.price import ANY, Price
from outlay.pricing.catalogue import Context, said
from outlay.pricing.names import Named, provider_of
from outlay.pricing.rates import Rate, Said

SHORT: Mapping[str, str] = {
    "input": "in_uncached",
    "output": "out_text",
    "cache_read": "in_cache_read",
    "cache_write": "in_cache_write_unspec",
    "cache_write_5m": "in_cache_write_5m",
    "cache_write_1h": "in_cache_write_1h",
}
"""Words a person may write for the meters of everyday."""

RATE_WORDS = frozenset({*METER_NAMES, *SHORT}) - {"total"}
CONDITIONS = ("region", "service_tier", "processing", "speed")
PLACE_WORDS = frozenset({"provider", "model", "from", "to", "source", "above", *CONDITIONS})
_RATE = re.compile(
    r"^\$?\s*(?P<amount>\d[\d_]*(?:\.\d+)?(?:[eE]-?\d+)?)\s*(?:(?:per|/)\s*(?P<per>\d[\d_]*)?\s*(?P<scale>[kM])?)?$"
)
_SCALE = {None: 1, "k": 1_000, "M": 1_000_000}


@dataclass(frozen=True, slots=True)
class Dated:
    """Where and when something written in a file holds: globs over provider and model, conditions, dates."""

    provider: str
    model: str
    start_ns: int | None = None
    end_ns: int | None = None
    conditions: tuple[tuple[str, str], ...] = ()

    def holds(self, name: Named, at_ns: int, context: Context) -> bool:
        """Whether this is about that model, at that moment, asked for in that way."""
        if self.start_ns is not None and at_ns < self.start_ns:
            return False
        if self.end_ns is not None and at_ns >= self.end_ns:
            return False
        if not fnmatchcase(name.provider, self.provider):
            return False
        if not any(fnmatchcase(spelling.lower(), self.model) for spelling in (name.model, name.raw)):
            return False
        asked = {**context, "region": name.region}
        return all(fnmatchcase(asked.get(key, ""), value) for key, value in self.conditions)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a file: where it holds, and pico-USD per unit of each meter it names."""

    where: Dated
    picos: Mapping[str, int]
    source: str
    above: int = 0
    discount: Decimal | None = None
    """A negotiated percentage off what the rest of the book says; then `picos` may be empty."""


def prices_of(rows: Iterable[Row], name: Named, at_ns: int, context: Context, kind: str) -> Said:
    """What those rows say about this model at this moment; of two rows about one meter the later in the file wins."""
    found: dict[str, Rate] = {}
    tiers: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        if not row.picos or not row.where.holds(name, at_ns, context):
            continue
        for meter, pico in row.picos.items():
            if row.above:
                tiers.setdefault(meter, []).append((row.above, pico))
                continue
            variant = said({key: context[key] for key, _ in row.where.conditions if key in context}, context)
            found[meter] = Rate(pico, f"{kind}: {row.source}", variant)
    return {
        meter: Rate(rate.pico, rate.price, rate.variant, tuple(sorted(tiers.get(meter, []))))
        for meter, rate in found.items()
    }


def records(rows: Iterable[Row], kind: str, priority: int) -> list[Price]:
    """The rows as words of the core, one a meter, for showing."""
    return [
        Price(
            provider=row.where.provider,
            model=row.where.model,
            meter=meter,
            rate_pico=pico,
            region=dict(row.where.conditions).get("region", ANY),
            service_tier=dict(row.where.conditions).get("service_tier", ANY),
            processing=dict(row.where.conditions).get("processing", ANY),
            tier_from=row.above,
            valid_from_ns=row.where.start_ns,
            valid_to_ns=row.where.end_ns,
            source=f"{kind}: {row.source}",
            priority=priority,
        )
        for row in rows
        for meter, pico in row.picos.items()
    ]


# ------------------------------------------------------------------------------------------------------- reading files


class Reader:
    """Reads one TOML file of entries and keeps a Problem, with its line, for everything that is wrong in it."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._lines = text.splitlines()
        self.data: dict[str, Any] = {}
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.problems.append(Problem(file, f"is not TOML: {error}", "see the example in docs/prices.md"))

    def entries(self, word: str, words: frozenset[str]) -> list[tuple[str, dict[str, Any]]]:
        """The tables `[[word]]` with where each one stands; unknown keys are problems."""
        self._only(word)
        found = self.data.get(word, [])
        if not isinstance(found, list):
            self.problems.append(Problem(self.file, f"`{word}` is not a list of tables", f"write [[{word}]]"))
            return []
        places = self._places(word)
        entries: list[tuple[str, dict[str, Any]]] = []
        for number, entry in enumerate(found, start=1):
            place = f"{self.file}:{places[number - 1]}" if number <= len(places) else f"{self.file}, {word} {number}"
            for key in sorted(set(entry) - words):
                self.problems.append(Problem(place, f"unknown key {key!r}", nearest(key, words)))
            entries.append((place, entry))
        return entries

    def _only(self, word: str) -> None:
        for key in sorted(set(self.data) - {word, "version", "catalogue", "family_fallback"}):
            self.problems.append(Problem(self.file, f"unknown table {key!r}", f"write [[{word}]]"))

    def _places(self, word: str) -> list[int]:
        head = re.compile(rf"^\s*\[\[\s*{re.escape(word)}\s*\]\]")
        return [number for number, line in enumerate(self._lines, start=1) if head.match(line)]

    def text(self, place: str, entry: Mapping[str, Any], key: str, default: str | None = None) -> str:
        """A text value; a missing one without default is a problem."""
        value = entry.get(key, default)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value != default or default is None:
            self.problems.append(Problem(place, f"{key} must be a text, not {value!r}", f'write {key} = "…"'))
        return default or ""

    def where(self, place: str, entry: Mapping[str, Any]) -> Dated:
        """The scope of an entry: provider and model globs, conditions, dates."""
        start, end = (self._day(place, entry, key) for key in ("from", "to"))
        if start is not None and end is not None and end <= start:
            self.problems.append(
                Problem(place, f"ends ({entry['to']}) before it begins ({entry['from']})", "to is exclusive")
            )
        conditions = tuple((key, self.text(place, entry, key, "*").lower()) for key in CONDITIONS if key in entry)
        provider = self.text(place, entry, "provider", "*").lower()
        return Dated(
            provider if "*" in provider else provider_of(provider),
            self.text(place, entry, "model", "*").lower(),
            start,
            end,
            conditions,
        )

    def _day(self, place: str, entry: Mapping[str, Any], key: str) -> int | None:
        value = entry.get(key)
        if value is None:
            return None
        if isinstance(value, datetime) or not isinstance(value, date):
            self.problems.append(Problem(place, f"{key} must be a day, not {value!r}", f"write {key} = 2026-11-01"))
            return None
        return ns_of(datetime(value.year, value.month, value.day, tzinfo=UTC))

    def picos(self, place: str, entry: Mapping[str, Any], words: frozenset[str] = RATE_WORDS) -> dict[str, int]:
        """Every rate in an entry, as pico-units per unit of its meter."""
        found: dict[str, int] = {}
        for key in sorted(set(entry) & words):
            try:
                found[SHORT.get(key, key)] = rate_pico(entry[key])
            except ValueError as error:
                self.problems.append(Problem(place, f"{key}: {error}", f'write {key} = "2.50 per 1M"'))
        return found


def rate_pico(text: object, parts: int = 1) -> int:
    """Pico-units per unit of `"2.50 per 1M"`, `"0.01"`, `"5 / 1k"`; per 1/`parts` of the unit that is written.

    Raises ValueError with the valid form.
    """
    match = _RATE.match(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'not a rate: {text!r} (a text such as "2.50 per 1M")')
    per = int((match["per"] or "1").replace("_", "")) * _SCALE[match["scale"]]
    if per == 0:
        raise ValueError(f"not a rate: {text!r} is per nothing")
    return pico_of(match["amount"].replace("_", ""), per * parts)


def read_prices(file: str, text: str, word: str = "price") -> tuple[list[Row], list[Problem]]:
    """Rows of a price file (`[[price]]`) or of a file of contracts (`[[contract]]`), and everything wrong in it."""
    reader = Reader(file, text)
    extra = frozenset({"name", "discount_percent"}) if word == "contract" else frozenset[str]()
    rows: list[Row] = []
    for place, entry in reader.entries(word, RATE_WORDS | PLACE_WORDS | extra):
        source = reader.text(
            place, entry, "name" if word == "contract" else "source", None if word == "contract" else file
        )
        discount = _discount(reader, place, entry)
        picos = reader.picos(place, entry)
        if not set(entry) & {*RATE_WORDS, "discount_percent"}:
            hint = (
                "name a discount_percent or a meter"
                if word == "contract"
                else "name a meter, such as input or searches"
            )
            reader.problems.append(Problem(place, "has no rate", hint))
        above = entry.get("above", 0)
        if not isinstance(above, int) or above < 0:
            reader.problems.append(Problem(place, f"above must be a number of tokens, not {above!r}", "above = 200000"))
            above = 0
        rows.append(Row(reader.where(place, entry), picos, source, above, discount))
    return rows, reader.problems


def _discount(reader: Reader, place: str, entry: Mapping[str, Any]) -> Decimal | None:
    if "discount_percent" not in entry:
        return None
    try:
        percent = Decimal(str(entry["discount_percent"]))
    except ArithmeticError:
        percent = Decimal(-1)
    if not percent.is_finite() or not 0 <= percent <= 100:
        hint = 'write discount_percent = "12.5"'
        reader.problems.append(Problem(place, f"discount_percent is {entry['discount_percent']!r}, not 0 to 100", hint))
        return None
    return percent


def starts_of(rows: Sequence[Row]) -> list[int]:
    """Every moment at which one of these rows begins or ends."""
    return sorted({edge for row in rows for edge in (row.where.start_ns, row.where.end_ns) if edge is not None})
