"""Spans become facts: every convention's spelling of a concept is read by the alias tables, column by column.

Only what stands on a span, its scope or its resource is said here; what it inherits from its session or trace, which
totals repeat others, and what the input tokens include is decided later, from facts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.centre import Operation
from outlay.core.charge import CostSource
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import Problem
from outlay.core.money import DEFAULT_CURRENCY
from outlay.normalize.aliases import load
from outlay.normalize.amounts import nanos_of
from outlay.normalize.basis import ESTIMATES
from outlay.normalize.columns import Ints, Mask, constant, key_bytes, words
from outlay.normalize.earlier_attempts import with_earlier_attempts
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules
from outlay.normalize.span_columns import NO_TEXT, SpanColumns, first, known_counts, list_items, mapped
from outlay.normalize.span_details import places_of, sources_of, tags_of, units_of
from outlay.normalize.span_kinds import OPERATIONS, Kinds, kinds_of
from outlay.normalize.span_outcomes import outcomes_of_spans
from outlay.sources.facts import FACTS, KEY, OUTCOMES, Batch
from outlay.sources.otlp_records import SENT_BY

SOURCE = "otlp"
SIGNAL = "span"
JUDGED = "judged"
_STATUS_ERROR = 2
_HTTP_ERROR_MIN = 400

_TOKENS = tuple(item.name for item in FACTS if item.name.endswith("_tokens"))
_CACHE_WRITES = ("cache_write_5m_tokens", "cache_write_1h_tokens")
_TEXTS = (
    *("response_id", "session_id", "parent_session_id", "task_id", "origin", "model_requested", "model_served"),
    *("service_tier", "processing", "speed", "retry_reason", "user"),
    *(key for key in ENVELOPE_KEYS if key != "agent"),
)


def facts_of_spans(spans: pa.Table, rules: OutcomeRules = DEFAULT_RULES) -> Batch:
    """Facts (FACTS) and outcomes (OUTCOMES) of a table of spans as `sources.otlp.decode` makes it, in its order.

    Behind them stand the earlier attempts of calls of which an emitter tells the last attempt only.
    """
    if not spans.num_rows:
        return Batch(FACTS.empty_table(), OUTCOMES.empty_table())
    read = SpanColumns(spans)
    batch = facts_of_columns(read, SIGNAL, _identity(read), rules)
    facts = with_earlier_attempts(batch.facts)
    return replace(batch, facts=facts, received=facts.num_rows + batch.outcomes.num_rows)


def facts_of_columns(
    read: SpanColumns, signal: str, identity: dict[str, pa.Array], rules: OutcomeRules = DEFAULT_RULES
) -> Batch:
    """Facts and outcomes of spans, or of records that were brought into their shape.

    `identity` holds their keys, and as JUDGED the fact that an outcome on the row is about, where it is not the row's.
    """
    problems: list[Problem] = []
    tokens = {name: column for name in _TOKENS if (column := read.count(name)) is not None}
    _add_cache_writes(tokens)
    kinds = kinds_of(read, _any_stated(read, tokens.values()), _any_stated(read, _optional(read.text("tool_name"))))
    columns: dict[str, pa.Array | None] = {name: read.text(name) for name in _TEXTS}
    provider, region = places_of(read)
    columns |= identity | _names(read, kinds) | _course(read, kinds) | _cost(read) | tokens | _basis(read, tokens)
    columns |= {
        "source": _constant(read, SOURCE),
        "signal": _constant(read, signal),
        "start_ns": read.raw("start_ns"),
        "end_ns": read.raw("end_ns"),
        "scope_name": read.raw("scope_name"),
        "scope_version": read.raw("scope_version"),
        "operation": kinds.array(),
        "provider": provider,
        "region": region,
        "units": units_of(read),
        "tags": tags_of(read),
        "tag_source": sources_of(read),
        "api_key": read.text_of(SENT_BY) if read.has(SENT_BY) else None,
    }
    if not kinds.usage.all():
        counts = pa.array(kinds.usage)
        for name in (*_TOKENS, "cost_nano", "units"):
            if (column := columns.get(name)) is not None:
                columns[name] = pc.if_else(counts, column, pa.nulls(read.length, column.type))
    columns["agent"] = _agents(read, columns.get("agent"))
    columns["session_id"] = _sessions(read, columns["session_id"])
    facts = _table(columns, read.length)
    outcomes = outcomes_of_spans(read, facts, identity.get(JUDGED, identity["fact_key"]), problems, rules)
    return Batch(facts, outcomes, received=facts.num_rows + outcomes.num_rows, problems=problems)


def _table(columns: dict[str, pa.Array | None], length: int) -> pa.Table:
    arrays = [columns.get(item.name) for item in FACTS]
    filled = [
        pa.nulls(length, item.type) if array is None else array for array, item in zip(arrays, FACTS, strict=True)
    ]
    return pa.table(filled, names=FACTS.names)


def _optional(array: pa.Array | None) -> list[pa.Array]:
    return [] if array is None else [array]


def _any_stated(read: SpanColumns, arrays: object) -> Mask:
    """Which rows have a value in any of the columns."""
    stated = np.zeros(read.length, np.bool_)
    for array in arrays:  # type: ignore[attr-defined]
        stated |= np.asarray(array.is_valid())
    return stated


def _constant(read: SpanColumns, word: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(read.length, np.int8)), words(word))


# ------------------------------------------------------------------------------------------------------ identity


def _identity(read: SpanColumns) -> dict[str, pa.Array]:
    """Keys from the ids that the emitter gave: a resend is the same fact, and a parent is found by its key."""
    trace = key_bytes(read.raw("trace_id")).view("<u8")
    parents = read.raw("parent_span_id")
    has_parent = np.asarray(parents.is_valid())
    return {
        "fact_key": key_array(trace ^ _mixed(_span_ids(read.raw("span_id")))),
        "parent_key": key_array(trace ^ _mixed(_span_ids(parents)), has_parent),
        "tree_key": read.raw("trace_id").cast(KEY),
    }


def span_keys(trace_id: pa.Array, span_id: pa.Array) -> pa.Array:
    """The keys of spans by their ids; null where either is."""
    known = np.asarray(pc.and_(trace_id.is_valid(), span_id.is_valid()))
    return key_array(key_bytes(trace_id).view("<u8") ^ _mixed(_span_ids(span_id)), known)


def _span_ids(column: pa.Array) -> np.ndarray:
    data = np.frombuffer(column.buffers()[1], np.uint8)
    return data[column.offset * 8 : (column.offset + len(column)) * 8].view("<u8")


def _mixed(ids: np.ndarray) -> np.ndarray:
    """Span ids spread over 16 bytes (splitmix64, twice): one to one, so that a trace has no two spans of one key."""
    words = []
    for salt in (0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A):
        mixed = ids + np.uint64(salt)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words.append(mixed ^ (mixed >> np.uint64(31)))
    return np.stack(words, axis=1)


def key_array(words: np.ndarray, valid: Mask | None = None) -> pa.Array:
    """16-byte keys from two words a row; null where not valid."""
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(KEY, len(words), [bits, pa.py_buffer(words.tobytes())])


# --------------------------------------------------------------------------------------------------- names, course


def _names(read: SpanColumns, kinds: Kinds) -> dict[str, pa.Array]:
    """The agent, and what a person would call the span: its tool, check or agent, else its own name."""
    name = read.text_of("name").fill_null("")
    agent, entity = read.text("agent"), read.text("entity_name")
    is_agent, is_tool = kinds.is_any(Operation.AGENT), kinds.is_any(Operation.TOOL)
    if is_agent.any() and (entity is not None or read.has("langfuse.observation.type")):
        own = [name] if read.has("langfuse.observation.type") else []
        fallback = pc.if_else(pa.array(is_agent), first([*_optional(entity), *own]), NO_TEXT)
        agent = first([*_optional(agent), fallback])
    tool = first([*_optional(read.text("tool_name")), *_optional(entity)])
    guardrail = read.text("guardrail_name")
    for mask, better in ((is_tool, tool), (is_agent, agent), (kinds.is_any(Operation.GUARDRAIL), guardrail)):
        if better is not None and mask.any():
            name = pc.if_else(pc.and_(pa.array(mask), better.is_valid()), better, name)
    return {"agent": agent, "name": name} if agent is not None else {"name": name}


def _agents(read: SpanColumns, named: pa.Array | None) -> pa.Array | None:
    """The agents, with the main agent of an emitter that names its sub-agents only."""
    scopes = read.raw("scope_name")
    found = named
    for beginning, agent in load().main_agents.items():
        own = pc.starts_with(scopes.cast(pa.string()), beginning).fill_null(fill_value=False)
        if pc.any(own).as_py():
            found = first([*_optional(found), pc.if_else(own, words(agent)[0], NO_TEXT)])
    return found


def _sessions(read: SpanColumns, named: pa.Array | None) -> pa.Array | None:
    """The sessions, by the attribute that an emitter names them with where it has several."""
    found = named
    for beginning, key in load().own_sessions.items():
        if found is not None and read.has(key):
            mine = pc.starts_with(read.raw("scope_name").cast(pa.string()), beginning).fill_null(fill_value=False)
            own = pc.if_else(mine, read.text_of(key), NO_TEXT)
            found = first([own, found])
    return found


def _course(read: SpanColumns, kinds: Kinds) -> dict[str, pa.Array]:
    """How it went: failure and its kind, why it ended, which attempt it was."""
    failed = kinds.failed | (np.asarray(read.raw("status_code")) == _STATUS_ERROR)
    error = read.text("error_type")
    if error is not None:
        failed |= np.asarray(error.is_valid())
    finish = read.text("finish_reason")
    if finish is not None:
        finish = mapped(finish, lambda text: ",".join(list_items(text)))
        failed |= np.asarray(pc.match_substring_regex(finish, "(^|,)error(,|$)").fill_null(fill_value=False))
    level = read.text("level")
    if level is not None:
        failed |= np.asarray(pc.equal(pc.utf8_upper(level), constant("ERROR")).fill_null(fill_value=False))
    status = read.count("http_status")
    if status is not None:
        refused = pc.greater_equal(status, constant(_HTTP_ERROR_MIN)).fill_null(fill_value=False)
        failed |= np.asarray(refused)
        error = first([*_optional(error), pc.if_else(refused, status.cast(pa.string()), NO_TEXT)])
    success = read.text("success")
    if success is not None:
        failed |= np.asarray(pc.equal(pc.utf8_lower(success), constant("false")).fill_null(fill_value=False))
    attempt = read.count("attempt")
    from_one = read.count("attempt_from_one")
    if from_one is not None:
        counted = pc.max_element_wise(pc.subtract(from_one, constant(1)), constant(0), skip_nulls=False)
        attempt = first([*_optional(attempt), counted])
    found = {"failed": pa.array(failed), "error_type": error, "finish_reason": finish}
    if attempt is not None:
        values, known = known_counts(attempt)
        found["attempt"] = pa.array(np.clip(values, -1, 2**31 - 1).astype(np.int32), mask=~known)
    return found


# ---------------------------------------------------------------------------------------------------- tokens, cost


def _add_cache_writes(tokens: dict[str, pa.Array]) -> None:
    """All cache writes, where only those by lifetime are stated."""
    parts = [known_counts(tokens[name]) for name in _CACHE_WRITES if name in tokens]
    if parts:
        counts, known = (sum(column) for column in zip(*parts, strict=True))
        by_parts = pa.array(counts, mask=np.asarray(known) == 0)
        tokens["cache_write_tokens"] = first([*_optional(tokens.get("cache_write_tokens")), by_parts])


def _basis(read: SpanColumns, tokens: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """What a source's own form says about its counting: the buckets of some never overlap."""
    found: dict[str, pa.Array] = {}
    rules = load().basis
    said = read.text("token_basis")
    if said is not None:
        found["basis"] = mapped(said, lambda word: word if word in ESTIMATES else None)
    if "input_tokens" in tokens and (rows := _stated_by(read, "input_tokens", rules["exclusive"])).any():
        exclusive = pc.if_else(pa.array(rows), constant("exclusive"), NO_TEXT)
        found["basis"] = first([*_optional(found.get("basis")), exclusive])
    if (
        "output_tokens" in tokens
        and (rows := _stated_by(read, "output_tokens", rules["output_excludes_reasoning"])).any()
    ):
        found["output_excludes_reasoning"] = pa.array(rows, mask=~rows)
    return found


