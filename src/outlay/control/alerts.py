"""Alerts as they are stored: what was told once is not told again, however many servers look at the same moment.

An alert and the messages that tell it are one transaction: after a crash both are there or neither. A message's key is
that of its alert and its channel, and unique.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from outlay.control.leases import book_of
from outlay.control.store import ControlStore
from outlay.control.tables import LIVE, alerts, api_keys, balances, counters, grants, leases, outbox
from outlay.core.balance import key_of
from outlay.core.budget import EACH, Budget, Standing

_THROUGH = "alerts"
_ASKED_AT_ONCE = 500

ACTIVE_MAX = 5000
"""Balances of budgets for each session that are looked at in one round; the rest in the next."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing worth telling. `series` and `level` say what it is about, so that it is told once."""

    series: str
    level: int
    budget: str
    part: str
    kind: str
    severity: str
    start_ns: int
    end_ns: int
    title: str
    content: Mapping[str, Any]
    note: str = ""

    @property
    def key(self) -> str:
        """Unique for what it tells."""
        return f"{self.series}:{self.level}"


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert that was told, or would have been: `messages` maps channels to how it is going there."""

    id: int
    key: str
    budget: str
    part: str
    kind: str
    severity: str
    start_ns: int
    end_ns: int
    fired_ns: int
    title: str
    content: Mapping[str, Any]
    note: str
    messages: Mapping[str, str]


Due = Callable[[str], int]
"""When a message may go to a channel of that name."""


def fire(connection: Connection, alert: Alert, channels: Iterable[str], due: Due, now_ns: int) -> bool:
    """Writes an alert with a message for each channel; False where somebody was quicker or a higher level was told."""
    told = connection.execute(select(func.max(alerts.c.level)).where(alerts.c.series == alert.series)).scalar()
    if told is not None and told >= alert.level:
        return False
    told_to = list(channels)
    payload = json.dumps(dict(alert.content), sort_keys=True, ensure_ascii=False)
    values = {
        "key": alert.key,
        "series": alert.series,
        "level": alert.level,
        "budget": alert.budget,
        "part": alert.part,
        "kind": alert.kind,
        "severity": alert.severity,
        "start_ns": alert.start_ns,
        "end_ns": alert.end_ns,
        "fired_ns": now_ns,
        "title": alert.title,
        "content": json.dumps({**alert.content, "channels": told_to}, sort_keys=True, ensure_ascii=False),
        "note": alert.note,
    }
    made = connection.execute(inserting(connection, alerts, values, "key").returning(alerts.c.id)).scalar()
    if made is None:
        return False
    for channel in told_to:
        post(connection, f"{alert.key}@{channel}", alert.kind, payload, channel, due(channel), now_ns)
    return True


def post(
    connection: Connection, key: str, kind: str, payload: str, channel: str, due_ns: int, now_ns: int
) -> int | None:
    """Puts a message into the outbox; None where one of that key is there already."""
    values = {
        "dedupe_key": key,
        "kind": kind,
        "payload": payload,
        "channel": channel,
        "created_ns": now_ns,
        "due_ns": due_ns,
        "state": "waiting",
    }
    statement = inserting(connection, outbox, values, "dedupe_key").returning(outbox.c.id)
    return connection.execute(statement).scalar()


def told_levels(store: ControlStore, series: Sequence[str]) -> dict[str, int]:
    """The highest level that was told of each series."""
    told: dict[str, int] = {}
    with store.reading() as connection:
        for start in range(0, len(series), _ASKED_AT_ONCE):
            asked = series[start : start + _ASKED_AT_ONCE]
            wanted = select(alerts.c.series, func.max(alerts.c.level)).where(alerts.c.series.in_(asked))
            told |= {row[0]: row[1] for row in connection.execute(wanted.group_by(alerts.c.series))}
    return told


def list_alerts(store: ControlStore, *, budget: str = "", limit: int = 100) -> list[AlertRow]:
    """What was told, the newest first, each with how it is going on its channels."""
    wanted = select(alerts).order_by(alerts.c.fired_ns.desc(), alerts.c.id.desc()).limit(limit)
    if budget:
        wanted = wanted.where(alerts.c.budget == budget)
    with store.reading() as connection:
        rows = [(row, json.loads(row.content)) for row in connection.execute(wanted)]
        keys = [f"{row.key}@{channel}" for row, content in rows for channel in content["channels"]]
        posted = select(outbox.c.dedupe_key, outbox.c.state).where(outbox.c.dedupe_key.in_(keys))
        going = {row.dedupe_key: row.state for row in connection.execute(posted)} if keys else {}
    return [
        AlertRow(
            row.id,
            row.key,
            row.budget,
            row.part,
            row.kind,
            row.severity,
            row.start_ns,
            row.end_ns,
            row.fired_ns,
            row.title,
            content,
            row.note,
            {channel: going[f"{row.key}@{channel}"] for channel in content["channels"]},
        )
        for row, content in rows
    ]


@dataclass(frozen=True, slots=True)
class Refused:
    """A balance that refused something: how often, and what was used up."""

    budget_id: int
    part: str
    start_ns: int
    refused: int
    what: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A balance that was looked at, with its newest grant."""

    standing: Standing
    version: int


