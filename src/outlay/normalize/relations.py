"""Relations: which of several reports counts, what a usage inherits, which attempt replaced which.

A pure function of a set of usages: the order of the rows, and how often it is asked, make no difference. The ledger
calls it with all usages of the trees and sessions that a batch has touched, so a report that arrives late ends in the
same books as one that arrived in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from outlay.core.centre import Operation
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.normalize.attempts import (
    AGENT_AGGREGATE,
    IS_STRUCTURE,
    OPERATIONS,
    SUPERSEDED,
    centre_array,
    centre_codes,
    operation_codes,
    undated,
)
from outlay.normalize.basis import ESTIMATES
from outlay.normalize.columns import Codes, Ints, Mask, Text, counts_of, flags_of, key_bytes, text_of, whole
from outlay.normalize.forest import Forest, adopt_orphans, forest_of, links
from outlay.normalize.inheritance import INHERITED_BIT, INHERITED_KEYS, Kin, inherit
from outlay.sources.facts import KEY

__all__ = ["INHERITED_BIT", "INHERITED_KEYS", "RESOLVED", "ROWS", "SIGNALS", "resolve"]

SIGNALS = ("log", "span", "event", "metric", "file")
"""Whose report of one answer is kept, the most precise first.

A `log` is a coding agent's own record of a call, an `event` the record an instrumentation writes beside its span.
"""

OUTER = "outer span of the same call"
BELOW = "repeats what is below it"
OTHER_SIGNAL = "metric of a session that is counted by its calls"
LOOSE_METRIC = "metric of a service that is counted by its calls"
LOGGED = "span of a session that is counted by its logs"
LOOSE_SPAN = "span of a service that is counted by its logs"
BESIDE = "event beside the report of its call"
SAME_ANSWER = "same answer as "

_TEXT = pa.string()
_COUNT = pa.int64()

ROWS = pa.schema(
    [
        pa.field("usage_key", KEY, nullable=False),
        pa.field("fact_key", KEY, nullable=False),
        ("parent_key", KEY),
        ("tree_key", KEY),
        pa.field("time", pa.timestamp("us"), nullable=False),
        ("duration_ms", _COUNT),
        pa.field("operation", _TEXT, nullable=False),
        ("signal", _TEXT),
        ("origin", _TEXT),
        ("bears", pa.bool_()),
        ("aggregate", pa.bool_()),
        ("attempt", pa.int32()),
        ("failed", pa.bool_()),
        ("reason", _TEXT),
        ("provider", _TEXT),
        ("model", _TEXT),
        ("output_tokens", _COUNT),  # all output meters
        ("input_tokens", _COUNT),  # all input meters
        ("cost_nano", _COUNT),
        ("basis", _TEXT),
        ("session_id", _TEXT),
        ("parent_session_id", _TEXT),
        ("task_id", _TEXT),
        ("user", _TEXT),
        *((key, _TEXT) for key in ENVELOPE_KEYS),
    ]
)
"""What `resolve` reads: every usage with its own words, not with what it inherited before."""

RESOLVED = pa.schema(
    [
        ("counted", pa.bool_()),
        ("why_not_counted", _TEXT),  # empty where counted
        ("centre", _TEXT),
        ("reason", _TEXT),
        ("session_id", _TEXT),
        ("parent_session_id", _TEXT),
        *((key, _TEXT) for key in ENVELOPE_KEYS),
        ("user", _TEXT),
        ("inherited", pa.int32()),  # bits of INHERITED_BIT
    ]
)
"""What `resolve` answers, row by row in the order of its question; text is dictionary-encoded."""

METRIC_SLACK_US = 600 * 1_000_000
"""How long before or after its interval a meter may have been told the calls it counts: exports lag behind."""

_US_PER_MS = 1000
_LOG, _SPAN, _EVENT, _METRIC = (SIGNALS.index(word) for word in ("log", "span", "event", "metric"))
_ALIVE = tuple(OPERATIONS.index(item) for item in (Operation.AGENT, Operation.WORKFLOW, Operation.RUNTIME))
_MODEL_CALLS = tuple(OPERATIONS.index(item) for item in (Operation.CHAT, Operation.EMBEDDING, Operation.RERANK))
_NESTING = (*_MODEL_CALLS, OPERATIONS.index(Operation.GUARDRAIL))
"""Operations of which one inside another is the same call seen twice: a framework's span around the SDK's."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The columns of the question as arrays, in one canonical order."""

    table: pa.Table
    operation: Codes
    rank: Codes
    bears: Mask
    aggregate: Mask
    failed: Mask
    attempt: Ints
    estimated: Mask
    input: Ints
    output: Ints
    time: Ints
    usage: Ints
    tree: Ints


