"""The outbox: messages that wait to be delivered, claimed by one server at a time, tried until they are sent or dead.

Who claims a message puts off when it is due: if that server dies, another takes it up after a minute. So a message is
delivered at least once, and its key goes with it, by which a receiver knows one that comes again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.control.tables import deliveries, outbox
from outlay.core.errors import InputError

WAITING, SENT, DEAD = "waiting", "sent", "dead"
STATES = (WAITING, SENT, DEAD)
CLAIM_NS = 60 * 10**9
"""How long whoever claimed a message has for it, before another may."""

SAID_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Message:
    """One message for one channel; `attempts` counts the one at hand."""

    id: int
    key: str
    kind: str
    payload: Mapping[str, Any]
    channel: str
    attempts: int
    created_ns: int
    due_ns: int
    state: str = WAITING
    last_error: str = ""
    sent_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a message, and what the other side said."""

    message: int
    channel: str
    key: str
    at_ns: int
    attempt: int
    ok: bool
    took_ms: int
    said: str


def claim(store: ControlStore, now_ns: int, limit: int = 20) -> list[Message]:
    """Messages that are due, for the caller alone until `CLAIM_NS` from now."""
    wanted = select(outbox.c.id).where(outbox.c.state == WAITING, outbox.c.due_ns <= now_ns)
    with store.reading() as connection:  # a round with nothing to do takes no lock
        due = list(connection.execute(wanted.order_by(outbox.c.due_ns).limit(limit)).scalars())
    if not due:
        return []
    with store.writing() as connection:
        taken = (
            update(outbox)
            .where(outbox.c.id.in_(due), outbox.c.state == WAITING, outbox.c.due_ns <= now_ns)
            .values(due_ns=now_ns + CLAIM_NS, attempts=outbox.c.attempts + 1)
            .returning(outbox)
        )
        return sorted((_message(row) for row in connection.execute(taken)), key=lambda message: message.id)


def sent(store: ControlStore, message: Message, said: str, took_ms: int, now_ns: int) -> None:
    """The other side has it."""
    _after(store, message, {"state": SENT, "sent_ns": now_ns, "last_error": ""}, (1, took_ms, said), now_ns)


def failed(store: ControlStore, message: Message, why: str, took_ms: int, now_ns: int, due_ns: int | None) -> None:
    """It did not work: due again at a moment, or dead where that is None."""
    values: dict[str, Any] = {"last_error": _short(why)}
    values |= {"state": DEAD} if due_ns is None else {"due_ns": due_ns}
    _after(store, message, values, (0, took_ms, why), now_ns)


def put_off(store: ControlStore, message: Message, due_ns: int) -> None:
    """Not now, as its channel is quiet; that is no attempt."""
    with store.writing() as connection:
        values = {"due_ns": due_ns, "attempts": message.attempts - 1}
        connection.execute(update(outbox).where(outbox.c.id == message.id).values(**values))


def retry(store: ControlStore, number: int | None, actor: str, now_ns: int) -> list[Message]:
    """Makes a dead or waiting message due now, all dead ones where no number is given. Raises InputError."""
    with store.writing() as connection:
        wanted = update(outbox).values(state=WAITING, due_ns=now_ns, attempts=0).returning(outbox)
        if number is None:
            wanted = wanted.where(outbox.c.state == DEAD)
        else:
            wanted = wanted.where(outbox.c.id == number, outbox.c.state != SENT)
        again = [_message(row) for row in connection.execute(wanted)]
        if not again and number is not None:
            raise InputError(f"no message {number} waits or is dead", hint="outlay alerts log --state dead")
        for message in again:
            audit.append(connection, actor, "alert.retry", f"message:{message.id}", after={"channel": message.channel})
        return again


def messages(store: ControlStore, *, state: str = "", limit: int = 100) -> list[Message]:
    """Messages, the newest first; only those of a state if named."""
    wanted = select(outbox).order_by(outbox.c.id.desc()).limit(limit)
    if state:
        wanted = wanted.where(outbox.c.state == state)
    with store.reading() as connection:
        return [_message(row) for row in connection.execute(wanted)]


def known_keys(store: ControlStore, keys: Sequence[str]) -> set[str]:
    """Those of these keys of which there is a message already."""
    if not keys:
        return set()
    with store.reading() as connection:
        return set(connection.execute(select(outbox.c.dedupe_key).where(outbox.c.dedupe_key.in_(keys))).scalars())


def counts(store: ControlStore) -> dict[str, int]:
    """How many messages wait and how many are dead."""
    wanted = select(outbox.c.state, func.count()).where(outbox.c.state.in_([WAITING, DEAD])).group_by(outbox.c.state)
    with store.reading() as connection:
        held = {row[0]: row[1] for row in connection.execute(wanted)}
    return {WAITING: held.get(WAITING, 0), DEAD: held.get(DEAD, 0)}


def attempts(store: ControlStore, *, message: int | None = None, limit: int = 100) -> list[Attempt]:
    """The delivery log, the newest attempt first; of one message if named."""
    wanted = (
        select(deliveries, outbox.c.channel, outbox.c.dedupe_key)
        .join(outbox, outbox.c.id == deliveries.c.message_id)
        .order_by(deliveries.c.id.desc())
        .limit(limit)
    )
    if message is not None:
        wanted = wanted.where(deliveries.c.message_id == message)
    with store.reading() as connection:
        return [
            Attempt(
                row.message_id, row.channel, row.dedupe_key, row.at_ns, row.attempt, bool(row.ok), row.took_ms, row.said
            )
            for row in connection.execute(wanted)
        ]


def _after(
    store: ControlStore, message: Message, values: Mapping[str, Any], what: tuple[int, int, str], now_ns: int
) -> None:
    ok, took_ms, said = what
    line = {
        "message_id": message.id,
        "at_ns": now_ns,
        "attempt": message.attempts,
        "ok": ok,
        "took_ms": took_ms,
        "said": _short(said),
    }
    with store.writing() as connection:
        counted = {**values, "attempts": message.attempts}
        connection.execute(update(outbox).where(outbox.c.id == message.id).values(**counted))
        connection.execute(insert(deliveries).values(**line))


def _short(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:SAID_CHARACTERS_MAX]


def _message(row: Any) -> Message:
    return Message(
        row.id,
        row.dedupe_key,
        row.kind,
        json.loads(row.payload),
        row.channel,
        row.attempts,
        row.created_ns,
        row.due_ns,
        row.state,
        row.last_error,
        row.sent_ns,
    )
