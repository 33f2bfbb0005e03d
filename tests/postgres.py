"""A PostgreSQL of the tests' own: a cluster in a temporary folder, reached through a socket, gone when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

_NUMBERS = count(1)
_USERS = ("postgres", "nobody")
"""PostgreSQL refuses to run as root; where the tests do, one of these runs it."""


class Cluster:
    """A running server; `database` makes a fresh, empty database and returns its address."""

    def __init__(self, folder: Path, binaries: Path, user: str | None) -> None:
        self.folder = folder
        self._binaries = binaries
        self._user = user

    def run(self, program: str, *words: str) -> None:
        """Runs one of PostgreSQL's programs as the user that may."""
        command = [str(self._binaries / program), *words]
        surroundings = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, env=surroundings, user=self._user)

    def database(self, like: str = "") -> str:
        """The address of a new database, with all that is in the one of the address `like`."""
        import psycopg

        name = f"outlay_{next(_NUMBERS)}"
        template = urlsplit(like).path.removeprefix("/") or "template1"
        with psycopg.connect(self._place("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._place(name)

    def _place(self, name: str) -> str:
        return f"postgresql://outlay@/{name}?host={self.folder}"


def binaries() -> Path | None:
    """Where PostgreSQL's programs are; None if it is not on this machine."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A cluster that ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="outlay-pg-"))  # a short path: a socket's name has an end
    user = None
    if os.geteuid() == 0:
        user = next(name for name in _USERS if _exists(name))
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    running = Cluster(folder, programs, user)
    data = str(folder / "data")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    try:
        running.run("initdb", "-D", data, "-U", "outlay", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        running.run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield running
        finally:
            running.run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
