"""Every Hypothesis strategy of the test-suite, so that one idea of "any usage" serves all rooms.

Each strategy says in its docstring what it promises and what it deliberately includes (edges, ties, hostile spellings).
Simple things first, compositions of them below.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp_wire import pairs_of, value_of
from outlay.core.money import AMOUNT_NANO_MAX


def nanos(*, signed: bool = True) -> st.SearchStrategy[int]:
    """Nano-units that fit the store: mostly everyday amounts, also zero, one nano-unit and the largest."""
    everyday = st.integers(0, 1_000_000_000_000)
    edges = st.sampled_from([0, 1, 999, 1_000, 999_999_999, 1_000_000_000, AMOUNT_NANO_MAX])
    amounts = everyday | edges
    return (amounts | amounts.map(lambda nano: -nano)) if signed else amounts


def rates_pico() -> st.SearchStrategy[int]:
    """Pico-units a unit: from a tenth of a nano-unit a token to a dollar a call, ties of the rounding included."""
    return st.integers(0, 1_000_000_000_000) | st.sampled_from([1, 499, 500, 501, 1_500, 2_500_000])


def token_counts() -> st.SearchStrategy[int]:
    """Counts a provider may report for one call, zero and a context of two million included."""
    return st.integers(0, 20_000) | st.sampled_from([0, 1, 200_000, 2_000_000])


def stated_counts() -> st.SearchStrategy[dict[str, int]]:
    """Token counts as a stranger may state them: any of them missing, and nothing that makes them agree."""
    names = (
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "input_audio_tokens",
        "output_image_tokens",
    )
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, token_counts()))


@st.composite
def related_facts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Facts of a few traces and sessions that hang together in every way, good and bad.

    Parents of any kind, missing ones and loops of parents; answers reported twice, by several signals; attempts,
    failures, aggregates, calls within calls; envelopes stated here and there; times that tie.
    """
    names = draw(st.lists(st.integers(0, 14), min_size=1, max_size=12, unique=True))
    return [
        {
            "fact_id": f"fact {name}",
            "parent_id": draw(st.sampled_from([None, *(f"fact {place}" for place in range(16))])),
            "tree_id": draw(st.sampled_from([None, "one", "one", "two"])),
            "response_id": draw(st.sampled_from([None, None, "chatcmpl-aaaaaaaaaaaa", "chatcmpl-bbbbbbbbbbbb"])),
            "start_ns": 1_788_264_000_000_000_000 + draw(st.integers(0, 3)) * 1_000_000_000,
            "operation": draw(st.sampled_from(["chat", "chat", "embedding", "agent", "step", "tool", "guardrail"])),
            "signal": draw(st.sampled_from(["span", "span", "log", "event", "metric", "file"])),
            "model_served": draw(st.sampled_from(["small", "large"])),
            "attempt": draw(st.sampled_from([0, 0, 1, 2])),
            "failed": draw(st.sampled_from([False, False, True])),
            "input_tokens": draw(st.sampled_from([None, 10, 20])),
            "output_tokens": draw(st.sampled_from([None, 0, 5])),
            "session_id": draw(st.sampled_from([None, None, "run 1", "run 2"])),
            "parent_session_id": draw(st.sampled_from([None, None, "run 1"])),
            "team": draw(st.sampled_from([None, None, "search", "support"])),
            "user": draw(st.sampled_from([None, "u1"])),
        }
        for name in names
    ]


