"""The keys as a server holds them: found in memory, refreshed from the store every second, use written back.

A request never waits for the store. A key that was made, revoked or has expired counts within a second; while the store
cannot be read, the keys that were known go on counting.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Mapping

from outlay.control import signins
from outlay.control.keys import ApiKey, digest_of, live_keys, mark_used
from outlay.control.store import ControlStore
from outlay.core.errors import OutlayError

REFRESH_S = 1.0  # not money: how soon a revoked key is refused
USED_EVERY_NS = 60 * 10**9
"""The last use of a key is written down at most this often."""

log = logging.getLogger("outlay.keys")


class Keyring:
    """Finds the key of a secret. `extra` are keys that live only as long as this process, by SHA-256."""

    def __init__(self, store: ControlStore | None, extra: Mapping[str, ApiKey] | None = None) -> None:
        self._store = store
        self._extra = dict(extra or {})
        self._used: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._keys: dict[str, ApiKey] = dict(self._extra)
        self._sign_ins: dict[str, tuple[str, int]] = {}
        self._changing = threading.Lock()  # a sign-in and a reading that began before it
        if store is not None:
            self.refresh()

    def __len__(self) -> int:
        return len(self._keys)

    def start(self) -> None:
        """Refreshes in the background until `close`."""
        self._thread = threading.Thread(target=self._run, name="outlay-keyring", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops refreshing and writes down the last uses."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._write_uses(every_ns=0)

    def find(self, secret: str) -> ApiKey | None:
        """The key of a secret, None if there is none or its time is over."""
        return self._live(digest_of(secret))

    def sign_in(self, secret: str) -> tuple[str, ApiKey] | None:
        """A secret for a browser's cookie and the key behind it, None if there is no such key. Raises StoreError."""
        digest = digest_of(secret)
        key = self._live(digest)
        if key is None or self._store is None or digest in self._extra:
            return None
        with self._changing:
            token, expires_ns = signins.begin(self._store, digest)
            self._sign_ins = {**self._sign_ins, digest_of(token): (digest, expires_ns)}
        return token, key

    def signed_in(self, token: str) -> ApiKey | None:
        """The key behind a browser's cookie, None once the key or the sign-in is over."""
        held = self._sign_ins.get(digest_of(token))
        if held is None or held[1] <= time.time_ns():
            return None
        return self._live(held[0])

    def sign_out(self, token: str) -> None:
        """Ends a sign-in. Raises StoreError."""
        if self._store is not None:
            with self._changing:
                signins.end(self._store, digest_of(token))
                self._sign_ins = signins.live(self._store)

    def refresh(self) -> None:
        """Reads the keys and sign-ins again. Raises StoreError."""
        if self._store is not None:
            self._keys = {**live_keys(self._store), **self._extra}
            with self._changing:
                self._sign_ins = signins.live(self._store)

    def _live(self, digest: str) -> ApiKey | None:
        found: ApiKey | None = None
        for held, key in self._keys.items():
            if hmac.compare_digest(digest, held):  # every key is compared, each in constant time
                found = key
        now_ns = time.time_ns()
        if found is None or found.expired(now_ns):
            return None
        self._used[digest] = now_ns
        return found

    def _run(self) -> None:
        while not self._stop.wait(REFRESH_S):
            try:
                self.refresh()
                self._write_uses(USED_EVERY_NS)
            except OutlayError as error:
                log.warning("the keys could not be refreshed: %s", error.message)

    def _write_uses(self, every_ns: int) -> None:
        due = {
            digest: used_ns
            for digest, used_ns in list(self._used.items())
            if digest not in self._extra and used_ns > self._written.get(digest, 0) + every_ns
        }
        if due and self._store is not None:
            mark_used(self._store, due)
            self._written |= due
