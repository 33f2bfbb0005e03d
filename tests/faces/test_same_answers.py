"""One owner: while a server runs, commands ask it, and get what they would have found in the books themselves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from outlay.faces.cli.main import run
from outlay.faces.owner import SERVER_FILE, Owner, announce, running_owner, withdraw

TRACES = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "agents"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "opentelemetry.instrumentation.openai_v2"},
                    "spans": [
                        {
                            "traceId": f"{number:032x}",
                            "spanId": f"{number:016x}",
                            "name": "chat gpt-4.1",
                            "startTimeUnixNano": str(1_763_700_000_000_000_000 + number),
                            "endTimeUnixNano": str(1_763_700_001_000_000_000 + number),
                            "attributes": [
                                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
                                {"key": "gen_ai.response.model", "value": {"stringValue": "gpt-4.1"}},
                                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000"}},
                                {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "100"}},
                                {"key": "gen_ai.conversation.id", "value": {"stringValue": "s3"}},
                            ],
                        }
                        for number in range(1, 21)
                    ],
                }
            ],
        }
    ]
}
TAU2 = "tau2_other/e2e_airline_baseline.json"

QUESTIONS = [
    ["spend", "--by", "team,model", "--measures", "cost,usages,unpriced_usages,input_tokens"],
    ["spend", "--by", "session", "--grain", "day", "--measures", "cost,usages", "--order", "cost:asc"],
    ["spend", "--by", "model", "--where", "team!=nobody", "--top", "1"],
    ["sessions"],
    ["outcomes"],
    ["metrics"],
    ["forecast", "--by", "team", "--month", "2025-11"],
    ["targets", "review", "--quarter", "2025-Q4"],
    ["targets", "review", "--quarter", "2025-Q5"],
    ["efficiency", "--by", "model", "--month", "2025-11"],
    ["prices", "show", "gpt-4.1", "--provider", "openai", "--at", "2026-11-01"],
    ["prices", "check"],
    ["spend", "--by", "tean"],
    ["session", "nobody"],
    ["prices", "show"],
]


def started(home: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """A server of its own process, and its address once it answers."""
    source = Path(__file__).resolve().parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source), "OUTLAY_HOME": str(home)}
    command = [sys.executable, "-c", "from outlay.faces.cli.main import main; main()", "up", "--port", "0", *words]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        owner = running_owner(home)
        if owner is not None:
            return server, owner.url
        if server.poll() is not None:
            break
        time.sleep(0.1)
    server.kill()
    pytest.fail(f"the server did not start: {server.communicate()[1]}")


@contextlib.contextmanager
def serving(home: Path, *words: str) -> Iterator[str]:
    server, url = started(home, *words)
    try:
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def answers(capsys: pytest.CaptureFixture[str], questions: list[list[str]]) -> list[Any]:
    found = []
    for words in questions:
        code = run([*words, "--json"])
        told = capsys.readouterr()
        found.append((code, json.loads(told.out) if told.out else None, told.err))
    return found


def test_a_server_answers_what_the_books_answer(
    home: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", str(shared_data / TAU2), "--team", "search"]) == 0
    capsys.readouterr()
    alone = answers(capsys, QUESTIONS)
    assert alone[0][1]["rows"]
    with serving(home):
        asked = answers(capsys, QUESTIONS)
    assert asked == alone


def test_an_import_through_a_server_is_the_same_import(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["import", str(shared_data / TAU2), "--team", "search", "--tag", "experiment=7"]
    question = ["spend", "--by", "team,tag.experiment,centre", "--measures", "cost,usages,sessions,tasks"]
    found = []
    for name in ("alone", "served"):
        monkeypatch.setenv("OUTLAY_HOME", str(tmp_path / name))
        with serving(tmp_path / name) if name == "served" else contextlib.nullcontext():
            found.append(answers(capsys, [words, words, question]))
    assert found[0] == found[1]
    first, again, _ = found[0]
    assert first[1]["total"]["posted"] == first[1]["total"]["received"] > 0
    assert again[1]["total"]["duplicates"] == again[1]["total"]["received"]
    assert again[1]["total"]["posted"] == 0


def test_spans_that_were_acknowledged_are_in_the_books(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(home) as url:
        for _ in range(2):
            assert httpx2.post(f"{url}/v1/traces", json=TRACES).status_code == 200
        assert httpx2.get(f"{url}/").status_code == 200
        broken = httpx2.post(
            f"{url}/v1/traces", content=b"\x0a\xff\xff", headers={"content-type": "application/x-protobuf"}
        )
        assert broken.status_code == 400
        assert broken.headers["content-type"] == "application/problem+json"
    assert not (home / SERVER_FILE).exists()
    run(["spend", "--by", "session", "--measures", "usages,cost,input_tokens", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["rows"] == [{"session": "s3", "usages": 20, "cost": "0.056", "input_tokens": 20_000}]


def test_a_second_server_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(home):
        assert run(["up", "--port", "0"]) == 1
    assert "runs already" in capsys.readouterr().err


def test_a_taken_port_is_said(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(home) as url:
        port = url.rpartition(":")[2]
        assert run(["up", "--port", port, "--home", str(tmp_path / "other")]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_beyond_this_machine_only_with_a_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--host", "0.0.0.0", "--port", "0"]) == 1
    assert "refusing to listen on 0.0.0.0" in capsys.readouterr().err
    assert run(["keys", "add", "collector"]) == 0
    secret = capsys.readouterr().out.strip()
    for path in home.glob("control.sqlite*"):
        assert secret.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    with serving(home, "--host", "0.0.0.0") as url:
        assert httpx2.get(f"{url}/api/v1/counters").status_code == 401
        assert httpx2.get(f"{url}/api/v1/counters", headers={"authorization": f"Bearer {secret}"}).status_code == 200
        assert run(["spend", "--json"]) == 0, "commands of this home have a key for the run"
        assert (home / SERVER_FILE).stat().st_mode & 0o077 == 0
        announce(home, Owner(url, running_owner(home).pid, "wrong"))  # type: ignore[union-attr]
        assert run(["spend"]) == 4


def test_a_key_that_is_revoked_is_refused_by_the_running_server(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "add", "first", "--may", "read"]) == 0
    capsys.readouterr()
    with serving(home, "--host", "0.0.0.0") as url:
        assert run(["keys", "add", "second", "--may", "read"]) == 0
        secret = capsys.readouterr().out.strip()

        def status() -> int:
            return httpx2.get(f"{url}/api/v1/spend", headers={"authorization": f"Bearer {secret}"}).status_code

        assert eventually(status, 200)
        assert run(["keys", "revoke", "second"]) == 0
        assert eventually(status, 401)


def eventually(status: Callable[[], int], wanted: int) -> bool:
    """Whether an answer comes to this within half a minute."""
    until = time.monotonic() + 30
    while status() != wanted and time.monotonic() < until:
        time.sleep(0.1)
    return status() == wanted


def test_a_server_that_died_does_not_own_anything(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    announce(tmp_path, Owner("http://127.0.0.1:9", gone.pid))
    assert running_owner(tmp_path) is None
    announce(tmp_path, Owner("http://127.0.0.1:9", os.getpid()))
    assert running_owner(tmp_path) is None, "alive, but nothing answers"
    withdraw(tmp_path, gone.pid)
    assert (tmp_path / SERVER_FILE).exists(), "not its own"
    (tmp_path / SERVER_FILE).write_text("{", encoding="utf-8")
    assert running_owner(tmp_path) is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_server_that_is_told_to_stop_closes_its_books(home: Path, number: signal.Signals, code: int) -> None:
    server, url = started(home)
    assert httpx2.post(f"{url}/v1/traces", json=TRACES).status_code == 200
    server.send_signal(number)
    _, said = server.communicate(timeout=60)
    assert server.returncode == code, said
    assert not (home / SERVER_FILE).exists()
    assert "Traceback" not in said
    assert "leaked" not in said, "what was kept from the collector is given back before the end"
