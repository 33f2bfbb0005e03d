"""The OTLP door: what comes in, what is refused, and what never comes in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_wire import START_NS, TRACE, json_of, request, span
from outlay.core.errors import FormatError
from outlay.normalize.spans import facts_of_spans
from outlay.sources import otlp, otlp_protobuf
from outlay.sources.otlp import Decoded, decode, joined
from outlay.sources.otlp_door import OPEN_KEYS_MAX, Admission, Verdict
from outlay.sources.otlp_messages import decode_messages
from strategies import otlp_requests

CANARY = "zq-canary-7f3b"


def by_reference(bodies: Sequence[bytes]) -> Decoded:
    """The same bodies through the decoder that reads message by message."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(otlp, "_decoder", lambda encoding, size: decode_messages)
        return decode(bodies, "protobuf")


@pytest.fixture(scope="module", autouse=True)
def by_columns() -> Iterator[None]:
    """The bodies here are small, and what is tried is how large ones are read: that both ways agree is tried too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(otlp, "SMALL_BYTES_MAX", 0)
        patch.setattr(otlp_protobuf, "FEW_PAIRS_MAX", 0)
        yield


def rows(decoded: Decoded) -> dict[str, list[object]]:
    """Columns as plain values; a number that is none equals itself here."""
    plain = {name: decoded.spans[name].to_pylist() for name in sorted(decoded.spans.column_names)}
    return {
        name: ["nan" if isinstance(v, float) and math.isnan(v) else v for v in values] for name, values in plain.items()
    }


def one(*spans: object, resource: dict[str, object] | None = None, encoding: str = "protobuf") -> Decoded:
    made = request(spans, resource)  # type: ignore[arg-type]
    return decode([made.SerializeToString() if encoding == "protobuf" else json_of(made)], encoding)


@given(st.lists(otlp_requests(), max_size=3))
def test_both_protobuf_decoders_and_json_agree(requests: list) -> None:
    bodies = [made.SerializeToString() for made in requests]
    columnar, reference, in_json = (
        decode(bodies, "protobuf"),
        by_reference(bodies),
        decode(list(map(json_of, requests)), "json"),
    )
    assert rows(columnar) == rows(reference) == rows(in_json)
    assert columnar.spans.schema.equals(reference.spans.schema) or set(columnar.spans.schema) == set(
        reference.spans.schema
    )
    assert columnar.bodies == reference.bodies == in_json.bodies


@given(st.lists(otlp_requests(), max_size=3))
def test_what_is_received_is_kept_or_refused_and_said_why(requests: list) -> None:
    decoded = decode([made.SerializeToString() for made in requests], "protobuf")
    kept = decoded.spans["body"].to_pylist()
    for number, (made, report) in enumerate(zip(requests, decoded.bodies, strict=True)):
        sent = sum(len(scope.spans) for resource in made.resource_spans for scope in resource.scope_spans)
        assert report.received == sent == kept.count(number) + report.refused
        assert sum("span refused" in problem.what for problem in report.problems) == report.refused


@given(otlp_requests(), otlp_requests(), st.binary(min_size=1, max_size=40))
def test_a_malformed_body_refuses_only_itself(before: object, after: object, noise: bytes) -> None:
    good = [before.SerializeToString(), after.SerializeToString()]  # type: ignore[attr-defined]
    bad = b"\x0a\xff" + noise  # a field that claims to be longer than the body
    decoded = decode([good[0], bad, good[1]], "protobuf")
    assert [report.malformed for report in decoded.bodies] == [False, True, False]
    assert decoded.bodies[1].received == 0
    assert "not an OTLP" in decoded.bodies[1].problems[0].what
    alone = decode(good, "protobuf")
    assert rows(decoded) | {"body": None} == rows(alone) | {"body": None}
    assert [0 if body == 0 else 1 for body in decoded.spans["body"].to_pylist()] == alone.spans["body"].to_pylist()


@pytest.mark.parametrize(
    "body", [b"", b"null!", b"[]", b'{"resourceSpans": 3}', b'{"resourceSpans": [', b"\xff\xfe", b"{" * 100_000]
)
def test_a_malformed_json_body_refuses_only_itself(body: bytes) -> None:
    good = json_of(request([span(1)]))
    decoded = decode([body, good], "json")
    assert [report.malformed for report in decoded.bodies] == [True, False]
    assert decoded.spans["body"].to_pylist() == [1]


@pytest.mark.parametrize("text", [r"\ud800", r"\udc00 \ud83d", r"\u0000"])
def test_odd_letters_in_json_harm_nobody(text: str) -> None:
    body = json_of(request([span(1, {"outlay.team": "X"})])).replace(b'"X"', f'"{text}"'.encode())
    decoded = decode([body, json_of(request([span(2)]))], "json")
    assert [report.malformed for report in decoded.bodies] in ([False, False], [True, False])
    assert "span 2" in decoded.spans["name"].to_pylist()


def test_no_bodies_and_empty_bodies_are_no_spans() -> None:
    assert decode([], "protobuf").spans.num_rows == 0
    assert decode([b"", b""], "protobuf").spans.num_rows == 0
    assert decode([b"{}"], "json").spans.num_rows == 0
    with pytest.raises(ValueError, match="encoding"):
        decode([], "yaml")


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_every_type_of_attribute_becomes_a_column_of_its_type(encoding: str) -> None:
    said = {
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.cost": 0.25,
        "gen_ai.response.finish_reasons": ["stop", "length"],
        "outlay.team": "risk",
        "triggered": True,
        "metadata": {"plan": "gold", "seats": 3},
    }
    spans = one(span(1, said), span(2), encoding=encoding).spans
    assert spans.schema.field("gen_ai.usage.input_tokens").type == pa.int64()
    assert spans.schema.field("gen_ai.usage.cost").type == pa.float64()
    assert spans.schema.field("triggered").type == pa.bool_()
    assert spans["gen_ai.response.finish_reasons"].to_pylist() == ['["stop","length"]', None]
    assert spans["metadata#plan"].to_pylist() == ["gold", None]
    assert spans["metadata#seats"].to_pylist() == [3, None]
    assert spans["outlay.team"].to_pylist() == ["risk", None]


def test_types_that_disagree_meet_without_loss() -> None:
    spans = one(
        span(1, {"gen_ai.usage.cost": 1, "gen_ai.usage.input_tokens": 2**60, "session.id": 5}),
        span(2, {"gen_ai.usage.cost": 0.5, "gen_ai.usage.input_tokens": 0.5, "session.id": "five"}),
    ).spans
    assert spans["gen_ai.usage.cost"].to_pylist() == [1.0, 0.5]
    assert spans["gen_ai.usage.input_tokens"].to_pylist() == [str(2**60), "0.5"]
    assert spans["session.id"].to_pylist() == ["5", "five"]


@given(st.lists(otlp_requests(), min_size=1, max_size=3))
def test_calls_whose_types_disagree_are_joined_without_loss(requests: list) -> None:
    parts = [decode([made.SerializeToString()], "protobuf").spans for made in requests]
    whole = joined(parts)
    assert whole.num_rows == sum(part.num_rows for part in parts)
    assert whole["span_id"].to_pylist() == [key for part in parts for key in part["span_id"].to_pylist()]
    facts_of_spans(whole)


def test_a_number_here_and_a_text_there_are_text() -> None:
    numbers, texts = (one(span(1, {"session.id": value, "outlay.team": "risk"})).spans for value in (5, "five"))
    assert joined([numbers, texts])["session.id"].to_pylist() == ["5", "five"]
    assert joined([numbers, numbers])["session.id"].to_pylist() == [5, 5]


def test_resource_and_scope_stand_beside_the_span() -> None:
    spans = one(
        span(1, {"outlay.team": "risk"}), resource={"outlay.team": "platform", "service.name": "api", "host.name": "h"}
    ).spans
    assert spans["outlay.team"].to_pylist() == ["risk"]
    assert spans["resource.outlay.team"].to_pylist() == ["platform"]
    assert spans["resource.service.name"].to_pylist() == ["api"]
    assert spans["scope_name"].to_pylist() == ["opentelemetry.instrumentation.openai_v2"]
    assert "resource.host.name" not in spans.column_names


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trace_id": b""}, "no trace id"),
        ({"trace_id": bytes(16)}, "no trace id"),
        ({"trace_id": b"short"}, "no trace id"),
        ({"span_id": b""}, "no span id"),
        ({"span_id": bytes(8)}, "no span id"),
        ({"start_time_unix_nano": 0}, "a time that is missing"),
        ({"start_time_unix_nano": 1_795_000_000}, "a time that is missing"),
        ({"start_time_unix_nano": 2**64 - 1}, "a time that is missing"),
        ({"end_time_unix_nano": 2**63}, "a time that is missing"),
        ({"end_time_unix_nano": START_NS - 1}, "ends before it starts"),
    ],
)
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_a_bad_span_refuses_only_itself(changes: dict[str, object], reason: str, encoding: str) -> None:
    decoded = one(span(1), span(2, **changes), span(3), encoding=encoding)
    assert decoded.spans["name"].to_pylist() == ["span 1", "span 3"]
    report = decoded.bodies[0]
    assert (report.received, report.refused) == (3, 1)
    assert [reason in problem.what for problem in report.problems] == [True]


def test_a_span_without_an_end_is_kept_with_none() -> None:
    assert one(span(1, end_time_unix_nano=0)).spans["end_ns"].to_pylist() == [None]


def test_all_refusals_are_counted_and_a_hundred_listed() -> None:
    decoded = one(*(span(number, span_id=b"") for number in range(250)))
    assert decoded.bodies[0].refused == 250
    assert len(decoded.bodies[0].problems) == 100


CONTENTS = (
    *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt.0.content"),
    *(
        "gen_ai.completion.0.content",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.tool.description",
    ),
    *("llm.input_messages.0.message.content", "llm.output_messages.0.message.content", "llm.prompts.0.prompt.text"),
    *("input.value", "output.value", "embedding.embeddings.0.embedding.text", "retrieval.documents.0.document.content"),
    *("traceloop.entity.input", "traceloop.entity.output", "langfuse.observation.input", "langfuse.trace.output"),
    *(
        "ai.prompt",
        "ai.response.text",
        "ai.toolCall.args",
        "mlflow.spanInputs",
        "mlflow.spanOutputs",
        "lmnr.span.input",
    ),
    *(
        "db.query.text",
        "db.statement",
        "http.request.body",
        "tool.parameters",
        "exception.message",
        "exception.stacktrace",
    ),
    *("gen_ai.agent.description", "annotations.0.annotation.explanation", "evaluations.0.evaluation.metadata"),
    *("usage.notes", "prompt.tokens.text", "cost.explanation"),
)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_no_content_comes_through_the_door(encoding: str) -> None:
    said: dict[str, object] = dict.fromkeys(CONTENTS, f"the words {CANARY} of a customer")
    said |= {
        "llm.invocation_parameters": f'{{"service_tier": "flex", "system": "{CANARY}", "tools": ["{CANARY}"]}}',
        "langfuse.observation.usage_details": f'{{"input": 3, "{CANARY}": 4, "note": "{CANARY}"}}',
        "metadata": {"team": "risk", "messages": [CANARY], "nested": {"text": CANARY}},
        "outlay.tag.note": CANARY * 100,
    }
    events = [
        ("gen_ai.user.message", {"content": CANARY}),
        ("exception", {"exception.type": "ToolError", "exception.message": CANARY, "exception.stacktrace": CANARY}),
        (
            "gen_ai.evaluation.result",
            {"gen_ai.evaluation.name": "task completion", "gen_ai.evaluation.explanation": CANARY},
        ),
    ]
    decoded = one(
        span(1, said, events=events, failed=True, trace_state=CANARY),
        span(2, {"outlay.team": "risk", **said}, span_id=b""),
        resource={"process.command_line": CANARY, **said},
        encoding=encoding,
    )
    assert decoded.spans["llm.invocation_parameters#service_tier"].to_pylist() == ["flex"]
    assert decoded.spans["metadata#team"].to_pylist() == ["risk"]
    assert CANARY not in repr(decoded.spans.to_pydict())
    assert CANARY not in repr(decoded.bodies)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, decoded.spans.schema) as writer:
        writer.write_table(decoded.spans)
    assert CANARY.encode() not in sink.getvalue().to_pybytes()


def test_a_number_that_speaks_of_usage_comes_in_a_text_does_not() -> None:
    spans = one(
        span(1, {"acme.usage.widgets": 3, "acme.TokenCount": 2.5, "acme.unit_price": "text", "acme.temperature": 1}),
    ).spans
    assert spans["acme.usage.widgets"].to_pylist() == [3]
    assert spans["acme.TokenCount"].to_pylist() == [2.5]
    assert not {"acme.unit_price", "acme.temperature"} & set(spans.column_names)


def test_keys_without_end_do_not_become_columns_without_end() -> None:
    decoded = one(*(span(number, {f"outlay.tag.k{number}": "v"}) for number in range(1, OPEN_KEYS_MAX + 50)))
    assert sum(name.startswith("outlay.tag.") for name in decoded.spans.column_names) == OPEN_KEYS_MAX
    assert any("attribute keys dropped" in problem.what for problem in decoded.bodies[0].problems)


def test_a_text_too_long_for_a_name_is_dropped_and_said() -> None:
    decoded = one(span(1, {"outlay.team": "x" * 2000, "outlay.feature": "refunds"}))
    assert decoded.spans.num_rows == 1
    assert decoded.spans["outlay.feature"].to_pylist() == ["refunds"]
    assert "outlay.team" not in decoded.spans.column_names
    assert "longer than" in decoded.bodies[0].problems[0].what


def test_events_give_evaluations_and_the_type_of_an_error() -> None:
    judged = ("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "quality", "gen_ai.evaluation.score.value": 0.5})
    broke = ("exception", {"exception.type": "TimeoutError"})
    spans = one(span(1, events=[judged, broke]), span(2), span(3, {"error.type": "429"}, events=[broke])).spans
    assert spans["evaluations"].to_pylist() == [[{"name": "quality", "label": None, "score": 0.5}], None, None]
    assert spans["exception.type"].to_pylist() == ["TimeoutError", None, None]


def test_json_numbers_may_be_texts_and_enums_may_be_names() -> None:
    text = json_of(request([span(1, {"gen_ai.usage.input_tokens": 7})])).decode()
    spoken = text.replace('"intValue": "7"', '"intValue": 7').replace(f'"{START_NS}"', str(START_NS))
    spoken = spoken.replace(
        '"name": "span 1"', '"name": "span 1", "kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_ERROR"}'
    )
    assert spoken != text
    spans = decode([spoken.encode()], "json").spans
    assert spans["gen_ai.usage.input_tokens"].to_pylist() == [7]
    assert (spans["kind"].to_pylist(), spans["status_code"].to_pylist()) == ([3], [2])
    assert spans["trace_id"].to_pylist() == [TRACE]


def test_the_door_says_what_it_lets_in() -> None:
    door = Admission()
    assert door.verdict("gen_ai.usage.input_tokens") is Verdict.KEEP
    assert door.verdict("outlay.tag.anything") is Verdict.KEEP
    assert door.verdict("annotations.3.annotation.score") is Verdict.KEEP
    assert door.verdict("llm.invocation_parameters") is Verdict.JSON
    assert door.verdict("acme.billed_units") is Verdict.NUMBER
    assert door.verdict("gen_ai.input.messages") is Verdict.DROP


def test_what_many_spans_say_alike_is_read_as_what_one_says() -> None:
    long, too_long = "l" * 300, "x" * 2000
    said: list[dict[str, object]] = [
        {"outlay.team": "risk", "session.id": long, "gen_ai.usage.input_tokens": 7, "outlay.feature": too_long},
        {"outlay.team": "risk", "session.id": "s", "gen_ai.usage.input_tokens": 7, "outlay.feature": "find"},
        {"session.id": long, "gen_ai.usage.input_tokens": "7", "gen_ai.response.finish_reasons": ["stop"]},
        {"outlay.team": "ops", "outlay.feature": too_long, "gen_ai.response.finish_reasons": ["stop"]},
    ]
    bodies = [request([span(i + 1, said[i % 4]) for i in range(count)]).SerializeToString() for count in (40, 1, 9)]
    columnar, reference = decode(bodies, "protobuf"), by_reference(bodies)
    assert rows(columnar) == rows(reference)
    assert columnar.spans["session.id"].to_pylist()[:3] == [long, "s", long]
    assert [set(map(str, a.problems)) for a in columnar.bodies] == [set(map(str, b.problems)) for b in reference.bodies]
    assert sum(len(body.problems) for body in columnar.bodies) == 26


def test_the_attributes_of_a_resource_are_read_one_by_one_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = request([span(1, {"outlay.team": "risk"})], {"service.name": "s", "outlay.environment": "test"})
    by_columns = rows(decode([made.SerializeToString()], "protobuf"))
    monkeypatch.setattr(otlp_protobuf, "FEW_PAIRS_MAX", 48)
    assert rows(decode([made.SerializeToString()], "protobuf")) == by_columns
    with pytest.raises(FormatError, match="KeyValue"):
        otlp_protobuf.attributes_of(np.zeros(1, np.int64), pa.array([b"\x0a\xff"]), Admission(), [])


def test_without_the_columnar_reader_the_other_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "outlay.sources.otlp_protobuf", None)
    assert one(span(1, {"outlay.team": "risk"})).spans["outlay.team"].to_pylist() == ["risk"]


def test_bench_traffic_reads_the_same_in_every_encoding(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(shared / "bench"))
    import payloads

    traffic = payloads.Traffic(11)
    requests = [traffic.request(64) for _ in range(4)]
    bodies = [made.SerializeToString() for made in requests]
    columnar = decode(bodies, "protobuf")
    assert (
        rows(columnar)
        == rows(by_reference(bodies))
        == rows(decode([payloads.to_json(made) for made in requests], "json"))
    )
    assert columnar.spans.num_rows == 256
    assert sum(report.refused for report in columnar.bodies) == 0


def test_small_bodies_are_read_message_by_message_and_a_malformed_one_refuses_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = request([span(1, {"outlay.team": "risk"})]).SerializeToString()
    whole = rows(decode([good, b"", good], "protobuf"))
    monkeypatch.setattr(otlp, "SMALL_BYTES_MAX", 3 * len(good))
    assert otlp._decoder("protobuf", 3 * len(good)) is decode_messages
    assert otlp._decoder("protobuf", 3 * len(good) + 1) is not decode_messages
    decoded = decode([good, b"\x0a\xff", good], "protobuf")
    assert rows(decoded) == whole
    assert [report.malformed for report in decoded.bodies] == [False, True, False]
