"""Choosing among more values than a list can show: what was typed is looked up, and what is like it is offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from outlay.faces.web.choice import FILTERS, Choice
from outlay.faces.web.figures import Books


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that was picked and that nothing in the books carries, with (name, address) of what is like it."""

    word: str
    value: str
    like: Sequence[tuple[str, str]]


def unknown_in(books: Books, choice: Choice, path: str, asked: Mapping[str, str]) -> list[Unknown]:
    """The picked values that the books do not know; the address of each offer is the page with that value instead."""
    found: list[Unknown] = []
    for name in FILTERS:
        value = getattr(choice, name)
        if not value or value.startswith("("):
            continue
        like = books.like(name, value)
        if value not in like:
            offers = [(each, f"{path}?{urlencode({**asked, name: each})}") for each in like]
            found.append(Unknown(name.replace("_", " "), value, offers))
    return found
