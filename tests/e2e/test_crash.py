"""`kill -9` whenever it hurts: what was acknowledged is in the books once, whatever was going on.

The places where a process dies are drawn at random; the seed is in the message of every failure, and OUTLAY_CRASH_SEED
sets it. OUTLAY_CRASH_ROUNDS says how often a server dies while it takes in; the pipeline asks for twenty times.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path

import pytest

from e2e.processes import PROTOBUF, Server, await_up, chat, command_line, integrity, spawn, surroundings, told, zipped
from e2e.same import assert_same, state_of
from otlp_wire import request, span
from outlay.house import House

ROUNDS = int(os.environ.get("OUTLAY_CRASH_ROUNDS", "5"))
CONNECTIONS = 4
SPANS_PER_REQUEST = 25
KILL_SECONDS_MAX = 0.6
SMALL_LIMITS = """
from outlay.ledger import intake, journal
intake.CHECKPOINT_ROWS, intake.SETTLE_PAUSE_S, journal.SEGMENT_BYTES_MAX = 500, 0.05, 100_000
"""
"""Makes the rare moments frequent: checkpoints, settling and new journal files within every round."""


DIES_AT = """
import itertools, os, pathlib, signal
from outlay import house
from outlay.ledger import duckdb_store, journal, posting, rebuild
def die_at(owner, name, count, half=None):
    calls, inner = itertools.count(1), getattr(owner, name)
    def dying(*args, **kwargs):
        if next(calls) == count:
            if half:
                half(inner, *args)
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*args, **kwargs)
    setattr(owner, name, dying)
"""
IMPORT_DEATHS = {
    "half an entry is written": "die_at(journal, '_write_whole', 3, lambda write, file, data: write(file, data[:999]))",
    "an entry is written but not synced": "die_at(journal.os, 'fdatasync', 3)",
    "the entry is durable and not posted": "die_at(posting.Clerk, 'post', 3)",
    "the usages are posted and their lines are not": "die_at(duckdb_store.DuckStore, 'append', 4)",
    "everything is done but the counters": "die_at(posting.Clerk, '_count', 3)",
    "the transaction is whole, the file is not": "die_at(duckdb_store.DuckStore, 'checkpoint', 1)",
}
REBUILD_DEATHS = {
    "some entries are read": "die_at(rebuild, 'post_entry', 4)",
    "the new books are whole and not in place": "die_at(pathlib.Path, 'replace', 1)",
    "the new books are in place": "die_at(pathlib.Path, 'replace', 1, lambda inner, *args: inner(*args))",
}


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("OUTLAY_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


class Senders:
    """Several exporters at once; what gets no answer is sent again in the next round, as an SDK does."""

    def __init__(self) -> None:
        self.sent: set[int] = set()
        self.acknowledged: set[int] = set()
        self.again: list[list[int]] = []
        self._next = 0
        self._lock = threading.Lock()

    def batch(self) -> list[int]:
        with self._lock:
            if self.again:
                return self.again.pop()
            numbers = list(range(self._next, self._next + SPANS_PER_REQUEST))
            self._next += SPANS_PER_REQUEST
            self.sent.update(numbers)
            return numbers

    def run(self, server: Server) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._send, args=(server,)) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        return threads

    def _send(self, server: Server) -> None:
        connection = server.connect(timeout_s=10)
        headers = {"content-type": PROTOBUF, "content-encoding": "gzip"}
        numbers: list[int] = []
        try:
            while True:
                numbers = self.batch()
                connection.request("POST", "/v1/traces", zipped(body_of(numbers)), headers)
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"")
                with self._lock:
                    self.acknowledged.update(numbers)
        except (OSError, HTTPException):
            with self._lock:
                self.again.append(numbers)
        finally:
            connection.close()


def body_of(numbers: list[int]) -> bytes:
    spans = [
        span(
            number % SPANS_PER_REQUEST + 1,
            chat(number),
            trace_id=(1 + number // SPANS_PER_REQUEST).to_bytes(16, "big"),
            parent=None if number % SPANS_PER_REQUEST == 0 else 99,
        )
        for number in numbers
    ]
    resource = {"service.name": "crash", "outlay.team": f"team {numbers[0] % 3}"}
    return request(spans, resource).SerializeToString()


def test_what_was_acknowledged_is_in_the_books_once(tmp_path: Path, seed: int) -> None:
    chance, home, senders = random.Random(seed), tmp_path / "home", Senders()
    for round_ in range(ROUNDS):
        if chance.random() < 0.2:  # the next start dies as well, while it reads on in the journal
            server = spawn(home, SMALL_LIMITS)
            time.sleep(chance.uniform(0, 1.2))
            server.kill()
            assert server.process.stderr is not None
            server.process.stderr.close()
        server = await_up(spawn(home, SMALL_LIMITS if round_ % 2 else ""))
        threads = senders.run(server)
        time.sleep(chance.uniform(0, KILL_SECONDS_MAX))
        server.kill()
        for thread in threads:
            thread.join()
    assert senders.acknowledged, f"seed {seed}: nothing was acknowledged in {ROUNDS} rounds"
    with House.open(home) as house:
        house.intake.settle()
        rows = house.books.rows("SELECT response_id AS id, counted FROM usages").to_pylist()
    times = Counter(int(row["id"].removeprefix("answer-")) for row in rows)
    lost = senders.acknowledged - times.keys()
    assert not lost, f"seed {seed}: {len(lost)} of {len(senders.acknowledged)} acknowledged spans are not in the books"
    assert not (twice := [number for number, count in times.items() if count > 1]), f"seed {seed}: twice: {twice[:9]}"
    assert times.keys() <= senders.sent
    assert all(row["counted"] for row in rows)
    assert all(integrity(home).values()), f"seed {seed}: {integrity(home)}"
    assert told(home, "rebuild")["total"]["matches"], f"seed {seed}"


FILES, REQUESTS_A_FILE = 6, 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OTLP files, one batch each."""
    folder = tmp_path_factory.mktemp("files")
    for place in range(FILES):
        firsts = range(place * REQUESTS_A_FILE * SPANS_PER_REQUEST, 10**9, SPANS_PER_REQUEST)
        bodies = [body_of(list(range(first, first + SPANS_PER_REQUEST))) for first in firsts[:REQUESTS_A_FILE]]
        (folder / f"{place}.pb").write_bytes(b"".join(bodies))
    return folder


