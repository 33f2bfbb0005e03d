"""Filters: the conditions a person may put on a question, as they type them.

    team:onboarding            the team is onboarding
    team:onboarding|billing    one of the two
    feature!=search            any other feature
    agent:"a, b"               a value with a comma, in double quotes

Conditions are separated by commas and all of them must hold. `=` may stand for `:`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from outlay.core.errors import QueryError, nearest
from outlay.metrics.dimensions import Dimension, dimension_named

FILTERS_MAX = 50
VALUES_MAX = 1_000
"""More values than this are a list somebody should keep as a tag; the limit keeps a statement a statement."""

_CONDITION = re.compile(r"^\s*(?P<name>tag\.[^!=]+?|[^:!=\s]+)\s*(?P<sign>!=|=|:)(?P<values>.*)$", re.DOTALL)
_QUOTED_OR_PLAIN = r'(?:"[^"]*"|[^{0}"])+'
_BY_COMMA = re.compile(_QUOTED_OR_PLAIN.format(","))
_BY_BAR = re.compile(_QUOTED_OR_PLAIN.format("|"))


@dataclass(frozen=True, slots=True)
class Filter:
    """The dimension has one of `values`; with `exclude`, none of them."""

    dimension: str
    values: tuple[str, ...]
    exclude: bool = False

    def __str__(self) -> str:
        shown = "|".join(f'"{value}"' if re.search(r"[,|]", value) else value for value in self.values)
        return f"{self.dimension}{'!=' if self.exclude else ':'}{shown}"


def parse_filters(text: str) -> tuple[Filter, ...]:
    """The conditions in a text; QueryError names the one that cannot be read."""
    return tuple(_parse_one(part) for part in _BY_COMMA.findall(text) if part.strip())


def checked(item: Filter) -> Filter:
    """The filter, its dimension known and its values possible; QueryError otherwise."""
    dimension = dimension_named(item.dimension)
    if not item.values or len(item.values) > VALUES_MAX:
        raise QueryError(f"a filter takes 1 to {VALUES_MAX} values; {item.dimension} was given {len(item.values)}")
    for value in item.values:
        _check_value(dimension, value)
    return item


def _check_value(dimension: Dimension, value: str) -> None:
    if dimension.values and value not in dimension.values:
        raise QueryError(f'{dimension.name} is never "{value}"', hint=nearest(value, dimension.values))


def _parse_one(text: str) -> Filter:
    found = _CONDITION.match(text)
    if found is None:
        raise QueryError(
            f'not a filter: "{text.strip()}"', hint="write dimension:value, dimension!=value or dimension:a|b"
        )
    values = tuple(value.strip().replace('"', "") for value in _BY_BAR.findall(found["values"]))
    if not values:
        raise QueryError(f'the filter "{text.strip()}" names no value', hint="a missing tag is the value (untagged)")
    return Filter(found["name"], values, found["sign"] == "!=")
