"""What the company sends: real OTLP bodies, the same ones every time."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outlay.demo.run import bodies
from outlay.demo.wire import SPAN_KIND_CLIENT, attributes, span

NOW = datetime(2026, 11, 23, 14, 52, tzinfo=UTC)
FULL, SUMMARY = range(3, 4), range(200, 203)


def parsed(days: range, seed: int = 7) -> list[ExportTraceServiceRequest]:
    return [ExportTraceServiceRequest.FromString(body) for body, _ in bodies(seed, NOW, days)]


def spans(days: range) -> list[tuple[str, str, Span]]:
    return [
        (rs.resource.attributes[0].value.string_value, ss.scope.name, each)
        for request in parsed(days)
        for rs in request.resource_spans
        for ss in rs.scope_spans
        for each in ss.spans
    ]  # fmt: skip


def digest(days: range, seed: int = 7, now: datetime = NOW) -> str:
    return hashlib.sha256(b"".join(body for body, _ in bodies(seed, now, days))).hexdigest()


def test_the_same_seed_and_end_give_the_same_bytes() -> None:
    assert digest(FULL) == digest(FULL)
    assert digest(SUMMARY) == digest(SUMMARY)
    assert digest(FULL) != digest(FULL, seed=8)


def test_the_bytes_do_not_depend_on_the_process() -> None:
    import subprocess
    import sys

    script = "\n".join(
        [
            "import hashlib; from datetime import datetime; from outlay.demo.run import bodies",
            f"told = bodies(7, datetime.fromisoformat({NOW.isoformat()!r}), {SUMMARY!r})",
            "print(hashlib.sha256(b''.join(body for body, _ in told)).hexdigest())",
        ]
    )
    surroundings = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "77"}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=surroundings)
    assert told.stdout.strip() == digest(SUMMARY)


def test_every_body_parses_and_holds_as_many_spans_as_it_says() -> None:
    for body, size in bodies(7, NOW, FULL):
        request = ExportTraceServiceRequest.FromString(body)
        assert sum(len(ss.spans) for rs in request.resource_spans for ss in rs.scope_spans) == size < 2_100
        assert all(rs.scope_spans for rs in request.resource_spans)


def test_ids_are_whole_and_unique_and_every_parent_is_there() -> None:
    found = [each for _, _, each in spans(FULL)]
    assert len({each.span_id for each in found}) == len(found) > 500
    by_trace: dict[bytes, set[bytes]] = {}
    for each in found:
        assert len(each.trace_id) == 16
        assert len(each.span_id) == 8
        assert each.start_time_unix_nano <= each.end_time_unix_nano
        by_trace.setdefault(each.trace_id, set()).add(each.span_id)
    for each in found:
        assert not each.parent_span_id or each.parent_span_id in by_trace[each.trace_id]


def test_every_trace_has_one_root_which_says_how_its_task_ended() -> None:
    roots = [each for _, _, each in spans(FULL) if not each.parent_span_id]
    assert len({each.trace_id for each in roots}) == len(roots)
    for each in roots:
        said = {item.key: item.value.string_value for item in each.attributes}
        assert said["outlay.task.outcome"] in {"done", "failed", "abandoned"}
        assert ("outlay.task.value" in said) == (said["outlay.task.outcome"] == "done")


def test_each_convention_is_spoken_by_its_own_instrumentation() -> None:
    marks = {
        "gen_ai.usage.input_tokens": "support-agents",
        "llm.token_count.prompt": "platform-agents",
        "langfuse.observation.usage_details": "support-agents",
        "gen_ai.usage.prompt_tokens": "platform-agents",
    }
    seen: Counter[str] = Counter()
    for service, _, each in spans(FULL):
        keys = {item.key for item in each.attributes}
        for mark, stranger in marks.items():
            seen[mark] += mark in keys
            assert mark not in keys or service != stranger
    assert set(seen) == set(marks)
    assert all(seen.values())


def test_failures_carry_an_error_status() -> None:
    failed = [each for _, _, each in spans(FULL) if each.status.code == Status.STATUS_CODE_ERROR]
    assert len(failed) > 20


def test_a_summary_states_the_costs_that_its_gateway_knew() -> None:
    keys = Counter(item.key for _, _, each in spans(SUMMARY) for item in each.attributes)
    stated = keys["gen_ai.usage.cost"] + keys["llm.cost.total"] + keys["langfuse.observation.cost_details"]
    assert stated > 600


def test_an_attribute_keeps_its_kind() -> None:
    said = attributes(
        9, {"flag": True, "count": 1, "share": 0.5, "text": "é", "list": ("a", "b"), "minus": -1, "big": 2**62}
    )
    (parsed_span,) = [Span.FromString(said)]
    values = {item.key: item.value for item in parsed_span.attributes}
    assert {key: value.WhichOneof("value") for key, value in values.items()} == {
        "flag": "bool_value", "count": "int_value", "share": "double_value", "text": "string_value",
        "list": "array_value", "minus": "int_value", "big": "int_value",
    }  # fmt: skip
    assert (values["minus"].int_value, values["big"].int_value, values["text"].string_value) == (-1, 2**62, "é")


def test_a_span_is_what_the_library_would_have_written() -> None:
    ours = Span.FromString(
        span((b"t" * 16, b"s" * 8, b"p" * 8), "chat", SPAN_KIND_CLIENT, 5, 7, {"a": "b"}, failed=True)
    )
    theirs = Span(
        trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=b"p" * 8, name="chat", kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=5, end_time_unix_nano=7, status=Status(code=Status.STATUS_CODE_ERROR),
    )  # fmt: skip
    theirs.attributes.add(key="a").value.string_value = "b"
    assert ours == theirs
