"""Short notation for tests of `normalize/`: facts from a few words, usages from facts, relations from usages."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.meters import INPUT_METERS, OUTPUT_METERS, TOKEN_METERS
from outlay.normalize.clean import Normalised, normalise
from outlay.normalize.relations import ROWS, resolve
from outlay.sources.facts import facts_of, keys_of

NOON_NS = 1_788_264_000_000_000_000
SECOND_NS = 1_000_000_000


def facts(*rows: dict[str, Any]) -> pa.Table:
    """Facts from rows that say only what matters; each is a chat of source otlp, one second after the row before."""
    filled = [
        {
            "fact_id": f"fact {place}",
            "parent_id": None,
            "tree_id": None,
            "source": "otlp",
            "signal": "span",
            "origin": "support",
            "start_ns": NOON_NS + place * SECOND_NS,
            "operation": "chat",
            **row,
        }
        for place, row in enumerate(rows)
    ]
    return facts_of(filled)


def clean(*rows: dict[str, Any], now_ns: int = NOON_NS + 3_600 * SECOND_NS) -> Normalised:
    """These facts cleaned, received an hour after noon."""
    return normalise(facts(*rows), now_ns)


def usage(**fact: Any) -> dict[str, Any]:
    """The one usage that one good fact becomes."""
    done = clean(fact)
    assert done.refused == 0, done.problems
    return done.usages.to_pylist()[0]


def meters(row: dict[str, Any]) -> dict[str, int]:
    """The token meters of a usage that are not zero."""
    return {name: row[name] for name in TOKEN_METERS if row[name]}


def relation_rows(usages: pa.Table) -> pa.Table:
    """What the ledger asks `resolve` with: the usages, their meters summed by side."""
    columns: dict[str, Any] = {name: usages[name] for name in ROWS.names if name in usages.column_names}
    columns["input_tokens"] = reduce(pc.add, [usages[name] for name in INPUT_METERS])
    columns["output_tokens"] = reduce(pc.add, [usages[name] for name in OUTPUT_METERS])
    return pa.table([columns[name] for name in ROWS.names], names=ROWS.names)


def resolved(*rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What `resolve` says of each fact, by its `fact_id`."""
    done = clean(*rows)
    assert done.refused == 0, done.problems
    answers = resolve(relation_rows(done.usages)).to_pylist()
    names = [str(row.get("fact_id", f"fact {place}")) for place, row in enumerate(rows)]
    return dict(zip(names, answers, strict=True))


def key(text: str) -> bytes:
    """The 16-byte key of an identity text."""
    return keys_of([text])[0].as_py()