def resolve(rows: pa.Table) -> pa.Table:
    """What counts, whose it is and where it belongs (RESOLVED), for each of these usages (ROWS), in their order."""
    if not rows.num_rows:
        return RESOLVED.empty_table()
    order = _canonical_order(rows)
    known = _read(rows.take(pa.array(order)))
    fact_key, parent_key = whole(known.table, "fact_key"), whole(known.table, "parent_key")
    named = np.asarray(parent_key.is_valid())
    parent = adopt_orphans(links(parent_key, fact_key), named, known.tree, IS_STRUCTURE[known.operation] & ~named)
    forest = forest_of(parent)
    by_time = np.argsort(known.time, kind="stable")
    inherited = inherit(known.table, Kin(forest, known.tree, known.usage, by_time))

    why = _why_not_counted(known, forest, _circles(inherited.session, known.tree), inherited.session)
    counted = why.codes == 0
    reason = _reasons(known, counted)
    wasted = reason.stated() & ~IS_STRUCTURE[known.operation]
    answer = {
        "counted": pa.array(counted),
        "why_not_counted": why.array(),
        "centre": centre_array(centre_codes(known.operation, wasted, known.aggregate)),
        "reason": reason.array(),
        "inherited": pa.array(inherited.bits, pa.int32()),
        **inherited.columns,
    }
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return pa.table([answer[name] for name in RESOLVED.names], names=RESOLVED.names).take(pa.array(back))


def _canonical_order(rows: pa.Table) -> Ints:
    """The same order for the same set of rows, however they came: by report, the fullest report of one key first."""
    fact, usage = (key_bytes(whole(rows, name)).view(">u8").astype(np.uint64) for name in ("fact_key", "usage_key"))
    output, _ = counts_of(whole(rows, "output_tokens"))
    input_, _ = counts_of(whole(rows, "input_tokens"))
    moment = np.asarray(whole(rows, "time").cast(_COUNT))
    return np.lexsort(
        (moment, -input_, -output, _ranks(rows), usage[:, 1], usage[:, 0], fact[:, 1], fact[:, 0])
    ).astype(np.int64)


def _ranks(rows: pa.Table) -> Codes:
    """The place of each row's signal in the order of preference; an unnamed one comes last."""
    signal = text_of(whole(rows, "signal"))
    places = [SIGNALS.index(word) if word in SIGNALS else len(SIGNALS) for word in signal.values.to_pylist()]
    return np.asarray([*places, len(SIGNALS)], np.int32)[signal.codes]


def _groups(column: pa.Array) -> Ints:
    """One number a distinct key, -1 for null."""
    return np.asarray(column.dictionary_encode().indices.fill_null(-1)).astype(np.int64)


def _read(rows: pa.Table) -> _Rows:
    return _Rows(
        table=rows,
        operation=operation_codes(text_of(whole(rows, "operation"))),
        rank=_ranks(rows),
        bears=flags_of(whole(rows, "bears")),
        aggregate=flags_of(whole(rows, "aggregate")),
        failed=flags_of(whole(rows, "failed")),
        attempt=counts_of(whole(rows, "attempt"))[0].astype(np.int64),
        estimated=_is_one_of(text_of(whole(rows, "basis")), ESTIMATES),
        input=counts_of(whole(rows, "input_tokens"))[0],
        output=counts_of(whole(rows, "output_tokens"))[0],
        time=np.asarray(whole(rows, "time").cast(_COUNT)),
        usage=_groups(whole(rows, "usage_key")),
        tree=_groups(whole(rows, "tree_key")),
    )


