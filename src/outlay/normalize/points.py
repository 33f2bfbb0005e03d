"""Metric points become readings, and readings become usages: one a day for each emitter, session, model and label.

A point of a counter says what its meter showed, not what was used: that depends on the other points of its series,
which the ledger holds. So a point becomes a reading (whose series it is, of which usage it is part, what it counts),
and when the ledger has added readings up, the totals of a day become a fact. Commits and pull requests are outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.centre import Operation
from outlay.core.charge import CostSource
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import Problem
from outlay.core.money import DEFAULT_CURRENCY
from outlay.core.period import NS_PER_SECOND
from outlay.normalize.aliases import Metric, load
from outlay.normalize.amounts import nanos_of
from outlay.normalize.columns import Mask, key_bytes, whole, words
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules
from outlay.normalize.record_keys import hashed
from outlay.normalize.span_columns import SpanColumns
from outlay.normalize.spans import OPERATIONS, facts_of_columns, key_array
from outlay.sources.facts import FACTS, KEY, OUTCOMES, UNITS, conform
from outlay.sources.otlp_records import column_of

SIGNAL = "metric"
DAY_NS = 86_400 * NS_PER_SECOND
COST, RUNTIME = "cost", "runtime"
OUTCOME_QUANTITIES = ("commit", "pull_request")
_TOKENS_MAX = 2**53
_MS = 1000
_PROBLEMS_MAX = 100

_WHOSE = (
    *("session_id", "parent_session_id", "task_id", "origin", "operation", "provider"),
    *("region", "service_tier", "processing", "speed", "user", *ENVELOPE_KEYS),
)
"""What makes two points part of one usage of a day, beside their model and their tags."""

READINGS = pa.schema(
    [
        ("series", KEY),
        ("slot", pa.int64()),
        ("quantity", pa.string()),
        ("place_of_name", pa.int32()),
        ("cumulative", pa.bool_()),
        ("at_ns", pa.int64()),
        ("value", pa.int64()),
        *FACTS,
    ]
)
"""What a meter showed from `start_ns` to `at_ns`, and the usage it is part of as a fact without figures."""


@dataclass(slots=True)
class PointsRead:
    """Readings (READINGS) and outcomes (OUTCOMES) of a batch of points; `refused` has one problem each."""

    readings: pa.Table
    outcomes: pa.Table
    refused: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])


def readings_of_points(points: pa.Table, rules: OutcomeRules = DEFAULT_RULES) -> PointsRead:
    """The readings of a table of points as `sources.otlp_metrics.decode_metrics` makes it.

    `rules` say what a commit or pull request means; where they ignore it, the point is passed over.
    """
    if not points.num_rows:
        return PointsRead(READINGS.empty_table(), OUTCOMES.empty_table())
    metrics = _metrics_of(points)
    quantity = _quantities(points)
    value, sound = _values(points, quantity)
    told = quantity != ""
    result = PointsRead(READINGS.empty_table(), OUTCOMES.empty_table())
    _refuse(points, told & ~sound, result)
    kept = np.flatnonzero(told & sound)
    if not len(kept):
        return result
    part = points.take(pa.array(kept))
    table = _readings(part, [metrics[row] for row in kept.tolist()], quantity[kept], value[kept])
    is_outcome = np.isin(quantity[kept], OUTCOME_QUANTITIES)
    speaks = np.isin(quantity[kept], [name for name, status in rules.signals.items() if status is not None])
    result.outcomes = _outcomes(table.filter(pa.array(is_outcome & speaks & (value[kept] > 0))), rules)
    result.readings = table.filter(pa.array(~is_outcome))
    return result


def counted_points(points: pa.Table) -> pa.Table:
    """The points that state a quantity; those of values that are informational only are passed over."""
    if not points.num_rows:
        return points
    told = _quantities(points) != ""
    return points if told.all() else points.filter(pa.array(told))


def facts_of_totals(readings: pa.Table, totals: pa.Table) -> pa.Table:
    """The facts (FACTS) of a day's totals: place (a row of `readings`), fact_key, quantity, total, start_ns, at_ns."""
    if not totals.num_rows:
        return FACTS.empty_table()
    keys = totals.column("fact_key").combine_chunks().dictionary_encode()
    codes = np.asarray(keys.indices)
    first = np.unique(codes, return_index=True)[1]
    count = len(first)
    facts = conform(readings.take(totals.column("place").take(pa.array(first))), FACTS)
    total, quantity = totals.column("total").to_numpy(), np.array(totals.column("quantity").to_pylist())

    def put(name: str, column: pa.Array) -> None:
        nonlocal facts
        facts = facts.set_column(facts.column_names.index(name), facts.schema.field(name), column)

    def sums(name: str) -> pa.Array:
        rows = np.flatnonzero(quantity == name)
        values, known = np.zeros(count, np.int64), np.zeros(count, np.bool_)
        values[codes[rows]], known[codes[rows]] = total[rows], True
        return pa.array(values, mask=~known)

    starts, ends = np.full(count, 2**63 - 1, np.int64), np.zeros(count, np.int64)
    np.minimum.at(starts, codes, totals.column("start_ns").to_numpy())
    np.maximum.at(ends, codes, totals.column("at_ns").to_numpy())
    put("fact_key", keys.dictionary.cast(KEY))
    put("start_ns", pa.array(starts))
    put("end_ns", pa.array(ends))
    for name in sorted({*quantity.tolist()} - {COST, RUNTIME}):
        put(name, sums(name))
    cost = sums(COST)
    stated = cost.is_valid()
    put("cost_nano", cost)
    put("currency", pc.if_else(stated, DEFAULT_CURRENCY, pa.scalar(None, pa.string())))
    put("cost_source", pc.if_else(stated, CostSource.EMITTER.value, pa.scalar(None, pa.string())))
    put("units", _runtime(sums(RUNTIME)))
    return facts


