"""Outcomes that a program or a person reports: JSON objects become a batch, each bad one refused alone.

The identity of a report is its `id`, else its task and sessions, together with what it says: the same report sent again
is the same outcome, however often; one that says something else is another report, and the latest reported wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS, VALUE_CHARACTERS_MAX
from outlay.core.errors import InputError, Problem, nearest
from outlay.core.money import DEFAULT_CURRENCY, nano_of
from outlay.core.outcome import OutcomeStatus
from outlay.core.period import ns_of, parse_moment
from outlay.sources.facts import Batch, facts_of, outcomes_of

SOURCE = "api"
SESSIONS_MAX = 1000
TAGS_MAX = 64
AHEAD_MAX = timedelta(days=1)
"""Clocks differ; a report from further ahead would win over every later one."""

_CURRENCY = re.compile(r"^[A-Z]{3}$")

FIELDS: dict[str, str] = {
    "task_id": "the task that came to an end; the session's only task, else the session itself, if left out",
    "status": "done, failed, abandoned or unknown (needed)",
    "session_id": "the session that worked on it (needed where there is no task_id)",
    "session_ids": "several sessions, a list",
    "response_id": "the model answer that was judged: it names the session, where nothing else does",
    "at": "when it ended; now if left out",
    "reported_at": "when this was known; now if left out. A later report on the same task wins",
    "task_type": "what kind of task",
    "value": "what the result is worth, an exact decimal text",
    "currency": "ISO 4217, USD if left out",
    "id": "your own identity of this report",
    **dict.fromkeys(ENVELOPE_KEYS, "envelope; taken from the session where left out"),
    "tags": "an object of further tags",
}
"""Every field of an outcome, with what it means; the API's documentation prints it."""

_IDENTITY = (
    "status",
    "value",
    "currency",
    "at",
    "reported_at",
    "task_type",
    "session_id",
    "session_ids",
    "response_id",
)


def outcomes_batch(said: object, now: datetime, source: str = SOURCE) -> Batch:
    """The batch of one object or a list of objects. Raises InputError when it is neither."""
    rows = [said] if isinstance(said, Mapping) else said
    if not isinstance(rows, list):
        raise InputError("an outcome is an object, or a list of objects", hint="POST /api/v1/outcomes")
    taken: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for number, row in enumerate(rows, 1):
        try:
            taken.append(_outcome(row, now, source))
        except ValueError as error:
            problems.append(Problem(f"outcome {number}", str(error), "valid fields: " + ", ".join(FIELDS)))
    return Batch(facts_of([]), outcomes_of(taken), received=len(rows), problems=problems)


def _outcome(row: object, now: datetime, source: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of refusal for everything a person typed
    for name in row:
        if name not in FIELDS:
            raise ValueError(f'unknown field "{name}": {nearest(str(name), FIELDS)}')
    task, status, response = _text(row, "task_id"), _text(row, "status"), _text(row, "response_id")
    sessions = _sessions(row)
    if not task and not sessions and not response:
        raise ValueError("no task_id, and no session_id in its place")
    if status not in set(OutcomeStatus):
        raise ValueError(f'unknown status "{status}": {nearest(status, list(OutcomeStatus))}')
    value = row.get("value")
    currency = _text(row, "currency") or DEFAULT_CURRENCY
    if not _CURRENCY.match(currency):
        raise ValueError(f'"{currency}" is no currency: three capital letters (ISO 4217), like EUR')
    return {
        "outcome_id": f"{source}:{_identity(row, task)}",
        "task_id": task or None,
        "session_ids": sessions,
        "response_id": response or None,
        "status": status,
        "at_ns": _time_ns(row, "at", now),
        "reported_ns": _time_ns(row, "reported_at", now),
        "task_type": _text(row, "task_type"),
        "value_nano": None if value is None else nano_of(value),
        "currency": currency,
        "source": source,
        "origin": source,
        "zone_assumed": False,
        **{key: _text(row, key) or None for key in ENVELOPE_KEYS},
        "tags": _tags(row),
    }


def _identity(row: Mapping[str, Any], task: str) -> str:
    said = {name: str(row[name]) for name in _IDENTITY if row.get(name) not in (None, "", [])}
    return f"{_text(row, 'id') or task}:{json.dumps(said, sort_keys=True)}"


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > VALUE_CHARACTERS_MAX:
        raise ValueError(f"{name} must be a text of at most {VALUE_CHARACTERS_MAX} characters")
    return value


def _sessions(row: Mapping[str, Any]) -> list[str]:
    several: Sequence[object] = row.get("session_ids") or []
    one = _text(row, "session_id")
    if not isinstance(several, list) or not all(isinstance(item, str) and item for item in several):
        raise ValueError("session_ids must be a list of texts")
    if len(several) > SESSIONS_MAX:
        raise ValueError(f"{len(several)} session_ids; at most {SESSIONS_MAX}: report the rest on the same task_id")
    return [str(item) for item in ([one, *several] if one else several)]


def _time_ns(row: Mapping[str, Any], name: str, now: datetime) -> int:
    said = _text(row, name)
    moment = parse_moment(said, now) if said else now
    if moment > now + AHEAD_MAX:
        raise ValueError(f"{name} {said} lies in the future; it is {now:%Y-%m-%dT%H:%MZ}")
    return ns_of(moment.astimezone(UTC))


def _tags(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    tags: object = row.get("tags") or {}
    if not isinstance(tags, Mapping):
        raise ValueError("tags must be an object of texts")  # noqa: TRY004 - see above
    if len(tags) > TAGS_MAX:
        raise ValueError(f"{len(tags)} tags; at most {TAGS_MAX}")
    return [(str(key), _text(tags, str(key))) for key in tags]
