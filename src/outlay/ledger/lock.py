"""One owner: a home belongs to one process at a time, so that there is one writer and one order of facts."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from outlay.core.errors import StoreBusyError


class OwnerLock:
    """An advisory lock on `owner.lock`, held until `release` or the end of the process, however it ends."""

    def __init__(self, home: Path) -> None:
        self._path = home / "owner.lock"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreBusyError(
                f"the books in {home} belong to process {holder}",
                hint="ask the running server (outlay finds it by itself), or stop it first",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the home free; releasing twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