def _runtime(ms: pa.Array) -> pa.Array:
    entries = pa.StructArray.from_arrays(
        [words("runtime_ms").take(pa.array(np.zeros(len(ms) - ms.null_count, np.int64))), ms.drop_null()],
        fields=list(UNITS.value_type),
    )
    known = np.asarray(ms.is_valid())
    offsets = pa.array(np.concatenate([[0], np.cumsum(known)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, entries, type=UNITS, mask=pa.array(~known))


@cache
def _by_name() -> dict[str, tuple[int, Metric]]:
    return {metric.name: (place, metric) for place, metric in enumerate(load().metrics)}


def _metrics_of(points: pa.Table) -> list[tuple[int, Metric]]:
    known = _by_name()
    return [known[name] for name in whole(points, "name").to_pylist()]


def _quantities(points: pa.Table) -> np.ndarray:
    """What each point counts; empty where it is informational only."""
    encoded = whole(points, "name").dictionary_encode()
    codes = np.asarray(encoded.indices)
    found = np.full(points.num_rows, "", "<U32")
    for place, name in enumerate(encoded.dictionary.to_pylist()):
        metric, rows = _by_name()[name][1], np.flatnonzero(codes == place)
        if not metric.by:
            found[rows] = metric.quantity
            continue
        column = column_of(metric.by)
        if column not in points.column_names:
            continue
        said = whole(points, column).cast(pa.string()).take(pa.array(rows)).dictionary_encode()
        table = np.array([*(metric.values.get(word, "") for word in said.dictionary.to_pylist()), ""], "<U32")
        found[rows] = table[np.asarray(said.indices.fill_null(len(said.dictionary)))]
    return found


def _values(points: pa.Table, quantity: np.ndarray) -> tuple[np.ndarray, Mask]:
    """Each amount as a whole number (tokens, nano-units, milliseconds), and which can be one."""
    amount = np.asarray(whole(points, "amount"))
    nano, known = nanos_of(whole(points, "amount"))
    ms = np.rint(amount * _MS)
    is_cost, is_runtime = quantity == COST, quantity == RUNTIME
    whole_number = (amount == np.floor(amount)) & (amount <= _TOKENS_MAX)
    sound = np.where(is_cost, known, np.where(is_runtime, ms <= _TOKENS_MAX, whole_number))
    value = np.where(is_cost, nano, np.where(is_runtime, ms, amount).astype(np.int64, casting="unsafe"))
    return np.where(sound, value, 0).astype(np.int64), sound


def _refuse(points: pa.Table, bad: Mask, result: PointsRead) -> None:
    result.refused = int(bad.sum())
    for row in np.flatnonzero(bad)[:_PROBLEMS_MAX].tolist():
        where, amount = points.column("name")[row].as_py(), points.column("amount")[row].as_py()
        result.problems.append(Problem(where, f"point refused: {amount} is no whole number in range"))


def _readings(points: pa.Table, metrics: list[tuple[int, Metric]], quantity: np.ndarray, value: np.ndarray) -> pa.Table:
    cumulative = np.asarray(whole(points, "cumulative"))
    at_ns = np.asarray(whole(points, "at_ns"))
    start_ns = np.asarray(pc.coalesce(whole(points, "start_ns"), whole(points, "at_ns")))
    day = np.where(cumulative, at_ns, start_ns) // DAY_NS
    read = SpanColumns(_as_spans(points, start_ns))
    facts = _described(facts_of_columns(read, SIGNAL, _no_identity(points.num_rows)).facts, quantity, metrics)
    series = _series(points, start_ns)
    usage = hashed("outlay.day", pa.array(day)) ^ _tags(read)
    models = (whole(facts, name).cast(pa.string()) for name in ("model_served", "model_requested"))
    usage ^= hashed("model", pc.coalesce(*models))
    for name in _WHOSE:
        usage ^= hashed(name, whole(facts, name))
    columns = {name: facts.column(name) for name in FACTS.names}
    columns |= {
        "fact_key": key_array(usage),
        "start_ns": pa.array(start_ns),
        "series": series,
        "slot": pa.array(np.where(cumulative, day, at_ns)),
        "quantity": pa.array(quantity.tolist(), pa.string()),
        "place_of_name": pa.array([place for place, _ in metrics], pa.int32()),
        "cumulative": pa.array(cumulative),
        "at_ns": pa.array(at_ns),
        "value": pa.array(value),
    }
    return pa.table([columns[name] for name in READINGS.names], names=READINGS.names)


def _as_spans(points: pa.Table, start_ns: np.ndarray) -> pa.Table:
    """The points with the columns of a span."""
    count = points.num_rows
    table = points.drop_columns(["start_ns", "at_ns", "amount", "cumulative", "series"])
    return (
        table.append_column("start_ns", pa.array(start_ns))
        .append_column("end_ns", points.column("at_ns"))
        .append_column("status_code", pa.array(np.zeros(count, np.int32)))
        .append_column("evaluations", pa.nulls(count, pa.null()))
    )


def _no_identity(count: int) -> dict[str, pa.Array]:
    return {"fact_key": key_array(np.zeros((count, 2), np.uint64)), "parent_key": pa.nulls(count, KEY)}


def _described(facts: pa.Table, quantity: np.ndarray, metrics: list[tuple[int, Metric]]) -> pa.Table:
    """The facts with what is known of each metric: the work it counts, its provider, and how it counts."""
    stated = np.array(whole(facts, "operation").cast(pa.string()).to_pylist())
    plain = np.isin(stated, [Operation.STEP.value, Operation.TOOL.value])
    operation = np.where(quantity == RUNTIME, Operation.RUNTIME.value, np.where(plain, Operation.CHAT.value, stated))
    provider = pc.coalesce(whole(facts, "provider").cast(pa.string()), _said([m.provider for _, m in metrics]))
    new = {
        "operation": pa.array(operation.tolist(), pa.string()),
        "name": pa.nulls(len(stated), pa.string()),
        "failed": pa.nulls(len(stated), pa.bool_()),
        "provider": provider,
        "basis": _said([m.basis for _, m in metrics]),
        "output_excludes_reasoning": pa.array([m.reasoning == "beside" or None for _, m in metrics], pa.bool_()),
    }
    for name, column in new.items():
        facts = facts.set_column(facts.column_names.index(name), name, column)
    return facts


def _said(texts: list[str]) -> pa.Array:
    return pa.array([text or None for text in texts], pa.string())


def _series(points: pa.Table, start_ns: np.ndarray) -> pa.Array:
    """What tells one counter from another: its metric and emitter, every attribute, and when it began."""
    words = key_bytes(whole(points, "series")).view(np.uint64)
    return key_array(
        words
        ^ hashed("outlay.metric", whole(points, "name"))
        ^ hashed("outlay.scope", whole(points, "scope_name"))
        ^ hashed("outlay.start", pa.array(start_ns))
    )


def _tags(read: SpanColumns) -> np.ndarray:
    keys = np.zeros((read.length, 2), np.uint64)
    for tag, names in read.carried():
        for name in names:
            keys ^= hashed(f"tag {tag}", read.raw(name))
    for name in read.present("tag_list"):
        keys ^= hashed("tags", read.raw(name))
    return keys


def _outcomes(readings: pa.Table, rules: OutcomeRules) -> pa.Table:
    """A commit or pull request is a result of its session; of a growing counter the start is all that is certain."""
    if not readings.num_rows:
        return OUTCOMES.empty_table()
    cumulative = np.asarray(whole(readings, "cumulative"))
    series, slot = whole(readings, "series"), np.asarray(whole(readings, "slot"))
    keys = key_bytes(series).view(np.uint64)
    moment = np.where(cumulative, np.asarray(whole(readings, "start_ns")), np.asarray(whole(readings, "at_ns")))
    sessions = whole(readings, "session_id").cast(pa.string())
    named = np.asarray(sessions.is_valid())
    offsets = pa.array(np.concatenate([[0], np.cumsum(named)]).astype(np.int32))
    columns = {
        "outcome_key": key_array(keys ^ hashed("outlay.slot", pa.array(np.where(cumulative, 0, slot)))),
        "task_id": pc.coalesce(whole(readings, "task_id"), sessions),
        "session_ids": pa.ListArray.from_arrays(offsets, sessions.drop_null()),
        "status": pa.array([rules.signals[name] for name in whole(readings, "quantity").to_pylist()], pa.string()),
        "at_ns": pa.array(moment),
        "task_type": whole(readings, "quantity"),
        **{name: whole(readings, name).cast(pa.string()) for name in ("source", "origin", *ENVELOPE_KEYS)},
        "tags": whole(readings, "tags"),
    }
    return conform(pa.table(columns).filter(pa.array(named)), OUTCOMES)


__all__ = ["OPERATIONS", "PointsRead", "counted_points", "facts_of_totals", "readings_of_points"]
