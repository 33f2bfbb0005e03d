"""Token basis: whether stated input holds the cache tokens, and stated output the reasoning tokens.

Money bug number one: the same three numbers cost twice as much read the wrong way. What the fact itself says wins, then
the dated table in `data/basis.toml`, then the numbers; only the last is a guess, and it is flagged `inferred`.
Where the emitter says that it estimated the tokens (core `Estimated`), that word stays; its input includes the cache.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib import resources

import numpy as np
import pyarrow as pa

from outlay.core.usage import Estimated
from outlay.normalize.columns import Codes, Ints, Mask, Text, flags_of, text_of, whole, words

INCLUSIVE, EXCLUSIVE, INFERRED = "inclusive", "exclusive", "inferred"

ESTIMATES = tuple(word.value for word in Estimated)

_INPUTS = ("undefined", INCLUSIVE, EXCLUSIVE)
_OUTPUTS = ("undefined", "includes", "excludes")
_BODY = "body"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: whom it fits and how they count; see the head of `data/basis.toml` for the words."""

    id: str
    input: str
    output: str
    proof: str
    sources: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    since: tuple[int, ...] | None = None
    before: tuple[int, ...] | None = None
    without_cache: str = ""
    fault: str = ""

    def fits(self, source: str, scope: str, version: str, provider: str) -> bool:
        """Whether a fact with these four words counts by this rule."""
        if not all(
            not patterns or any(fnmatchcase(word, pattern) for pattern in patterns)
            for patterns, word in ((self.sources, source), (self.scopes, scope), (self.providers, provider))
        ):
            return False
        if self.since is None and self.before is None:
            return True
        numbers = version_numbers(version)
        return numbers is not None and (self.since or ()) <= numbers and (self.before is None or numbers < self.before)


@dataclass(frozen=True, slots=True)
class Stated:
    """The token counts of a batch as stated, 0 for null, with the masks that tell 0 from null."""

    input: Ints
    input_known: Mask
    output: Ints
    output_known: Mask
    total: Ints
    total_known: Mask
    cache: Ints  # reads and writes together
    cache_known: Mask
    reasoning: Ints


@dataclass(frozen=True, slots=True)
class Basis:
    """How each row counts. `certain` is False where the numbers had to decide.

    `beside` says that reasoning stands beside the output; `faults` are notes with the rows they concern; `estimated` is
    the place in `ESTIMATES`, counted from 1, of the emitter's word that it estimated them; 0 where it did not.
    """

    exclusive: Mask
    certain: Mask
    beside: Mask
    faults: tuple[tuple[str, Mask], ...]
    estimated: Codes


def version_numbers(version: str) -> tuple[int, ...] | None:
    """The leading numbers of a version (`"0.62.4rc1"` → (0, 62, 4)); None where there are none."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(number) for number in found[1].split(".")) if found else None


@cache
def rules() -> tuple[Rule, ...]:
    """The table, in the order in which it is asked."""
    text = resources.files("outlay.normalize").joinpath("data/basis.toml").read_text(encoding="utf-8")
    return tuple(
        Rule(
            id=row["id"],
            input=row["input"],
            output=row["output"],
            proof=row["proof"],
            sources=tuple(row.get("sources", ())),
            scopes=tuple(row.get("scopes", ())),
            providers=tuple(row.get("providers", ())),
            since=version_numbers(row.get("from", "")),
            before=version_numbers(row.get("before", "")),
            without_cache=row.get("without_cache", ""),
            fault=row.get("fault", ""),
        )
        for row in tomllib.loads(text)["rule"]
    )


@lru_cache(maxsize=4096)
def rule_for(source: str, scope: str, version: str, provider: str) -> Rule | None:
    """The rule these four words fall under; a rule that defers to the provider is answered with the provider's."""
    provider = provider.lower()
    for rule in rules():
        if rule.fits(source, scope, version, provider):
            return rule_for(_BODY, "", "", provider) if rule.input == "provider" else rule
    return None


