"""Post: one HTTP request to an address that was judged, with a limit for all of it and no redirects."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from outlay.core.errors import InputError
from outlay.delivery.places import Network, RefusedPlaceError, addresses, is_allowed, judged

DEADLINE_S = 10
"""For one attempt, from the first packet to the last; whoever answers by drops is cut off too."""

RETRY_AFTER_S_MAX = 3600
_BODY_BYTES_MAX = 64
_TRY_AGAIN = frozenset({408, 425, 429})

Lookup = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `final` failures are not tried again; `after_s` is how long the other side asks to wait.

    `hung` is an attempt that took all its time.
    """

    ok: bool
    said: str
    final: bool = False
    after_s: int = 0
    hung: bool = False


class Post:
    """Sends to addresses that may be reached; safe to share between threads."""

    def __init__(
        self, allowed: Sequence[Network] = (), lookup: Lookup = addresses, deadline_s: float = DEADLINE_S
    ) -> None:
        self._allowed = allowed
        self._lookup = lookup
        self.deadline_s = deadline_s

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Posts a JSON body once. Never raises for what the other side does."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            found = self.reach(host, port)
            secret = parts.scheme == "https"
            if not secret and not all(is_allowed(address, self._allowed) for address in found):
                return Outcome(ok=False, said="http is not private: use https", final=True)
        except InputError as error:
            return unreached(error)
        except ValueError:
            return Outcome(ok=False, said="the address cannot be read", final=True)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with limit_of(self.deadline_s) as limit:
            try:
                return self._ask(_connection(host, port, found, limit, secret=secret), path, body, headers)
            except (OSError, HTTPException, ValueError) as error:
                return Outcome(ok=False, said=limit.why(error), hung=limit.hung(error))

    def reach(self, host: str, port: int, *, inside: bool = False) -> list[str]:
        """The addresses of a host, looked up once and judged. Raises InputError."""
        return judged(host, self._lookup(host, port), self._allowed, inside=inside)

    @staticmethod
    def _ask(connection: HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        try:
            connection.request("POST", path, body, {"content-type": "application/json", **headers})
            answer = connection.getresponse()
            word = answer.read(_BODY_BYTES_MAX).decode("ascii", "replace").strip()
            return _outcome(answer.status, answer.getheader("retry-after", ""), word)
        finally:
            connection.close()


def unreached(error: InputError) -> Outcome:
    """A name that cannot be looked up may be there in a minute; an address that is refused stays refused."""
    said = f"{error.message} ({error.hint})" if error.hint else error.message
    return Outcome(ok=False, said=said, final=isinstance(error, RefusedPlaceError))


def _outcome(status: int, after: str, word: str) -> Outcome:
    # Only a bare word of an answer is kept: a page may repeat the address, and that is a password.
    said = f"{status} {word}" if word.replace("_", "").isalpha() else str(status)
    if 200 <= status < 300:
        return Outcome(ok=True, said=said)
    if 300 <= status < 400:
        return Outcome(ok=False, said=f"{said}: redirects are not followed", final=True)
    wait_s = min(int(after), RETRY_AFTER_S_MAX) if after.isdecimal() and len(after) < 9 else 0
    return Outcome(ok=False, said=said, final=400 <= status < 500 and status not in _TRY_AGAIN, after_s=wait_s)


class Limit:
    """The end of one attempt: when it is reached, the socket is closed under whoever waits for it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.reached = False
        self._socket: socket.socket | None = None

    def over(self, sock: socket.socket) -> socket.socket:
        """From now on it is this socket's."""
        self._socket = sock
        if self.reached:
            self._close()
        return sock

    def reach(self) -> None:
        """It is over."""
        self.reached = True
        self._close()

    def hung(self, error: Exception) -> bool:
        """Whether it was the time that ran out."""
        return self.reached or isinstance(error, TimeoutError)

    def why(self, error: Exception) -> str:
        """What happened, in a line; nothing of the address is in it."""
        if self.hung(error):
            return f"no answer within {self.seconds:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not good: {error.verify_message}"
        text = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return text.split("\n", maxsplit=1)[0]

    def _close(self) -> None:
        if self._socket is not None:
            try:
                # The plain socket's own: a TLS one would take its state from under the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                return


@contextmanager
def limit_of(seconds: float) -> Generator[Limit]:
    """The limit of what is done in the block."""
    limit = Limit(seconds)
    timer = threading.Timer(seconds, limit.reach)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()


def connect(found: Sequence[str], port: int, limit: Limit) -> socket.socket:
    """A connection to the first of the judged addresses that answers. Raises OSError."""
    for place, address in enumerate(found):
        try:
            return limit.over(socket.create_connection((address, port), limit.seconds))
        except OSError:
            if place + 1 == len(found) or limit.reached:
                raise
    raise OSError("no address")


def _connection(host: str, port: int, found: Sequence[str], limit: Limit, *, secret: bool) -> HTTPConnection:
    class Plain(HTTPConnection):
        """Connects where it was judged that it may, whatever the name means by now."""

        def connect(self) -> None:
            self.sock = connect(found, port, limit)

    class Secret(HTTPSConnection):
        """The same, with the certificate checked against the name."""

        def connect(self) -> None:
            plain = connect(found, port, limit)
            self.sock = limit.over(ssl.create_default_context().wrap_socket(plain, server_hostname=host))

    return (Secret if secret else Plain)(host, port, timeout=limit.seconds)
