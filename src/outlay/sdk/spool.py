"""Spool: encoded steps on disk until somebody has acknowledged them.

Every batch is written here before it is sent, as one file under a name that appears only when the file is whole, so
`kill -9` of the agent loses at most what was recorded in the last fraction of a second. A file holds a complete OTLP
request whose ids were made once: sending it twice gives the same books.

The folder of a home (`spool/`) is read by whoever opens the home's books. What is meant for a server elsewhere lies in
a folder of its own below it, where no other house takes it.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

FOLDER = "spool"
SUFFIX = ".otlp"
DRAFT = ".part"
BYTES_MAX = 256 * 1024 * 1024
"""Beyond this a batch is refused by the disk's own rule that nothing old is thrown away; some 1.5 million steps."""

_NAME = re.compile(r"^(\d{20})-(\d+)-(\d+)\.otlp$")
_SCAN_EVERY = 64  # batches: other processes write into the same folder
_DRAFT_AGE_S = 3_600


def folder_of(home: Path, endpoint: str) -> Path:
    """Where batches for a server wait; for the home's own server (no `endpoint`), the home's spool."""
    spool = home / FOLDER
    return spool / f"to-{blake2b(endpoint.encode(), digest_size=6).hexdigest()}" if endpoint else spool


class Spool:
    """The batches of one destination. `put` is called by one thread at a time."""

    def __init__(self, folder: Path, bytes_max: int = BYTES_MAX) -> None:
        self.folder = folder
        self.bytes_max = bytes_max
        self.trouble = ""
        self.size_bytes = 0
        self._numbers = itertools.count()
        self._since_scan = _SCAN_EVERY

    def put(self, body: bytes, *, sync: bool) -> Path | None:
        """Keeps a batch; None when there is no room, or no disk to write to. `sync` survives a loss of power too."""
        self._since_scan += 1
        if self._since_scan > _SCAN_EVERY:
            self._scan()
        if self.size_bytes + len(body) > self.bytes_max:
            self._scan()
            if self.size_bytes + len(body) > self.bytes_max:
                self.trouble = f"the spool {self.folder} is full ({self.bytes_max // 1024**2} MiB)"
                return None
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}{SUFFIX}"
        path, draft = self.folder / name, self.folder / f".{name}{DRAFT}"
        try:
            self._write(draft, body, sync=sync)
            os.replace(draft, path)  # noqa: PTH105 - a path object costs more than the call
        except OSError as error:
            self.trouble = f"the spool {self.folder} cannot be written: {error.strerror or error}"
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            return None
        self.size_bytes += len(body)
        self.trouble = ""
        return path

    def remove(self, path: Path, size_bytes: int) -> None:
        """Forgets a batch that was acknowledged."""
        with suppress(OSError):
            path.unlink(missing_ok=True)
        self.size_bytes = max(0, self.size_bytes - size_bytes)

    def waiting(self) -> list[Path]:
        """Whole batches, the oldest first."""
        return waiting(self.folder)

    def _write(self, draft: Path, body: bytes, *, sync: bool) -> None:
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            rest = memoryview(body)
            while rest:
                rest = rest[os.write(handle, rest) :]
            if sync:
                os.fsync(handle)
        finally:
            os.close(handle)

    def _scan(self) -> None:
        """Count what is there, other processes' batches included, and clear away drafts of processes long dead."""
        self._since_scan = size = 0
        old = time.time() - _DRAFT_AGE_S
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.name.endswith(SUFFIX):
                        size += entry.stat().st_size
                    elif entry.name.endswith(DRAFT) and entry.stat().st_mtime < old:
                        os.unlink(entry.path)  # noqa: PTH108 - see above
        self.size_bytes = size


def waiting(folder: Path) -> list[Path]:
    """The whole batches in a folder, the oldest first; none where there is no such folder."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return []
    return [folder / name for name in sorted(names) if _NAME.match(name)]


def written_ns(path: Path) -> int:
    """When a batch was written (UTC epoch nanoseconds), by its name."""
    found = _NAME.match(path.name)
    return int(found[1]) if found else 0


def writer_of(path: Path) -> int:
    """The process that wrote a batch, by its name."""
    found = _NAME.match(path.name)
    return int(found[2]) if found else 0
