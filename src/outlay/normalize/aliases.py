"""The alias tables: how every known convention spells each concept, read from `data/aliases.toml`.

Keys of JSON-valued attributes are written `attribute#member`, as the door names the columns it makes of them; a key
that ends in `*` stands for all that begin so.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from outlay.core.outcome import OutcomeStatus

RESOURCE = "resource."
"""What stands before the name of a column that a resource said, not the span."""

EVENT_NAME = "event.name"
"""The attribute that names a log event."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing that conventions spell in many ways: `keys` in the order in which they win, `type` of its values."""

    name: str
    type: str
    text: str
    keys: tuple[str, ...]
    conventions: Mapping[str, tuple[str, ...]]
    resource: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What a kind of span means: its operation, whether its figures count at all, and whether it says failure.

    `only` names the log records that are such a step: those with `usage`, the `failed`, `never` any; empty means all.
    """

    operation: str
    usage: bool = True
    failed: bool = False
    only: str = ""


@dataclass(frozen=True, slots=True)
class KindTable:
    """The values of one convention's kind attribute; values are in lower case, without the prefix."""

    convention: str
    keys: tuple[str, ...]
    values: Mapping[str, Step]
    prefix: str
    by_name: bool
    first_word: bool
    scope: str = ""
    provider: str = ""
    basis: str = ""
    reasoning: str = ""
    beside: bool = False

    @property
    def events(self) -> tuple[str, ...]:
        """The log events that this table lists, under their whole names."""
        return tuple(self.prefix + word for word in self.values) if EVENT_NAME in self.keys else ()

    def find(self, value: str, *, is_name: bool = False) -> Step | None:
        """The step a value stands for; None where this convention does not know it."""
        word = value.strip().strip('"').lower()
        if self.first_word:
            word = word.partition(" ")[0]
        prefixed = bool(self.prefix) and word.startswith(self.prefix)
        if is_name and self.prefix and not prefixed:
            return None
        known = self.values.get(word.removeprefix(self.prefix))
        return Step("step") if known is None and prefixed else known


@dataclass(frozen=True, slots=True)
class StatedCost:
    """Attributes that add up to a cost; `micro` where they are in millionths of the currency."""

    convention: str
    keys: tuple[str, ...]
    micro: bool


@dataclass(frozen=True, slots=True)
class Metric:
    """What the points of one metric count: `quantity`, or by the value of the attribute `by`."""

    convention: str
    name: str
    quantity: str
    by: str
    values: Mapping[str, str]
    provider: str
    basis: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Aliases:
    """All tables of one version."""

    version: str
    conventions: Mapping[str, str]
    concepts: Mapping[str, Concept]
    units: Mapping[str, tuple[str, ...]]
    divisors: Mapping[str, int]
    costs: tuple[StatedCost, ...]
    carriers: Mapping[str, tuple[str, ...]]
    members: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, tuple[str, ...]]
    tag_prefixes: tuple[str, ...]
    kept: tuple[str, ...]
    refused: Mapping[str, str]
    kinds: tuple[KindTable, ...]
    own_sessions: Mapping[str, str]
    main_agents: Mapping[str, str]
    one_report_a_call: tuple[str, ...]
    basis: Mapping[str, tuple[str, ...]]
    providers: Mapping[str, str]
    hosts: Mapping[str, str]
    cost_sources: Mapping[str, str]
    outcomes: Mapping[str, OutcomeStatus]
    evaluation_names: frozenset[str]
    evaluation_forms: tuple[str, ...]
    evaluation_members: tuple[str, ...]
    identity: tuple[str, ...]
    metrics: tuple[Metric, ...]
    legacy: frozenset[str]

    def spellings(self) -> Iterator[str]:
        """Every key that a span may bring in, with `#` and `*` as written."""
        yield from (key for concept in self.concepts.values() for key in concept.keys)
        for table in (self.units, self.carriers, self.tags):
            yield from (key for keys in table.values() for key in keys)
        yield from (key for cost in self.costs for key in cost.keys)
        yield from (key for kind in self.kinds for key in kind.keys)
        yield from self.tag_prefixes
        yield from self.kept


