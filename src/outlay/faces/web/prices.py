"""The page of prices: what has none and the command that mends it, what two sources disagree on, what a model costs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from outlay.core.meters import TOKEN_METERS, UNIT_OF
from outlay.core.period import moment_of
from outlay.core.price import Price
from outlay.faces import formats
from outlay.faces.plain import plain
from outlay.faces.web import tables
from outlay.faces.web.figures import Books
from outlay.metrics.query import Order, Query

UNPRICED_SHOWN = 50
CONFLICTS_SHOWN = 50
MODELS_SHOWN = 25


def prices_page(books: Books, asked: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """What the template needs; `model` and `provider` of the address name the model whose rates are shown."""
    model, provider = asked.get("model", "").strip(), asked.get("provider", "").strip()
    book = books.prices
    conflicts = [conflict.problem() for conflict in book.conflicts()]
    rates = book.applied(model, provider, now) if model else []
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
    }


def unpriced_of(books: Books) -> list[dict[str, str]]:
    """The models of the books whose work has no price, the busiest first, each with the one command that mends it."""
    query = Query(
        ("unpriced_tokens", "unpriced_usages"),
        ("provider", "model_raw"),
        top=UNPRICED_SHOWN,
        order=Order("unpriced_usages"),
    )
    return [
        {
            "provider": str(row["provider"]),
            "model": str(row["model_raw"]),
            "usages": tables.count(row["unpriced_usages"]),
            "tokens": tables.count(row["unpriced_tokens"]),
            "command": _command(str(row["provider"]), str(row["model_raw"])),
        }
        for row in books.ask(query).rows
        if row["unpriced_usages"]
    ]


def models_of(books: Books) -> list[dict[str, str]]:
    """The models that cost most, each leading to its rates."""
    rows = books.ask(Query(("cost", "total_tokens"), ("provider", "model"), top=MODELS_SHOWN)).rows
    return [
        {
            "model": str(row["model"]),
            "provider": str(row["provider"]),
            "href": "/prices?" + urlencode({"model": str(row["model"]), "provider": str(row["provider"])}),
            "cost": tables.money(row.get("cost")),
            "tokens": tables.count(row.get("total_tokens")),
        }
        for row in rows
        if not str(row["model"]).startswith("(")
    ]


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