def book_rows() -> st.SearchStrategy[tuple[list[dict[str, object]], list[dict[str, object]]]]:
    """Usages and outcomes of a small company, in the words of `metrics.books.usage` and `outcome`.

    Few values, so that groups meet; missing tags, unpriced, recorded, superseded and structural usages, sub-agents,
    sessions that several tasks share, outcomes without a session, and hostile spellings are all in it.
    """
    teams = st.sampled_from(["onboarding", "billing", "(untagged)", "it's; DROP TABLE usages --"])
    sessions = st.sampled_from(["s1", "s2", "s3", "s4", "(no session)"])
    usage = st.fixed_dictionaries(
        {
            "cost": st.none() | nanos(signed=False),
            "team": teams,
            "model_id": st.sampled_from(["gpt-4.1", "claude-opus-4-6", ""]),
            "centre": st.sampled_from(["inference", "retries", "tools", "guardrails"]),
            "operation": st.sampled_from(["chat", "tool", "embedding", "agent"]),
            "provenance": st.sampled_from(["recorded", "priced", "estimated"]),
            "session_id": sessions,
            "parent_session_id": st.sampled_from(["", "", "s1", "s2"]),
            "task_id": st.sampled_from(["", "", "t1", "t9"]),
            "time": st.datetimes(datetime(2025, 12, 28), datetime(2026, 1, 6)),  # noqa: DTZ001 - as books hold it
            "duration_ms": st.none() | st.integers(0, 100_000),
            "in_uncached": token_counts(),
            "out_text": token_counts(),
            "bears": st.sampled_from([True, True, True, False]),
            "counted": st.sampled_from([True, True, True, False]),
            "failed": st.booleans(),
            "tags": st.sampled_from(["", '{"region":"eu"}', '{"a.b":"x","region":"us"}']),
        }
    )
    outcome = st.fixed_dictionaries(
        {
            "task": st.sampled_from(["t1", "t2", "t3", "t4", "t5"]),
            "status": st.sampled_from(["done", "done", "failed", "abandoned", "unknown"]),
            "sessions": st.lists(st.sampled_from(["s1", "s2", "s3"]), max_size=2, unique=True),
            "team": teams,
            "time": st.datetimes(datetime(2025, 12, 28), datetime(2026, 1, 6)),  # noqa: DTZ001 - as books hold it
            "value_nano": st.none() | st.integers(0, 10**12),
        }
    )
    return st.tuples(st.lists(usage, max_size=25), st.lists(outcome, max_size=5, unique_by=lambda row: row["task"]))


# ---------------------------------------------------------------------------------------------------------------- OTLP

_SPAN_KEYS = (
    *("gen_ai.operation.name", "gen_ai.usage.input_tokens", "gen_ai.usage.cost", "gen_ai.response.finish_reasons"),
    *("outlay.team", "outlay.tag.squad", "session.id", "error.type", "exception.type", "metadata", "tag.tags"),
    *(
        "langfuse.observation.usage_details",
        "mlflow.llm.cost",
        "evaluations.0.evaluation.name",
        "acme.tokens",
        "vcs.ref",
    ),
    *("gen_ai.input.messages", "http.request.body", "input.value", "some.usage", ""),
)
_JSON_TEXTS = (
    *(
        '{"input": 3, "output": 4.5, "service_tier": "flex", "note": "x"}',
        '{"team": "risk", "nested": {"a": 1}, "n": null}',
    ),
    *("[1, 2]", "{", "7", '"text"', "", '["a", "b"]', '{"input_cost": 0.25}'),
)


def attribute_values() -> st.SearchStrategy[object]:
    """What an attribute may hold on the wire: every type, nested, JSON text, absent values, texts that are too long."""
    texts = st.text(max_size=12) | st.sampled_from(_JSON_TEXTS) | st.sampled_from(["x" * 300, "é" * 600, "y" * 2000])
    numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(width=64)
    plain = texts | numbers | st.booleans() | st.none() | st.binary(max_size=4)
    return plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=4), plain, max_size=3)


def attributes() -> st.SearchStrategy[dict[str, object]]:
    """Attributes of a span or resource: keys the door knows, keys it does not, keys with contents."""
    return st.dictionaries(st.sampled_from(_SPAN_KEYS) | st.text(max_size=8), attribute_values(), max_size=6)


def _ids(width: int) -> st.SearchStrategy[bytes]:
    fine = st.binary(min_size=width, max_size=width)
    return fine | fine | fine | st.sampled_from([b"", bytes(width), b"\x01" * (width - 1)])


def _moments_ns() -> st.SearchStrategy[int]:
    fine = st.integers(1_795_000_000, 1_795_000_100).map(lambda second: second * 10**9)
    return fine | fine | fine | st.sampled_from([0, 1, 2**63, 2**64 - 1, 4_102_444_800 * 10**9 + 1])


def _events() -> st.SearchStrategy[list[tuple[str, dict[str, object]]]]:
    said = {
        "gen_ai.evaluation.name": attribute_values() | st.just("task_completion"),
        "gen_ai.evaluation.score.label": attribute_values() | st.just("pass"),
        "gen_ai.evaluation.score.value": attribute_values() | st.just(1.0),
        "exception.type": attribute_values() | st.just("ValueError"),
        "exception.message": st.text(max_size=5),
    }
    names = st.sampled_from(["gen_ai.evaluation.result", "exception", "gen_ai.choice", ""])
    return st.lists(st.tuples(names, st.fixed_dictionaries({}, optional=said)), max_size=2)