def plain(name: str) -> str:
    """A name as evaluation names are compared: lower case, without blanks, dashes, dots and underscores."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


@cache
def load() -> Aliases:
    """The tables that come with Outlay."""
    return parse(files("outlay.normalize").joinpath("data/aliases.toml").read_text("utf-8"))


def parse(text: str) -> Aliases:
    """Tables from TOML text of the form of `data/aliases.toml`."""
    data = tomllib.loads(text)
    carriers = _tuples(data["carriers"])
    members = _tuples(data["members"])
    return Aliases(
        version=data["version"],
        conventions=data["conventions"],
        concepts={
            name: _concept(name, table, carriers, members.get(name, ())) for name, table in data["concepts"].items()
        },
        units=_tuples(data["units"]),
        divisors=data["units_divided_by"],
        costs=tuple(
            StatedCost(row["convention"], tuple(row["keys"]), row.get("unit") == "micro") for row in data["cost"]
        ),
        carriers=carriers,
        members=members,
        tags=_tuples(data["tags"]),
        tag_prefixes=tuple(data["tag_prefixes"]["keys"]),
        kept=(*data["kept"]["keys"], *data["kept"]["prefixes"]),
        refused=data["refused"],
        kinds=tuple(_kind(row) for row in data["kinds"]),
        own_sessions=data["own_sessions"],
        main_agents=data["main_agents"],
        one_report_a_call=tuple(data["one_report_a_call"]["scopes"]),
        basis=_tuples(data["basis"]),
        providers=_spellings(data["providers"]),
        hosts=data["hosts"],
        cost_sources=_spellings(data["cost_sources"]),
        outcomes={word: OutcomeStatus(status) for status, words in data["outcomes"].items() for word in words},
        evaluation_names=frozenset(map(plain, data["evaluations"]["names"])),
        evaluation_forms=tuple(data["evaluations"]["forms"]),
        evaluation_members=tuple(data["evaluations"]["members"]),
        identity=tuple(data["identity"]["keys"]),
        metrics=tuple(_metric(row) for row in data["metrics"]),
        legacy=frozenset(data["legacy"]["keys"]),
    )


def _tuples(table: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(keys) for name, keys in table.items()}


def _spellings(table: Mapping[str, Iterable[str]]) -> dict[str, str]:
    return {word: canonical for canonical, words in table.items() for word in (canonical, *words)}


def _concept(
    name: str, table: Mapping[str, Any], carriers: Mapping[str, tuple[str, ...]], members: tuple[str, ...]
) -> Concept:
    spoken = _tuples({key: value for key, value in table.items() if key not in {"type", "text", "resource"}})
    carried = [form.removesuffix("*") + member for forms in carriers.values() for form in forms for member in members]
    keys = dict.fromkeys([*(key for keys in spoken.values() for key in keys), *carried])
    return Concept(name, table["type"], table["text"], tuple(keys), spoken, bool(table.get("resource", False)))


def _metric(row: Mapping[str, Any]) -> Metric:
    said = {name: row.get(name, "") for name in ("quantity", "by", "provider", "basis", "reasoning")}
    return Metric(row["convention"], row["name"], values=row.get("values", {}), **said)


def _kind(row: Mapping[str, Any]) -> KindTable:
    values = {word: Step(value) if isinstance(value, str) else Step(**value) for word, value in row["values"].items()}
    return KindTable(
        row["convention"],
        tuple(row["keys"]),
        values,
        row.get("prefix", ""),
        bool(row.get("name")),
        bool(row.get("first_word")),
        row.get("scope", ""),
        row.get("provider", ""),
        row.get("basis", ""),
        row.get("reasoning", ""),
        bool(row.get("beside")),
    )