def _is_one_of(text: Text, values: tuple[str, ...]) -> Mask:
    return np.asarray([*(word in values for word in text.values.to_pylist()), False], np.bool_)[text.codes]


def _circles(session: Ints, tree: Ints) -> Ints:
    """The session of each row, else its tree: one number a circle, -1 for neither."""
    return np.where(session >= 0, session, np.where(tree >= 0, tree + session.max(initial=-1) + 1, -1))


def _why_not_counted(rows: _Rows, forest: Forest, circle: Ints, session: Ints) -> Text:
    """For every row why its money stands elsewhere, code 0 (empty) where it stands here."""
    outer = _outer_calls(rows, forest)
    kept = _kept_reports(rows, outer)
    repeated = kept != np.arange(len(kept))
    codes = np.zeros(len(kept), np.int32)
    codes[_metrics_beside_calls(rows, session)] = 3
    codes[_loose_metrics(rows, circle, outer)] = 5
    codes[_loose_spans(rows, session, outer)] = 6
    codes[_spans_beside_logs(rows, forest, circle, outer)] = 4
    codes[_events_beside_calls(rows, forest, circle, outer)] = 7
    codes[_aggregates_of_calls(rows, forest)] = 2
    codes[outer] = 1
    values = ["", OUTER, BELOW, OTHER_SIGNAL, LOGGED, LOOSE_METRIC, LOOSE_SPAN, BESIDE]
    twins = np.flatnonzero(repeated)
    if len(twins):
        instead, which = np.unique(kept[twins], return_inverse=True)
        codes[twins] = len(values) + which
        keys = whole(rows.table, "fact_key").take(pa.array(instead)).to_pylist()
        values.extend(SAME_ANSWER + key.hex()[:8] for key in keys)
    return Text(pa.array(values, _TEXT), codes)


def _kept_reports(rows: _Rows, outer: Mask) -> Ints:
    """For every row the row that stands for its answer: itself, or the better report of the same usage key.

    A report that holds nested calls yields to one that does not (its money is counted inside), one that bears nothing
    to one that does, estimated tokens to stated ones; then the signal decides, then the fuller count, then the smallest
    key.
    """
    place = np.arange(len(rows.usage))
    order = np.lexsort((place, -rows.input, -rows.output, rows.rank, rows.estimated, ~rows.bears, outer, rows.usage))
    first = np.append(True, rows.usage[order][1:] != rows.usage[order][:-1])
    kept = np.empty_like(place)
    kept[rows.usage[order][first]] = order[first]
    return kept[rows.usage]


def _outer_calls(rows: _Rows, forest: Forest) -> Mask:
    """Calls that enclose the same call, seen again further in: the deepest one counts.

    Structure and empty spans between the two do not matter; a tool does, because what an agent does inside a tool is
    work of its own. A success around nothing but failed attempts is the attempt whose own span is missing: it counts.
    """
    calls = np.isin(rows.operation, _NESTING) & (rows.rank != _EVENT) & (rows.rank != _METRIC)
    transparent = IS_STRUCTURE[rows.operation] | (calls & ~rows.bears)
    solid = np.where(transparent, -1, np.arange(len(calls)))
    around = forest.above(forest.nearest(solid))
    same = (around >= 0) & calls & rows.bears & (rows.operation == rows.operation[around])
    around = np.where(same, around, -1)
    if not same.any():
        return same
    chain = forest_of(around)
    other_answer = same & (rows.usage != rows.usage[around])
    enclosing_success, enclosing = np.zeros((2, len(calls)), np.bool_)
    enclosing_success[around[other_answer & ~rows.failed]] = True
    enclosing[around[other_answer]] = True
    return chain.reaching(enclosing_success) | (rows.failed & chain.reaching(enclosing))


def _aggregates_of_calls(rows: _Rows, forest: Forest) -> Mask:
    """Agents and workflows that state the sum of what lies below them.

    Tokens are repeated only by what carries tokens or is a model call; a priced tool below says nothing about them.
    """
    if not rows.aggregate.any():
        return rows.aggregate
    has_tokens = rows.input + rows.output > 0
    model_work = forest.below(rows.bears & (has_tokens | np.isin(rows.operation, _MODEL_CALLS)))
    return rows.aggregate & np.where(has_tokens, model_work, forest.below(rows.bears))


