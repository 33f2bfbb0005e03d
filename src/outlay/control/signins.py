"""Sign-ins: a browser that showed a key gets a secret of its own, kept as SHA-256, which ends by itself.

The key never stays in the browser. What the cookie holds is looked up, not believed, so that revoking the key or
signing out ends it everywhere within a second.
"""

from __future__ import annotations

import secrets
import time

from sqlalchemy import delete, insert, select

from outlay.control.keys import digest_of
from outlay.control.store import ControlStore
from outlay.control.tables import sign_ins

LASTS_NS = 12 * 3600 * 10**9
"""A working day; then the key is asked for again."""


def begin(store: ControlStore, key_sha256: str) -> tuple[str, int]:
    """A new sign-in with the key of this hash: its secret, and when it ends; those that are over are cleared away."""
    token, now_ns = secrets.token_urlsafe(32), time.time_ns()
    values = {"key_sha256": key_sha256, "created_ns": now_ns, "expires_ns": now_ns + LASTS_NS}
    with store.writing() as connection:
        connection.execute(delete(sign_ins).where(sign_ins.c.expires_ns <= now_ns))
        connection.execute(insert(sign_ins).values(sha256=digest_of(token), **values))
    return token, now_ns + LASTS_NS


def end(store: ControlStore, sha256: str) -> None:
    """Ends a sign-in, by the hash of its secret."""
    with store.writing() as connection:
        connection.execute(delete(sign_ins).where(sign_ins.c.sha256 == sha256))


def live(store: ControlStore) -> dict[str, tuple[str, int]]:
    """The sign-ins that are not over, by the hash of their secret: the hash of the key, and when they end."""
    wanted = select(sign_ins).where(sign_ins.c.expires_ns > time.time_ns())
    with store.reading() as connection:
        return {row.sha256: (row.key_sha256, row.expires_ns) for row in connection.execute(wanted)}
