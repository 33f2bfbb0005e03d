"""The page of prices: what has none and the command that mends it, what two sources disagree on, what a model costs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from outlay.core.errors import InputError
from outlay.core.meters import TOKEN_METERS, UNIT_OF
from outlay.core.period import moment_of
from outlay.core.price import Price
from outlay.faces import formats
from outlay.faces.plain import plain
from outlay.faces.web import tables
from outlay.faces.web.figures import Books
from outlay.faces.web.visit import Answer, Order, Visit
from outlay.metrics import query as asking

UNPRICED_SHOWN = 50
CONFLICTS_SHOWN = 50
MODELS_SHOWN = 25
_RATES = ("input", "output", "cache_read", "cache_write", "searches", "requests")
"""Meters with a field of their own; files and commands take all of them."""


def prices_page(visit: Visit, repriced: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the template needs; `model` and `provider` of the address name the model whose rates are shown.

    `repriced` is what valuing a period again has just come to.
    """
    books, asked = visit.books, visit.asked
    model, provider = asked.get("model", "").strip(), asked.get("provider", "").strip()
    book = books.prices
    conflicts = [conflict.problem() for conflict in book.conflicts()]
    rates = book.applied(model, provider, visit.now) if model else []
    return {
        "book": book.version,
        "unpriced": unpriced_of(books),
        "conflicts": conflicts[:CONFLICTS_SHOWN],
        "conflicts_left_out": max(0, len(conflicts) - CONFLICTS_SHOWN),
        "problems": [*book.stale(), *book.check()],
        "used": models_of(books),
        "model": model,
        "provider": provider,
        "rates": [_rate(price) for price in rates],
        "known": any(price.meter in TOKEN_METERS for price in rates),  # a provider's web search holds for any name
        "history": [_rate(price) for price in book.history(model, provider)] if model else [],
        "rate_fields": _RATES,
        "repriced": "" if repriced is None else _repriced(repriced),
    }


def change_prices(order: Order) -> str | Answer:
    """Writes a price or an alias, or values a period again, as the button said."""
    order.demand("govern")
    match order.fields.get("do", ""):
        case "add":
            order.desk.add_price(order.said("provider", "model", "from", "to", "source", *_RATES))
        case "alias":
            order.desk.add_alias(order.said("provider", "model", "to", "to_provider"))
        case "reprice":
            told = order.desk.reprice(order.fields.get("since", ""), order.fields.get("until", ""), None)["total"]
            return lambda visit: visit.page("prices.html", "/prices", **prices_page(visit, told))
        case what:
            raise InputError(f'"{what}" is nothing to do with prices', hint="add, alias or reprice")
    shown = {name: order.fields[name] for name in ("model", "provider") if order.fields.get(name)}
    return "/prices?" + urlencode(shown)


def _repriced(total: Mapping[str, Any]) -> str:
    """What valuing a period again came to, in a sentence."""
    before, after = (formats.money(total[name]) for name in ("before", "after"))
    told = f"{formats.count(total['changed'])} of {formats.count(total['usages'])} usages changed"
    rest = formats.count(total["still_unpriced"])
    return f"{told}: {before} known before, {after} now; {rest} still have no price."


def unpriced_of(books: Books) -> list[dict[str, str]]:
    """The models of the books whose work has no price, the busiest first, each with the one command that mends it."""
    query = asking.Query(
        ("unpriced_tokens", "unpriced_usages"),
        ("provider", "model_raw"),
        top=UNPRICED_SHOWN,
        order=asking.Order("unpriced_usages"),
    )
    return [
        {
            "provider": str(row["provider"]),
            "model": str(row["model_raw"]),
            "usages": tables.count(row["unpriced_usages"]),
            "tokens": tables.count(row["unpriced_tokens"]),
            "href": _address(str(row["model_raw"]), str(row["provider"])) + "#change",
            "command": _command(str(row["provider"]), str(row["model_raw"])),
        }
        for row in books.ask(query).rows
        if row["unpriced_usages"]
    ]


def models_of(books: Books) -> list[dict[str, str]]:
    """The models that cost most, each leading to its rates."""
    rows = books.ask(asking.Query(("cost", "total_tokens"), ("provider", "model"), top=MODELS_SHOWN)).rows
    return [
        {
            "model": str(row["model"]),
            "provider": str(row["provider"]),
            "href": _address(str(row["model"]), str(row["provider"])),
            "cost": tables.money(row.get("cost")),
            "tokens": tables.count(row.get("total_tokens")),
        }
        for row in rows
        if not str(row["model"]).startswith("(")
    ]


def _address(model: str, provider: str) -> str:
    """The page of prices about one model; `#change` has a form that names it already."""
    return "/prices?" + urlencode({"model": model, **({} if provider.startswith("(") else {"provider": provider})})


def _command(provider: str, model: str) -> str:
    named = [] if provider.startswith("(") else ["--provider", provider]
    words = ["outlay", "prices", "add", *named, "--model", model]
    return shlex.join(words) + ' input="… per 1M" output="… per 1M"'


def _rate(price: Price) -> dict[str, str]:
    only = [part for part in (price.region, price.service_tier, price.processing) if part != "*"]
    if price.tier_from:
        only.append(f"from {formats.count(price.tier_from)} input tokens")
    rate = plain({"rate_pico": price.rate_pico})["rate"]
    return {
        "meter": price.meter,
        "rate": formats.rate(rate, UNIT_OF[price.meter], price.currency),
        "only": ", ".join(only) or "always",
        "valid_from": _day(price.valid_from_ns, "always"),
        "valid_to": _day(price.valid_to_ns, "open"),
        "source": price.source,
    }


def _day(moment_ns: int | None, word: str) -> str:
    return word if moment_ns is None else f"{moment_of(moment_ns):%Y-%m-%d}"
