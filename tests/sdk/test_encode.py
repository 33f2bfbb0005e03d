"""What is written by hand is what protobuf itself would write, whatever was written before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

import outlay
from outlay.core.envelope import Envelope
from outlay.sdk.context import Context, Run
from outlay.sdk.encode import COUNTS_KEPT_BELOW, TOKEN_KEYS, Encoder
from outlay.sdk.step import Step
from sdk_facts import Fact

WORDS = {
    "outlay.step.kind": "operation",
    "gen_ai.provider.name": "provider",
    "gen_ai.request.model": "model_requested",
    "gen_ai.response.model": "model_served",
    "outlay.service_tier": "service_tier",
    "outlay.processing": "processing",
    "outlay.speed": "speed",
    "outlay.region": "region",
    "server.address": "server_address",
    "http.response.status_code": "http_status",
    "error.type": "error_type",
    "gen_ai.response.finish_reasons": "finish_reason",
    "outlay.retry.attempt": "attempt",
    "outlay.retry.reason": "retry_reason",
    "gen_ai.response.id": "response_id",
}
"""Attribute → field of a step."""

RUNS = (
    Run(),
    Run(Envelope(team="a", feature="f", tags={"x": "y"}), "s1", "s0", "s0", "t1", user="u"),
    Run(Envelope(team="ä" * 200), "s2"),
)
CALLS = {"chat", "embedding", "retrieval", "rerank", "guardrail"}


def _texts() -> st.SearchStrategy[str]:
    return st.sampled_from(["", "", "a", "b", "é", "x" * 127, "y" * 128, "z" * 300, "\ud800"]) | st.text(max_size=5)


def _counts() -> st.SearchStrategy[int]:
    edges = [0, 1, 127, 128, 16_383, 16_384, COUNTS_KEPT_BELOW - 1, COUNTS_KEPT_BELOW, 2**31, 2**63 - 1, 2**70, -5]
    return st.integers(0, 5_000) | st.sampled_from(edges)


@st.composite
def _steps(draw: st.DrawFn) -> Step:
    trace_ids, parents = [bytes(range(16)), b"t" * 16], [b"", b"", b"p" * 8, bytes(range(8))]
    texts = ("provider", "model_requested", "model_served", "service_tier", "region", "error_type", "response_id")
    step = Step(draw(st.sampled_from(["chat", "tool", "step", "embedding"])), draw(_texts()))
    for name in texts:
        setattr(step, name, draw(_texts()))
    step.http_status, step.attempt = draw(st.sampled_from([0, 200, 429])), draw(st.integers(0, 300))
    step.tokens = draw(st.dictionaries(st.sampled_from([*TOKEN_KEYS, "no_such_tokens"]), _counts(), max_size=4))
    step.units = draw(st.dictionaries(st.sampled_from(["pages", "searches"]), st.integers(0, 10**12), max_size=2))
    step.tags = draw(st.dictionaries(st.sampled_from(["own", "outlay.said"]), _texts(), max_size=2))
    if draw(st.booleans()):
        step.cost, step.currency, step.cost_source = Decimal("0.0125"), "EUR", "provider"
    step.trace_id, step.parent_span_id = draw(st.sampled_from(trace_ids)), draw(st.sampled_from(parents))
    step.span_id = draw(st.binary(min_size=8, max_size=8))
    step.start_ns = 1_795_000_000_000_000_000 + draw(st.integers(0, 10**9))
    step.end_ns = step.start_ns + draw(st.integers(0, 10**9))
    step.context = Context(draw(st.sampled_from(RUNS)))
    return step


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _said(said: dict[str, str | int]) -> dict[str, str | int]:
    return {key: _plain(value) if isinstance(value, str) else value for key, value in said.items() if value != ""}


def expected(step: Step) -> tuple[Span, dict[str, str | int]]:
    """A step as protobuf's own classes say it; its attributes apart, as their order means nothing."""
    span = Span(
        trace_id=step.trace_id,
        span_id=step.span_id,
        parent_span_id=step.parent_span_id,
        name=_plain(step.name),
        kind=Span.SPAN_KIND_CLIENT if step.operation in CALLS else Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=step.start_ns,
        end_time_unix_nano=step.end_ns,
    )
    if step.error_type:
        span.status.code = Status.STATUS_CODE_ERROR
    said: dict[str, str | int] = {key: value for key, name in WORDS.items() if (value := getattr(step, name))}
    for name, count in step.tokens.items():
        if name in TOKEN_KEYS:
            said[TOKEN_KEYS[name]] = max(-1, min(count, 2**63 - 1))
    said |= {f"outlay.units.{name}": count for name, count in step.units.items()}
    if step.cost is not None:
        said["gen_ai.usage.cost.amount"] = "0.0125"
        said |= {"gen_ai.usage.cost.currency": "EUR", "gen_ai.usage.cost.source": "provider"}
    for name, value in step.tags.items():
        said[name if name.startswith("outlay.") else f"outlay.tag.{name}"] = value
    return span, _said(said)


