"""Sending: a busy server, a server that is not there; and every spelling arrives as one company."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from outlay.core.errors import ServerError
from outlay.demo import run as sending
from outlay.demo.company import FEATURES
from outlay.demo.run import bodies, prepare

NOW = datetime(2026, 11, 23, 14, 52, tzinfo=UTC)
DAYS = range(100, 104)


@contextmanager
def server(statuses: list[int]) -> Iterator[tuple[str, list[int]]]:
    """A door that answers with `statuses` in turn, then 200; yields its address and the sizes it took."""
    taken: list[int] = []

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = statuses.pop(0) if statuses else 200
            if status == 200:
                assert self.path == "/v1/traces"
                assert self.headers["Content-Type"] == "application/x-protobuf"
                taken.append(len(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence."""

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=door.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.server_address[1]}", taken
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
        for connection in sending._connections.values():
            connection.close()
        sending._connections.clear()


def test_a_day_is_sent_body_by_body() -> None:
    with server([]) as (address, taken):
        spans = sending._send(address, 7, NOW, DAYS)
    sizes = list(bodies(7, NOW, DAYS))
    assert taken == [len(body) for body, _ in sizes]
    assert spans == sum(size for _, size in sizes)


def test_a_busy_server_gets_the_same_body_again() -> None:
    with server([503, 429]) as (address, taken):
        sending._send(address, 7, NOW, DAYS)
    assert taken == [len(body) for body, _ in bodies(7, NOW, DAYS)]


def test_a_refusal_is_an_error_that_says_what_the_server_said() -> None:
    with server([400]) as (address, _), pytest.raises(ServerError, match="HTTP 400"):
        sending._send(address, 7, NOW, DAYS)


def test_a_server_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_ATTEMPTS_MAX", 2)
    with pytest.raises(ServerError, match="did not take"):
        sending._send("http://127.0.0.1:9", 7, NOW, DAYS)


@pytest.mark.slow
def test_the_whole_company_goes_out_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "HISTORY_DAYS", 2)
    steps: list[sending.Progress] = []
    with server([]) as (address, taken):
        sent = sending.run(address, 7, steps.append, NOW)
    assert [step.days for step in steps] == [1, 2, 3]
    assert steps[-1].spans == sent.spans > 500
    assert len(taken) >= 3


def test_the_rate_card_is_written_once(tmp_path: Path) -> None:
    prepare(tmp_path)
    card = tmp_path / "prices" / "rate_card.toml"
    assert "session_second" in card.read_text(encoding="utf-8")
    card.write_text("# mine\n", encoding="utf-8")
    prepare(tmp_path)
    assert card.read_text(encoding="utf-8") == "# mine\n"


def test_every_spelling_ends_as_one_company(tmp_path: Path) -> None:
    """The proof of the normaliser: nothing refused, every team and centre there, only the fine-tune without a price."""
    from outlay.normalize.clean import normalise
    from outlay.normalize.spans import facts_of_spans
    from outlay.pricing.book import PriceBook
    from outlay.sources.otlp import decode

    prepare(tmp_path)
    sent = [body for days in (range(3, 5), range(200, 201)) for body, _ in bodies(7, NOW, days)]
    decoded = decode(sent, "protobuf")
    assert not any(body.malformed or body.refused for body in decoded.bodies)
    batch = facts_of_spans(decoded.spans)
    normal = normalise(batch.facts)
    assert (normal.refused, normal.problems) == (0, [])
    usages = PriceBook.load(tmp_path / "prices").charge(normal.usages).usages.to_pylist()
    assert {row["team"] for row in usages} >= {feature.team for feature in FEATURES}
    assert {row["feature"] for row in usages} >= {feature.name for feature in FEATURES}
    assert {row["centre"] for row in usages} == {
        "inference", "retries", "retrieval", "guardrails", "tools", "orchestration"
    }  # fmt: skip
    unpriced = {row["model"] for row in usages if row["unpriced_meters"]}
    assert unpriced == {"ft:gpt-4.1-mini-2025-04-14:lumen:kyc-docs:B7k2Qx"}
    assert {row["model_tier"] for row in usages} >= {"frontier", "mid", "efficient"}
    ends = batch.outcomes.column("status").to_pylist()
    assert set(ends) == {"done", "failed", "abandoned"}
