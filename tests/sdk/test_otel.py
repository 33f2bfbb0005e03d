"""Beside a real OpenTelemetry SDK: its spans carry the tags, ours stand in its traces, and one call is counted once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import outlay
from outlay.house import House
from outlay.sdk import context, otel
from sdk_facts import Fact, bodies_in

Recorded = Callable[[], list[Fact]]

ANSWER = "chatcmpl-0123456789abcdef"
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4.1",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}


@pytest.fixture(autouse=True)
def no_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test sets the global provider of its own; afterwards there is none."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(otel, "_enriched", set())
    yield
    context.around = None


def provide(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> trace.Tracer:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return provider.get_tracer("test")


def wire_call() -> None:
    """What interception below the client records."""
    outlay.usage("chat", provider="openai", model="gpt-4.1", input_tokens=1000, output_tokens=100, response_id=ANSWER)


def test_standard_spans_carry_session_and_tags(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provide(provider, monkeypatch)
    with tracer.start_as_current_span("before"):
        with outlay.session(team="a", tier="pro", id="s1", task="t1", own="tag"), tracer.start_as_current_span("in"):
            pass
        with tracer.start_as_current_span("after"):
            pass
    spans: dict[str, ReadableSpan] = {span.name: span for span in kept.get_finished_spans()}
    assert dict(spans["in"].attributes or {}) == {
        "outlay.team": "a",
        "outlay.user_tier": "pro",
        "outlay.session.id": "s1",
        "outlay.task.id": "t1",
        "outlay.tag.own": "tag",
    }
    assert not spans["before"].attributes
    assert not spans["after"].attributes


def test_steps_take_the_current_span_as_parent_and_each_other(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = provide(TracerProvider(), monkeypatch)
    with tracer.start_as_current_span("outer") as outer, outlay.session(team="a"), outlay.step("one"):
        with outlay.step("two"), tracer.start_as_current_span("inner") as inner, outlay.step("three"):
            pass
        ours = outlay.current().span_id
    facts = {fact["name"]: fact for fact in recorded()}
    assert {fact["tree_key"] for fact in facts.values()} == {outer.get_span_context().trace_id.to_bytes(16, "big")}
    assert facts["one"]["parent_key"] == facts["session"]["fact_key"]
    assert facts["two"]["parent_key"] == facts["one"]["fact_key"]
    ids = {facts["session"]["parent_key"], facts["three"]["parent_key"]}
    assert not ids & {fact["fact_key"] for fact in facts.values()}
    assert inner.get_span_context().span_id.to_bytes(8, "big") != ours


def test_the_sampler_has_no_say(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = provide(TracerProvider(sampler=ALWAYS_OFF), monkeypatch)
    with outlay.session(team="a"), tracer.start_as_current_span("dropped"), outlay.step("kept", kind="tool"):
        wire_call()
    facts = {fact["name"]: fact for fact in recorded()}
    assert set(facts) == {"session", "kept", "chat"}
    assert facts["chat"]["parent_key"] == facts["kept"]["fact_key"]
    assert {fact["team"] for fact in facts.values()} == {"a"}


@pytest.fixture
def door() -> Iterator[tuple[str, list[bytes]]]:
    """An address that real exporters send to, and the bodies that came."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", bodies
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("with_answer_id", [True, False], ids=["known by its id", "known by its place"])
def test_a_call_that_both_report_is_counted_once(
    tmp_path: Path,
    spool: Path,
    door: tuple[str, list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    with_answer_id: bool,
) -> None:
    address, bodies = door
    provider = TracerProvider()
    provider.add_span_processor(
        SimpleSpanProcessor(OTLPSpanExporter(endpoint=address, compression=Compression.NoCompression))
    )
    tracer = provide(provider, monkeypatch)
    with tracer.start_as_current_span("request"), outlay.session(team="a", id="s1"):
        said = CALL | ({"gen_ai.response.id": ANSWER} if with_answer_id else {})
        with tracer.start_as_current_span("chat gpt-4.1", attributes=said):
            wire_call()
    provider.shutdown()
    assert outlay.flush()
    assert len(bodies) == 2
    with House(tmp_path / "books") as house:
        for body in (*bodies, *bodies_in(spool)):
            house.intake.submit(body, "protobuf").result()
        house.intake.settle()
        detail = house.session("s1")
        counted = [usage for usage in detail.usages if usage.counted and usage.operation == "chat"]
        assert len(counted) == 1
        assert detail.envelope["team"] == "a"
        assert "request" in {usage.name for usage in detail.usages}, "what opened before the tag is joined by its trace"
