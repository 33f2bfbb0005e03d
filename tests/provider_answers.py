"""Answers of every provider, made up but in their own shapes: each call whole and as the stream of the same call."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
PACKETS = "application/vnd.amazon.eventstream"


@dataclass(frozen=True)
class Call:
    """One call: its address, its whole answer, the bytes of the same answer streamed, and what it used."""

    name: str
    host: str
    path: str
    whole: Mapping[str, Any]
    stream_path: str = ""
    stream: bytes = b""
    stream_kind: str = SSE
    used: Mapping[str, Any] = ()  # type: ignore[assignment]


def sse(*events: Mapping[str, Any], named: bool = False, done: bool = False) -> bytes:
    """Server-sent events, with their type as name where the provider does that."""
    lines = [(f"event: {item['type']}\n" if named else "") + f"data: {json.dumps(item)}\n\n" for item in events]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


def packet(kind: str, payload: bytes, message: str = "event") -> bytes:
    """One packet of Amazon's event stream."""
    fields = b""
    names = {
        ":event-type" if message == "event" else ":exception-type": kind,
        ":content-type": JSON,
        ":message-type": message,
    }
    for name, value in names.items():
        fields += bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2, "big") + value.encode()
    head = (12 + len(fields) + len(payload) + 4).to_bytes(4, "big") + len(fields).to_bytes(4, "big")
    body = head + zlib.crc32(head).to_bytes(4, "big") + fields + payload
    return body + zlib.crc32(body).to_bytes(4, "big")


def converse(*events: tuple[str, Mapping[str, Any]]) -> bytes:
    """ConverseStream: the kind of an event stands in the packet's headers."""
    return b"".join(packet(kind, json.dumps(payload).encode()) for kind, payload in events)


def invoke(*events: Mapping[str, Any]) -> bytes:
    """InvokeModelWithResponseStream: the model's own events, packed in base64."""
    made = b""
    for event in events:
        inner = base64.b64encode(json.dumps(event).encode()).decode()
        made += packet("chunk", json.dumps({"bytes": inner, "p": "abcdef"}, separators=(",", ":")).encode())
    return made


def openai_chunks(text: list[str], usage: Mapping[str, Any] | None, **more: Any) -> bytes:
    """A streamed chat completion; `usage` None is a client that did not ask for it."""
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        **more,
    }
    null = {} if usage is None else {"usage": None}
    events: list[dict[str, Any]] = [
        {**base, **null, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    ]
    events += [
        {**base, **null, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
        for piece in text
    ]
    events.append({**base, **null, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage is not None:
        events.append({**base, "choices": [], "usage": usage})
    return sse(*events, done=True)


OPENAI_USAGE = {
    "prompt_tokens": 1149,
    "completion_tokens": 353,
    "total_tokens": 1502,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
OPENAI_USED = {"input_tokens": 1149, "output_tokens": 353, "cache_read_tokens": 1024, "reasoning_tokens": 64}

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5.4-2026-03-05",
    "service_tier": "flex",
    "output": [
        {"type": "web_search_call", "action": {"type": "search", "query": "usage"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "code_interpreter_call", "container_id": "cntr_1"},
        {"type": "code_interpreter_call", "container_id": "cntr_1"},
        {"type": "message", "content": [{"type": "output_text", "text": 'says "usage": {"input_tokens": 9}'}]},
    ],
    "usage": {
        "input_tokens": 310,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 20},
        "output_tokens": 17,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 327,
    },
}

ANTHROPIC_USAGE = {
    "input_tokens": 4,
    "cache_creation_input_tokens": 1163,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 163},
    "output_tokens": 187,
    "output_tokens_details": {"thinking_tokens": 40},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    "service_tier": "priority",
}
ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-20260901",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "usage": ANTHROPIC_USAGE,
}
ANTHROPIC_USED = {
    "input_tokens": 1267,
    "output_tokens": 187,
    "cache_read_tokens": 100,
    "cache_write_tokens": 1163,
    "cache_write_5m_tokens": 1000,
    "cache_write_1h_tokens": 163,
    "reasoning_tokens": 40,
    "units": {"web_searches": 2},
    "service_tier": "priority",
}
ANTHROPIC_EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            **ANTHROPIC,
            "content": [],
            "stop_reason": None,
            "usage": {**ANTHROPIC_USAGE, "output_tokens": 1, "server_tool_use": None},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {
            "output_tokens": 187,
            "output_tokens_details": {"thinking_tokens": 40},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        },
    },
    {"type": "message_stop"},
]

