"""Shelf: the leases of a store as rows, found by their id and by when they expire."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from outlay.core.errors import LeaseError
from outlay.core.lease import Ask, Held
from outlay.core.rate import Run

RunMany = Callable[[str, Sequence[Sequence[Any]]], None]
"""Executes one statement once for each row of `?` parameters."""

_FIELDS = (
    "id, parent, state, envelope, balances, own, kind, max_tokens, model, chunk, call_nano, held_nano, lent_nano, "
    "settled_nano, presumed_nano, expires_ns, coalesce(closed_ns, 0)"
)

INSERT = (
    "INSERT INTO leases (id, parent, holder, state, envelope, session, balances, own, kind, max_tokens, model, "
    "chunk, call_nano, asked_nano, held_nano, created_ns, expires_ns) "
    "VALUES (?, ?, ?, 'live', ?, "
    "CASE WHEN EXISTS (SELECT 1 FROM leases WHERE session = ? AND session <> '') THEN '' ELSE ? END, "
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""Only the first lease of a session names it: so the index by session holds, and is written for, each session once."""

CLOSE = (
    "UPDATE leases SET state = ?, settled_nano = settled_nano + ?, held_nano = lent_nano, presumed_nano = 0, "
    "closed_ns = ? WHERE id = ?"
)
BEGAN = "SELECT 1 FROM leases WHERE session = ? AND session <> '' AND created_ns < ? LIMIT 1"


class Shelf:
    """The leases of one store, within a writing transaction; `lock` makes whoever reads one hold it."""

    def __init__(self, run: Run, lock: str = "") -> None:
        self._run = run
        self._lock = lock

    def find(self, lease: str) -> Held:
        """A lease as it stands. Raises LeaseError if there never was one."""
        found = self.known(lease)
        if found is None:
            raise LeaseError(f'there is no lease "{lease}"', hint="it is in the answer to decide")
        return found

    def live(self, lease: str) -> Held:
        """A lease that lives. Raises LeaseError for one that is over, or never was."""
        row = self.find(lease)
        if row.state != "live":
            raise LeaseError(f'the lease "{lease}" is {row.state}', hint="ask for another")
        return row

    def known(self, lease: str) -> Held | None:
        """A lease as it stands, None if there never was one."""
        rows = self._run(f"SELECT {_FIELDS} FROM leases WHERE id = ?{self._lock}", (lease,))
        if not rows:
            return None
        name, parent, state, envelope, keys, own, kind, max_tokens, model, chunk, *rest = rows[0]
        return Held(
            name,
            parent,
            state,
            _envelope(envelope),
            _read(keys),
            _read(own),
            kind,
            max_tokens,
            model,
            bool(chunk),
            *rest,
        )

    def insert(self, row: Held, ask: Ask, asked_nano: int | None, now_ns: int) -> None:
        """Writes a new lease."""
        self._run(INSERT, _inserted(row, ask, asked_nano, now_ns))

    def lend(self, lease: str, lent_nano: int, held_nano: int) -> None:
        """Changes what a lease has lent and what it holds."""
        self._run(
            "UPDATE leases SET lent_nano = lent_nano + ?, held_nano = held_nano + ? WHERE id = ?",
            (lent_nano, held_nano, lease),
        )

    def spend(self, lease: str, taken_nano: int, amount_nano: int, expires_ns: int) -> None:
        """Notes what was spent of a lease that lives on."""
        self._run(
            "UPDATE leases SET held_nano = held_nano - ?, settled_nano = settled_nano + ?, expires_ns = ? WHERE id = ?",
            (taken_nano, amount_nano, expires_ns, lease),
        )

    def renew(self, lease: str, expires_ns: int) -> None:
        """Lets a lease live longer."""
        self._run("UPDATE leases SET expires_ns = ? WHERE id = ?", (expires_ns, lease))

    def expire(self, lease: str, presumed_nano: int, now_ns: int) -> None:
        """The owner of a lease is presumed dead, and its money spent."""
        self._run(
            "UPDATE leases SET state = 'expired', presumed_nano = ?, held_nano = lent_nano, closed_ns = ? WHERE id = ?",
            (presumed_nano, now_ns, lease),
        )

    def close(self, lease: str, state: str, amount_nano: int, now_ns: int) -> None:
        """A lease is over."""
        self._run(CLOSE, (state, amount_nano, now_ns, lease))

    def first_dead(self, now_ns: int) -> str | None:
        """The lease whose owner has been silent for longest past its time."""
        rows: Sequence[Sequence[str]] = self._run(
            "SELECT id FROM leases WHERE state = 'live' AND expires_ns <= ? ORDER BY expires_ns LIMIT 1", (now_ns,)
        )
        return rows[0][0] if rows else None

    def began_before(self, session: str, moment_ns: int) -> bool:
        """Whether a session had a lease before that moment."""
        rows = self._run(BEGAN, (session, moment_ns))
        return bool(rows)


