"""Attempts: which request repeats one that failed a moment ago. Kept in memory only, as keyed digests, never as text.

A failure explains one repetition: the next request with the same session, method, address and body takes it and is
attempt n + 1, for the reason the last one failed.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

REMEMBERED_MAX = 4096
REMEMBERED_NS = 900 * 1_000_000_000
"""A failure older than this explains no new request."""

_SECRET = os.urandom(16)


def digest(session: str, method: str, address: str, body: bytes) -> bytes:
    """What a request is known by: 16 bytes that say nothing without this process's own secret."""
    made = hashlib.blake2b(
        f"{session}\0{method}\0{address}\0".encode("utf-8", "surrogatepass"), digest_size=16, key=_SECRET
    )
    made.update(body)
    return made.digest()


@dataclass(slots=True)
class Identity:
    """What a request is told apart by. Its digest is made only where there is a failure to compare or to remember."""

    session: str
    method: str
    address: str
    body: bytes

    def key(self) -> bytes:
        """The keyed digest."""
        return digest(self.session, self.method, self.address, self.body)


class Failures:
    """The failures of this process that no request has answered yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[bytes, list[tuple[int, str, int]]] = OrderedDict()

    def take(self, identity: Identity) -> tuple[int, str]:
        """(attempt, reason) of a request that begins now; (0, "") where nothing before it failed."""
        if not self._held:
            return 0, ""
        key = identity.key()
        with self._lock:
            waiting = self._held.get(key)
            if not waiting:
                return 0, ""
            attempt, reason, at_ns = waiting.pop()
            if not waiting:
                del self._held[key]
        if time.monotonic_ns() - at_ns > REMEMBERED_NS:
            return 0, ""
        return attempt + 1, reason

    def remember(self, identity: Identity, attempt: int, reason: str) -> None:
        """That an attempt failed, and why."""
        key = identity.key()
        with self._lock:
            self._held.setdefault(key, []).append((attempt, reason, time.monotonic_ns()))
            self._held.move_to_end(key)
            while len(self._held) > REMEMBERED_MAX:
                self._held.popitem(last=False)

    def forget(self) -> None:
        """Starts anew, in a child process and in tests."""
        self._lock = threading.Lock()
        self._held.clear()


failures = Failures()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=failures.forget)
