"""The list of sessions: the dearest of a period, who spends most, and the way to one of them by its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from outlay.core.errors import QueryError, nearest
from outlay.faces.web import tables
from outlay.faces.web.choice import WINDOWS, Choice
from outlay.faces.web.figures import Asking, Books, session_figures
from outlay.faces.words import CENTRES
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER
from outlay.metrics.filters import Filter
from outlay.metrics.query import Order

SESSIONS_SHOWN = 50
SPENDERS_SHOWN = 8

ORDERS = {"cost": "Full cost", "usages": "Steps", "retries": "Retries", "session_seconds": "Time alive"}
OUTCOMES = ("done", "failed", "abandoned")
SPENDERS = {
    "agent": ("Agents", "sessions"),
    "customer": ("Customers", "sessions"),
    "user": ("Users", "sessions"),
    "model": ("Models", "usages"),  # a session calls several: what it does with one is a call
}
"""Who spends: a title, and what is counted of each."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the reader of the list picked beyond the window and the filters of every page."""

    choice: Choice
    order: str = "cost"
    outcome: str = ""
    agent: str = ""
    centre: str = ""

    @property
    def where(self) -> tuple[Filter, ...]:
        """The filters that only this page has."""
        picked = {"outcome": self.outcome, "agent": self.agent, "centre": self.centre}
        return tuple(Filter(name, (value,)) for name, value in picked.items() if value)

    def address(self, **changes: str) -> str:
        """The address of this list with some choices changed; an empty one falls away."""
        own = {name: getattr(self, name) for name in ("outcome", "agent", "centre")}
        said = {**self.choice.said, "order": "" if self.order == "cost" else self.order, **own, **changes}
        return "/sessions?" + urlencode({name: value for name, value in said.items() if value})


def parse_listing(parameters: Mapping[str, str], choice: Choice) -> Listing:
    """The list an address spells. QueryError for an order, an outcome or a cost centre there is not."""
    order, outcome = parameters.get("order", "") or "cost", parameters.get("outcome", "")
    if order not in ORDERS:
        raise QueryError(f'sessions cannot be ordered by "{order}"', hint=nearest(order, ORDERS))
    if outcome and outcome not in OUTCOMES:
        raise QueryError(f'no outcome is called "{outcome}"', hint=nearest(outcome, OUTCOMES))
    centre = parameters.get("centre", "")
    if centre and centre not in CENTRES:
        raise QueryError(f'no cost centre is called "{centre}"', hint=nearest(centre, CENTRES))
    return Listing(choice, order, outcome, parameters.get("agent", "").strip(), centre)


def sessions_page(books: Books, listing: Listing, centres: Mapping[str, str]) -> dict[str, Any]:
    """What the template of the list needs."""
    asking = Asking(books, listing.choice)
    found = session_figures(asking, SESSIONS_SHOWN, Order(listing.order), listing.where)
    total = asking(("cost", "sessions", "cost_per_session", "retry_share"), where=listing.where).total
    spenders = {
        name: asking(("cost", counted), (name,), top=SPENDERS_SHOWN, where=listing.where)
        for name, (_, counted) in SPENDERS.items()
    }
    return {
        "choice": listing.choice,
        "listing": listing,
        "windows": WINDOWS.values(),
        "orders": ORDERS,
        "outcomes": OUTCOMES,
        "centre": CENTRES[listing.centre].lower() if listing.centre else "",
        "options": {name: asking.options(name) for name in ("team", "feature", "environment")},
        "rows": tables.sessions(found, centres),
        "total": {
            "cost": tables.money(total.get("cost")),
            "sessions": tables.count(total.get("sessions")),
            "cost_per_session": tables.money(total.get("cost_per_session")),
            "retry_share": tables.share(total.get("retry_share")),
        },
        "spenders": [_spenders(name, answer, listing) for name, answer in spenders.items()],
    }


def _spenders(name: str, answer: Answer, listing: Listing) -> dict[str, Any]:
    """The first of one kind by cost."""
    word, counted = SPENDERS[name]
    return {
        "word": word,
        "counted": "Calls" if counted == "usages" else "Sessions",
        "rows": [
            {
                "name": row[name],
                "href": listing.address(agent=str(row[name])) if name == "agent" and row[name] != OTHER else "",
                "cost": tables.money(row.get("cost")),
                "count": tables.count(row.get(counted)),
            }
            for row in answer.rows
        ],
    }