class GatheredShelf(Shelf):
    """The same for many decisions in one transaction: new leases, and those that are over, are written together.

    `run_many` executes one statement with many rows of parameters. Whoever asks for a lease that is not written yet
    has it written first.
    """

    def __init__(self, run: Run, run_many: RunMany, lock: str = "") -> None:
        super().__init__(run, lock)
        self._run_many = run_many
        self._new: dict[str, tuple[Any, ...]] = {}
        self._over: dict[str, tuple[Any, ...]] = {}

    def flush(self) -> None:
        """Writes what was gathered; in the order of the ids, so that two who do so cannot wait for each other."""
        new, self._new, over, self._over = self._new, {}, self._over, {}
        if new:
            self._run_many(INSERT, [row for _, row in sorted(new.items())])
        if over:
            self._run_many(CLOSE, [row for _, row in sorted(over.items())])

    def known(self, lease: str) -> Held | None:
        """See Shelf."""
        if lease in self._new or lease in self._over:
            self.flush()
        return super().known(lease)

    def began_before(self, session: str, moment_ns: int) -> bool:
        """See Shelf."""
        self.flush()
        return super().began_before(session, moment_ns)

    def insert(self, row: Held, ask: Ask, asked_nano: int | None, now_ns: int) -> None:
        """See Shelf."""
        self._new[row.id] = _inserted(row, ask, asked_nano, now_ns)

    def close(self, lease: str, state: str, amount_nano: int, now_ns: int) -> None:
        """See Shelf. Whoever closes a lease has found it before, so it is written."""
        self._over[lease] = (state, amount_nano, now_ns, lease)


def _inserted(row: Held, ask: Ask, asked_nano: int | None, now_ns: int) -> tuple[Any, ...]:
    """The parameters of `INSERT`."""
    session = ask.envelope.get("session", "")
    return (
        row.id,
        row.parent,
        ask.holder,
        _worded(tuple(ask.envelope.items())),
        session,
        session,
        _listed(row.keys),
        _listed(row.own),
        row.kind,
        row.max_tokens,
        row.model,
        int(row.chunk),
        row.call_nano,
        asked_nano,
        row.held_nano,
        now_ns,
        row.expires_ns,
    )


@lru_cache(maxsize=4096)
def _worded(envelope: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(envelope), ensure_ascii=False)


@lru_cache(maxsize=4096)
def _listed(keys: tuple[str, ...]) -> str:
    return json.dumps(keys)


@lru_cache(maxsize=4096)
def _envelope(text: str) -> Mapping[str, str]:
    return MappingProxyType(json.loads(text))


@lru_cache(maxsize=4096)
def _read(keys: str) -> tuple[str, ...]:
    return tuple(json.loads(keys))


_CHANCES = 64
_chances: list[str] = []
if hasattr(os, "register_at_fork"):  # a child must not use what its parent uses
    os.register_at_fork(after_in_child=_chances.clear)


def _chance() -> str:
    """Sixteen digits that nobody can guess: asked of the system many at a time, each given to one thread only."""
    try:
        return _chances.pop()
    except IndexError:
        drawn = os.urandom(8 * _CHANCES).hex()
        _chances.extend(drawn[at : at + 16] for at in range(16, len(drawn), 16))
        return drawn[:16]


def name_of(ask: Ask, now_ns: int) -> str:
    """The id of a new lease, always the same for one that its holder named.

    It begins with the moment, so that new leases lie beside each other in the store, and cannot be guessed.
    """
    if not ask.id:
        return f"{now_ns:016x}{_chance()}"
    return hashlib.sha256(f"{ask.holder}\0{ask.id}".encode()).hexdigest()[:32]
