"""One signal: the money of a call that was told in several ways stands in one, in logs before spans before metrics.

Where two reports carry one id of the provider they are one usage already (`identity.py`). Here are those that nothing
pairs: meters, signals without an id, and files that tell again what came by telemetry.
"""

from __future__ import annotations

import numpy as np

from outlay.core.centre import Operation
from outlay.normalize.attempts import OPERATIONS
from outlay.normalize.columns import Codes, Ints, Mask, counts_of, key_bytes, text_of, whole
from outlay.normalize.forest import Forest
from outlay.normalize.reported import EVENT, FILE, LOG, METRIC, MODEL_CALLS, SPAN, Rows, groups, groups_of, model_groups

ELSEWHERE = (
    "",
    "metric of a session that is counted by its calls",
    "metric of a service that is counted by its calls",
    "span of a service that is counted by its logs",
    "span of a session that is counted by its logs",
    "event beside the report of its call",
    "call of a file that its session told itself",
)
"""Why a report does not count, by the code that `told_elsewhere` gives."""

METRIC_SLACK_US = 600 * 1_000_000
"""How long before or after its interval a meter may have been told the calls it counts: exports lag behind."""

_US_PER_MS = 1000
_ALIVE = tuple(OPERATIONS.index(item) for item in (Operation.AGENT, Operation.WORKFLOW, Operation.RUNTIME))


def told_elsewhere(rows: Rows, forest: Forest, circle: Ints, session: Ints, outer: Mask, repeated: Mask) -> Codes:
    """For every row the place in ELSEWHERE of why a better signal stands for it, 0 where none does.

    `circle` is the session of each row, else its tree, `session` the session alone, -1 for none. `outer` calls enclose
    the call itself, `repeated` ones are told by another row of the same usage key.
    """
    codes = np.zeros(len(outer), np.int32)
    codes[_metrics_beside_calls(rows, session)] = 1
    codes[_loose_metrics(rows, circle, outer)] = 2
    codes[_loose_spans(rows, session, outer)] = 3
    codes[_spans_beside_logs(rows, forest, circle, outer)] = 4
    codes[_events_beside_calls(rows, forest, circle, outer)] = 5
    codes[_files_beside_calls(rows, session, outer | repeated | (codes > 0))] = 6
    return codes


def _metrics_beside_calls(rows: Rows, session: Ints) -> Mask:
    """Metrics of a session of which the calls themselves were reported too."""
    metric = rows.rank == METRIC
    if not metric.any():
        return metric
    called, alive = np.zeros((2, int(session.max(initial=-1)) + 2), np.bool_)
    called[session[~metric & rows.bears & (rows.input + rows.output > 0)]] = True
    alive[session[~metric & np.isin(rows.operation, _ALIVE)]] = True
    called[-1] = alive[-1] = False
    return metric & np.where(rows.operation == OPERATIONS.index(Operation.RUNTIME), alive[session], called[session])


def _loose_metrics(rows: Rows, circle: Ints, outer: Mask) -> Mask:
    """Metrics that name no session, of a service (and user, where it is named) that told its calls at that time."""
    loose = (rows.rank == METRIC) & (circle < 0)
    return _told_meanwhile(rows, loose, (rows.rank < METRIC) & rows.bears & (rows.input + rows.output > 0) & ~outer)


def _loose_spans(rows: Rows, session: Ints, outer: Mask) -> Mask:
    """Spans of calls that name no session, of a service that told its calls in logs of no span at that time."""
    calls = np.isin(rows.operation, MODEL_CALLS) & rows.bears
    loose = calls & (rows.rank == SPAN) & (session < 0)
    return _told_meanwhile(rows, loose, calls & (rows.rank == LOG) & (rows.tree < 0) & ~outer)


