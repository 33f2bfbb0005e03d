"""A line: one connection to a server that stays open between questions, used by one thread.

The standard library's own client, which no interception of ours meters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from outlay.sdk.desk import UnreachableError
from outlay.sdk.destination import Destination

TIMEOUT_S = 2.0
"""How long an answer is waited for; an agent waits no longer for its budget."""


class Line:
    """One connection, opened when it is needed."""

    def __init__(self, where: Callable[[], Destination | None]) -> None:
        self._where = where
        self._to: Destination | None = None
        self._connection: HTTPConnection | None = None

    def exchange(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of an answer. Raises UnreachableError where there is none.

        A connection that the server closed between two questions is opened again.
        """
        to = self._where()
        if to is None:
            raise UnreachableError("no server is there to be asked", hint="outlay up, or outlay.init(endpoint=…)")
        full = urlsplit(to.url).path.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        try:
            if self._connection is not None and to == self._to:
                with suppress(ConnectionError, HTTPException):
                    return self._once(self._connection, to, method, full, body)
            self.close()
            self._connection, self._to = _connect(to), to
            return self._once(self._connection, to, method, full, body)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise UnreachableError(f"{to.url}: {error or type(error).__name__}", hint="outlay doctor") from error

    def __del__(self) -> None:
        """A thread that is over leaves no connection behind."""
        self.close()

    def close(self) -> None:
        """Hangs up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    @staticmethod
    def _once(
        connection: HTTPConnection, to: Destination, method: str, path: str, body: bytes | None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"user-agent": "outlay-sdk", "accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        if to.key:
            headers["authorization"] = f"Bearer {to.key}"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        said: object = json.loads(content) if content[:1] == b"{" else {}
        return answer.status, said if isinstance(said, dict) else {}


def _connect(to: Destination) -> HTTPConnection:
    place = urlsplit(to.url)
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    return kind(place.hostname or "127.0.0.1", place.port, timeout=TIMEOUT_S)