@st.composite
def otlp_requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """A well-formed trace request of any shape: no, one or several resources and scopes; ids and times good and bad."""
    made = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        of_resource = made.resource_spans.add()
        of_resource.resource.attributes.extend(pairs_of(draw(attributes())))
        for _ in range(draw(st.integers(0, 2))):
            of_scope = of_resource.scope_spans.add()
            of_scope.scope.name, of_scope.scope.version = draw(st.text(max_size=3)), draw(st.sampled_from(["", "1.0"]))
            for _ in range(draw(st.integers(0, 4))):
                one = of_scope.spans.add(
                    trace_id=draw(_ids(16)),
                    span_id=draw(_ids(8)),
                    parent_span_id=draw(_ids(8)),
                    name=draw(st.text(max_size=6) | st.just("n" * 400)),
                    kind=draw(st.integers(0, 5)),
                    start_time_unix_nano=draw(_moments_ns()),
                    end_time_unix_nano=draw(_moments_ns()),
                )
                one.status.code = draw(st.integers(0, 2))
                one.attributes.extend(pairs_of(draw(attributes())))
                for name, said in draw(_events()):
                    one.events.add(name=name, attributes=pairs_of(said))
    return made


_EVENTS = (
    *("api_request", "claude_code.api_request", "codex.sse_event", "gemini_cli.api_response", "user_prompt"),
    *("gen_ai.evaluation.result", "gen_ai.client.inference.operation.details", "something else", ""),
)


@st.composite
def otlp_logs_requests(draw: st.DrawFn) -> ExportLogsServiceRequest:
    """A well-formed log request of any shape: events known and unknown, told by attribute, field or body."""
    made = ExportLogsServiceRequest()
    events = st.sampled_from(_EVENTS)
    for _ in range(draw(st.integers(0, 2))):
        of_resource = made.resource_logs.add()
        of_resource.resource.attributes.extend(pairs_of(draw(attributes())))
        for _ in range(draw(st.integers(0, 2))):
            of_scope = of_resource.scope_logs.add()
            of_scope.scope.name = draw(st.sampled_from(["com.anthropic.claude_code.events", "codex", ""]))
            for _ in range(draw(st.integers(0, 4))):
                one = of_scope.log_records.add(
                    trace_id=draw(_ids(16)),
                    span_id=draw(_ids(8)),
                    event_name=draw(events),
                    time_unix_nano=draw(_moments_ns()),
                    observed_time_unix_nano=draw(_moments_ns()),
                    body=value_of(draw(events | attribute_values())),
                )
                said = draw(attributes()) | draw(st.fixed_dictionaries({}, optional={"event.name": events}))
                one.attributes.extend(pairs_of(said))
    return made


_METRIC_NAMES = (
    "claude_code.token.usage",
    "gen_ai.client.token.usage",
    "gen_ai.usage.cost",
    "http.server.duration",
    "",
)


@st.composite
def otlp_metrics_requests(draw: st.DrawFn) -> ExportMetricsServiceRequest:
    """A well-formed metric request of any shape: every form of metric, values good and bad, sums left out."""
    made = ExportMetricsServiceRequest()
    numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 100) | st.floats(width=64)
    for _ in range(draw(st.integers(0, 2))):
        of_resource = made.resource_metrics.add()
        of_resource.resource.attributes.extend(pairs_of(draw(attributes())))
        of_scope = of_resource.scope_metrics.add()
        of_scope.scope.name = draw(st.sampled_from(["com.anthropic.claude_code", ""]))
        for _ in range(draw(st.integers(0, 3))):
            one = of_scope.metrics.add(name=draw(st.sampled_from(_METRIC_NAMES)))
            form = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary", ""]))
            if not form:
                continue
            holder = getattr(one, form)
            holder.SetInParent()
            if form not in {"gauge", "summary"}:
                holder.aggregation_temporality = draw(st.integers(0, 2))
            if form == "sum":
                holder.is_monotonic = draw(st.booleans())
            for _ in range(draw(st.integers(0, 3))):
                point = holder.data_points.add(
                    start_time_unix_nano=draw(_moments_ns()), time_unix_nano=draw(_moments_ns())
                )
                point.flags = draw(st.sampled_from([0, 0, 0, 1]))
                types = st.sampled_from(["input", "output", "cacheRead"])
                point.attributes.extend(pairs_of(draw(attributes()) | {"type": draw(types)}))
                value = draw(numbers | st.none())
                if value is None:
                    continue
                if form in {"gauge", "sum"}:
                    setattr(point, "as_int" if isinstance(value, int) else "as_double", value)
                else:
                    point.sum = float(value)
    return made


