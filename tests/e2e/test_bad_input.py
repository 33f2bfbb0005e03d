"""What cannot be used, over real HTTP and real commands: a clear refusal, counted and listed, and the rest goes on."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from e2e.processes import (
    JSON,
    PROTOBUF,
    Server,
    await_up,
    chat,
    integrity,
    outlay,
    settled,
    spawn,
    told,
    up,
    zipped,
)
from otlp_wire import START_NS, json_of, request, span

MIB = 1024 * 1024
INCLUSIVE = ("codex", "1.0")
_numbers = iter(range(1, 10**9))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with up(tmp_path_factory.mktemp("home")) as running:
        yield running


def call(**changes: object) -> dict[str, object]:
    return dict(chat(next(_numbers), **{key.replace("__", "."): value for key, value in changes.items()}))


def refusal(answer: tuple[int, bytes], status: int) -> str:
    """The refusal in one line; it says what happened and what to do."""
    assert answer[0] == status, answer
    said = json.loads(answer[1])
    assert said["detail"]
    assert said["hint"]
    return f"{said['detail']} ({said['hint']})"


def whole_body() -> bytes:
    return request([span(next(_numbers), call())]).SerializeToString()


# ---------------------------------------------------------------------------------------------------------------- HTTP


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_truncated_gzip_is_named(server: Server, cut: int) -> None:
    assert "truncated gzip" in refusal(server.send(zipped(whole_body())[:-cut], coding="gzip"), 400)


def test_another_content_type_is_told_which_are_right(server: Server) -> None:
    said = refusal(server.send(whole_body(), "text/plain"), 415)
    assert "text/plain" in said
    assert PROTOBUF in said
    assert JSON in said


@pytest.mark.parametrize(("body", "content_type"), [(b"\xff" * 40, PROTOBUF), (b'{"resourceSpans": [', JSON)])
def test_a_malformed_body_is_not_otlp(server: Server, body: bytes, content_type: str) -> None:
    assert "not" in refusal(server.send(body, content_type), 400)


def test_a_body_of_64_mib_is_taken_and_a_larger_one_is_not(server: Server) -> None:
    padded = request([span(next(_numbers), call() | {"gen_ai.input.messages": "x" * (63 * MIB)})]).SerializeToString()
    assert server.send(padded) == (200, b"")
    assert "64 MiB" in refusal(announced(server, 65 * MIB), 413)
    assert "64 MiB" in refusal(server.send(zipped(bytes(65 * MIB)), coding="gzip"), 413)


def announced(server: Server, size_bytes: int) -> tuple[int, bytes]:
    """The answer to a body that is only announced: it comes before the body is read."""
    connection = server.connect()
    try:
        connection.putrequest("POST", "/v1/traces")
        connection.putheader("content-type", "application/x-protobuf")
        connection.putheader("content-length", str(size_bytes))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_bomb_does_not_go_off(server: Server) -> None:
    bomb = gzip.compress(bytes(256 * MIB), 9) * 4
    assert len(bomb) < 2 * MIB
    began = time.monotonic()
    assert "64 MiB" in refusal(server.send(bomb, coding="gzip"), 413)
    assert time.monotonic() - began < 10
    assert resident_bytes(server) < 2 * 1024 * MIB


def resident_bytes(server: Server) -> int:
    """The most memory the server has held so far."""
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_a_span_that_cannot_be_true_is_refused_alone_and_named_to_its_sender(server: Server) -> None:
    before = settled(server)
    backwards = span(next(_numbers), call(), start_time_unix_nano=START_NS + 1, end_time_unix_nano=START_NS)
    nameless = span(next(_numbers), call(), trace_id=bytes(16))
    body = request([backwards, span(next(_numbers), call()), nameless]).SerializeToString()
    status, content = server.send(body)
    partial = ExportTraceServiceResponse.FromString(content).partial_success
    assert (status, partial.rejected_spans) == (200, 2)
    assert "ends before it starts" in partial.error_message
    assert "no trace id" in partial.error_message
    after = settled(server)
    assert {name: after[name] - before[name] for name in ("received", "posted", "refused")} == {
        "received": 3,
        "posted": 1,
        "refused": 2,
    }


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read.input_tokens": 500}, "cache"),
        ({"gen_ai.usage.input_tokens": -10}, "input_tokens is -10"),
        ({"gen_ai.usage.output_tokens": 10**15}, "output_tokens"),
    ],
)
def test_impossible_counts_are_refused_counted_and_listed(server: Server, changes: dict[str, int], what: str) -> None:
    before = settled(server)
    spans = [span(next(_numbers), call() | changes), span(next(_numbers), call())]
    assert server.send(request(spans, scope=INCLUSIVE).SerializeToString())[0] == 200
    after = settled(server)
    assert after["refused"] - before["refused"] == 1
    assert after["posted"] - before["posted"] == 1
    listed = server.get("counters")["coverage"]["problems"]
    assert what in listed[-1]["what"], listed
    assert any(what in line for line in server.lines)


def test_an_unknown_model_is_unpriced_and_never_free(server: Server) -> None:
    body = request([span(next(_numbers), call(gen_ai__response__model="marble-9"))]).SerializeToString()
    assert server.send(body) == (200, b"")
    settled(server)
    rows = server.get("spend?by=model&measures=cost,usages,unpriced_usages&where=model%3Dmarble-9")["rows"]
    assert rows == [{"model": "marble-9", "cost": None, "usages": 1, "unpriced_usages": 1}]


def test_a_session_without_an_end_is_open(server: Server) -> None:
    name = "never ended"
    lasting = {"gen_ai.conversation.id": name}
    body = request([span(next(_numbers), call() | lasting, end_time_unix_nano=0)]).SerializeToString()
    assert server.send(body) == (200, b"")
    settled(server)
    session = server.get("sessions/never%20ended")["total"]
    assert session["state"] == "open"


def test_after_all_of_this_the_books_are_sound(server: Server) -> None:
    checks = {row["name"]: row["ok"] for row in server.get("doctor")["rows"]}
    assert all(checks[name] for name in ("journal", "posted", "settled", "parked", "sums", "lines", "counters")), checks


# --------------------------------------------------------------------------------------------------------------- files


def test_a_strange_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    files, home = tmp_path / "files", tmp_path / "home"
    files.mkdir()
    (files / "a.json").write_bytes(json_of(request([span(1, chat(1))])))
    (files / "b.bin").write_bytes(b"\x00\x01 nothing that is known")
    lines = b"\n".join(json_of(request([span(number, chat(number))])) for number in range(10, 60))
    (files / "c.jsonl.gz").write_bytes(gzip.compress(lines)[:-40])
    run = outlay(home, "import", str(files), "--json")
    reply = json.loads(run.stdout)
    assert run.returncode == 1
    errors = {Path(row["file"]).name: row["error"] for row in reply["rows"]}
    assert errors["a.json"] == ""
    assert "no format Outlay knows" in errors["b.bin"]
    assert reply["total"]["posted"] > 1
    said = json.dumps(reply["coverage"]["problems"]) + errors["c.jsonl.gz"]
    assert "cut" in said or "truncated" in said or "ends before" in said, said
    assert told(home, "spend")["total"]["cost"]
    assert all(integrity(home).values())


def test_a_time_without_a_zone_is_taken_as_said_and_counted(tmp_path: Path) -> None:
    table, mapping, home = tmp_path / "t.csv", tmp_path / "m.toml", tmp_path / "home"
    table.write_text(
        "id,at,model,in,out\n1,2026-07-01 10:00:00,gpt-4.1,1000,10\n2,2026-07-01T10:00:00Z,gpt-4.1,1000,10\n"
        "3,whenever,gpt-4.1,1000,10\n4,2026-07-01T10:00:00Z,gpt-4.1,-5,10\n",
        encoding="utf-8",
    )
    mapping.write_text(
        'text = "mine"\n[identity]\ncolumns = ["id"]\n[fact]\noperation = { value = "chat" }\nstart = "at"\n'
        'model_served = "model"\ninput_tokens = "in"\noutput_tokens = "out"\n',
        encoding="utf-8",
    )
    reply = told(home, "import", str(table), "--mapping", str(mapping), "--zone", "America/New_York")
    assert (reply["total"]["posted"], reply["total"]["refused"]) == (2, 2)
    listed = json.dumps(reply["coverage"]["problems"])
    assert "whenever" in listed
    assert "-5" in listed
    asked = ("--grain", "hour", "--measures", "usages", "--since", "2026-07-01", "--until", "2026-07-02")
    hours = told(home, "spend", *asked)
    assert [row["time"][11:13] for row in hours["rows"] if row["usages"]] == ["10", "14"]
    doctor = json.loads(outlay(home, "doctor", "--json").stdout)
    assert any("1 times had no zone" in row["text"] for row in doctor["rows"])


def test_books_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(json_of(request([span(1, chat(1))])))
    told(tmp_path, "import", str(tmp_path / "a.json"))
    with duckdb.connect(str(tmp_path / "books.duckdb")) as books:
        books.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    before = (tmp_path / "books.duckdb").read_bytes()
    for command in (["spend"], ["import", str(tmp_path / "a.json")], ["up", "--port", "0"]):
        run = outlay(tmp_path, *command)
        assert run.returncode == 1
        assert "version 99" in run.stderr
        assert "upgrade Outlay" in run.stderr
    assert (tmp_path / "books.duckdb").read_bytes() == before


# ----------------------------------------------------------------------------------------------------------- full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB of its own, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "outlay-test", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("no right to mount a small disk here; the test with a limit on file sizes says the same")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(server: Server, status: int) -> int:
    """Sends spans until the answer is no longer 200 but `status`; how many were acknowledged."""
    acknowledged = 0
    for _ in range(3000):
        spans = [span(number, call()) for number in (next(_numbers) for _ in range(200))]
        body = request(spans, {"service.name": os.urandom(8).hex()}).SerializeToString()
        answer = server.send(body)
        if answer[0] != 200:
            said = refusal(answer, status)
            assert "room" in said
            assert "nothing that was acknowledged is lost" in said
            return acknowledged
        acknowledged += len(spans)
    raise AssertionError("the disk never got full")


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(20 * MIB))
    with up(small_disk / "home") as server:
        acknowledged = fill(server, 507)
        assert server.get("spend?by=team")["rows"], "questions are answered while the disk is full"
        ballast.unlink()
        assert server.send(whole_body()) == (200, b"")
        counters = settled(server)
        assert counters["posted"] == acknowledged + 1
    assert all(integrity(small_disk / "home").values())


SOON = "from outlay.ledger import intake; intake.CHECKPOINT_ROWS, intake.CHECKPOINT_IDLE_S = 1000, 0.2"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can change the limits of a running process")
def test_files_that_may_not_grow_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with up(tmp_path, SOON) as server:
        assert server.send(whole_body()) == (200, b"")
        settled(server)
        time.sleep(0.5)
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        books = (tmp_path / "books.duckdb").stat().st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (books + 300_000, hard))
        acknowledged = 1 + fill(server, 507)
        time.sleep(1)  # some checkpoints fail as well
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert server.send(whole_body()) == (200, b"")
        acknowledged += 1
        assert settled(server)["posted"] == acknowledged
    assert told(tmp_path, "spend", "--measures", "usages")["total"]["usages"] == acknowledged
    assert all(integrity(tmp_path).values())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can change the limits of a running process")
def test_a_server_that_is_stopped_while_nothing_can_be_written_ends_and_loses_nothing(tmp_path: Path) -> None:
    server = await_up(spawn(tmp_path, SOON))
    try:
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (300_000, hard))
        acknowledged = fill(server, 507)
        server.stop()
    finally:
        server.kill()
    assert told(tmp_path, "spend", "--measures", "usages")["total"]["usages"] == acknowledged
    assert all(integrity(tmp_path).values())