def decide(facts: pa.Table, stated: Stated) -> Basis:
    """The basis of every row: the fact's own word, the table, the numbers, in this order."""
    which, found = _rules_of(facts)
    input_code = _lookup([_INPUTS.index(rule.input) if rule else 0 for rule in found])[which]
    output_code = _lookup([_OUTPUTS.index(rule.output) if rule else 0 for rule in found])[which]

    faults: list[tuple[str, Mask]] = []
    certain = input_code > 0
    for place, rule in enumerate(found):
        if rule is not None and rule.without_cache:
            lost = (which == place) & ~stated.cache_known & (stated.input > 0)
            input_code = np.where(lost, _INPUTS.index(rule.without_cache), input_code)
            certain &= ~lost
            if lost.any():
                faults.append((rule.fault, lost))

    own = text_of(whole(facts, "basis"))
    said = own.values.to_pylist()
    estimated = _lookup([ESTIMATES.index(word) + 1 if word in ESTIMATES else 0 for word in said])[own.codes]
    own_code = _lookup([_counting(word) for word in said])[own.codes]
    input_code = np.where(own_code > 0, own_code, input_code)
    certain |= own_code > 0

    beside = _reasoning_beside(facts, stated, output_code)
    input_code = np.where(input_code > 0, input_code, _by_numbers(stated, beside))
    certain &= stated.input_known
    exclusive = (input_code == _INPUTS.index(EXCLUSIVE)) | ~stated.input_known
    return Basis(exclusive, certain, beside, tuple((note, lost & (own_code == 0)) for note, lost in faults), estimated)


def basis_text(basis: Basis, tokens: Mask) -> pa.DictionaryArray:
    """The column `basis` of a batch of usages; empty where there are no tokens."""
    codes = np.where(basis.certain, np.where(basis.exclusive, 2, 1), 3)
    codes = np.where(basis.estimated > 0, basis.estimated + 3, codes)
    values = words("", INCLUSIVE, EXCLUSIVE, INFERRED, *ESTIMATES)
    return pa.DictionaryArray.from_arrays(pa.array(np.where(tokens, codes, 0).astype(np.int32)), values)


def _counting(word: str) -> int:
    """The place in `_INPUTS` of what the fact says; an estimate counts the OpenTelemetry way."""
    said = INCLUSIVE if word in ESTIMATES else word
    return _INPUTS.index(said) if said in _INPUTS else 0


def _lookup(codes: list[int]) -> Codes:
    """A table from value codes to rule codes whose last place answers for null (code -1)."""
    return np.asarray([*codes, 0], np.int32)


def _rules_of(facts: pa.Table) -> tuple[Ints, list[Rule | None]]:
    """Which of the rules each row falls under, asked once a combination of words; and the rules."""
    texts: list[Text] = [text_of(whole(facts, name)) for name in ("source", "scope_name", "scope_version", "provider")]
    combined = np.zeros(facts.num_rows, np.int64)
    for text in texts:
        combined = combined * (len(text.values) + 1) + (text.codes + 1)
    _, first, which = np.unique(combined, return_index=True, return_inverse=True)
    return which, [rule_for(*(text.at(int(row)) for text in texts)) for row in first]


def _reasoning_beside(facts: pa.Table, stated: Stated, output_code: Codes) -> Mask:
    """Where reasoning stands beside the output: by the fact's own word, the stated total, the table, or its size."""
    column = whole(facts, "output_excludes_reasoning")
    if not stated.reasoning.any():
        return flags_of(column)
    bare, cached = stated.input + stated.output, stated.input + stated.cache + stated.output
    settled = stated.total_known & stated.output_known & (stated.reasoning > 0)
    inside = settled & ((stated.total == bare) | (stated.total == cached))
    outside = settled & ((stated.total == bare + stated.reasoning) | (stated.total == cached + stated.reasoning))
    by_rule = output_code == _OUTPUTS.index("excludes")
    by_size = (output_code == 0) & (stated.reasoning > stated.output)
    beside = np.where(inside != outside, outside, by_rule | by_size) | ~stated.output_known
    if column.null_count == len(column):
        return beside
    return np.where(np.asarray(column.is_valid()), flags_of(column), beside)


def _by_numbers(stated: Stated, beside: Mask) -> Ints:
    """The fallback: exclusive where the total or an impossible sum proves it, else inclusive."""
    output = stated.output + np.where(beside, stated.reasoning, 0)
    by_total = stated.total_known & (stated.cache > 0) & (stated.total == stated.input + stated.cache + output)
    exclusive = by_total | (stated.cache > stated.input)
    return np.where(exclusive, _INPUTS.index(EXCLUSIVE), _INPUTS.index(INCLUSIVE))
