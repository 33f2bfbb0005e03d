"""The rates of now as they are stored, for whoever decides without a price book; filled by whoever has one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import delete, insert, select, update

from outlay.control.store import ControlStore
from outlay.control.tables import counters, rates
from outlay.core.rate import Rate

_AT_ONCE = 1_000


def filled_with(store: ControlStore) -> str:
    """The version of the price book, and the day, the rates are of; empty where there are none."""
    with store.reading() as connection:
        return str(connection.execute(select(rates.c.version).limit(1)).scalar() or "")


def fill(store: ControlStore, listed: Iterable[tuple[str, str, bool, Rate]], version: str) -> int:
    """Puts these rates in the place of all there are: provider, model or glob, whether it is one, and rate."""
    rows = [
        {"provider": provider, "model": model, "is_glob": int(is_glob), **asdict(rate), "version": version}
        for provider, model, is_glob, rate in listed
    ]
    with store.writing() as connection:
        number = counters.c.number + 1
        connection.execute(update(counters).where(counters.c.name == "rates").values(number=number))
        connection.execute(delete(rates))
        for start in range(0, len(rows), _AT_ONCE):
            connection.execute(insert(rates), rows[start : start + _AT_ONCE])
    return len(rows)