GEMINI = {
    "candidates": [
        {"content": {"parts": [{"text": 'say "hi" [{'}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ],
    "usageMetadata": {
        "promptTokenCount": 200,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "cachedContentTokenCount": 150,
        "totalTokenCount": 250,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 160}, {"modality": "AUDIO", "tokenCount": 40}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 140}, {"modality": "AUDIO", "tokenCount": 10}],
        "serviceTier": "STANDARD",
    },
    "modelVersion": "gemini-2.5-pro",
    "responseId": "g1",
}
GEMINI_FIRST = {
    "candidates": [{"content": {"parts": [{"text": "say"}], "role": "model"}, "index": 0}],
    "usageMetadata": {"promptTokenCount": 200, "candidatesTokenCount": 3, "totalTokenCount": 203},
    "modelVersion": "gemini-2.5-pro",
    "responseId": "g1",
}
GEMINI_USED = {
    "input_tokens": 200,
    "output_tokens": 50,
    "reasoning_tokens": 30,
    "cache_read_tokens": 150,
    "input_audio_tokens": 30,
}

CONVERSE_USAGE = {
    "inputTokens": 12,
    "outputTokens": 34,
    "totalTokens": 76,
    "cacheReadInputTokens": 10,
    "cacheWriteInputTokens": 20,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 15}, {"ttl": "1h", "inputTokens": 5}],
}
GUARDED = {
    "guardrail": {
        "inputAssessment": {"gr1": {"invocationMetrics": {"usage": {"topicPolicyUnits": 1, "wordPolicyUnits": 2}}}},
        "outputAssessments": {"gr1": [{"invocationMetrics": {"usage": {"contextualGroundingPolicyUnits": 3}}}]},
    }
}
CONVERSE_USED = {
    "input_tokens": 42,
    "output_tokens": 34,
    "cache_read_tokens": 10,
    "cache_write_tokens": 20,
    "cache_write_5m_tokens": 15,
    "cache_write_1h_tokens": 5,
    "service_tier": "priority",
}
METRICS = {
    "inputTokenCount": 4,
    "outputTokenCount": 187,
    "cacheReadInputTokenCount": 100,
    "cacheWriteInputTokenCount": 1163,
}

