"""Spool: what agents recorded while no server was there, taken into the books when the home is opened.

The SDK leaves whole OTLP requests as files in `spool/` of the home. Each goes through the same door as a request over
HTTP and is removed once it is durable in the journal; a crash between the two makes it come once more, and its
identities are known by then. While the home stays open the folder is looked into about once a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from outlay.core.errors import FormatError, OutlayError
from outlay.ledger.intake import Intake

SUFFIX = ".otlp"
REFUSED = ".refused"
LOOK_EVERY_S = 1
GRACE_S = 3
"""A file this young may be on its way to the server by HTTP as well."""

_TOGETHER = 16

_log = logging.getLogger("outlay.intake")


class Spool:
    """The folder of one home. `take` may be called by anybody; `watch` begins to look by itself until `close`."""

    def __init__(self, folder: Path, intake: Intake) -> None:
        self.folder = folder
        self._intake = intake
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, grace_s: float = 0) -> int:
        """Take in every file older than `grace_s`, the oldest first; how many. What cannot be taken now stays."""
        until = time.time() - grace_s
        paths = [path for path in sorted(self.folder.glob(f"*{SUFFIX}")) if _written(path) <= until]
        taken = 0
        for place in range(0, len(paths), _TOGETHER):
            try:
                taken += self._take(paths[place : place + _TOGETHER])
            except (OutlayError, OSError) as error:
                _log.warning("the spool %s waits: %s", self.folder, error)
                break
        return taken

    def watch(self) -> None:
        """Look into the folder about once a second."""
        self._thread = threading.Thread(target=self._watch, name="outlay-spool", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no longer."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            self.take(GRACE_S)

    def _take(self, paths: Sequence[Path]) -> int:
        bodies = [_read(path) for path in paths]
        answers = [self._intake.submit(body, "protobuf") for body in bodies if body]
        for path, body in zip(paths, bodies, strict=True):
            if body:
                try:
                    receipt = answers.pop(0).result()
                except FormatError as error:
                    _log.error("%s is no OTLP and is put aside: %s", path, error.message)
                    path.replace(path.with_suffix(REFUSED))
                    continue
                for problem in receipt.problems:
                    _log.warning("%s: %s: %s", path.name, problem.where, problem.what)
            path.unlink(missing_ok=True)
        return len(paths)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # its own process has delivered it in the meantime


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")  # not money: somebody else has taken it