def _metrics_beside_calls(rows: _Rows, session: Ints) -> Mask:
    """Metrics of a session of which the calls themselves were reported too."""
    metric = rows.rank == _METRIC
    if not metric.any():
        return metric
    called, alive = np.zeros((2, int(session.max(initial=-1)) + 2), np.bool_)
    called[session[~metric & rows.bears & (rows.input + rows.output > 0)]] = True
    alive[session[~metric & np.isin(rows.operation, _ALIVE)]] = True
    called[-1] = alive[-1] = False
    return metric & np.where(rows.operation == OPERATIONS.index(Operation.RUNTIME), alive[session], called[session])


def _loose_metrics(rows: _Rows, circle: Ints, outer: Mask) -> Mask:
    """Metrics that name no session, of a service (and user, where it is named) that told its calls at that time."""
    loose = (rows.rank == _METRIC) & (circle < 0)
    return _told_meanwhile(rows, loose, (rows.rank < _METRIC) & rows.bears & (rows.input + rows.output > 0) & ~outer)


def _loose_spans(rows: _Rows, session: Ints, outer: Mask) -> Mask:
    """Spans of calls that name no session, of a service that told its calls in logs of no span at that time."""
    calls = np.isin(rows.operation, _MODEL_CALLS) & rows.bears
    loose = calls & (rows.rank == _SPAN) & (session < 0)
    return _told_meanwhile(rows, loose, calls & (rows.rank == _LOG) & (rows.tree < 0) & ~outer)


def _told_meanwhile(rows: _Rows, loose: Mask, calls: Mask) -> Mask:
    """Which of the loose rows have a call of their service (and user) within their time."""
    found = np.zeros(len(loose), np.bool_)
    call = np.flatnonzero(calls)
    if not loose.any() or not len(call):
        return found
    origin, user = _groups(whole(rows.table, "origin")), _groups(whole(rows.table, "user"))
    named = text_of(whole(rows.table, "user")).stated()
    length_us = counts_of(whole(rows.table, "duration_ms"))[0] * _US_PER_MS
    for by_user in (False, True):
        asked = np.flatnonzero(loose & (named == by_user))
        group = _groups_of(origin, user if by_user else np.zeros_like(origin))
        order = call[np.lexsort((rows.time[call], group[call]))]
        key = np.rec.fromarrays([group[order], rows.time[order]])
        first = np.searchsorted(key, np.rec.fromarrays([group[asked], rows.time[asked] - METRIC_SLACK_US]))
        at = order[np.minimum(first, len(order) - 1)]
        latest = rows.time[asked] + length_us[asked] + METRIC_SLACK_US
        found[asked] = (first < len(order)) & (group[at] == group[asked]) & (rows.time[at] <= latest)
    return found


def _spans_beside_logs(rows: _Rows, forest: Forest, circle: Ints, outer: Mask) -> Mask:
    """Spans of calls that their service told in logs as well, where nothing says which record is whose.

    The provider's id of an answer pairs the two exactly, and so does a record written inside the span. Where one side
    has no id, the logs of a session, service and model stand for its spans: both are complete, and a log says more.
    """
    calls = np.isin(rows.operation, _MODEL_CALLS) & (rows.bears | rows.failed)
    logs = calls & ~outer & (rows.rank == _LOG) & (forest.above(calls.astype(np.int64)) != 1)
    return _beside(rows, circle, logs, calls & (rows.rank == _SPAN))


def _events_beside_calls(rows: _Rows, forest: Forest, circle: Ints, outer: Mask) -> Mask:
    """Events that repeat what the span around them, or a log or span of the same session, tells."""
    calls = np.isin(rows.operation, _MODEL_CALLS) & (rows.bears | rows.failed)
    events = calls & (rows.rank == _EVENT)
    if not events.any():
        return events
    told = calls & (rows.rank < _EVENT) & ~outer
    inside = forest.above(forest.nearest(np.where(told, np.arange(len(told)), -1))) >= 0
    return (events & inside) | _beside(rows, circle, told, events)