def recorded_numbers() -> st.SearchStrategy[float]:
    """Costs as software writes them into a double: everyday ones, ties of the rounding, and every extreme."""
    decimals = st.decimals(-1_000_000, 1_000_000, places=10).map(float) | st.decimals(0, 1, places=12).map(float)
    ties = st.integers(-(10**9), 10**9).map(lambda half: (2 * half + 1) / (2 * 10**9))
    return decimals | ties | st.floats()


@st.composite
def transcripts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lines of a coding agent's transcript: up to six responses, each on up to five lines whose output grows.

    Only the output differs between the lines of one response; lines of different responses may share every figure.
    """
    lines: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6))):
        usage = {"input_tokens": draw(st.integers(0, 3)), "cache_read_input_tokens": draw(st.integers(0, 2))}
        outputs = sorted(draw(st.lists(st.integers(0, 4), min_size=1, max_size=5)))
        for place, output_tokens in enumerate(outputs):
            message = {"role": "assistant", "id": f"msg_{number}", "model": "claude-opus-4-6", "content": []}
            lines.append(
                {
                    "type": "assistant",
                    "sessionId": "s1",
                    "uuid": f"{number}-{place}",
                    "requestId": f"req_{number}",
                    "timestamp": f"2026-02-10T21:5{number}:0{place}.000Z",
                    "message": {**message, "usage": {**usage, "output_tokens": output_tokens}},
                }
            )
    return lines


def token_quantities() -> st.SearchStrategy[dict[str, int]]:
    """Disjoint token meters of one call, some absent; totals fall on both sides of every long-context threshold."""
    large = st.sampled_from([127_999, 128_001, 200_000, 200_001, 272_001, 600_000])
    count = st.integers(1, 20_000) | large
    meters = ["in_uncached", "in_cache_read", "in_cache_write_5m", "in_cache_write_1h", "in_cache_write_unspec"]
    meters += ["out_text", "out_reasoning"]
    return st.dictionaries(st.sampled_from(meters), count, min_size=1)


def quantity_rates() -> st.SearchStrategy[tuple[int, int]]:
    """A quantity and a rate in pico-units: everyday, exact ties of the rounding, and products beyond 64 bits."""
    everyday = st.tuples(token_counts(), rates_pico())
    ties = st.tuples(st.integers(0, 10_000), st.sampled_from([500, 1_500, 2_500, 250, 125]))
    vast = st.tuples(st.integers(10**9, 2**62), st.integers(10**6, 2**62))
    return everyday | ties | vast


def json_values() -> st.SearchStrategy[Any]:
    """Values of JSON with brackets, quotes, commas and backslashes inside their texts, nested a little."""
    texts = st.text(alphabet='ab"\\,[]{}: é', max_size=8)
    leaves = st.none() | st.booleans() | st.integers(-1000, 1000) | texts
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
    )


@st.composite
def spend_rows(draw: st.DrawFn) -> list[dict[str, str]]:
    """Rows of a spend log as text: costs with up to fifteen places and in powers of ten, zeros, up to thirty rows."""
    edges = st.sampled_from(["0", "0.0", "1e-05", "3E-9"])
    costs = st.decimals(0, 1000, places=12) | st.decimals(0, 1, places=15) | edges
    rows = draw(st.lists(st.tuples(costs, token_counts(), token_counts()), min_size=1, max_size=30))
    return [
        {
            "request_id": f"r{number}",
            "spend": str(cost),
            "prompt_tokens": str(input_tokens),
            "completion_tokens": str(output_tokens),
            "metadata": "{}",
        }
        for number, (cost, input_tokens, output_tokens) in enumerate(rows)
    ]


# ---- facts of a small company, for the books -------------------------------------------------------------------------

_EPOCH_NS = 1_793_000_000 * 1_000_000_000  # October 2026
_TEAMS = st.sampled_from([None, None, "onboarding", "support", "größe <b>"])


@st.composite
def fact_rows(draw: st.DrawFn, *, facts_max: int = 14) -> list[dict[str, object]]:
    """Facts that depend on each other: a few traces and sessions, tags on some of the facts only, parents that state
    totals, calls inside calls, one answer under two signals, failed attempts, recorded, priced and unknown costs, and
    reports of one fact that grow."""
    count = draw(st.integers(1, facts_max))
    rows: list[dict[str, object]] = []
    for number in range(count):
        tree = draw(st.integers(0, 2))
        inside = [row for row in rows if row["tree_id"] == f"tree {tree}"]
        parent = draw(st.sampled_from([None, *[row["fact_id"] for row in inside]]))
        operation = draw(st.sampled_from(["chat", "chat", "chat", "embedding", "tool", "guardrail", "agent", "step"]))
        start = _EPOCH_NS + draw(st.integers(0, 40)) * 3_600_000_000_000
        row: dict[str, object] = {
            "fact_id": f"fact {number}",
            "task_id": draw(st.sampled_from([None, None, None, "task 1", "task 2"])),
            "parent_session_id": draw(st.sampled_from([None, None, None, "session a"])),
            "parent_id": parent,
            "tree_id": f"tree {tree}",
            "session_id": draw(st.sampled_from([None, "session a", "session b"])),
            "response_id": draw(st.sampled_from([None, None, "answer-0123456789", "answer-9876543210"])),
            "source": draw(st.sampled_from(["otlp", "test"])),
            "signal": draw(st.sampled_from(["span", "log", "metric", "file"])),
            "origin": draw(st.sampled_from(["one", "two"])),
            "start_ns": start,
            "end_ns": start + draw(st.integers(0, 10**12)),
            "operation": operation,
            "provider": draw(st.sampled_from(["openai", "anthropic", None])),
            "model_served": draw(st.sampled_from(["gpt-4.1", "claude-sonnet-4-5", "in-house-7b", None])),
            "team": draw(_TEAMS),
            "feature": draw(st.sampled_from([None, "kyc"])),
            "agent": draw(st.sampled_from([None, "bot", "researcher"])),
            "failed": draw(st.booleans()),
            "attempt": draw(st.sampled_from([None, 0, 0, 1, 2])),
        }
        if operation in ("chat", "embedding", "agent", "guardrail"):
            read = draw(st.integers(0, 500))
            row |= {
                "input_tokens": read + draw(token_counts()),
                "output_tokens": draw(token_counts()),
                "cache_read_tokens": read,
                "basis": "inclusive",
            }
        if draw(st.booleans()):
            row |= {"cost_nano": draw(st.integers(0, 10**9)), "cost_source": "emitter"}
        rows.append(row)
        if draw(st.booleans()) and "output_tokens" in row:  # the same fact, reported again and larger
            rows.append(row | {"output_tokens": int(str(row["output_tokens"])) + draw(st.integers(0, 50))})
    return rows


def key_of(text: str) -> bytes:
    """The key of an identity text."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@st.composite