def _read(attributes: Iterable[KeyValue]) -> dict[str, str | int]:
    pairs = list(attributes)
    read = {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in pairs}
    assert len(read) == len(pairs), "an attribute was said twice"
    return read


def _bare(span: Span) -> Span:
    bare = Span()
    bare.CopyFrom(span)
    del bare.attributes[:]
    return bare


def _spans(group: ResourceSpans) -> list[tuple[Span, dict[str, str | int]]]:
    (scope,) = group.scope_spans
    assert scope.scope.name == "outlay"
    return [(_bare(span), _read(span.attributes)) for span in scope.spans]


def encoded(encoder: Encoder, steps: Iterable[Step]) -> bytes:
    by_run: dict[Run, list[bytes]] = {}
    for step in steps:
        assert step.context
        by_run.setdefault(step.context.run, []).append(encoder.span(step, step.context.run))
    return encoder.request(by_run.items())


@settings(max_examples=40)
@given(st.lists(_steps(), min_size=1, max_size=12))
def test_a_request_says_what_protobuf_would_say(steps: list[Step]) -> None:
    for run in RUNS:
        run.encoded = b""
    request = ExportTraceServiceRequest()
    request.ParseFromString(encoded(Encoder({"service.name": "tests"}, "1"), steps))
    runs = list(dict.fromkeys(step.context.run for step in steps if step.context))
    assert len(request.resource_spans) == len(runs)
    for group, run in zip(request.resource_spans, runs, strict=True):
        resource = _read(group.resource.attributes)
        assert resource["service.name"] == "tests"
        assert resource.get("outlay.session.id", "") == run.session_id
        assert _spans(group) == [expected(step) for step in steps if step.context and step.context.run is run]


@settings(max_examples=40)
@given(st.lists(_steps(), min_size=1, max_size=12, unique_by=lambda step: step.span_id))
def test_what_an_encoder_wrote_before_changes_nothing(steps: list[Step]) -> None:
    together = Encoder({"service.name": "tests"}, "1")
    encoded(together, reversed(steps))  # everything is remembered now
    alone = [encoded(Encoder({"service.name": "tests"}, "1"), [step]) for step in steps]
    wanted, got = ExportTraceServiceRequest(), ExportTraceServiceRequest()
    wanted.ParseFromString(b"".join(alone))
    got.ParseFromString(encoded(together, steps))

    def spans(request: ExportTraceServiceRequest) -> list[str]:
        return sorted(
            f"{group.resource}{span}"
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        )

    assert spans(got) == spans(wanted)


def test_the_server_books_a_batch_as_it_books_its_steps_one_by_one(recorded: Callable[[], list[Fact]]) -> None:
    with outlay.session(team="search", feature="answers", id="s"):
        for number in range(300):
            with outlay.step("chat", "chat", provider="openai", model=f"gpt-{number % 3}") as step:
                step.response_id = f"chatcmpl-{number:016d}"
                step.tokens = {"input_tokens": number * 97, "output_tokens": number % 50}
                if not number % 7:
                    step.units = {"searches": number}
                    step.tags["own"] = f"{number % 2}"
    facts = {fact["response_id"]: fact for fact in recorded() if fact["operation"] == "chat"}
    assert len(facts) == 300
    for number in range(300):
        fact = facts[f"chatcmpl-{number:016d}"]
        assert (fact["team"], fact["session_id"], fact["provider"]) == ("search", "s", "openai")
        assert (fact["model_requested"], fact["name"]) == (f"gpt-{number % 3}", "chat")
        assert (fact["input_tokens"], fact["output_tokens"]) == (number * 97, number % 50)
        assert fact["units"] == ({"searches": number} if not number % 7 and number else fact["units"])
        assert fact["tags"].get("own") == (f"{number % 2}" if not number % 7 else None)
        assert 0 < fact["start_ns"] <= fact["end_ns"]