def _beside(rows: _Rows, circle: Ints, better: Mask, worse: Mask) -> Mask:
    """The worse reports of a session (or tree), service and model that has better ones, save those paired by an id.

    A report that names no model (Codex's spans do not) yields to any better one of its session and service.
    """
    better, worse = better & (circle >= 0), worse & (circle >= 0)
    found = np.zeros(len(worse), np.bool_)
    if not better.any() or not worse.any():
        return found
    named = (key_bytes(whole(rows.table, "usage_key")) != key_bytes(whole(rows.table, "fact_key"))).any(axis=1)
    has_model = text_of(whole(rows.table, "model")).stated()
    scope = (circle, _groups(whole(rows.table, "origin")), rows.failed.astype(np.int64))
    for asked, group in ((worse & has_model, (*scope, _model_groups(rows))), (worse & ~has_model, scope)):
        of_group = _groups_of(*group)
        any_better, nameless = np.zeros((2, int(of_group.max()) + 1), np.bool_)
        any_better[of_group[better]] = True
        nameless[of_group[better & ~named]] = True
        found |= asked & any_better[of_group] & (~named | nameless[of_group])
    return found


def _groups_of(*parts: Ints) -> Ints:
    """One number a distinct combination."""
    combined = np.zeros(len(parts[0]), np.int64)
    for part in parts:
        combined = np.unique(combined * (int(part.max(initial=-1)) + 2) + part + 1, return_inverse=True)[1].reshape(-1)
    return combined


def _model_groups(rows: _Rows) -> Ints:
    """One number a model; the label of its window, which one signal writes and another leaves out, is no part of it."""
    model = text_of(whole(rows.table, "model"))
    names = [value.partition("[")[0].lower() for value in model.values.to_pylist()]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.asarray([*(places[name] for name in names), -1], np.int64)[model.codes]


def _reasons(rows: _Rows, counted: Mask) -> Text:
    """Why each row is not primary work: its own reason, or what its neighbours add."""
    own = text_of(whole(rows.table, "reason"))
    derived = [value == AGENT_AGGREGATE or value.startswith(SUPERSEDED) for value in own.values.to_pylist()]
    codes = np.where(np.append(derived, np.bool_(0))[own.codes], -1, own.codes)
    codes = np.where(own.stated(), codes, -1).astype(np.int32)
    alone = counted & rows.aggregate
    codes[alone] = len(own.values)
    by = _superseded_by(rows, counted) * ((codes < 0) & ~rows.failed)
    attempts, which = np.unique(by, return_inverse=True)
    codes = np.where(by > 0, len(own.values) + 1 + which, codes).astype(np.int32)
    values = [*own.values.to_pylist(), AGENT_AGGREGATE, *(f"{SUPERSEDED}{number}" for number in attempts.tolist())]
    return Text(pa.array(values, _TEXT), codes)


def _superseded_by(rows: _Rows, counted: Mask) -> Ints:
    """The number of the attempt that replaced each row, 0 where none did.

    Attempts of one call have one parent, operation and model, and follow each other in time with rising numbers. Where
    the number falls back, the next call begins.
    """
    by = np.zeros(len(counted), np.int64)
    if not (rows.attempt > 0).any():
        return by
    parent = _groups(whole(rows.table, "parent_key"))
    model = text_of(whole(rows.table, "model"))
    part = np.flatnonzero(counted & (parent >= 0) & ~IS_STRUCTURE[rows.operation])
    if not len(part):
        return by
    bare = pa.array([name and undated(name) for name in model.values.to_pylist()], _TEXT)
    names = np.append(np.asarray(bare.dictionary_encode().indices), np.int32(-1))[model.codes[part]]
    call = (parent[part] * len(OPERATIONS) + rows.operation[part]) * (len(model.values) + 1) + names + 1
    order = np.lexsort((part, rows.attempt[part], rows.time[part], call))
    part, call, attempt = part[order], call[order], rows.attempt[part[order]]
    ends = np.append((call[1:] != call[:-1]) | (attempt[1:] <= attempt[:-1]), True)
    run = np.cumsum(np.append(0, ends[:-1]))
    last = attempt[ends][run]
    by[part] = np.where(ends, 0, last)
    return by
