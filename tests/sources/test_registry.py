"""Formats are recognised by content; what is no format is told what it looks like."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from outlay.core.errors import FormatError, InputError
from outlay.sources.registry import FORMATS, ReadOptions, detect, discover, read
from reading import reading

EXPECTED = {
    "tau2_gym": {"tau2"},
    "tau2_other": {"tau2"},
    "tau2_judged": {"tau2_judges"},
    "claude_code_sessions": {"claude_code"},
    "langfuse_traces": {"langfuse"},
    "inspect_logs": {"inspect"},
    "aider_analytics": {"table"},
    "azure_llm_2023": {"table"},
    "mooncake_conversation": {"table"},
    "openhands_runs": {"table"},
}


def test_every_file_is_recognised_by_its_content(shared_data: Path, tmp_path: Path) -> None:
    for folder, names in EXPECTED.items():
        for number, path in enumerate(discover([shared_data / folder])):
            disguised = tmp_path / f"{folder}-{number}.bin"
            disguised.write_bytes(path.read_bytes())
            found = detect(path if path.suffix in {".yml", ".gz"} else disguised)
            assert {found} == names, path.name


def test_folders_are_searched_to_the_bottom_in_a_stable_order(tmp_path: Path) -> None:
    for name in (
        "b/2.jsonl",
        "b/1.jsonl.gz",
        "a/deep/3.csv",
        "README.md",
        ".hidden/4.csv",
        "b/.5.csv",
        "a/1.meta.json",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    found = discover([tmp_path / "b", tmp_path])
    names = [path.relative_to(tmp_path).as_posix() for path in found]
    assert names == ["b/1.jsonl.gz", "b/2.jsonl", "a/deep/3.csv"]
    assert discover([tmp_path / "README.md"]) == [tmp_path / "README.md"]
    with pytest.raises(InputError, match="no such file"):
        discover([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", "an empty file"),
        (b"hello\n", "text"),
        (b"\x00\x01\x02" * 40, "a binary file"),
        (b'{"a": 1, "b": 2}', "a JSON object with the keys a, b"),
        (b'{"a": 1}\n{"a": 2}\n', "JSON lines with the keys a"),
        (b"[1, 2]", "a JSON list"),
        (b"colour,shape\nred,round\n", "a table with the columns colour, shape"),
    ],
)
def test_another_format_is_told_what_it_looks_like(tmp_path: Path, content: bytes, seen: str) -> None:
    path = tmp_path / "file.dat"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="no format Outlay knows") as caught:
        list(read(path))
    assert seen in caught.value.message
    assert [line.split(":")[0] for line in caught.value.detail] == list(FORMATS)
    assert "--mapping" in caught.value.hint


def test_a_format_that_does_not_exist_suggests_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"{}")
    with pytest.raises(FormatError, match='no format named "langfuze"') as caught:
        list(read(path, ReadOptions(format="langfuze")))
    assert "langfuse" in caught.value.hint


def test_each_format_forced_on_a_stranger_is_a_clear_error_or_nothing(tmp_path: Path) -> None:
    for name, content in (("a.json", b'{"a": 1}'), ("b.bin", b"\x00\xff" * 50), ("c.txt", b"hello\nworld\n")):
        path = tmp_path / name
        path.write_bytes(content)
        for form in FORMATS:
            assert _told_by(path, form) in {"an error that names the file", "nothing"}


def _told_by(path: Path, form: str) -> str:
    try:
        whole = reading(path, format=form)
    except FormatError as error:
        return "an error that names the file" if path.name in error.message else error.message
    return "something" if whole.facts or whole.outcomes else "nothing"


def test_defaults_stand_on_rows_that_state_nothing(shared_data: Path) -> None:
    path = shared_data / "tau2_other" / "e2e_airline_baseline.json"
    whole = reading(path, envelope={"team": "care", "agent": "other"}, tags={"run": "7", "task": "x"})
    assert {row["team"] for row in (*whole.facts, *whole.outcomes)} == {"care"}
    assert "other" not in {row["agent"] for row in whole.facts}
    assert {dict(row["tags"])["run"] for row in (*whole.facts, *whole.outcomes)} == {"7"}
    assert {dict(row["tags"])["task"] for row in whole.facts} == {"0"}


def test_defaults_stand_on_rows_without_any_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n", encoding="utf-8")
    assert reading(path, tags={"run": "7"}).facts[0]["tags"] == [("run", "7")]


def test_an_envelope_key_that_does_not_exist_is_refused(shared_data: Path) -> None:
    path = shared_data / "tau2_other" / "e2e_airline_baseline.json"
    with pytest.raises(InputError, match='no envelope key named "taem"'):
        reading(path, envelope={"taem": "x"})


def test_a_zone_nobody_knows_is_refused(shared_data: Path) -> None:
    with pytest.raises(InputError, match="no time zone named"):
        reading(shared_data / "tau2_other" / "e2e_airline_baseline.json", zone="Mars/Olympus")


def test_a_file_is_known_again_packed_or_plain(shared_data: Path, tmp_path: Path) -> None:
    plain = shared_data / "tau2_other" / "e2e_airline_baseline.json"
    packed = tmp_path / "again.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert [row["fact_key"] for row in reading(packed).facts] == [row["fact_key"] for row in reading(plain).facts]


def test_otlp_is_recognised_in_each_encoding(tmp_path: Path) -> None:
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "chat"}
    span["startTimeUnixNano"] = "1767225600000000000"
    span["endTimeUnixNano"] = "1767225601000000000"
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]}
    one, many = tmp_path / "one.json", tmp_path / "many.jsonl"
    one.write_text(json.dumps(body, indent=1), encoding="utf-8")
    many.write_text(f"{json.dumps(body)}\n{json.dumps(body).replace('0001', '0002')}\n{{oops\n", encoding="utf-8")
    for path, spans in ((one, 1), (many, 2)):
        assert detect(path) == "otlp"
        batches = list(read(path))
        assert sum(batch.spans.num_rows for batch in batches if batch.spans is not None) == spans
    assert [problem.where.split(":")[0] for batch in read(many) for problem in batch.problems] == ["many.jsonl, line 3"]


def test_otlp_protobuf_is_recognised(tmp_path: Path) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = b"\x01" * 16, b"\x02" * 8, "chat"
    span.start_time_unix_nano, span.end_time_unix_nano = 1767225600 * 10**9, 1767225601 * 10**9
    path = tmp_path / "spans.bin.gz"
    path.write_bytes(gzip.compress(request.SerializeToString()))
    assert detect(path) == "otlp"
    assert sum(batch.spans.num_rows for batch in read(path) if batch.spans is not None) == 1


def test_otlp_logs_and_metrics_are_read_from_files_too(tmp_path: Path) -> None:
    from otlp_wire import counter, json_of, log, logs_request, metrics_request, request, span

    said = {"session.id": "s", "model": "claude-opus-5", "input_tokens": 3}
    made = {
        "spans": request([span(1, said)]),
        "logs": logs_request([log("claude_code.api_request", said), log("not our business")]),
        "points": metrics_request([counter("claude_code.token.usage", (5, said | {"type": "input"}))]),
    }
    for signal, message in made.items():
        one, wire = tmp_path / f"{signal}.json", tmp_path / f"{signal}.bin"
        one.write_bytes(json_of(message))
        wire.write_bytes(message.SerializeToString())
        for path in (one, wire):
            assert detect(path) == "otlp"
            batches = list(read(path))
            tables = [getattr(batch, name) for batch in batches for name in made]
            assert [table.num_rows for table in tables if table is not None] == [1], path
            assert getattr(batches[0], signal) is not None
            assert (batches[0].received, batches[0].refused) == (1, 0)
    lines = tmp_path / "all.jsonl"
    lines.write_bytes(b"\n".join(json_of(message) for message in made.values()))
    assert sum(batch.received for batch in read(lines)) == 3


def test_a_file_of_every_signal_is_counted_once_and_read_twice_adds_nothing(tmp_path: Path) -> None:
    from otlp_wire import json_of, log, logs_request, request, span
    from outlay.house import House

    said = {"session.id": "s", "model": "claude-opus-5", "input_tokens": 3, "output_tokens": 4}
    path = tmp_path / "all.jsonl"
    silent = log("", {"event.name": "codex.sse_event", "event.kind": "response.created"})
    bodies = [
        request([span(1, said)], {"service.name": "claude-code"}),
        logs_request([log("claude_code.api_request", said), silent], {"service.name": "claude-code"}),
    ]
    path.write_bytes(b"\n".join(map(json_of, bodies)))
    with House.open(tmp_path / "home") as house:
        for _ in range(2):
            report = house.import_paths([path])
            assert report.received == report.posted + report.duplicates + report.refused == 2
        assert house.books.scalar("SELECT count(*) FROM usages WHERE counted AND bears") == 1
        assert all(check.ok for check in house.doctor() if check.name in {"sums", "lines", "repeats", "counters"})
