"""Columns of a table of spans, asked for by concept: the first name found on a span wins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.normalize.aliases import RESOURCE, Concept, load
from outlay.normalize.columns import Ints, Mask, whole
from outlay.sources.otlp_records import OF_KEY, column_of

_EXACT_INTEGERS = 2**53
_QUOTED = ("mlflow.", "langfuse.trace.metadata.", "langfuse.observation.metadata.")
"""Attributes of emitters that write every value as JSON, a text in quotes."""
NO_TEXT = pa.scalar(None, pa.string())


class SpanColumns:
    """A table as `sources/otlp.py` decodes it, with its columns under the names of concepts."""

    def __init__(self, spans: pa.Table) -> None:
        self.spans = spans
        self.length = spans.num_rows
        self.names = tuple(spans.column_names)
        self._plan = _plan(self.names)
        self._texts: dict[str, pa.Array] = {}

    def raw(self, name: str) -> pa.Array:
        """A column as it stands."""
        return whole(self.spans, name)

    def has(self, name: str) -> bool:
        """Whether any span of the batch has the attribute."""
        return name in self._plan.names

    def present(self, concept: str) -> tuple[str, ...]:
        """The columns that state a concept, in the order in which they win."""
        return self._plan.concepts[concept]

    def carried(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Tags by name, each with the columns that state it."""
        return self._plan.tags

    def text(self, concept: str) -> pa.Array | None:
        """A concept as text; None where no span of the batch states it."""
        return first(self.text_of(name) for name in self.present(concept))

    def text_of(self, name: str) -> pa.Array:
        """One column as text; an empty text says nothing."""
        if name not in self._texts:
            self._texts[name] = _as_text(self.raw(name), quoted=name.startswith(_QUOTED))
        return self._texts[name]

    def count(self, concept: str) -> pa.Array | None:
        """A concept as whole numbers; None where no span of the batch states it."""
        return first(self.count_of(name) for name in self.present(concept))

    def count_of(self, name: str) -> pa.Array:
        """One column as whole numbers: what is none says nothing."""
        return _as_count(self.raw(name))


def first(arrays: Iterable[pa.Array]) -> pa.Array | None:
    """On each row the first value that is not null; None of no arrays."""
    found = list(arrays)
    if len(found) < 2:
        return found[0] if found else None
    if not found[0].null_count:
        return found[0]
    return pc.coalesce(*found)


def mapped(texts: pa.Array, rule: Callable[[str], str | None]) -> pa.Array:
    """A rule about text, asked once for each distinct text."""
    encoded = texts.dictionary_encode()
    return pa.array([rule(text) for text in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def list_items(text: str) -> list[str]:
    """The entries of a list that stands as JSON text; a plain text is a list of one."""
    if text.startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            return [text]
        return [str(item) for item in items if isinstance(item, str | int | float)]
    return [text]


def known_counts(column: pa.Array) -> tuple[Ints, Mask]:
    """Whole numbers with 0 for null, and which rows state one."""
    known = np.asarray(column.is_valid())
    return np.asarray(column.fill_null(0)), known


def _as_text(column: pa.Array, *, quoted: bool) -> pa.Array:
    if pa.types.is_dictionary(column.type) or not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    if quoted:
        column = pc.utf8_trim(column, characters='"')
    empty = np.diff(np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4)) == 0
    if int(empty.sum()) > column.null_count:
        column = pc.if_else(pa.array(empty), NO_TEXT, column)
    return column


def _as_count(column: pa.Array) -> pa.Array:
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    if pa.types.is_floating(column.type):
        values = np.asarray(column.fill_null(np.nan))
        whole_number = np.isfinite(values) & (np.abs(values) <= _EXACT_INTEGERS) & (values == np.floor(values))
        return pa.array(np.where(whole_number, values, 0).astype(np.int64), mask=~whole_number)
    if pa.types.is_boolean(column.type):
        return pa.nulls(len(column), pa.int64())
    encoded = column.cast(pa.string()).dictionary_encode()
    return pa.array([_whole_number(text) for text in encoded.dictionary.to_pylist()], pa.int64()).take(encoded.indices)


def _whole_number(text: str) -> int | None:
    digits = text.strip().removesuffix(".0")
    return int(digits) if digits.removeprefix("-").isdecimal() and len(digits) <= 18 else None


class _Plan:
    """Which columns of a schema state which concept; made once for each schema, since services repeat theirs."""

    def __init__(self, names: tuple[str, ...]) -> None:
        aliases = load()
        self.names = frozenset(names)
        self.concepts = {concept.name: self._present(concept) for concept in aliases.concepts.values()}
        claimed = {key for concept in aliases.concepts.values() for key in concept.keys}
        tags: dict[str, list[str]] = {}
        for tag, keys in aliases.tags.items():
            tags.setdefault(tag, []).extend(key for key in keys if key in self.names)
        beginnings = {form.removesuffix("*"): "" for forms in aliases.carriers.values() for form in forms}
        beginnings |= {form.removesuffix("*"): form.removesuffix("*") for form in aliases.tag_prefixes}
        for place in ("", RESOURCE):
            for name in names:
                if not name.startswith(place) or (key := name.removeprefix(place)) in claimed:
                    continue
                for beginning, kept in beginnings.items():
                    if key.startswith(beginning) and len(key) > len(beginning):
                        tags.setdefault(kept + key.removeprefix(beginning), []).append(name)
        self.tags = tuple((tag, tuple(columns)) for tag, columns in tags.items() if columns)

    def _present(self, concept: Concept) -> tuple[str, ...]:
        own = [column for key in concept.keys if (column := column_of(key)) in self.names]
        resource = (RESOURCE + key for key in concept.keys if concept.resource and RESOURCE + key in self.names)
        return (*own, *resource, *([OF_KEY + concept.name] if OF_KEY + concept.name in self.names else []))


@lru_cache(maxsize=256)
def _plan(names: tuple[str, ...]) -> _Plan:
    return _Plan(names)