def outcome_rows(draw: st.DrawFn) -> list[dict[str, object]]:
    """Reports on a few tasks, several on one task, some of an unknown session, some with a value; some name no task, no
    session, or only the trace or the answer they judge."""
    return [
        {
            "outcome_id": f"outcome {number}",
            "task_id": draw(st.sampled_from([None, "task 0", "task 1", "task 2"])),
            "tree_key": draw(st.sampled_from([None, *(key_of(f"tree {tree}") for tree in range(3))])),
            "span_key": draw(st.sampled_from([None, None, key_of("fact 0"), key_of("fact 1")])),
            "response_id": draw(st.sampled_from([None, None, "answer-0123456789"])),
            "session_ids": draw(st.sampled_from([[], ["session a"], ["session b", "session a"], ["nowhere"]])),
            "status": draw(st.sampled_from(["done", "failed", "abandoned", "unknown"])),
            "at_ns": _EPOCH_NS + draw(st.integers(0, 40)) * 3_600_000_000_000,
            "reported_ns": draw(st.none() | st.integers(0, 3).map(lambda hours: _EPOCH_NS + hours * 3_600_000_000_000)),
            "value_nano": draw(st.none() | st.integers(0, 10**12)),
            "currency": draw(st.sampled_from([None, "USD", "EUR"])),
            "team": draw(_TEAMS),
            "source": "test",
        }
        for number in range(draw(st.integers(0, 5)))
    ]


def piece_sizes() -> st.SearchStrategy[list[int]]:
    """Sizes in which a body arrives, over and over: byte by byte, in dribbles, or a good piece at a time."""
    return st.lists(st.integers(1, 200), min_size=1, max_size=8)


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with nested values and texts full of quotes, brackets, backslashes and line feeds."""
    hostile = st.text(alphabet='ab"\\{}[]:,\n é', max_size=12)
    leaves = st.none() | st.booleans() | st.integers(-1000, 1000) | hostile
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3), max_leaves=8
    )
    return st.dictionaries(hostile, values, max_size=6)
