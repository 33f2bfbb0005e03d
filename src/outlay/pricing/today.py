"""Today: the price book as the few numbers a decision needs before a call, for every model anybody names.

The catalogue says how models may be spelled: exact names and beginnings. Each spelling is asked of the book like any
other, so contracts, overrides and aliases are in what comes out; what the book does not know is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import chain

from outlay.core.meters import INPUT_METERS, OUTPUT_METERS
from outlay.core.money import PICO_PER_NANO
from outlay.core.period import ns_of
from outlay.core.price import ANY
from outlay.core.rate import PER_TOKENS, Rate
from outlay.pricing import catalogue
from outlay.pricing.book import PriceBook
from outlay.pricing.course import Asked
from outlay.pricing.rates import Rate as Priced
from outlay.pricing.rates import Said, choose
from outlay.pricing.userfiles import own_rows

_PER_MTOK = PER_TOKENS // PICO_PER_NANO
"""Pico-units a token × this = nano-units a million tokens."""

_EVER_SO_LONG = 2**62
_GLOB = "*?["


@dataclass(frozen=True, slots=True)
class Listed:
    """One model of one provider, both in lower case; `is_glob` says that `model` or `provider` is a pattern."""

    provider: str
    model: str
    is_glob: bool
    rate: Rate


def rate_of(book: PriceBook, provider: str, model: str, at: datetime | None = None) -> Rate | None:
    """The rate of a model at a moment (default now); None where the book does not know its tokens."""
    return _rate(book.course(Asked(provider, model)).rates_at(ns_of(at or datetime.now(UTC))))


def rates_today(book: PriceBook, at: datetime | None = None) -> Iterator[Listed]:
    """Every model that the catalogue, the rows of one's own and the imported map name, with its rate at a moment."""
    moment = at or datetime.now(UTC)
    seen: set[tuple[str, str]] = set()
    for provider, model, rate in chain(_written(book, moment), _catalogued(book, moment), _imported(book, moment)):
        key = (provider.lower(), model.lower())
        if rate is not None and key not in seen:
            yield Listed(*key, any(mark in text for text in key for mark in _GLOB), rate)
        seen.add(key)


_Named = tuple[str, str, Rate | None]
"""Provider, spelling or pattern of a model, and its rate."""


def _written(book: PriceBook, at: datetime) -> Iterator[_Named]:
    """What people wrote: aliases, overrides, contracts, and the rows Outlay brings along."""
    user = book.user
    for alias in user.aliases:
        provider = alias.provider if alias.provider != ANY else alias.to_provider
        yield alias.provider, alias.model, rate_of(book, provider, _without_marks(alias.model), at)
    for row in [*user.overrides, *user.contracts, *own_rows()]:
        if row.picos:
            provider = _without_marks(row.where.provider)
            yield row.where.provider, row.where.model, rate_of(book, provider, _without_marks(row.where.model), at)


def _catalogued(book: PriceBook, at: datetime) -> Iterator[_Named]:
    """Every spelling of the catalogue. The book is asked by name only where somebody wrote about that name."""
    user = book.user
    wheres = [row.where for row in (*user.overrides, *user.contracts)]
    globs = [*((where.provider, where.model) for where in wheres), *((ANY, alias.model) for alias in user.aliases)]
    for provider in catalogue.snapshot().providers:
        for model in provider.models:
            listed = _rate(choose([catalogue.rates(catalogue.Entry(provider, model, own=True), at, {})]))
            for name, pattern in [(model.id, model.id), *_spellings(model.match)]:
                about = any(
                    fnmatchcase(provider.id, who) and fnmatchcase(name.lower(), what.lower()) for who, what in globs
                )
                yield provider.id, pattern, rate_of(book, provider.id, name, at) if about else listed


def _imported(book: PriceBook, at: datetime) -> Iterator[_Named]:
    for found in book.user.imported.by_name.values():
        for row in found:
            yield row.provider, row.model, rate_of(book, row.provider, row.model, at)


def _spellings(clause: object) -> Iterator[tuple[str, str]]:
    """The whole names and the beginnings that a clause of the catalogue lists, each with its pattern."""
    if (whole := getattr(clause, "equals", None)) is not None:
        yield whole, whole
    elif (start := getattr(clause, "starts_with", None)) is not None:
        yield start, f"{start}*"
    for each in getattr(clause, "or_", ()):
        yield from _spellings(each)


def _without_marks(glob: str) -> str:
    """A name that the pattern matches, for the usual patterns: `gpt-*` is asked as `gpt-x`."""
    return "".join("x" if mark in "*?" else mark for mark in glob if mark not in "[]")


def _rate(said: Said) -> Rate | None:
    into = [said[name] for name in INPUT_METERS if name in said]
    out = [said[name] for name in OUTPUT_METERS if name in said]
    if not into and not out:
        return None
    calls = said.get("requests")
    long_from = min((start for rate in (*into, *out) for start, _ in rate.tiers), default=0)
    plain = said.get("in_uncached")
    return Rate(
        plain.pico * _PER_MTOK if plain is not None else 0,
        _dearest(into, 0),
        _dearest(out, 0),
        -(-calls.pico // PICO_PER_NANO) if calls is not None and calls.implicit else 0,
        long_from,
        _dearest(into, _EVER_SO_LONG) if long_from else 0,
        _dearest(out, _EVER_SO_LONG) if long_from else 0,
    )


def _dearest(rates: Sequence[Priced], input_tokens: int) -> int:
    return max((rate.at(input_tokens) for rate in rates), default=0) * _PER_MTOK
