"""Relations: which of several reports counts, what a usage inherits, which attempt replaced which.

A pure function of a set of usages: the order of the rows, and how often it is asked, make no difference. The ledger
calls it with all usages of the trees and sessions that a batch has touched, so a report that arrives late ends in the
same books as one that arrived in time.
"""

from __future__ import annotations

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
    undated,
)
from outlay.normalize.columns import Ints, Mask, Text, counts_of, key_bytes, text_of, whole
from outlay.normalize.forest import Forest, adopt_orphans, forest_of, links
from outlay.normalize.inheritance import INHERITED_BIT, INHERITED_KEYS, Kin, inherit
from outlay.normalize.one_signal import ELSEWHERE, METRIC_SLACK_US, told_elsewhere
from outlay.normalize.policy.own import own_digits
from outlay.normalize.reported import EVENT, METRIC, MODEL_CALLS, ROWS, SIGNALS, Rows, groups, ranks, read

__all__ = ["INHERITED_BIT", "INHERITED_KEYS", "METRIC_SLACK_US", "RESOLVED", "ROWS", "SIGNALS", "resolve"]

OUTER = "outer span of the same call"
BELOW = "repeats what is below it"
SAME_ANSWER = "same answer as "

_NESTING = (*MODEL_CALLS, OPERATIONS.index(Operation.GUARDRAIL))
"""Operations of which one inside another is the same call seen twice: a framework's span around the SDK's."""

_TEXT = pa.string()
_COUNT = pa.int64()

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
        ("tag_source", _COUNT),  # digits as in core.tagging
    ]
)
"""What `resolve` answers, row by row in the order of its question; text is dictionary-encoded."""


def resolve(rows: pa.Table) -> pa.Table:
    """What counts, whose it is and where it belongs (RESOLVED), for each of these usages (ROWS), in their order."""
    if not rows.num_rows:
        return RESOLVED.empty_table()
    order = _canonical_order(rows)
    known = read(rows.take(pa.array(order)))
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
        "tag_source": pa.array(own_digits(counts_of(whole(known.table, "tag_source"))[0]) | inherited.sources),
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
    moment = np.asarray(whole(rows, "time").cast(pa.int64()))
    return np.lexsort((moment, -input_, -output, ranks(rows), usage[:, 1], usage[:, 0], fact[:, 1], fact[:, 0])).astype(
        np.int64
    )


def _circles(session: Ints, tree: Ints) -> Ints:
    """The session of each row, else its tree: one number a circle, -1 for neither."""
    return np.where(session >= 0, session, np.where(tree >= 0, tree + session.max(initial=-1) + 1, -1))


def _why_not_counted(rows: Rows, forest: Forest, circle: Ints, session: Ints) -> Text:
    """For every row why its money stands elsewhere, code 0 (empty) where it stands here."""
    outer = _outer_calls(rows, forest)
    kept = _kept_reports(rows, outer)
    repeated = kept != np.arange(len(kept))
    values = [*ELSEWHERE, BELOW, OUTER]
    codes = told_elsewhere(rows, forest, circle, session, outer, repeated)
    codes[_aggregates_of_calls(rows, forest)] = values.index(BELOW)
    codes[outer] = values.index(OUTER)
    twins = np.flatnonzero(repeated)
    if len(twins):
        instead, which = np.unique(kept[twins], return_inverse=True)
        codes[twins] = len(values) + which
        keys = whole(rows.table, "fact_key").take(pa.array(instead)).to_pylist()
        values.extend(SAME_ANSWER + key.hex()[:8] for key in keys)
    return Text(pa.array(values, _TEXT), codes)


def _kept_reports(rows: Rows, outer: Mask) -> Ints:
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


def _outer_calls(rows: Rows, forest: Forest) -> Mask:
    """Calls that enclose the same call, seen again further in: the deepest one counts.

    Structure and empty spans between the two do not matter; a tool does, because what an agent does inside a tool is
    work of its own. A success around nothing but failed attempts is the attempt whose own span is missing: it counts.
    """
    calls = np.isin(rows.operation, _NESTING) & (rows.rank != EVENT) & (rows.rank != METRIC)
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


def _aggregates_of_calls(rows: Rows, forest: Forest) -> Mask:
    """Agents and workflows that state the sum of what lies below them.

    Tokens are repeated only by what carries tokens or is a model call; a priced tool below says nothing about them.
    """
    if not rows.aggregate.any():
        return rows.aggregate
    has_tokens = rows.input + rows.output > 0
    model_work = forest.below(rows.bears & (has_tokens | np.isin(rows.operation, MODEL_CALLS)))
    return rows.aggregate & np.where(has_tokens, model_work, forest.below(rows.bears))


def _reasons(rows: Rows, counted: Mask) -> Text:
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


def _superseded_by(rows: Rows, counted: Mask) -> Ints:
    """The number of the attempt that replaced each row, 0 where none did.

    Attempts of one call have one parent, operation and model, and follow each other in time with rising numbers. Where
    the number falls back, the next call begins.
    """
    by = np.zeros(len(counted), np.int64)
    if not (rows.attempt > 0).any():
        return by
    parent = groups(whole(rows.table, "parent_key"))
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
