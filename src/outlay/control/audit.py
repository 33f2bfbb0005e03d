"""The audit log: who changed what, from what to what, when; a chain that shows every later touch.

Each line carries the SHA-256 of itself and of the line before, so that changing, removing or inserting one breaks every
hash behind it. The last number and hash also stand in a row of their own, which shows a tail that was cut off; keep a
copy of that hash elsewhere (`outlay audit verify --expect`) and even a chain that was made anew is found.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from outlay.control.tables import audit_head, audit_log

GENESIS = "0" * 64
"""The hash before the first line."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line. `before` and `after` are plain values, None where there was or is nothing."""

    number: int
    at_ns: int
    actor: str
    action: str
    subject: str
    before: Any
    after: Any
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: the lines read, the hash of the last, and `broken`, empty while all is well."""

    lines: int
    hash: str
    broken: str = ""

    @property
    def ok(self) -> bool:
        """Whether the chain holds."""
        return not self.broken


def append(
    connection: Connection,
    actor: str,
    action: str,
    subject: str,
    *,
    before: object = None,
    after: object = None,
    at_ns: int | None = None,
) -> int:
    """Adds a line within the caller's writing transaction, so that change and line stand or fall together."""
    head = connection.execute(
        select(audit_head.c.number, audit_head.c.hash).where(audit_head.c.id == 1).with_for_update()
    ).one()
    line = {
        "number": head.number + 1,
        "at_ns": time.time_ns() if at_ns is None else at_ns,
        "actor": actor,
        "action": action,
        "subject": subject,
        "before": canonical(before),
        "after": canonical(after),
    }
    digest = _digest(line, head.hash)
    connection.execute(insert(audit_log).values(**line, hash=digest))
    connection.execute(update(audit_head).where(audit_head.c.id == 1).values(number=line["number"], hash=digest))
    return head.number + 1


def lines(connection: Connection, *, after: int = 0, subject: str = "", newest: int = 0) -> Iterator[AuditLine]:
    """The lines behind number `after`, oldest first; of one subject if named; only the `newest` ones if not 0."""
    if newest:
        wanted = select(audit_log).where(audit_log.c.number > after).order_by(audit_log.c.number.desc()).limit(newest)
        rows = connection.execute(_of(wanted, subject)).all()
        yield from (_line(row) for row in reversed(rows))
        return
    yield from (_line(row) for row in _rows(connection, after, subject))


def _rows(connection: Connection, after: int = 0, subject: str = "") -> Iterator[Any]:
    """The lines behind a number, read a page at a time."""
    while True:
        wanted = select(audit_log).where(audit_log.c.number > after).order_by(audit_log.c.number).limit(_PAGE)
        rows = connection.execute(_of(wanted, subject)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1].number


def verify(connection: Connection, expect: str = "") -> Verdict:
    """Reads the whole chain. `expect` is a hash that was noted earlier: it must be that of some line."""
    before, number, seen = GENESIS, 0, not expect or expect == GENESIS
    for row in _rows(connection):
        if row.number != number + 1:
            return Verdict(number, before, f"line {number + 1} is missing")
        if _digest(row._mapping, before) != row.hash:  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
            return Verdict(number, before, f"line {row.number} was changed, or one before it")
        before, number = row.hash, row.number
        seen = seen or before == expect
    head = connection.execute(select(audit_head.c.number, audit_head.c.hash).where(audit_head.c.id == 1)).first()
    if head is None or head.number != number or head.hash != before:
        return Verdict(number, before, f"{0 if head is None else head.number - number} lines are missing at the end")
    if not seen:
        return Verdict(number, before, f"no line has the expected hash {expect}: the chain was made anew")
    return Verdict(number, before)


def _of(wanted: Any, subject: str) -> Any:
    return wanted.where(audit_log.c.subject == subject) if subject else wanted


def _line(row: Any) -> AuditLine:
    before, after = json.loads(row.before), json.loads(row.after)
    return AuditLine(row.number, row.at_ns, row.actor, row.action, row.subject, before, after, row.hash)


def canonical(value: object) -> str:
    """One spelling for equal values: sorted keys, no blanks, decimals and days as texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def _digest(line: Mapping[Any, Any], before: str) -> str:
    parts = [line[name] for name in ("number", "at_ns", "actor", "action", "subject", "before", "after")]
    return hashlib.sha256(canonical([*parts, before]).encode()).hexdigest()