def look_at(
    store: ControlStore, budget: Budget, now_ns: int, *, before: tuple[int, int] | None, parts: Collection[str] | None
) -> tuple[Looked, ...]:
    """How a budget stands in its present window, and how it stood at last in the one `before`; one transaction.

    With `parts` only those balances of the present window are looked at, as they were decided about last.
    """
    window = budget.calendar.window(now_ns)
    with store.writing() as connection:
        if parts is not None:
            keys = [key_of(budget.id, window[0], part) for part in parts]
            found = _stood(connection, budget, balances.c.key.in_(keys))
        else:
            found = _stands(connection, budget, window[0], now_ns)
        if before is not None:
            then = (balances.c.budget_id == budget.id, balances.c.start_ns == before[0])
            found = [*_stood(connection, budget, *then), *found]
        given = _grants(connection, budget, now_ns)
    return tuple(Looked(standing, _version(given, standing)) for standing in found)


def _stands(connection: Connection, budget: Budget, start_ns: int, now_ns: int) -> list[Standing]:
    """The balances of a budget's present window; a limit that a change made old is worked out anew."""
    version = connection.execute(select(counters.c.number).where(counters.c.name == "budgets")).scalar_one()
    here = (balances.c.budget_id == budget.id, balances.c.start_ns == start_ns)
    fresh = (balances.c.limit_version == version, balances.c.limit_until_ns > now_ns)
    stood = _stood(connection, budget, *here, *fresh)
    old = set(connection.execute(select(balances.c.part).where(*here)).scalars()) - {item.part for item in stood}
    if not stood and not old and EACH not in budget.scope.values():
        old = {""}
    book = book_of(connection)
    return [*stood, *(book.standing(budget, part, version, now_ns) for part in sorted(old))]


def _stood(connection: Connection, budget: Budget, *where: Any) -> list[Standing]:
    rows = connection.execute(select(balances).where(*where).order_by(balances.c.part))
    return [
        Standing(
            budget, row.part, row.start_ns, row.end_ns, row.limit_nano, row.spent_nano, row.held_nano, row.presumed_nano
        )
        for row in rows
    ]


def _grants(connection: Connection, budget: Budget, now_ns: int) -> list[Any]:
    wanted = select(grants.c.id, grants.c.part, grants.c.starts_ns, grants.c.ends_ns)
    return list(connection.execute(wanted.where(grants.c.budget_id == budget.id, grants.c.starts_ns <= now_ns)))


def _version(given: Iterable[Any], standing: Standing) -> int:
    """The newest grant that counts in a window: more or less money makes a new one, and thresholds count anew."""
    counted = (
        row.id
        for row in given
        if row.part in {"", standing.part} and row.starts_ns < standing.end_ns and row.ends_ns > standing.start_ns
    )
    return max(counted, default=0)


def seen_through(store: ControlStore) -> int:
    """The moment through which alerts were looked for; 0 before the first time."""
    with store.reading() as connection:
        return connection.execute(select(counters.c.number).where(counters.c.name == _THROUGH)).scalar() or 0


def see_through(connection: Connection, now_ns: int) -> None:
    """Alerts were looked for through this moment, which never moves back. Whoever looks meanwhile waits here."""
    connection.execute(inserting(connection, counters, {"name": _THROUGH, "number": now_ns}, "name"))
    later = case((counters.c.number < now_ns, now_ns), else_=counters.c.number)
    connection.execute(update(counters).where(counters.c.name == _THROUGH).values(number=later))


def revoked_keys(store: ControlStore) -> set[str]:
    """Names of API keys that were revoked and not made anew."""
    with store.reading() as connection:
        return revoked_in(connection)


def revoked_in(connection: Connection) -> set[str]:
    """The same as one transaction sees it."""
    rows = connection.execute(select(api_keys.c.name, api_keys.c.revoked_ns)).all()
    return {row.name for row in rows} - {row.name for row in rows if row.revoked_ns is None}


def refused_since(store: ControlStore, since_ns: int) -> list[Refused]:
    """The balances that refused something since a moment."""
    wanted = select(balances).where(balances.c.refused_ns >= since_ns).order_by(balances.c.refused_ns)
    with store.reading() as connection:
        return [
            Refused(row.budget_id, row.part, row.start_ns, row.refused, row.refused_what)
            for row in connection.execute(wanted.limit(ACTIVE_MAX))
        ]


def active_parts(store: ControlStore, budget: Budget, since_ns: int) -> set[str]:
    """Which balances of a budget leases touched since a moment: those that were closed, and those that live."""
    recent = select(leases.c.envelope).where(leases.c.closed_ns >= since_ns).limit(ACTIVE_MAX)
    live = select(leases.c.envelope).where(LIVE).limit(ACTIVE_MAX)
    with store.reading() as connection:
        envelopes = {text for wanted in (recent, live) for text in connection.execute(wanted).scalars()}
    parts = {budget.part(json.loads(envelope)) for envelope in envelopes}
    return {part for part in parts if part is not None}


def inserting(connection: Connection, table: Any, values: Mapping[str, Any], unique: str) -> Any:
    """An insert that does nothing where a row of that key is there already."""
    make: Any = sqlite_insert if connection.dialect.name == "sqlite" else pg_insert
    return make(table).values(**values).on_conflict_do_nothing(index_elements=[unique])