def _told_meanwhile(rows: Rows, loose: Mask, calls: Mask) -> Mask:
    """Which of the loose rows have a call of their service (and user) within their time."""
    found = np.zeros(len(loose), np.bool_)
    call = np.flatnonzero(calls)
    if not loose.any() or not len(call):
        return found
    origin, user = groups(whole(rows.table, "origin")), groups(whole(rows.table, "user"))
    named = text_of(whole(rows.table, "user")).stated()
    length_us = counts_of(whole(rows.table, "duration_ms"))[0] * _US_PER_MS
    for by_user in (False, True):
        asked = np.flatnonzero(loose & (named == by_user))
        group = groups_of(origin, user if by_user else np.zeros_like(origin))
        order = call[np.lexsort((rows.time[call], group[call]))]
        key = np.rec.fromarrays([group[order], rows.time[order]])
        first = np.searchsorted(key, np.rec.fromarrays([group[asked], rows.time[asked] - METRIC_SLACK_US]))
        at = order[np.minimum(first, len(order) - 1)]
        latest = rows.time[asked] + length_us[asked] + METRIC_SLACK_US
        found[asked] = (first < len(order)) & (group[at] == group[asked]) & (rows.time[at] <= latest)
    return found


def _spans_beside_logs(rows: Rows, forest: Forest, circle: Ints, outer: Mask) -> Mask:
    """Spans of calls that their service told in logs as well, where nothing says which record is whose.

    The provider's id of an answer pairs the two exactly, and so does a record written inside the span. Where one side
    has no id, the logs of a session, service and model stand for its spans: both are complete, and a log says more.
    """
    calls = np.isin(rows.operation, MODEL_CALLS) & (rows.bears | rows.failed)
    logs = calls & ~outer & (rows.rank == LOG) & (forest.above(calls.astype(np.int64)) != 1)
    return _beside(rows, circle, logs, calls & (rows.rank == SPAN))


def _events_beside_calls(rows: Rows, forest: Forest, circle: Ints, outer: Mask) -> Mask:
    """Events that repeat what the span around them, or a log or span of the same session, tells."""
    calls = np.isin(rows.operation, MODEL_CALLS) & (rows.bears | rows.failed)
    events = calls & (rows.rank == EVENT)
    if not events.any():
        return events
    told = calls & (rows.rank < EVENT) & ~outer
    inside = forest.above(forest.nearest(np.where(told, np.arange(len(told)), -1))) >= 0
    return (events & inside) | _beside(rows, circle, told, events)


def _beside(rows: Rows, circle: Ints, better: Mask, worse: Mask) -> Mask:
    """The worse reports of a session (or tree), service and model that has better ones, save those paired by an id.

    A report that names no model (Codex's spans do not) yields to any better one of its session and service.
    """
    better, worse = better & (circle >= 0), worse & (circle >= 0)
    found = np.zeros(len(worse), np.bool_)
    if not better.any() or not worse.any():
        return found
    named = (key_bytes(whole(rows.table, "usage_key")) != key_bytes(whole(rows.table, "fact_key"))).any(axis=1)
    has_model = text_of(whole(rows.table, "model")).stated()
    scope = (circle, groups(whole(rows.table, "origin")), rows.failed.astype(np.int64))
    for asked, group in ((worse & has_model, (*scope, model_groups(rows))), (worse & ~has_model, scope)):
        of_group = groups_of(*group)
        any_better, nameless = np.zeros((2, int(of_group.max()) + 1), np.bool_)
        any_better[of_group[better]] = True
        nameless[of_group[better & ~named]] = True
        found |= asked & any_better[of_group] & (~named | nameless[of_group])
    return found


def _files_beside_calls(rows: Rows, session: Ints, elsewhere: Mask) -> Mask:
    """Calls of a file whose session told the same calls by telemetry, under other ids or none.

    A transcript has the provider's id of a message where telemetry has that of the request, and some clouds give one of
    the two only. In one session and model the tokens that went in tell one call from the next, for a conversation
    grows; where several calls have the same, as many of the file's yield as telemetry has told, the earliest first.
    """
    calls = np.isin(rows.operation, MODEL_CALLS) & rows.bears & (session >= 0) & ~elsewhere & (rows.input > 0)
    by_id = np.isin(rows.usage, rows.usage[rows.rank == FILE])
    files, told = calls & (rows.rank == FILE), calls & (rows.rank <= SPAN) & ~by_id
    found = np.zeros(len(calls), np.bool_)
    if not files.any() or not told.any():
        return found
    group = groups_of(session, model_groups(rows), rows.input)
    standing = np.bincount(group[told], minlength=int(group.max()) + 1)
    asked = np.flatnonzero(files)
    asked = asked[np.lexsort((asked, rows.time[asked], group[asked]))]
    _, first, sizes = np.unique(group[asked], return_index=True, return_counts=True)
    found[asked] = np.arange(len(asked)) - np.repeat(first, sizes) < standing[group[asked]]
    return found
