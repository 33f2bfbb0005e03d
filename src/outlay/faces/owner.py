"""Who owns the books: one process. A server says so in `server.json`, so that commands can ask it instead.

The file holds the address, the process id and a key for this run; only the owner of the home can read it. A file left
behind by a server that died is recognised by its process id and by a health check, and then ignored.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

SERVER_FILE = "server.json"

_HEALTH_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A running server: its address, process id and the key that this home's own commands present."""

    url: str
    pid: int
    key: str = ""


def announce(home: Path, owner: Owner) -> None:
    """Writes `server.json`, whole or not at all, readable by its owner only."""
    target = home / SERVER_FILE
    draft = home / f".{SERVER_FILE}.{owner.pid}"
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"url": owner.url, "pid": owner.pid, "key": owner.key}, file)
    draft.replace(target)


def withdraw(home: Path, pid: int) -> None:
    """Removes `server.json` if it is still this process's own."""
    owner = _read(home)
    if owner is not None and owner.pid == pid:
        (home / SERVER_FILE).unlink(missing_ok=True)


def running_owner(home: Path) -> Owner | None:
    """The server that owns these books, if one is alive and healthy."""
    owner = _read(home)
    if owner is None or not _alive(owner.pid) or not _healthy(owner.url, owner.pid):
        return None
    return owner


def _read(home: Path) -> Owner | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((home / SERVER_FILE).read_text(encoding="utf-8"))
        return Owner(str(said["url"]), int(said["pid"]), str(said.get("key", "")))
    return None


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # signal 0 would end the process there; the health check alone decides
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _healthy(url: str, pid: int) -> bool:
    """Asks `/healthz`, which names its process: another program on a reused port does not pass for the owner."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "127.0.0.1", place.port, timeout=_HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == 200 and json.loads(answer.read()).get("pid") == pid
    except (OSError, HTTPException, ValueError, AttributeError):
        return False
    finally:
        connection.close()
