"""Budgets, rates and stops in the control store of a home, as whoever administers it sets them; and how they stand."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from outlay.control import budgets, rates
from outlay.control.place import open_control
from outlay.control.stops import Stops
from outlay.control.store import ControlStore
from outlay.control.tables import leases
from outlay.core.budget import Budget, Standing
from outlay.core.calendar import Calendar
from outlay.core.money import NANO
from outlay.core.rate import Rate

LIFE = Calendar("life")
GPT = Rate(2_500_000_000, 2_500_000_000, 10_000_000_000)
"""2.50 USD a million tokens in, 10 USD out: 2,500 and 10,000 nano-units a token."""

MINI = Rate(150_000_000, 150_000_000, 600_000_000)
FREE = Rate(0, 0, 0)
RATES = {"gpt-4o": GPT, "gpt-4o-mini": MINI, "llama-3": FREE, "claude-opus-5": Rate(5 * NANO, 6 * NANO, 25 * NANO)}


@contextmanager
def store_of(home: Path) -> Iterator[ControlStore]:
    """The control store of a home, open; a new one is a copy, because making its tables takes a while."""
    if not (home / "control.sqlite").exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_empty(), home / "control.sqlite")
    with open_control(home) as store:
        yield store


@cache
def _empty() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="outlay-budgeting-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_control(folder).close()
    return folder / "control.sqlite"


def put(home: Path, name: str, usd: float, scope: Mapping[str, str] | None = None, **more: Any) -> None:
    """A budget of so many dollars."""
    more.setdefault("reserve_percent", 0)
    wanted = Budget(0, name, scope or {}, more.pop("calendar", LIFE), **more)
    with store_of(home) as store:
        budgets.set_budget(store, budgets.Wanted(wanted, round(usd * NANO)), "ann")


def put_rates(home: Path, provider: str = "openai", **more: Rate) -> None:
    """What the models of the fake provider charge."""
    with store_of(home) as store:
        listed = [(provider, model, False, rate) for model, rate in {**RATES, **more}.items()]
        rates.fill(store, [*listed, ("anthropic", "claude-opus-5", False, RATES["claude-opus-5"])], "of the test")


def stop(home: Path, scope: Mapping[str, str], level: str = "stop", reason: str = "") -> int:
    """An order to stop; its number."""
    with store_of(home) as store:
        return Stops(store).set(scope, level, "ann", reason=reason).id


def lift(home: Path, number: int) -> None:
    """Takes an order back."""
    with store_of(home) as store:
        Stops(store).lift(number, "ann")


def standing(home: Path, name: str) -> Standing:
    """How the only balance of a budget stands."""
    (found,) = standings(home, name)
    return found


def standings(home: Path, name: str) -> tuple[Standing, ...]:
    """How the balances of a budget stand."""
    with store_of(home) as store:
        budget = next(item for item in budgets.list_budgets(store) if item.name == name)
        return budgets.standings(store, budget)


def figures(home: Path, name: str) -> tuple[float, float]:
    """Dollars spent and held."""
    found = standing(home, name)
    return found.spent_nano / NANO, found.held_nano / NANO


def live_leases(home: Path) -> int:
    """How many leases nobody has settled or brought home."""
    with store_of(home) as store, store.reading() as connection:
        wanted = select(func.count()).select_from(leases).where(leases.c.state == "live")
        return int(connection.execute(wanted).scalar_one())


def soon(true: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Whether something becomes true in time."""
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
