"""The tables of the books, engine-neutral: which columns stand in them and what kind each is.

`usages` holds one row a fact in its present state, `charges` the cost lines (append only: a correction is a reversing
line that names what it corrects, and a new line), `outcomes` every report on a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.normalize.usages import USAGES
from outlay.sources.facts import KEY, OUTCOMES, UNITS

SCHEMA_VERSION = 5
"""Raised with every change of a table; books of a higher version are not opened."""


class Kind(StrEnum):
    """What a column holds, whatever an engine calls it."""

    KEY = "key"
    TEXT = "text"
    TEXTS = "texts"
    COUNT = "count"
    SMALL = "small"
    FLAG = "flag"
    TIME = "time"
    UNITS = "units"


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and kind."""

    name: str
    kind: Kind


def _kind(kind: pa.DataType) -> Kind:
    known = {
        KEY: Kind.KEY,
        UNITS: Kind.UNITS,
        pa.string(): Kind.TEXT,
        pa.int64(): Kind.COUNT,
        pa.int32(): Kind.SMALL,
        pa.bool_(): Kind.FLAG,
        pa.list_(pa.string()): Kind.TEXTS,
    }
    return Kind.TIME if pa.types.is_timestamp(kind) else known[kind]


AMOUNT_COLUMNS: tuple[Column, ...] = (
    Column("model_id", Kind.TEXT),
    Column("model_tier", Kind.TEXT),
    Column("amount_nano", Kind.COUNT),
    Column("recorded_nano", Kind.COUNT),
    Column("priced_nano", Kind.COUNT),
    Column("estimated_nano", Kind.COUNT),
    Column("list_nano", Kind.COUNT),
    Column("unpriced_meters", Kind.SMALL),
    Column("unpriced_tokens", Kind.COUNT),
    Column("band_low_nano", Kind.COUNT),
    Column("band_high_nano", Kind.COUNT),
)
"""What pricing adds to a usage."""

LEDGER_COLUMNS: tuple[Column, ...] = (
    Column("seq", Kind.COUNT),  # ascending in posting order; names the usage in `charges`
    Column("counted", Kind.FLAG),  # false where the same money stands on another usage
    Column("why_not_counted", Kind.TEXT),
    Column("stated", Kind.SMALL),  # bit mask: which of STATED the fact itself said
    Column("inherited", Kind.SMALL),  # bit mask as in normalize.relations, and from RULE_BIT on: filled by a rule
    Column("tag_gaps", Kind.SMALL),  # bit mask as in core.tagging: what is wrong with the tags
    Column("posted_at", Kind.TIME),
)

STATED: tuple[str, ...] = (*ENVELOPE_KEYS, "session_id", "parent_session_id", "user", "reason")
"""Columns that relatives may fill; bit i of `stated` tells that the fact itself said column i."""

RESOLVED: tuple[str, ...] = (
    "counted",
    "why_not_counted",
    "centre",
    "reason",
    "session_id",
    "parent_session_id",
    *ENVELOPE_KEYS,
    "user",
    "inherited",
    "tag_source",
    "tag_rule",
    "tag_gaps",
)
"""Columns that relations and the tag policy decide; everything else on a usage is as stated."""

RULE_BIT = 16
"""From this bit of `inherited` on, one for each key of the envelope: a rule of the tag policy filled it."""

USAGE_FACTS: tuple[Column, ...] = tuple(Column(item.name, _kind(item.type)) for item in USAGES)
USAGE_COLUMNS: tuple[Column, ...] = (*USAGE_FACTS, *AMOUNT_COLUMNS, *LEDGER_COLUMNS)

CHARGE_COLUMNS: tuple[Column, ...] = (
    Column("line", Kind.COUNT),
    Column("seq", Kind.COUNT),
    Column("time", Kind.TIME),  # of the usage
    Column("meter", Kind.SMALL),
    Column("quantity", Kind.COUNT),
    Column("rate_pico", Kind.COUNT),
    Column("amount_nano", Kind.COUNT),
    Column("currency", Kind.TEXT),
    Column("provenance", Kind.SMALL),
    Column("price", Kind.TEXT),
    Column("variant_applied", Kind.TEXT),
    Column("corrects", Kind.COUNT),  # the line this one reverses; null on an original line
)

OUTCOME_COLUMNS: tuple[Column, ...] = (
    Column("outcome_key", Kind.KEY),
    Column("task_id", Kind.TEXT),
    Column("session_id", Kind.TEXT),  # the first session, or empty
    Column("session_ids", Kind.TEXTS),  # those this report names, or the one found for it
    Column("task_sessions", Kind.TEXTS),  # on the current report: the sessions of all reports on the task
    Column("found", Kind.FLAG),  # on the current report: the books hold work on the task
    Column("span_key", Kind.KEY),
    Column("response_id", Kind.TEXT),
    Column("tree_key", Kind.KEY),
    Column("status", Kind.TEXT),
    Column("time", Kind.TIME),
    Column("reported_at", Kind.TIME),
    Column("task_type", Kind.TEXT),
    Column("value_nano", Kind.COUNT),
    Column("currency", Kind.TEXT),
    Column("source", Kind.TEXT),
    Column("origin", Kind.TEXT),
    Column("zone_assumed", Kind.FLAG),
    *(Column(key, Kind.TEXT) for key in ENVELOPE_KEYS),
    Column("tags", Kind.TEXT),
    Column("said", Kind.TEXT),  # as on usages: the words before the tag policy
    Column("stated", Kind.SMALL),  # bit mask: the envelope keys, then SESSION_STATED and TASK_STATED
    Column("current", Kind.FLAG),  # the latest report on its task
    Column("seq", Kind.COUNT),  # ascending in posting order, from the same counter as usages
)

SESSION_STATED = 1 << len(ENVELOPE_KEYS)
TASK_STATED = SESSION_STATED << 1
"""Bits of `stated` on an outcome: the report itself names its sessions, its task."""

assert {item.name for item in OUTCOMES} <= {c.name for c in OUTCOME_COLUMNS} | {"at_ns", "reported_ns"}


TEXT_ORDER: tuple[str, ...] = (
    "source",
    "origin",
    "signal",
    "operation",
    "name",
    "provider",
    "model",
    "service_tier",
    "response_id",
)
"""Texts that decide between two equally large reports of one fact: the smaller one is kept."""
