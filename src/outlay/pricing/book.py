"""The price book: everything that is known about prices, asked in one way.

book = PriceBook.load(home / "prices")
charged = book.charge(usages)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from outlay.core.period import NS_PER_US
from outlay.pricing import catalogue, charging, userfiles
from outlay.pricing.charges import Charged
from outlay.pricing.charging import Edges
from outlay.pricing.course import Asked, Course
from outlay.pricing.rates import Vector
from outlay.pricing.rows import starts_of
from outlay.pricing.userfiles import UserFiles, own_rows, own_tiers, own_version

COURSES_MAX = 20_000
"""How many ways of asking are remembered; a stream of ever new model names must not eat the memory."""


class PriceBook:
    """Dated prices from every source, in the order contract > override > genai-prices > own > LiteLLM > family."""

    def __init__(self, user: UserFiles, folder: Path | None = None) -> None:
        self.user = user
        self.folder = folder
        self._courses: dict[tuple[str, ...], Course] = {}
        self._edges: Edges | None = None

    @classmethod
    def load(cls, folder: Path | None = None) -> PriceBook:
        """The book with the user files of a folder, which may be missing. Raises PriceError if one of them is bad."""
        return cls(userfiles.load(folder), folder)

    @property
    def version(self) -> str:
        """Changes with anything that may change an amount: catalogue, own rows, rules, user files."""
        return f"{catalogue.source_name()}; own {own_version()}; yours {self.user.digest}"

    def charge(self, usages: pa.Table) -> Charged:
        """Charges a batch of normalize USAGES at the prices of each usage's own time."""
        return charging.charge(usages, self._vector_at, self._all_edges(), self.user.card)

    def course(self, asked: Asked) -> Course:
        """All the book knows about one model asked in one way."""
        key = (asked.provider, asked.model, asked.region, asked.service_tier, asked.processing, asked.speed)
        course = self._courses.get(key)
        if course is None:
            if len(self._courses) >= COURSES_MAX:
                self._courses.clear()
            course = self._courses[key] = Course.of(asked, self.user, self.user.tiers or own_tiers())
        return course

    def _vector_at(self, asked: tuple[str, ...], at_us: int) -> Vector:
        course = self._courses.get(asked)
        return (course or self.course(Asked(*asked))).vector_at(at_us)

    def _all_edges(self) -> Edges:
        if self._edges is None:
            days, hours = catalogue.edges()
            moments = {*days, *starts_of([*self.user.contracts, *self.user.overrides, *own_rows()])}
            found = sorted({moment // NS_PER_US for moment in moments})
            self._edges = Edges(np.array(found, np.int64), np.array(hours, np.int64))
        return self._edges
