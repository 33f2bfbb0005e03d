"""Warm: the three views are looked at before anybody does, so that what is kept of past hours is there.

The first look after a start, and the first of an hour or a day, reads stretches of time that nothing is kept of yet:
in large books about a second. A server makes that look itself.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import UTC, datetime

from outlay.faces.control_desk import ControlDesk
from outlay.faces.web import rendering
from outlay.faces.web.choice import parse_choice
from outlay.faces.web.executive import collect_year
from outlay.faces.web.figures import Books
from outlay.faces.web.live import collect_live
from outlay.faces.web.months import parse_month
from outlay.faces.web.strategic import collect_strategy
from outlay.faces.web.visit import Rooms

USAGES_MIN = 100_000
"""In smaller books a first look is as quick as any."""


class Warm:
    """What a server does in each hour. Used by one thread."""

    def __init__(self, rooms: Rooms, actor: str) -> None:
        self._rooms = rooms
        self._desk: Callable[[], ControlDesk] = lambda: ControlDesk(rooms.control, actor)
        self._hour: datetime | None = None

    def look(self, now: datetime | None = None) -> bool:
        """Look at each view, unless that was done in this hour or the books are small; whether it was."""
        now = now or datetime.now(UTC)
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour == self._hour or not self._are_large():
            return False
        for view in (self._tactical, self._strategic, self._executive):
            with self._rooms.moment() as books:  # a moment each: none of them stays open long
                view(books, now)
        if self._hour is None:
            rendering.prepare()
            gc.freeze()  # most of it lives for a day; collections need not look at it again
        self._hour = hour
        return True

    def _are_large(self) -> bool:
        with self._rooms.moment() as books:
            return int(books.counters().get("usages_posted", 0)) >= USAGES_MIN

    def _tactical(self, books: Books, now: datetime) -> None:
        collect_live(books, parse_choice({"period": "24h"}, now))

    def _strategic(self, books: Books, now: datetime) -> None:
        collect_strategy(books, self._rooms.control, parse_month({}, now, "/strategic"))

    def _executive(self, books: Books, now: datetime) -> None:
        collect_year(books, self._desk(), parse_month({}, now, "/executive"))
