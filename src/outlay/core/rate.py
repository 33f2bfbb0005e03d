"""Rate: what a model charges, as far as a decision before the call needs it.

The price book knows every kind of token and its history; here are the few whole numbers with which a worst case is
worked out by whoever may know no more than `core`. They are those of now: `rates` is filled again when prices change.

    rate.worst_nano(1_200, 4_096)        the most such a call can cost
    rate.output_tokens_for(nano, 1_200)  the longest answer that this amount pays for
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Run = Callable[[str, Sequence[Any]], list[Any]]
"""Executes one statement with `?` parameters inside a transaction and returns its rows."""

PER_TOKENS = 1_000_000

_FIELDS = (
    "input_nano_per_mtok, dearest_input_nano_per_mtok, output_nano_per_mtok, call_nano, long_from_tokens, "
    "long_input_nano_per_mtok, long_output_nano_per_mtok"
)
_DATE = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{2,4}|latest|preview)$")
_CONTEXT = re.compile(r"\[\d+[km]\]$")
_PREFIX = re.compile(r"^(?:.*/)?(?:models|publishers/[^/]+/models)/")
_GEOGRAPHY = re.compile(r"^(?:global|us|us-gov|eu|apac|jp|au|ca|in|sa|mx)\.")


@dataclass(frozen=True, slots=True)
class Rate:
    """Nano-units per million tokens, and per call; `dearest_input` is the dearest kind an input token can be.

    A call with more than `long_from_tokens` of input costs the `long` rates; 0 where there are none.
    """

    input_nano_per_mtok: int
    dearest_input_nano_per_mtok: int
    output_nano_per_mtok: int
    call_nano: int = 0
    long_from_tokens: int = 0
    long_input_nano_per_mtok: int = 0
    long_output_nano_per_mtok: int = 0

    @property
    def free(self) -> bool:
        """Whether every call costs nothing, as somebody declared."""
        return not (
            self.dearest_input_nano_per_mtok
            or self.output_nano_per_mtok
            or self.call_nano
            or self.long_input_nano_per_mtok
            or self.long_output_nano_per_mtok
        )

    def worst_nano(self, input_tokens: int, output_tokens: int) -> int:
        """The most a call with so many tokens can cost, rounded up: a bound is never too small."""
        into, out = self._at(input_tokens)
        return self.call_nano - (-(input_tokens * into + output_tokens * out) // PER_TOKENS)

    def output_tokens_for(self, amount_nano: int, input_tokens: int = 0) -> int | None:
        """How many output tokens an amount pays for after that input, 0 or more; None where output costs nothing."""
        into, out = self._at(input_tokens)
        if not out:
            return None
        return max(0, ((amount_nano - self.call_nano) * PER_TOKENS - input_tokens * into) // out)

    def _at(self, input_tokens: int) -> tuple[int, int]:
        if self.long_from_tokens and input_tokens > self.long_from_tokens:
            return self.long_input_nano_per_mtok, self.long_output_nano_per_mtok
        return self.dearest_input_nano_per_mtok, self.output_nano_per_mtok


class Rates:
    """The rates of one store, within a transaction."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def find(self, provider: str, model: str) -> Rate | None:
        """The rate of a model as a request spells it; None where nobody knows it."""
        provider = provider.strip().lower()
        for spelling in spellings(model):
            rows = self._run(f"SELECT {_FIELDS} FROM rates WHERE provider = ? AND model = ?", (provider, spelling))
            if rows:
                return Rate(*rows[0])
        for row in self._run(
            f"SELECT provider, model, {_FIELDS} FROM rates WHERE is_glob = 1 ORDER BY length(model) DESC, model", ()
        ):
            matches = any(fnmatchcase(spelling, row[1]) for spelling in spellings(model))
            if matches and fnmatchcase(provider, row[0]):
                return Rate(*row[2:])
        return None


def spellings(model: str) -> Iterator[str]:
    """A model's name as it was asked for, then without what changes no price: path, window, date, geography."""
    name = model.strip().lower()
    found = [name]
    for pattern in (_PREFIX, _CONTEXT, _DATE, _GEOGRAPHY):
        name = pattern.sub("", name)
        if name and name not in found:
            found.append(name)
    yield from found
