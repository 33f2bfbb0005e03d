"""Marks: HTML with places to fill. What fills a place is escaped, unless it is a mark itself."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def filled(html: str, *values: object) -> Markup:
    """The HTML, written in our code, with each `{}` filled.

    As `Markup.format` does, which goes through each text in Python: a page of charts has some hundred marks.
    """
    return Markup(html.format(*map(escape, values)))  # noqa: S704 - what is filled in is escaped


def joined(marks: Iterable[object]) -> Markup:
    """Marks one after the other."""
    return Markup("".join(map(escape, marks)))  # noqa: S704 - so is each mark that is none
