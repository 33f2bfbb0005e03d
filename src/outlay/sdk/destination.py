"""Destination: the server that batches are sent to, and one connection to it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.client import HTTPConnection

SERVER_FILE = "server.json"
PATH = "/v1/traces"
CONTENT_TYPE = "application/x-protobuf"

_TIMEOUT_S = 10.0
_ANSWER_BYTES_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Destination:
    """A server's address, and the key it asks for."""

    url: str
    key: str = ""


class Whereabouts:
    """Finds the destination anew when it may have changed: a server of the home comes and goes."""

    def __init__(self, home: Path, endpoint: str, key: str) -> None:
        self.endpoint = endpoint
        self._file = home / SERVER_FILE
        self._key = key
        self._seen: tuple[int, int] | None = None
        self._found: Destination | None = None

    def __call__(self) -> Destination | None:
        """The server that was named, else the one that runs on the home, else None."""
        if self.endpoint:
            return Destination(self.endpoint, self._key)
        try:
            stat = os.stat(self._file)  # noqa: PTH116 - asked before every batch
        except OSError:
            self._seen = self._found = None
            return None
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen != self._seen:
            self._seen, self._found = seen, self._read()
        return self._found

    def _read(self) -> Destination | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(self._file.read_text(encoding="utf-8"))
            return Destination(str(said["url"]), self._key or str(said.get("key", "")))
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: HTTP status (0: it was not reached), seconds it asks to wait, and a remark."""

    status: int
    retry_after_s: float = 0
    remark: str = ""

    @property
    def taken(self) -> bool:
        """The batch is theirs now."""
        return 200 <= self.status < 300

    @property
    def hopeless(self) -> bool:
        """Sending the same bytes again can only be refused again."""
        return self.status in {400, 413, 415, 422}


class Line:
    """A connection that stays open between batches; used by one thread."""

    def __init__(self) -> None:
        self._to: Destination | None = None
        self._connection: HTTPConnection | None = None

    def post(self, to: Destination, body: bytes) -> Answer:
        """Sends one request; a connection that the server closed in the meantime is opened again once."""
        from http.client import HTTPException

        fresh = self._connection is None or to != self._to
        try:
            return self._post(to, body)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            if fresh:
                return Answer(0, remark=f"{to.url}: {error or type(error).__name__}")
        try:
            return self._post(to, body)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            return Answer(0, remark=f"{to.url}: {error or type(error).__name__}")

    def close(self) -> None:
        """Hangs up."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
        self._connection = None

    def _post(self, to: Destination, body: bytes) -> Answer:
        if self._connection is None or to != self._to:
            self.close()
            self._connection, self._to = _connect(to), to
        from urllib.parse import urlsplit

        headers = {"content-type": CONTENT_TYPE, "user-agent": "outlay-sdk"}
        if to.key:
            headers["authorization"] = f"Bearer {to.key}"
        self._connection.request("POST", urlsplit(to.url).path.rstrip("/") + PATH, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        wait = answer.getheader("retry-after") or ""
        remark = content[:_ANSWER_BYTES_SHOWN].decode("utf-8", "replace") if content else ""
        return Answer(answer.status, float(wait) if wait.isdecimal() else 0, remark)


def _connect(to: Destination) -> HTTPConnection:
    from http.client import HTTPConnection, HTTPSConnection
    from urllib.parse import urlsplit

    place = urlsplit(to.url)
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    return kind(place.hostname or "127.0.0.1", place.port, timeout=_TIMEOUT_S)