CALLS: tuple[Call, ...] = (
    Call(
        "openai chat",
        "api.openai.com",
        "/v1/chat/completions",
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "gpt-4o-2024-08-06",
            "service_tier": "default",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
            "usage": OPENAI_USAGE,
        },
        stream=openai_chunks(["x", 'usage": {'], OPENAI_USAGE),
        used=OPENAI_USED,
    ),
    Call(
        "openai responses",
        "api.openai.com",
        "/v1/responses",
        RESPONSE,
        stream=sse(
            {
                "type": "response.created",
                "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None},
            },
            {"type": "response.output_text.delta", "delta": "x"},
            {"type": "response.completed", "response": RESPONSE},
            named=True,
        ),
        used={
            "input_tokens": 310,
            "output_tokens": 17,
            "cache_read_tokens": 10,
            "cache_write_tokens": 20,
            "reasoning_tokens": 5,
            "units": {"web_searches": 1, "code_executions": 1},
            "service_tier": "flex",
        },
    ),
    Call(
        "anthropic",
        "api.anthropic.com",
        "/v1/messages",
        ANTHROPIC,
        stream=sse(*ANTHROPIC_EVENTS, named=True),
        used=ANTHROPIC_USED,
    ),
    Call(
        "gemini",
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-2.5-pro:generateContent",
        GEMINI,
        stream_path="/v1beta/models/gemini-2.5-pro:streamGenerateContent",
        stream=sse(GEMINI_FIRST, GEMINI),
        used=GEMINI_USED,
    ),
    Call(
        "vertex, array",
        "us-central1-aiplatform.googleapis.com",
        "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent",
        GEMINI,
        stream_path="/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
        stream=json.dumps([GEMINI_FIRST, GEMINI], indent=1).encode(),
        stream_kind=JSON,
        used=GEMINI_USED,
    ),
    Call(
        "bedrock converse",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        "/model/amazon.nova-pro-v1%3A0/converse",
        {
            "stopReason": "end_turn",
            "usage": CONVERSE_USAGE,
            "trace": GUARDED,
            "serviceTier": {"type": "priority"},
            "output": {},
        },
        stream_path="/model/amazon.nova-pro-v1%3A0/converse-stream",
        stream=converse(
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"delta": {"text": "x"}, "contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            (
                "metadata",
                {"usage": CONVERSE_USAGE, "trace": GUARDED, "serviceTier": {"type": "priority"}, "metrics": {}},
            ),
        ),
        stream_kind=PACKETS,
        used=CONVERSE_USED,
    ),
    Call(
        "bedrock anthropic",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/us.anthropic.claude-opus-5-v1:0/invoke",
        ANTHROPIC,
        stream_path="/model/us.anthropic.claude-opus-5-v1:0/invoke-with-response-stream",
        stream=invoke(*ANTHROPIC_EVENTS[:-1], {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS}),
        stream_kind=PACKETS,
        used=ANTHROPIC_USED,
    ),
    Call(
        "bedrock llama",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/meta.llama3-70b/invoke",
        {"generation": "x", "prompt_token_count": 7, "generation_token_count": 9, "stop_reason": "stop"},
        stream_path="/model/meta.llama3-70b/invoke-with-response-stream",
        stream=invoke(
            {"generation": "x", "prompt_token_count": 7, "generation_token_count": 1, "stop_reason": None},
            {
                "generation": "",
                "generation_token_count": 9,
                "stop_reason": "stop",
                "amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 9},
            },
        ),
        stream_kind=PACKETS,
        used={"input_tokens": 7, "output_tokens": 9},
    ),
    Call(
        "bedrock titan",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "/model/amazon.titan-text-express-v1/invoke",
        {"inputTextTokenCount": 5, "results": [{"tokenCount": 11, "outputText": "x", "completionReason": "FINISH"}]},
        stream_path="/model/amazon.titan-text-express-v1/invoke-with-response-stream",
        stream=invoke(
            {
                "outputText": "x",
                "inputTextTokenCount": 5,
                "totalOutputTextTokenCount": 11,
                "completionReason": "FINISH",
                "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 11},
            }
        ),
        stream_kind=PACKETS,
        used={"input_tokens": 5, "output_tokens": 11},
    ),
    Call(
        "cohere v2",
        "api.cohere.com",
        "/v2/chat",
        {
            "id": "c1",
            "finish_reason": "COMPLETE",
            "message": {},
            "usage": {
                "billed_units": {"input_tokens": 17, "output_tokens": 12},
                "tokens": {"input_tokens": 215, "output_tokens": 14},
            },
        },
        stream=sse(
            {"type": "message-start", "id": "c1"},
            {"type": "content-delta", "delta": {"message": {"content": {"text": "x"}}}},
            {
                "type": "message-end",
                "id": "c1",
                "delta": {
                    "finish_reason": "COMPLETE",
                    "usage": {
                        "billed_units": {"input_tokens": 17.0, "output_tokens": 12.0},
                        "tokens": {"input_tokens": 215},
                    },
                },
            },
            named=True,
        ),
        used={"input_tokens": 17, "output_tokens": 12},
    ),
    Call(
        "openrouter",
        "openrouter.ai",
        "/api/v1/chat/completions",
        {
            "id": "gen-1",
            "model": "moonshotai/kimi-k3",
            "choices": [{"finish_reason": "stop"}],
            "usage": {**OPENAI_USAGE, "cost": 0.00014},
        },
        stream=openai_chunks(
            ["x"], {**OPENAI_USAGE, "cost": 0.00014}, id="gen-1", model="moonshotai/kimi-k3", service_tier=None
        ),
        used={**OPENAI_USED, "cost_usd": "0.00014"},
    ),
    Call(
        "ollama",
        "localhost:11434",
        "/api/chat",
        {
            "model": "llama3.3:70b",
            "message": {"content": "x"},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 26,
            "eval_count": 8,
        },
        stream=b'{"model":"llama3.3:70b","message":{"content":"x"},"done":false}\n'
        b'{"model":"llama3.3:70b","message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":8}\n',
        stream_kind="application/x-ndjson",
        used={"input_tokens": 26, "output_tokens": 8},
    ),
    Call(
        "mistral",
        "api.mistral.ai",
        "/v1/chat/completions",
        {
            "id": "m1",
            "model": "mistral-large-latest",
            "choices": [{"finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
        },
        stream=openai_chunks(
            ["x"],
            {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
            id="m1",
            model="mistral-large-latest",
            service_tier=None,
        ),
        used={"input_tokens": 5, "output_tokens": 6},
    ),
)
"""Calls that can be streamed: both ways of making one say the same."""
