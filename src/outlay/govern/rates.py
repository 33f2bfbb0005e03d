"""Rates: keeps the rates that decisions go by equal to the price book, as of today."""

from __future__ import annotations

from datetime import UTC, datetime

from outlay.control import rates as stored
from outlay.control.budgets import list_budgets
from outlay.control.store import ControlStore
from outlay.pricing.book import PriceBook
from outlay.pricing.today import rates_today


def refresh(store: ControlStore, book: PriceBook, now: datetime | None = None) -> int:
    """Fills the rates where the book or the day is another one; how many there are, 0 where nothing was to do.

    A model priced by the hour of the day keeps, for a day, the rate of the hour in which it was filled.
    """
    at = now or datetime.now(UTC)
    version = f"{book.version}; {at:%Y-%m-%d}"
    if stored.filled_with(store) == version:
        return 0
    listed = ((item.provider, item.model, item.is_glob, item.rate) for item in rates_today(book, at))
    return stored.fill(store, listed, version)


def refresh_if_needed(store: ControlStore, book: PriceBook) -> int:
    """The same, where there is any budget to decide by."""
    return refresh(store, book) if list_budgets(store) else 0
