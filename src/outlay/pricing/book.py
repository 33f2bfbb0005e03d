"""The price book: everything that is known about prices, asked in one way.

book = PriceBook.load(home / "prices")
charged = book.charge(usages)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from outlay.core.errors import PriceError, Problem
from outlay.core.period import NS_PER_US, ns_of
from outlay.core.price import Price
from outlay.pricing import catalogue, charging, shelf, userfiles, writing
from outlay.pricing.charges import Charged
from outlay.pricing.charging import Edges
from outlay.pricing.course import Asked, Course
from outlay.pricing.litellm import MAP_NAME, read_map
from outlay.pricing.rates import Vector
from outlay.pricing.rows import starts_of
from outlay.pricing.shelf import Conflict
from outlay.pricing.userfiles import ALIASES, CARD, CONTRACTS, OVERRIDES, UserFiles, own_rows, own_tiers, own_version

COURSES_MAX = 20_000
"""How many ways of asking are remembered; a stream of ever new model names must not eat the memory."""


@dataclass(frozen=True, slots=True)
class MapReport:
    """What an import of LiteLLM's map brought: models, those the catalogue lacks, disagreements, refused entries."""

    models: int
    new_models: int
    conflicts: tuple[Conflict, ...]
    problems: tuple[Problem, ...]


class _Open:
    """One reading of all sources with what was compiled from it; replaced whole, so no thread sees half a change."""

    def __init__(self, user: UserFiles) -> None:
        self.user = user
        self.courses: dict[tuple[str, ...], Course] = {}
        self.edges: Edges | None = None

    def course(self, key: tuple[str, ...]) -> Course:
        found = self.courses.get(key)
        if found is None:
            if len(self.courses) >= COURSES_MAX:
                self.courses.clear()
            found = self.courses[key] = Course.of(Asked(*key), self.user, self.user.tiers or own_tiers())
        return found

    def vector_at(self, asked: tuple[str, ...], at_us: int) -> Vector:
        return self.course(asked).vector_at(at_us)

    def all_edges(self) -> Edges:
        if self.edges is None:
            days, hours = catalogue.edges()
            moments = {*days, *starts_of([*self.user.contracts, *self.user.overrides, *own_rows()])}
            found = sorted({moment // NS_PER_US for moment in moments})
            self.edges = Edges(np.array(found, np.int64), np.array(hours, np.int64))
        return self.edges


class PriceBook:
    """Dated prices from every source, in the order contract > override > genai-prices > own > LiteLLM > family.

    Safe to ask and to change from several threads: a batch is charged by one reading of the files from end to end.
    """

    def __init__(self, user: UserFiles, folder: Path | None = None) -> None:
        self.folder = folder
        self._open = _Open(user)

    @classmethod
    def load(cls, folder: Path | None = None) -> PriceBook:
        """The book with the user files of a folder, which may be missing. Raises PriceError if one of them is bad."""
        return cls(userfiles.load(folder), folder)

    @property
    def user(self) -> UserFiles:
        """What the user files said when they were last read."""
        return self._open.user

    @property
    def version(self) -> str:
        """Changes with anything that may change an amount: catalogue, own rows, rules, user files."""
        return f"{catalogue.source_name()}; own {own_version()}; yours {self.user.digest}"

    def charge(self, usages: pa.Table) -> Charged:
        """Charges a batch of normalize USAGES at the prices of each usage's own time."""
        now = self._open
        return charging.charge(usages, now.vector_at, now.all_edges(), now.user.card)

    def course(self, asked: Asked) -> Course:
        """All the book knows about one model asked in one way."""
        key = (asked.provider, asked.model, asked.region, asked.service_tier, asked.processing, asked.speed)
        return self._open.course(key)

    # ------------------------------------------------------------------------------------------------ showing prices

    def find(self, model: str, provider: str = "", at: datetime | None = None, **asked: str) -> list[Price]:
        """Every rate any source offers for a model at a moment (default now), best first within each meter.

        `asked` may name region, service_tier, processing and speed. What holds for all models of a provider, web
        search for one, is in it too; where no token meter is, nobody knows the model.
        """
        return shelf.offers(self.course(Asked(provider, model, **asked)), _ns(at))

    def applied(self, model: str, provider: str = "", at: datetime | None = None, **asked: str) -> list[Price]:
        """The rates that would be charged at a moment (default now): contracts, discounts and fallbacks applied."""
        return shelf.chosen(self.course(Asked(provider, model, **asked)), _ns(at))

    def history(self, model: str, provider: str = "") -> list[Price]:
        """The rates that are charged over all of time, each with the stretch in which it holds."""
        return shelf.history(self.course(Asked(provider, model)))

    def conflicts(self, at: datetime | None = None) -> list[Conflict]:
        """Where the imported map disagrees with the catalogue at a moment (default now)."""
        return shelf.conflicts(self.user.imported, at or datetime.now(UTC))

    def stale(self, now: datetime | None = None) -> list[Problem]:
        """Which price tables have stopped moving."""
        return shelf.stale(self.user.imported, now or datetime.now(UTC))

    # ------------------------------------------------------------------------------------------------ changing prices

    def add_override(self, entry: Mapping[str, object]) -> None:
        """Adds a `[[price]]` table to overrides.toml, such as {"provider": …, "model": …, "input": "2.50 per 1M"}.

        Like every change: raises PriceError that says what is wrong, and then nothing has changed.
        """
        self._append(OVERRIDES, entry)

    def add_contract(self, entry: Mapping[str, object]) -> None:
        """Adds a `[[contract]]` table: name, provider and model globs, from, to, discount_percent or rates."""
        self._append(CONTRACTS, entry)

    def add_alias(self, entry: Mapping[str, object]) -> None:
        """Adds an `[[alias]]` table: model (a glob), to, and optionally provider and to_provider."""
        self._append(ALIASES, entry)

    def add_runtime_rate(self, entry: Mapping[str, object]) -> None:
        """Adds a `[[rate]]` table to the rate card: agent, environment, session_second, vcpu_second, gib_second."""
        self._append(CARD, entry)

    def import_litellm(self, source: bytes | str | Path, as_of: date | None = None) -> MapReport:
        """Takes over LiteLLM's price map from bytes, a file or an https address, replacing an earlier one.

        Raises FormatError if it is no such map and PriceError if it cannot be had or kept.
        """
        if self.folder is None:
            raise PriceError("this price book has no folder to write to", hint="name a home with --home or OUTLAY_HOME")
        content, origin = writing.fetch(source)
        day = (as_of or datetime.now(UTC).date()).isoformat()
        imported = read_map(content, day)
        userfiles.write(self.folder / MAP_NAME, userfiles.pack_map(content, day, origin))
        self.reload()
        rows = [row for found in imported.by_name.values() for row in found]
        known = sum(shelf.listed(row) for row in rows)
        return MapReport(len(rows), len(rows) - known, tuple(self.conflicts()), tuple(imported.problems))

    def check(self) -> list[Problem]:
        """Everything wrong in the user files as they are on the disk now; an empty list is a clean bill."""
        try:
            userfiles.load(self.folder)
        except PriceError as error:
            return [Problem(*line.split(": ", 1)) for line in error.detail] or [
                Problem("prices", error.message, error.hint)
            ]
        return []

    def reload(self) -> None:
        """Reads the user files again. Raises PriceError and keeps the old ones if one of them is bad."""
        self._open = _Open(userfiles.load(self.folder))

    def _append(self, file: str, entry: Mapping[str, object]) -> None:
        writing.append(self.folder, file, entry)
        self.reload()


def _ns(at: datetime | None) -> int:
    return ns_of(at or datetime.now(UTC))
