"""Facts become usages: the one pass in which what a source said becomes what Outlay means.

Everything is done by the column; a rule about text is asked once a distinct value. What cannot be true is refused row
by row, each with a Problem, and the rest goes on. Relations between rows are not looked at here: see `relations.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.centre import Operation
from outlay.core.charge import CostSource
from outlay.core.errors import Problem, nearest
from outlay.core.meters import TOKEN_METERS
from outlay.core.money import DEFAULT_CURRENCY
from outlay.core.period import NS_PER_SECOND, NS_PER_US
from outlay.core.session import NO_SESSION
from outlay.normalize.attempts import IS_STRUCTURE, OPERATIONS, centre_array, centre_codes, operation_codes, reasons
from outlay.normalize.basis import basis_text
from outlay.normalize.columns import (
    Codes,
    Ints,
    Mask,
    Text,
    counts_of,
    flags_of,
    nullable,
    silent,
    text_of,
    whole,
    words,
)
from outlay.normalize.identity import usage_keys
from outlay.normalize.labels import label
from outlay.normalize.meters import Metered, metered
from outlay.normalize.policy.spoken import spoken_columns
from outlay.normalize.policy.timeline import NO_POLICY, Timeline
from outlay.normalize.refusals import Refusals
from outlay.normalize.units import units_of
from outlay.normalize.usages import USAGES
from outlay.sources.facts import FACTS, conform

NS_PER_MS = 1_000_000
CLOCK_FIRST_NS = 946_684_800 * NS_PER_SECOND
"""2000-01-01: nothing that an agent did is older; a time before it is a clock that was never set."""
CLOCK_AHEAD_NS = 2 * 86_400 * NS_PER_SECOND
"""How far a clock may run ahead of ours: any zone's worth of error, and a day."""

TRACE_PREFIX = "trace:"
"""How the session of a usage is named when no source named one: by its trace."""

_MODEL_CALLS = tuple(OPERATIONS.index(item) for item in (Operation.CHAT, Operation.EMBEDDING, Operation.RERANK))
_ANSWERS = tuple(OPERATIONS.index(item) for item in (Operation.CHAT, Operation.EMBEDDING))
_TOOL = OPERATIONS.index(Operation.TOOL)
_TIMED = tuple(OPERATIONS.index(item) for item in (Operation.AGENT, Operation.WORKFLOW, Operation.RUNTIME))
_PLAIN_TEXT = ("source", "signal", "origin", "name", "provider", "region", "service_tier", "processing", "speed")
_COST_SOURCES = tuple(item.value for item in CostSource)


@dataclass(frozen=True, slots=True)
class Normalised:
    """The usages of a batch of facts. `refused` rows are not among them; each of those has one of the problems.

    `by_policy` of them were refused by the tag policy: they may come back under another one.
    """

    usages: pa.Table
    problems: list[Problem]
    refused: int
    by_policy: int = 0


