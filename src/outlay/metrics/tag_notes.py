"""Tag notes: which values the steps of a session carry under each key, and where each came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.tagging import WORDS, TagSource, digit_at, sources_of
from outlay.metrics.dimensions import OTHER
from outlay.metrics.parts import USAGE
from outlay.metrics.session_rows import SessionRows

VALUES_MAX = 20
"""Values told of one key; the rest is one note, so that it is counted and not lost."""

_BY_RULE = frozenset({TagSource.RULE, TagSource.OVERRIDE})


@dataclass(frozen=True, slots=True)
class TagNote:
    """One value of one tag within a session: where it came from, and on how many steps.

    The value `(other)`, without a source, stands for all that are not told one by one.
    """

    key: str
    value: str
    source: str
    usages: int


def source_words(packed: int, rules: str) -> dict[str, str]:
    """Where each tag of a usage came from, in words; a rule by its name."""
    named = _rules(rules)
    return {key: _word(key, source, named) for key, source in sources_of(packed).items()}


def tag_notes(rows: SessionRows, condition: str) -> list[TagNote]:
    """The most frequent values of each key by source, at most VALUES_MAX of each, on the rows that meet a condition."""
    found = _values(rows, condition)
    return [note for key in ENVELOPE_KEYS for note in _notes_of(key, [row for row in found if row["key"] == key])]


def _notes_of(key: str, found: list[dict[str, Any]]) -> list[TagNote]:
    told: Counter[tuple[str, str]] = Counter()
    for row in found:
        told[row["value"], _word(key, TagSource(row["digit"]), _rules(row["rule"]))] += row["usages"]
    ranked = sorted(told.items(), key=lambda item: (-item[1], item[0]))
    notes = [TagNote(key, value, source, usages) for (value, source), usages in ranked]
    rest = found[0]["steps"] - told.total() if found else 0
    return [*notes, TagNote(key, OTHER, "", rest)] if rest else notes


def _values(rows: SessionRows, condition: str) -> list[dict[str, Any]]:
    """The most frequent values of each key by source, with their `usages` and the `steps` that have any value.

    The rows are read once: combinations of tags are few, and each key is counted over these.
    """
    statement, source = rows.start()
    keys = ", ".join(f'{USAGE}."{key}"' for key in ENVELOPE_KEYS)
    told = (
        f"told AS (SELECT {keys}, {USAGE}.tag_source, {USAGE}.tag_rule, count(*) AS n {source} AND {condition} "
        f"GROUP BY {keys}, {USAGE}.tag_source, {USAGE}.tag_rule)"
    )
    by_rule, nothing, limit = (
        statement.bind_all(tuple(sorted(_BY_RULE))),
        statement.bind(UNTAGGED),
        statement.bind(VALUES_MAX),
    )
    parts: list[str] = []
    for key in ENVELOPE_KEYS:
        digit = rows.dialect.digit("tag_source", digit_at(key))
        parts.append(
            f"(SELECT '{key}' AS key, \"{key}\" AS value, {digit} AS digit, "
            f"CASE WHEN {digit} IN ({by_rule}) THEN tag_rule ELSE '' END AS rule, CAST(sum(n) AS BIGINT) AS usages, "
            f'CAST(sum(sum(n)) OVER () AS BIGINT) AS steps FROM told WHERE "{key}" <> {nothing} '
            f"GROUP BY 2, 3, 4 ORDER BY usages DESC, value, digit, rule LIMIT {limit})"
        )
    return rows.read(statement, f"WITH {told} {' UNION ALL '.join(parts)}")


def _rules(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split())


def _word(key: str, source: TagSource, named: dict[str, str]) -> str:
    return f"{WORDS[source]} {named[key]}" if source in _BY_RULE and key in named else WORDS[source]
