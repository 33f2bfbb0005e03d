"""Full books in a minute: the rows of a made-up company go straight into the tables, without intake and pricing.

Six teams with two features each, fifteen models, sessions of about ten usages, thirteen months of growing traffic with
office hours; cost and use are skewed as they are in life. Sessions run side by side, so their rows interleave. The
figures rest on made-up rates: these books are for measuring questions, not for reading answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from outlay.core.charge import PROVENANCE_CODE
from outlay.core.envelope import UNTAGGED
from outlay.core.meters import METER_CODE
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.tables import CHARGE_COLUMNS, OUTCOME_COLUMNS, USAGE_COLUMNS, Column, Kind

USAGES_PER_BATCH = 500_000
PER_SESSION = 10
DAYS = 395

_DAY_US = 86_400 * 10**6
_US_PER_STEP = 4_000_000
_TEAMS = ("support", "growth", "platform", "risk", "research", "sales")
_FEATURES = tuple(f"{team}-{part}" for team in _TEAMS for part in ("assistant", "review"))
_CUSTOMERS = tuple(f"customer-{place:04d}" for place in range(2_000))
_TOOLS = ("lookup", "search_orders", "refund", "send_mail", "run_query", "read_file", "calendar", "ticket")
_MODELS = tuple(
    (provider, f"{provider}-{size}-{generation}", tier)
    for provider in ("aster", "boreal", "cirrus")
    for size, tier in (("large", "frontier"), ("medium", "mid"), ("small", "efficient"))
    for generation in ("1", "2")
)[:15]
_RATE_NANO = {"frontier": (3_000, 300, 15_000), "mid": (800, 80, 4_000), "efficient": (100, 25, 400)}
_STEPS = (  # operation, centre, share
    ("chat", "inference", 0.52),
    ("chat", "retries", 0.03),
    ("embedding", "retrieval", 0.08),
    ("retrieval", "retrieval", 0.06),
    ("guardrail", "guardrails", 0.08),
    ("tool", "tools", 0.18),
    ("agent", "orchestration", 0.05),
)
_KINDS = {
    Kind.TEXT: pa.string(),
    Kind.KEY: pa.binary(16),
    Kind.COUNT: pa.int64(),
    Kind.SMALL: pa.int32(),
    Kind.FLAG: pa.bool_(),
    Kind.TIME: pa.timestamp("us"),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.UNITS: pa.list_(pa.struct([("meter", pa.string()), ("quantity", pa.int64())])),
}
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """The tables of one stretch of time."""

    usages: pa.Table
    charges: pa.Table
    outcomes: pa.Table


def fill(file: Path, usages: int, seed: int = 7) -> float:
    """Makes books of so many usages at `file`; the seconds it took."""
    began = time.perf_counter()
    books = DuckBooks(file)
    try:
        for part in _parts(usages, seed):
            with books.writing() as transaction:
                for name in ("usages", "charges", "outcomes"):
                    books.append(transaction, name, getattr(part, name))
            books.checkpoint()
        with books.writing() as transaction:
            books.set_meta(transaction, usages_posted=usages)
    finally:
        books.close()
    return time.perf_counter() - began


def _parts(usages: int, seed: int) -> Iterator[_Part]:
    line = 1
    for first in range(0, usages, USAGES_PER_BATCH):
        part = _part(first, min(first + USAGES_PER_BATCH, usages), usages, line, np.random.default_rng(seed + first))
        line += part.charges.num_rows
        yield part


def _part(first: int, last: int, total: int, line: int, pick: np.random.Generator) -> _Part:
    numbers = np.arange(first, last, dtype=np.int64)
    sessions = numbers // PER_SESSION
    started = _moments(sessions * PER_SESSION / total)
    times = started + pick.integers(0, PER_SESSION * _US_PER_STEP, len(numbers))
    order = np.argsort(times, kind="stable")
    sessions, times = sessions[order], times[order]
    step = pick.choice(len(_STEPS), len(numbers), p=[share for _, _, share in _STEPS])
    who = sessions * 2_654_435_761 % 1_000_003  # the tags of a session hang on its number, not on the batch
    feature = _skewed(who / 1_000_003, len(_FEATURES))
    columns = _times(numbers, times, pick) | _texts(sessions, step, who, feature, pick)
    amounts = _amounts(step, columns.pop("model_place"), pick)
    charges = _charges(numbers + 1, times, amounts, line)
    usages = _table(USAGE_COLUMNS, len(numbers), columns | {name: amounts[name] for name in amounts if name[0] != "_"})
    return _Part(usages, charges, _outcomes(sessions, times, who, feature, last))


def _moments(share: Numbers) -> Numbers:
    """When the given share of all work is done: traffic doubles over the time, and rests at night."""
    end = int(datetime.now(UTC).timestamp()) * 10**6 // _DAY_US * _DAY_US
    grown = np.sqrt(1 + 3 * share) - 1
    days = grown * DAYS
    hours = np.interp(days % 1, (0, 0.1, 0.8, 0.95, 1), (0, 8 / 24, 18 / 24, 22 / 24, 1))
    return (end - DAYS * _DAY_US + (np.floor(days) + hours) * _DAY_US).astype(np.int64)


def _skewed(share: Numbers, count: int) -> Numbers:
    """Places below `count`, the low ones the likelier."""
    return np.minimum((share**2 * count).astype(np.int64), count - 1)


def _times(numbers: Numbers, times: Numbers, pick: np.random.Generator) -> dict[str, Any]:
    keys = _keys(numbers, 1)
    moment = pa.array(times).cast(pa.timestamp("us"))
    took = pick.integers(20, 30_000, len(numbers))
    return {"seq": numbers + 1, "fact_key": keys, "usage_key": keys, "time": moment, "posted_at": moment} | {
        "duration_ms": took,
        "counted": pick.random(len(numbers)) > 0.005,
        "stated": np.full(len(numbers), 511, dtype=np.int32),
    }


def _texts(sessions: Numbers, step: Numbers, who: Numbers, feature: Numbers, pick: np.random.Generator) -> Any:
    count = len(sessions)
    asks = np.isin(step, (0, 1, 2))
    model = np.where(pick.random(count) < 0.7, feature % len(_MODELS), _skewed(pick.random(count), len(_MODELS)))
    models = tuple(name for _, name, _ in _MODELS)
    texts = {
        "session_id": pa.array(np.char.add("run-", np.char.mod("%012x", sessions * 0x9E3779B1 % 2**48))),
        "tree_key": _keys(sessions, 2),
        "operation": _named([name for name, _, _ in _STEPS], step),
        "centre": _named([name for _, name, _ in _STEPS], step),
        "name": _named(("", *_TOOLS), np.where(step == 5, 1 + _skewed(pick.random(count), len(_TOOLS)), 0)),
        "reason": _named(("", "attempt after a failure"), step == 1),
        "provider": _named([*(provider for provider, _, _ in _MODELS), ""], np.where(asks, model, len(_MODELS))),
        "model": _named([*models, ""], np.where(asks, model, len(_MODELS))),
        "model_id": _named([*models, ""], np.where(asks, model, len(_MODELS))),
        "model_tier": _named([*(tier for _, _, tier in _MODELS), "(unknown)"], np.where(asks, model, len(_MODELS))),
        "basis": _named(("", "inclusive"), asks),
        "team": _named(_TEAMS, feature // 2),
        "feature": _named(_FEATURES, feature),
        "agent": _named(_FEATURES, feature),
        "customer": _named(_CUSTOMERS, _skewed((who * 31 % 1_000_003) / 1_000_003, len(_CUSTOMERS))),
        "environment": _named(("production", "staging"), who % 10 == 0),
        "failed": pick.random(count) < np.where(step == 5, 0.06, 0.01),
        "bears": step != 6,
        "model_place": model,
    }
    constant = {"source": "otlp", "signal": "span", "origin": "checkout", "currency": "USD"}
    return texts | {name: _named((value,), np.zeros(count)) for name, value in constant.items()}


def _amounts(step: Numbers, model: Numbers, pick: np.random.Generator) -> dict[str, Any]:
    count = len(step)
    chats, asks = step < 2, step < 3
    tokens = np.where(asks, (200 * np.exp(pick.normal(2.2, 1.1, count))).astype(np.int64), 0)
    cached = np.where(chats & (pick.random(count) < 0.6), tokens * pick.integers(10, 90, count) // 100, 0)
    outputs = np.where(chats, (30 * np.exp(pick.normal(2, 1, count))).astype(np.int64), 0)
    rates = np.array([_RATE_NANO[tier] for _, _, tier in _MODELS], dtype=np.int64)[model]
    parts = {"in_uncached": tokens - cached, "in_cache_read": cached, "out_text": outputs}
    unpriced = asks & (pick.random(count) < 0.004)
    recorded = chats & (pick.random(count) < 0.2)
    costs = {name: np.where(unpriced, 0, held * rates[:, place]) for place, (name, held) in enumerate(parts.items())}
    calls = np.where(np.isin(step, (3, 4)), 1_000_000, 0)
    amount = sum(costs.values()) + calls
    whole = tokens + outputs
    return {
        **parts,
        "amount_nano": amount,
        "recorded_nano": np.where(recorded, amount, 0),
        "priced_nano": np.where(recorded, 0, amount),
        "cost_nano": pa.array(amount, mask=~recorded),
        "list_nano": pa.array(amount, mask=unpriced),
        "unpriced_meters": np.where(unpriced, 2, 0).astype(np.int32),
        "unpriced_tokens": np.where(unpriced, whole, 0),
        "_costs": {**costs, "requests": calls},
        "_held": {**parts, "requests": (calls > 0).astype(np.int64)},
        "_unpriced": unpriced,
        "_recorded": recorded & ~unpriced,
    }


def _charges(seqs: Numbers, times: Numbers, amounts: dict[str, Any], line: int) -> pa.Table:
    """One line a meter, or one on `total` where the cost was recorded; in the order of the usages."""
    recorded, unpriced = amounts["_recorded"], amounts["_unpriced"]
    kinds = [
        (name, np.flatnonzero((held > 0) & ~recorded), held, amounts["_costs"][name])
        for name, held in amounts["_held"].items()
    ]
    kinds.append(("total", np.flatnonzero(recorded), np.ones(len(seqs), dtype=np.int64), amounts["amount_nano"]))
    places = np.concatenate([place for _, place, _, _ in kinds])
    order = np.argsort(places, kind="stable")
    places = places[order]
    provenance = np.where(recorded, PROVENANCE_CODE["recorded"], PROVENANCE_CODE["priced"])
    provenance = np.where(unpriced, PROVENANCE_CODE["unpriced"], provenance)[places]
    columns = {
        "line": np.arange(line, line + len(places)),
        "seq": seqs[places],
        "time": pa.array(times[places]).cast(pa.timestamp("us")),
        "meter": np.concatenate([np.full(len(p), METER_CODE[name], np.int32) for name, p, _, _ in kinds])[order],
        "quantity": np.concatenate([held[place] for _, place, held, _ in kinds])[order],
        "amount_nano": pa.array(
            np.concatenate([cost[place] for _, place, _, cost in kinds])[order], mask=unpriced[places]
        ),
        "currency": _named(("USD",), np.zeros(len(places))),
        "provenance": provenance.astype(np.int32),
        "price": _named(("", "made up"), ~recorded[places]),
    }
    return _table(CHARGE_COLUMNS, len(places), columns)


def _outcomes(sessions: Numbers, times: Numbers, who: Numbers, feature: Numbers, seq: int) -> pa.Table:
    """A task for every third session, reported at its last step; four of five are done."""
    ended, places = np.unique(sessions[::-1], return_index=True)
    places = len(sessions) - 1 - places[ended % 3 == 0]
    count = len(places)
    names = pa.array(np.char.add("run-", np.char.mod("%012x", sessions[places] * 0x9E3779B1 % 2**48)))
    moment = pa.array(times[places]).cast(pa.timestamp("us"))
    columns = {
        "outcome_key": _keys(sessions[places], 3),
        "task_id": names,
        "session_id": names,
        "session_ids": pa.ListArray.from_arrays(pa.array(np.arange(count + 1), pa.int32()), names),
        "status": _named(("done", "failed"), who[places] % 5 == 0),
        "time": moment,
        "reported_at": moment,
        "team": _named(_TEAMS, feature[places] // 2),
        "feature": _named(_FEATURES, feature[places]),
        "agent": _named(_FEATURES, feature[places]),
        "current": np.ones(count, dtype=bool),
        "seq": np.full(count, seq),
    }
    return _table(OUTCOME_COLUMNS, count, columns)


def _table(columns: tuple[Column, ...], count: int, given: dict[str, Any]) -> pa.Table:
    """The columns in order; one that is not given is empty: no text, untagged, 0, no, or null where a key may be."""
    return pa.table({column.name: given.get(column.name, _empty(column, count)) for column in columns})


def _empty(column: Column, count: int) -> pa.Array:
    kind = _KINDS[column.kind]
    untagged = column.name in ("user_tier", "product_line", "customer", "environment", "cost_code")
    values: dict[Kind, Any] = {Kind.TEXT: UNTAGGED if untagged else "", Kind.COUNT: 0, Kind.SMALL: 0, Kind.FLAG: False}
    unknown = column.name in ("duration_ms", "band_low_nano", "band_high_nano", "value_nano", "rate_pico", "corrects")
    if column.kind not in values or unknown:
        return pa.nulls(count, kind)
    if column.kind is Kind.TEXT:
        return _named((values[Kind.TEXT],), np.zeros(count))
    return pa.repeat(pa.scalar(values[column.kind], kind), count)


def _named(values: Any, codes: Numbers) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(values), pa.string()))


def _keys(numbers: Numbers, salt: int) -> pa.Array:
    """16-byte keys that look like digests and are unique: two mixes of the number."""
    words = np.empty((len(numbers), 2), dtype=np.uint64)
    words[:, 0] = (numbers.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    words[:, 1] = (words[:, 0] ^ (words[:, 0] >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return pa.Array.from_buffers(pa.binary(16), len(numbers), [None, pa.py_buffer(words.tobytes())])