def normalise(facts: pa.Table, now_ns: int | None = None, policies: Timeline = NO_POLICY) -> Normalised:
    """Clean a batch of facts (FACTS) into usages (USAGES), in the order of the facts, without the refused ones.

    `now_ns` is when the facts were received (UTC epoch nanoseconds, default: now): a rebuild passes the moment of the
    first receipt, so that the clock check gives the same answer then as now. `policies` say how tags are spelled.
    """
    if not facts.num_rows:
        return Normalised(USAGES.empty_table(), [], 0)
    facts = conform(facts, FACTS)
    refusals = Refusals(facts)
    operations = _operations(facts, refusals)
    received_ns = time.time_ns() if now_ns is None else now_ns
    start_ns, duration_ms, timed = _times(facts, refusals, received_ns)
    attempt = _attempts(facts, refusals)
    tokens = metered(facts, refusals)
    cost = _cost(facts, operations, tokens.tokens, refusals)

    parent_key = whole(facts, "parent_key")
    alive = np.isin(operations, _TIMED) & np.asarray(parent_key.is_null()) & timed
    units, by_units = units_of(whole(facts, "units"), alive, duration_ms, refusals)
    bears = tokens.tokens | by_units | cost.known
    aggregate = bears & IS_STRUCTURE[operations]

    failed = flags_of(whole(facts, "failed"))
    error = label(facts, "error_type", refusals)
    reason = reasons(
        operations,
        failed,
        tokens.no_output & _not_metric(facts),
        error,
        text_of(whole(facts, "finish_reason")),
        label(facts, "retry_reason", refusals),
    )
    fact_key, response_id = whole(facts, "fact_key"), whole(facts, "response_id")
    columns: dict[str, pa.Array] = {
        "usage_key": usage_keys(fact_key, response_id, _identified(operations, failed, tokens)),
        "fact_key": fact_key,
        "parent_key": parent_key,
        "tree_key": whole(facts, "tree_key"),
        "time": pa.array(start_ns // NS_PER_US, pa.int64()).cast(pa.timestamp("us")),
        "duration_ms": nullable(duration_ms, timed),
        "operation": text_of(whole(facts, "operation")).array(),
        "centre": centre_array(centre_codes(operations, reason.codes > 0, aggregate)),
        "model": _model(facts),
        "session_id": _session(facts),
        "attempt": pa.array(attempt, pa.int32()),
        "failed": pa.array(failed),
        "error_type": error.array(),
        "reason": reason.array(),
        "bears": pa.array(bears),
        "aggregate": pa.array(aggregate),
        "basis": _basis(tokens),
        "zone_assumed": pa.array(flags_of(whole(facts, "zone_assumed"))),
        "user": label(facts, "user", refusals).array(),
        "api_key": label(facts, "api_key", refusals).array(),
        **spoken_columns(facts, policies, start_ns // NS_PER_US, received_ns, refusals),
        "scope": _text(facts, "scope_name"),
        "units": units,
        "cost_nano": nullable(cost.nano, cost.known),
        "currency": cost.currency,
        "cost_source": cost.source,
        **{name: _text(facts, name) for name in (*_PLAIN_TEXT, "parent_session_id", "task_id", "response_id")},
        **{name: pa.array(tokens.meters[name]) for name in TOKEN_METERS},
    }
    usages = pa.table([columns[name] for name in USAGES.names], names=USAGES.names)
    if refusals.rows.any():
        usages = usages.filter(pa.array(~refusals.rows))
    return Normalised(usages, refusals.problems(), int(refusals.rows.sum()), int(refusals.by_policy.sum()))


def _operations(facts: pa.Table, refusals: Refusals) -> Codes:
    operation = text_of(whole(facts, "operation"))
    codes = operation_codes(operation)
    refusals.refuse(
        codes < 0,
        lambda row: f'unknown operation "{operation.at(row)[:64]}"',
        nearest(operation.at(int(np.argmin(codes))), OPERATIONS),
    )
    return codes


def _times(facts: pa.Table, refusals: Refusals, now_ns: int) -> tuple[Ints, Ints, Mask]:
    """Start in nanoseconds, duration in milliseconds, and which rows have one."""
    start_ns, _ = counts_of(whole(facts, "start_ns"))
    end_ns, timed = counts_of(whole(facts, "end_ns"))
    latest_ns = now_ns + CLOCK_AHEAD_NS
    refusals.refuse(
        (start_ns < CLOCK_FIRST_NS) | (start_ns > latest_ns) | (timed & (end_ns > latest_ns)),
        lambda row: f"clock: starts at {start_ns[row]} ns" + (f", ends at {end_ns[row]} ns" if timed[row] else ""),
        "times are nanoseconds since 1970 in UTC, from 2000-01-01 to two days from now",
    )
    refusals.refuse(
        timed & (end_ns < start_ns),
        lambda row: f"negative duration: ends {start_ns[row] - end_ns[row]} ns before it starts",
        "end_ns is not before start_ns",
    )
    return start_ns, np.where(timed, (end_ns - start_ns + NS_PER_MS // 2) // NS_PER_MS, 0), timed


def _attempts(facts: pa.Table, refusals: Refusals) -> Ints:
    attempt, _ = counts_of(whole(facts, "attempt"))
    refusals.refuse(attempt < 0, lambda row: f"attempt is {attempt[row]}", "the first attempt is 0")
    return attempt


@dataclass(frozen=True, slots=True)
class _Cost:
    """Recorded cost in nano-units, where it is known, and in whose words."""

    nano: Ints
    known: Mask
    currency: pa.DictionaryArray
    source: pa.DictionaryArray


def _cost(facts: pa.Table, operations: Codes, tokens: Mask, refusals: Refusals) -> _Cost:
    """The recorded cost. A cost of 0 for a model call means that its source had no price, so it is unknown."""
    nano, known = counts_of(whole(facts, "cost_nano"))
    if not known.any():
        nothing = silent(len(nano)).array()
        return _Cost(nano, known, nothing, nothing)
    refusals.refuse(
        known & (nano < 0), lambda row: f"recorded cost is {nano[row]:,} nano-units", "a cost is not negative"
    )
    known &= (nano != 0) | ~(tokens | np.isin(operations, _MODEL_CALLS))

    currency = text_of(whole(facts, "currency"))
    currency = Text(pc.utf8_upper(pc.utf8_trim_whitespace(currency.values)), currency.codes)
    stated = currency.stated()
    sound = np.append(np.asarray(pc.match_substring_regex(currency.values, "^[A-Z]{3}$")), np.bool_(0))[currency.codes]
    refusals.note(known & stated & ~sound, "cost dropped: its currency is not known", "an ISO 4217 code such as USD")
    known &= ~stated | sound
    spelled = pa.concat_arrays([currency.values, words(DEFAULT_CURRENCY, "")]).dictionary_encode()
    places = np.where(known, np.where(stated, currency.codes, len(currency.values)), len(currency.values) + 1)

    source = text_of(whole(facts, "cost_source"))
    codes = [_COST_SOURCES.index(word) if word in _COST_SOURCES else -1 for word in source.values.to_pylist()]
    who = np.asarray([*codes, -1], np.int32)[source.codes]
    who = np.where(who < 0, _COST_SOURCES.index(CostSource.EMITTER), who)
    return _Cost(
        nano,
        known,
        pa.DictionaryArray.from_arrays(spelled.indices.take(pa.array(places)), spelled.dictionary),
        Text(words(*_COST_SOURCES), np.where(known, who, -1).astype(np.int32)).array(),
    )


def _not_metric(facts: pa.Table) -> Mask:
    """A metric states one side of the tokens a data point; only the other signals can say that nothing came out."""
    signal = text_of(whole(facts, "signal"))
    return np.asarray([word != "metric" for word in signal.values.to_pylist()] + [True], np.bool_)[signal.codes]


def _text(facts: pa.Table, name: str) -> pa.Array:
    """A text column without null; encoded text stays encoded, plain text (ids) stays plain."""
    column = whole(facts, name)
    if pa.types.is_dictionary(column.type) or column.null_count == len(column):
        return text_of(column).array()
    return column.fill_null("") if column.null_count else column


def _model(facts: pa.Table) -> pa.DictionaryArray:
    """The model as served, else as requested: the served one is what is billed."""
    served, asked = text_of(whole(facts, "model_served")), text_of(whole(facts, "model_requested"))
    if not len(asked.values) or served.stated().all():
        return served.array()
    merged = pa.concat_arrays([served.values, asked.values]).dictionary_encode()
    shifted = np.where(asked.codes < 0, -1, asked.codes + np.int32(len(served.values)))
    places = np.append(np.asarray(merged.indices), np.int32(-1))[np.where(served.stated(), served.codes, shifted)]
    return Text(merged.dictionary, places.astype(np.int32)).array()


def _session(facts: pa.Table) -> pa.DictionaryArray:
    """The session, else the trace under a name that shows it, else `(no session)`."""
    session = text_of(whole(facts, "session_id"))
    stated = session.stated()
    if stated.all():
        return session.array()
    tree = whole(facts, "tree_key").dictionary_encode()
    names = [TRACE_PREFIX + key.hex() for key in tree.dictionary.to_pylist()]
    codes = np.asarray(tree.indices.fill_null(-1)).astype(np.int32)
    values = pa.concat_arrays([session.values, pa.array([*names, NO_SESSION], pa.string())])
    by_tree = np.where(codes < 0, len(values) - 1, codes + len(session.values))
    return Text(values, np.where(stated, session.codes, by_tree).astype(np.int32)).array()


def _identified(operations: Codes, failed: Mask, tokens: Metered) -> Mask:
    """Rows that an id may identify: answers, also those cut while they came (known by their estimate), and tools."""
    begun = np.zeros_like(failed) if tokens.basis is None else tokens.basis.estimated > 0
    return (np.isin(operations, _ANSWERS) & (~failed | begun)) | (operations == _TOOL)


def _basis(tokens: Metered) -> pa.DictionaryArray:
    if tokens.basis is None:
        return silent(len(tokens.tokens)).array()
    return basis_text(tokens.basis, tokens.tokens)