@pytest.fixture(scope="module")
def whole(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that took the same files without an accident."""
    home = tmp_path_factory.mktemp("whole")
    told(home, "import", str(files))
    return home


def dies(home: Path, place: str, *words: str) -> None:
    run = subprocess.run(
        command_line(words, f"{DIES_AT}\n{place}"), env=surroundings(home), capture_output=True, text=True, check=False
    )
    assert run.returncode == -signal.SIGKILL, f"{place}: {run.returncode} {run.stderr}"


@pytest.mark.parametrize("death", IMPORT_DEATHS)
def test_an_import_that_died_is_made_whole_by_the_next(death: str, files: Path, whole: Path, tmp_path: Path) -> None:
    dies(tmp_path, IMPORT_DEATHS[death], "import", str(files))
    total = told(tmp_path, "import", str(files))["total"]
    assert total["received"] == total["posted"] + total["duplicates"] == FILES * REQUESTS_A_FILE * SPANS_PER_REQUEST
    assert_same(state_of(whole), state_of(tmp_path))
    assert all(integrity(tmp_path).values())


@pytest.mark.parametrize("death", REBUILD_DEATHS)
def test_a_rebuild_that_died_leaves_books_that_stand(death: str, files: Path, whole: Path, tmp_path: Path) -> None:
    told(tmp_path, "import", str(files))
    dies(tmp_path, REBUILD_DEATHS[death], "rebuild")
    assert_same(state_of(whole), state_of(tmp_path))
    assert all(integrity(tmp_path).values())
    assert told(tmp_path, "rebuild")["total"]["matches"]
    assert sorted(path.name for path in tmp_path.glob("books*")) == ["books.duckdb"]
