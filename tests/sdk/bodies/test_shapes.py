"""Every provider's answers: what they used, counted one way; streamed or not, the same call says the same."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.sdk.bodies.reader import Reader
from outlay.sdk.bodies.reading import TOKEN_FIELDS, Reading
from outlay.sdk.bodies.routes import Routes
from provider_answers import ANTHROPIC, CALLS, JSON, Call, invoke, openai_chunks, packet, sse
from strategies import piece_sizes


def read(
    host: str,
    path: str,
    body: bytes,
    kind: str = JSON,
    sizes: list[int] | None = None,
    method: str = "POST",
    **more: str,
) -> Reading:
    """What one body says, fed in pieces of these sizes over and over."""
    name, _, port = host.partition(":")
    route = Routes().find(method, name, int(port) if port else None, path)
    assert route is not None, (host, path)
    reader = Reader(
        route.shape, {"content-type": kind, **{key.replace("_", "-"): value for key, value in more.items()}}
    )
    at, turn = 0, 0
    sizes = sizes or [1 << 30]
    while at < len(body):
        size = sizes[turn % len(sizes)]
        reader.feed(body[at : at + size])
        at, turn = at + size, turn + 1
    return reader.end()


def whole(call: Call, **more: Any) -> Reading:
    return read(call.host, call.path, json.dumps(call.whole).encode(), **more)


def said(reading: Reading) -> dict[str, Any]:
    """Everything of a reading but how it came to be known."""
    return {
        item.name: getattr(reading, item.name) for item in fields(reading) if item.name not in {"characters", "ended"}
    }


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_whole_answer_says_what_was_used(call: Call) -> None:
    reading = whole(call)
    used = dict(call.used)
    units = used.pop("units", {})
    assert {name: getattr(reading, name) for name in used} == used
    assert reading.units == units
    assert reading.complete
    assert not reading.unreadable
    zeros = {name for name in TOKEN_FIELDS if name not in used and getattr(reading, name)}
    assert not zeros, "a count nobody stated"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
@given(sizes=piece_sizes())
def test_a_stream_says_the_same_in_any_pieces(call: Call, sizes: list[int]) -> None:
    streamed = read(call.host, call.stream_path or call.path, call.stream, call.stream_kind, sizes)
    assert said(streamed) == said(whole(call))
    assert streamed.ended


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
@pytest.mark.parametrize("packing", ["gzip", "deflate", "raw deflate"])
def test_a_packed_answer_says_the_same(call: Call, packing: str) -> None:
    plain = json.dumps(call.whole).encode()
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "raw deflate": raw.compress(plain) + raw.flush(),
    }[packing]
    reading = read(call.host, call.path, packed, sizes=[7, 100], content_encoding=packing.rpartition(" ")[2])
    assert said(reading) == said(whole(call))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
@given(data=st.data())
def test_a_cut_stream_never_raises_and_never_says_more(call: Call, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(call.stream)))
    reading = read(call.host, call.stream_path or call.path, call.stream[:cut], call.stream_kind)
    final = whole(call)
    for name in TOKEN_FIELDS:
        known = getattr(reading, name)
        assert known is None or known <= getattr(final, name)


@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from([JSON, "text/event-stream", "application/vnd.amazon.eventstream", ""]),
)
def test_any_bytes_are_survived(body: bytes, kind: str) -> None:
    for call in CALLS:
        read(call.host, call.path, body, kind)


def test_a_large_answer_is_read_without_being_held() -> None:
    vectors = [{"object": "embedding", "index": n, "embedding": [0.0123] * 1536} for n in range(200)]
    body = json.dumps(
        {
            "object": "list",
            "data": vectors,
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    )
    assert len(body) > 1 << 20
    reading = read("api.openai.com", "/v1/embeddings", body.encode(), sizes=[65536])
    assert (reading.model, reading.input_tokens, reading.output_tokens, reading.complete) == (
        "text-embedding-3-small",
        8,
        None,
        True,
    )


def test_a_large_answer_whose_text_speaks_of_usage_is_not_fooled() -> None:
    text = 'x"usage":{"prompt_tokens":1}\\' * 60_000
    body = json.dumps(
        {
            "id": "a",
            "choices": [{"message": {"content": text, "usage": {"prompt_tokens": 2}}}],
            "model": "m",
            "usage": {"prompt_tokens": 3, "completion_tokens": 4},
        }
    )
    reading = read("api.openai.com", "/v1/chat/completions", body.encode(), sizes=[4099])
    assert (reading.response_id, reading.input_tokens, reading.output_tokens) == ("a", 3, 4)


def test_a_stream_that_did_not_ask_for_usage_leaves_it_unknown() -> None:
    reading = read("api.openai.com", "/v1/chat/completions", openai_chunks(["a", "b"], None), "text/event-stream")
    assert (reading.input_tokens, reading.output_tokens) == (None, None)
    assert (reading.ended, reading.complete, reading.finish_reason) == (True, False, "stop")


def test_an_explicit_zero_is_a_zero() -> None:
    body = b'{"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}'
    reading = read("api.openai.com", "/v1/chat/completions", body)
    assert (reading.input_tokens, reading.output_tokens, reading.complete) == (0, 0, True)


@pytest.mark.parametrize("cost", ["0", "0.0", '"0"', "null", "true", "-1", '"free"', "1e999"])
def test_a_cost_of_zero_beside_tokens_is_no_price(cost: str) -> None:
    body = b'{"id":"x","usage":{"prompt_tokens":5,"completion_tokens":6,"cost":%s}}' % cost.encode()
    assert not read("openrouter.ai", "/api/v1/chat/completions", body).cost_usd


@pytest.mark.parametrize("value", ["true", '"12"', "-3", "1.5", "1e30", "null", "[]"])
def test_what_is_no_count_is_not_taken(value: str) -> None:
    body = b'{"id":"x","usage":{"prompt_tokens":%s,"completion_tokens":6}}' % value.encode()
    reading = read("api.openai.com", "/v1/chat/completions", body)
    assert (reading.input_tokens, reading.output_tokens) == (None, 6)


def test_reasoning_beside_the_completion_is_added_where_the_total_says_so() -> None:
    details = {"reasoning_tokens": 20}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35, "completion_tokens_details": details}
    reading = read("api.x.ai", "/v1/chat/completions", json.dumps({"usage": usage}).encode())
    assert (reading.output_tokens, reading.reasoning_tokens) == (25, 20)


@pytest.mark.parametrize(
    ("host", "path", "body", "used"),
    [
        (
            "api.openai.com",
            "/v1/moderations",
            {"id": "m", "model": "omni-moderation-latest", "results": [{}]},
            {"units": {"requests": 1}},
        ),
        ("api.openai.com", "/v1/images/generations", {"data": [{}, {}]}, {"units": {"images": 2}}),
        (
            "api.openai.com",
            "/v1/images/generations",
            {
                "data": [{}],
                "usage": {
                    "input_tokens": 50,
                    "output_tokens": 4160,
                    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
                },
            },
            {"input_tokens": 50, "input_image_tokens": 40, "output_image_tokens": 4160, "units": {}},
        ),
        (
            "api.openai.com",
            "/v1/audio/transcriptions",
            {"text": "x", "usage": {"type": "duration", "seconds": 12.5}},
            {"units": {"audio_ms": 12500}},
        ),
        (
            "api.openai.com",
            "/v1/audio/transcriptions",
            {
                "usage": {
                    "type": "tokens",
                    "input_tokens": 14,
                    "output_tokens": 45,
                    "input_token_details": {"audio_tokens": 14},
                }
            },
            {"input_tokens": 14, "input_audio_tokens": 14, "output_tokens": 45},
        ),
        (
            "api.voyageai.com",
            "/v1/embeddings",
            {"model": "voyage-3.5", "usage": {"total_tokens": 10}},
            {"input_tokens": 10, "output_tokens": None},
        ),
        (
            "api.voyageai.com",
            "/v1/rerank",
            {"model": "rerank-2.5", "usage": {"total_tokens": 26}},
            {"input_tokens": 26},
        ),
        (
            "api.cohere.com",
            "/v2/rerank",
            {"id": "r", "meta": {"billed_units": {"search_units": 1}}},
            {"units": {"searches": 1}, "input_tokens": None},
        ),
        (
            "api.cohere.com",
            "/v2/embed",
            {"id": "e", "meta": {"billed_units": {"input_tokens": 9}}},
            {"input_tokens": 9},
        ),
        (
            "api.mistral.ai",
            "/v1/ocr",
            {"model": "mistral-ocr-latest", "usage_info": {"pages_processed": 3}},
            {"units": {"pages": 3}},
        ),
        (
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-embedding-001:embedContent",
            {"usageMetadata": {"promptTokenCount": 6}},
            {"input_tokens": 6, "output_tokens": None},
        ),
        (
            "us-central1-aiplatform.googleapis.com",
            "/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict",
            {
                "predictions": [
                    {"embeddings": {"statistics": {"token_count": 6}}},
                    {"embeddings": {"statistics": {"token_count": 4}}},
                ]
            },
            {"input_tokens": 10},
        ),
        (
            "api.deepseek.com",
            "/chat/completions",
            {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}},
            {"cache_read_tokens": 4},
        ),
        (
            "api.perplexity.ai",
            "/chat/completions",
            {
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 1,
                    "num_search_queries": 3,
                    "cost": {"total_cost": 0.006},
                }
            },
            {"cost_usd": "0.006", "units": {"web_searches": 3}},
        ),
        (
            "my.openai.azure.com",
            "/openai/deployments/gpt5-prod/chat/completions",
            {"model": "gpt-5", "usage": {"prompt_tokens": 2, "completion_tokens": 3}},
            {"model": "gpt-5", "input_tokens": 2},
        ),
        (
            "bedrock-runtime.us-east-1.amazonaws.com",
            "/guardrail/gr1/version/1/apply",
            {"action": "NONE", "usage": {"topicPolicyUnits": 2}},
            {"finish_reason": "NONE"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_other_calls(host: str, path: str, body: dict[str, Any], used: dict[str, Any]) -> None:
    reading = read(host, path, json.dumps(body).encode())
    assert {name: getattr(reading, name) for name in used} == used
    assert reading.complete


def test_headers_fill_what_a_body_does_not_say() -> None:
    counted = {"x_amzn_bedrock_input_token_count": "30", "x_amzn_bedrock_output_token_count": "55"}
    path = "/model/mistral.mistral-large/invoke"
    reading = read(
        "bedrock-runtime.us-east-1.amazonaws.com", path, b'{"outputs":[{"text":"x","stop_reason":"stop"}]}', **counted
    )
    assert (reading.input_tokens, reading.output_tokens, reading.finish_reason) == (30, 55, "stop")
    reading = read(
        "api.openai.com", "/v1/chat/completions", b'{"usage":{"prompt_tokens":1}}', x_litellm_response_cost="0.00012"
    )
    assert reading.cost_usd == "0.00012"


def test_a_packet_with_a_wrong_checksum_ends_the_reading() -> None:
    good = invoke({"prompt_token_count": 7, "generation_token_count": 9})
    bad = bytearray(invoke({"prompt_token_count": 8, "generation_token_count": 10}))
    bad[-1] ^= 1
    kind = "application/vnd.amazon.eventstream"
    reading = read(
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/meta.llama3/invoke-with-response-stream",
        good + bytes(bad),
        kind,
    )
    assert (reading.input_tokens, reading.output_tokens, reading.unreadable) == (7, 9, True)


def test_errors_inside_a_stream_are_named() -> None:
    overloaded = sse({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, named=True)
    assert read("api.anthropic.com", "/v1/messages", overloaded, "text/event-stream").error_type == "overloaded_error"
    throttled = packet("throttlingException", b'{"message":"x"}', "exception")
    path = "/model/m/converse-stream"
    kind = "application/vnd.amazon.eventstream"
    assert read("bedrock-runtime.us-east-1.amazonaws.com", path, throttled, kind).error_type == "throttlingException"


def test_models_asked_aside_have_their_own_bill() -> None:
    usage = {
        **ANTHROPIC["usage"],  # type: ignore[dict-item]
        "iterations": [
            {"type": "message", "input_tokens": 4, "output_tokens": 187},
            {"type": "compaction", "input_tokens": 900, "output_tokens": 30},
            {
                "type": "advisor_message",
                "model": "claude-opus-5",
                "input_tokens": 50,
                "output_tokens": 7,
                "cache_read_input_tokens": 5,
            },
        ],
    }
    reading = read("api.anthropic.com", "/v1/messages", json.dumps({**ANTHROPIC, "usage": usage}).encode())
    assert [(item.name, item.model, item.tokens["input_tokens"]) for item in reading.asides] == [
        ("compaction", "", 900),
        ("advisor_message", "claude-opus-5", 55),
    ]


def test_batch_results_are_calls_of_their_own() -> None:
    line = {
        "custom_id": "a",
        "response": {
            "status_code": 200,
            "body": {
                "id": "chatcmpl-9",
                "object": "chat.completion",
                "model": "m",
                "usage": {"prompt_tokens": 2, "completion_tokens": 3},
            },
        },
    }
    body = b"\n".join(json.dumps({**line, "custom_id": str(n)}).encode() for n in range(3))
    route = Routes().find("GET", "api.openai.com", None, "/v1/files/file-1/content")
    assert route is not None
    reader = Reader(route.shape, {"content-type": "application/octet-stream"})
    reader.feed(body)
    reader.end()
    assert [(reading.input_tokens, reading.processing) for _, reading in reader.lines] == [(2, "batch")] * 3