def _stated_by(read: SpanColumns, concept: str, keys: tuple[str, ...]) -> Mask:
    """Which rows take a concept from one of these columns."""
    open_rows, stated = np.ones(read.length, np.bool_), np.zeros(read.length, np.bool_)
    for name in read.present(concept):
        valid = np.asarray(read.count_of(name).is_valid())
        if name in keys:
            stated |= open_rows & valid
        open_rows &= ~valid
    return stated


def _cost(read: SpanColumns) -> dict[str, pa.Array]:
    """The cost that the emitter states, in nano-units, with its currency and who computed it."""
    nano: Ints = np.zeros(read.length, np.int64)
    known: Mask = np.zeros(read.length, np.bool_)
    for cost in load().costs:
        amounts = [nanos_of(read.raw(key), micro=cost.micro) for key in cost.keys if read.has(key)]
        if amounts:
            taken = np.logical_or.reduce([stated for _, stated in amounts]) & ~known
            nano = np.where(taken, np.sum([amount for amount, _ in amounts], axis=0), nano)
            known |= taken
    if not known.any():
        return {}
    sources = load().cost_sources
    source = read.text("cost_source")
    said = [] if source is None else [mapped(source, lambda word: sources.get(word.lower()))]
    currency = read.text("currency")
    stated = pa.array(known)
    default, dollars = (
        pc.if_else(stated, words(word)[0], NO_TEXT) for word in (CostSource.EMITTER.value, DEFAULT_CURRENCY)
    )
    return {
        "cost_nano": pa.array(nano, mask=~known),
        "cost_source": pc.if_else(stated, first([*said, default]), NO_TEXT),
        "currency": pc.if_else(stated, first([*_optional(currency), dollars]), NO_TEXT),
    }


__all__ = ["OPERATIONS", "SIGNAL", "SOURCE", "facts_of_columns", "facts_of_spans", "key_array", "span_keys"]
