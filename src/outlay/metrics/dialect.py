"""Dialects: the few places where engines spell a thing differently. The renderer uses nothing else of an engine."""

from __future__ import annotations

from typing import Protocol

from outlay.core.errors import StoreError
from outlay.core.period import Grain
from outlay.ledger.labels import LABELS

_LABELS = frozenset(LABELS)


class Dialect(Protocol):
    """How one engine spells what the renderer needs."""

    def placeholder(self, number: int) -> str:
        """The place of the bound value of that number, counted from 1."""
        ...

    def usages(self, columns: frozenset[str]) -> str:
        """The narrowest table that holds these columns of usages, `labels` among them."""
        ...

    def bucket(self, grain: Grain, time: str) -> str:
        """Start of the bucket a time falls into: UTC, weeks from Monday (ISO)."""
        ...

    def day(self, time: str) -> str:
        """The day of a time, whatever the engine finds cheapest to group by."""
        ...

    def tag(self, tags: str, path: str) -> str:
        """The text under a bound path in a JSON text that may be empty; NULL where there is none."""
        ...

    def tag_path(self, key: str) -> str:
        """The value to bind as the path of a key."""
        ...

    def text(self, value: str) -> str:
        """The value as text."""
        ...

    def null_text(self) -> str:
        """A NULL that is text."""
        ...

    def null_whole(self) -> str:
        """A NULL that is a whole number."""
        ...

    def null_time(self) -> str:
        """A NULL that is a time."""
        ...

    def quotient(self, over: str, under: str) -> str:
        """An approximate quotient, good for ranking only; NULL where the divisor is 0."""
        ...

    def whole_quotient(self, over: str, under: str) -> str:
        """A quotient of whole numbers that are not negative, cut to a whole number."""
        ...

    def wide(self, number: str) -> str:
        """A whole number that can be multiplied by another one without running over."""
        ...

    def whole(self, value: str) -> str:
        """A whole number in 64 bits; NULL where it does not fit."""
        ...

    def end_of(self, time: str, duration_ms: str) -> str:
        """Microseconds since 1970 at the end of a stretch; a NULL duration is none."""
        ...

    def us(self, time: str) -> str:
        """A time in microseconds since 1970."""
        ...

    def contains(self, texts: str, text: str) -> str:
        """Whether a list of texts holds a text."""
        ...

    def has_bits(self, number: str, bits: int) -> str:
        """Whether a whole number has any of these bits."""
        ...

    def digit(self, number: str, shift: int) -> str:
        """Four bits of a whole number, from bit `shift` on."""
        ...

    def taken_for_few(self, column: str, table: str) -> str:
        """The column of a table as a table that the engine expects to be small, whatever it guesses of its source."""
        ...

    def elements(self, texts: str) -> str:
        """One row an element of a list of texts, in a SELECT list."""
        ...


class DuckDB:
    """DuckDB 1.4 and later."""

    def placeholder(self, number: int) -> str:
        """`$1`."""
        return f"${number}"

    def usages(self, columns: frozenset[str]) -> str:
        """The rows alone where nothing is read of their labels: the join costs as much as reading two columns."""
        texts = ", ".join(f'l."{name}"' for name in sorted(columns & _LABELS))
        return (
            f"(SELECT r.*, {texts} FROM usage_rows r JOIN labels l ON r.labels = l.number)" if texts else "usage_rows"
        )

    def bucket(self, grain: Grain, time: str) -> str:
        """`date_trunc` starts weeks on Monday; on a TIMESTAMP it gives a TIMESTAMP only after the cast."""
        return f"CAST(date_trunc('{grain.value}', {time}) AS TIMESTAMP)"

    def day(self, time: str) -> str:
        """A cast to DATE costs a third of what truncating to a month does."""
        return f"CAST({time} AS DATE)"

    def tag(self, tags: str, path: str) -> str:
        """JSON functions refuse empty text, NULL they pass through."""
        return f"json_extract_string(nullif({tags}, ''), {path})"

    def tag_path(self, key: str) -> str:
        """A quoted member, so that dots belong to the key; keys hold no quotes."""
        return f'$."{key}"'

    def text(self, value: str) -> str:
        """A cast to VARCHAR."""
        return f"CAST({value} AS VARCHAR)"

    def null_text(self) -> str:
        """A NULL that is VARCHAR."""
        return "CAST(NULL AS VARCHAR)"

    def null_whole(self) -> str:
        """A NULL that is BIGINT."""
        return "CAST(NULL AS BIGINT)"

    def null_time(self) -> str:
        """A NULL that is TIMESTAMP."""
        return "CAST(NULL AS TIMESTAMP)"

    def quotient(self, over: str, under: str) -> str:
        """Division by NULL is NULL."""
        return f"CAST({over} AS DOUBLE) / nullif({under}, 0)"  # not money: a rank

    def whole_quotient(self, over: str, under: str) -> str:
        """`//` stays within whole numbers."""
        return f"{over} // {under}"

    def wide(self, number: str) -> str:
        """Sixteen bytes."""
        return f"CAST({number} AS HUGEINT)"

    def whole(self, value: str) -> str:
        """Sums are of 128 bits."""
        return f"TRY_CAST({value} AS BIGINT)"

    def end_of(self, time: str, duration_ms: str) -> str:
        """Whole numbers all the way."""
        return f"epoch_us({time}) + coalesce({duration_ms}, 0) * 1000"

    def us(self, time: str) -> str:
        """`epoch_us`."""
        return f"epoch_us({time})"

    def contains(self, texts: str, text: str) -> str:
        """`list_contains`."""
        return f"list_contains({texts}, {text})"

    def has_bits(self, number: str, bits: int) -> str:
        """Bit operators bind less than comparisons."""
        return f"({number} & {bits}) <> 0"

    def digit(self, number: str, shift: int) -> str:
        """See `core.tagging`."""
        return f"(({number} >> {shift}) & 15)"

    def taken_for_few(self, column: str, table: str) -> str:
        """An aggregate is taken for one row; of what recurs DuckDB expects millions, and joins the wrong way round."""
        return f"SELECT unnest({column}) AS {column} FROM (SELECT list({column}) AS {column} FROM {table}) AS held"

    def elements(self, texts: str) -> str:
        """`unnest`."""
        return f"unnest({texts})"


_DIALECTS: dict[str, Dialect] = {"duckdb": DuckDB()}


def dialect_named(name: str) -> Dialect:
    """The dialect a reader speaks; StoreError where no renderer knows it."""
    if name not in _DIALECTS:
        raise StoreError(f'no renderer speaks "{name}"', hint="known: " + ", ".join(sorted(_DIALECTS)))
    return _DIALECTS[name]
