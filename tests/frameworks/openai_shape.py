"""OpenAI: chat completions, responses, embeddings and moderations."""

from __future__ import annotations

import base64
import json
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any

from frameworks.brain import Thought, Tool, think
from frameworks.shape import Asked, Reply, event_stream
from frameworks.tariff import DATED, Tokens

THIS = sys.modules[__name__]
NUMBERS = 8
"""Length of an embedding."""


def asked(path: str, body: Mapping[str, Any]) -> Asked | None:
    """Reads a request of this shape."""
    model = str(body.get("model", ""))
    if path.endswith("/chat/completions"):
        offered = [tool["function"] for tool in body.get("tools") or ()]
        calls = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
        tools = tuple(Tool(tool["name"], tool.get("parameters") or {}) for tool in offered)
        used = tuple(call["function"]["name"] for call in calls)
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return Asked(THIS, "chat", model, bool(body.get("stream")), tools, used, "chat", wants_usage=usage)
    if path.endswith("/responses"):
        items = body["input"] if isinstance(body.get("input"), list) else []
        offered = [tool for tool in body.get("tools") or () if tool.get("type") == "function"]
        tools = tuple(Tool(tool["name"], tool.get("parameters") or {}) for tool in offered)
        used = tuple(item["name"] for item in items if item.get("type") == "function_call")
        return Asked(
            THIS,
            "chat",
            model,
            bool(body.get("stream")),
            tools,
            used,
            "responses",
            str(body.get("previous_response_id") or ""),
        )
    if path.endswith("/embeddings"):
        size = len(body["input"]) if isinstance(body.get("input"), list) else 1
        base = body.get("encoding_format") == "base64"
        return Asked(THIS, "embedding", model, form="embeddings", size=size, wants_base64=base)
    if path.endswith("/moderations"):
        return Asked(THIS, "guardrail", model or "omni-moderation-latest", form="moderations")
    return None


def refusal(_status: int, reason: str) -> Reply:
    """An error as OpenAI words it."""
    return Reply(body={"error": {"message": reason, "type": "server_error", "code": None, "param": None}})


def reply(asked: Asked, number: int, tokens: Tokens) -> Reply:
    """The answer to a request."""
    if asked.form == "embeddings":
        return Reply(body=_embeddings(asked, tokens))
    if asked.form == "moderations":
        return Reply(f"modr-{number}", body=_moderation(asked, number))
    thought = think(asked.tools, asked.used)
    make = _responses if asked.form == "responses" else _chat
    return make(asked, number, tokens, thought)


def _embeddings(asked: Asked, tokens: Tokens) -> Mapping[str, Any]:
    numbers = [0.125 * place for place in range(NUMBERS)]
    vector = base64.b64encode(struct.pack(f"<{NUMBERS}f", *numbers)).decode() if asked.wants_base64 else numbers
    return {
        "object": "list",
        "model": asked.model,
        "data": [{"object": "embedding", "index": place, "embedding": vector} for place in range(asked.size)],
        "usage": {"prompt_tokens": tokens.input, "total_tokens": tokens.input},
    }


def _moderation(asked: Asked, number: int) -> Mapping[str, Any]:
    names = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(names, False),
        "category_scores": dict.fromkeys(names, 0.001),
        "category_applied_input_types": {name: ["text"] for name in names},
    }
    return {"id": f"modr-{number}", "model": asked.model, "results": [result]}


def _chat(asked: Asked, number: int, tokens: Tokens, thought: Thought) -> Reply:
    name = f"chatcmpl-{number}"
    shared = {"id": name, "created": int(time.time()), "model": DATED[asked.model], "service_tier": "default"}
    usage = {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.out,
        "total_tokens": tokens.total,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }
    call = {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": thought.tool, "arguments": json.dumps(thought.arguments)},
    }
    said = {"content": None, "tool_calls": [call]} if thought.tool else {"content": thought.text}
    reason = "tool_calls" if thought.tool else "stop"
    body = {
        **shared,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "refusal": None, **said},
                "finish_reason": reason,
                "logprobs": None,
            }
        ],
        "usage": usage,
    }
    return Reply(name, thought.tool, body, _chat_events(asked, shared, usage, thought, call, reason))


def _chat_events(
    asked: Asked,
    shared: Mapping[str, Any],
    usage: Mapping[str, Any],
    thought: Thought,
    call: Mapping[str, Any],
    reason: str,
) -> bytes:
    first = {"role": "assistant", "content": None if thought.tool else ""}
    if thought.tool:
        deltas = [first, {"tool_calls": [{"index": 0, **call}]}]
    else:
        deltas = [first, *({"content": word + " "} for word in thought.text.split())]
    common = {**shared, "object": "chat.completion.chunk"} | ({"usage": None} if asked.wants_usage else {})
    chunks = [{**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    if asked.wants_usage:
        chunks.append({**common, "choices": [], "usage": usage})
    return event_stream((("", chunk) for chunk in chunks), end=b"data: [DONE]\n\n")


def _responses(asked: Asked, number: int, tokens: Tokens, thought: Thought) -> Reply:
    name = f"resp_{number}"
    if thought.tool:
        item: dict[str, Any] = {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": thought.tool,
            "arguments": json.dumps(thought.arguments),
            "status": "completed",
        }
    else:
        text = {"type": "output_text", "text": thought.text, "annotations": [], "logprobs": []}
        item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [text]}
    body = {
        "id": name,
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": DATED[asked.model],
        "output": [item],
        "parallel_tool_calls": False,
        "service_tier": "default",
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": tokens.input,
            "input_tokens_details": {"cached_tokens": tokens.cached},
            "output_tokens": tokens.out,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
            "total_tokens": tokens.total,
        },
    }
    return Reply(name, thought.tool, body, _responses_events(body, item))


def _responses_events(body: Mapping[str, Any], item: Mapping[str, Any]) -> bytes:
    begun = {**body, "status": "in_progress", "output": [], "usage": None}
    place = {"output_index": 0, "item_id": item["id"]}
    if item["type"] == "function_call":
        opened = {**item, "arguments": "", "status": "in_progress"}
        middle = [
            {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]},
            {
                "type": "response.function_call_arguments.done",
                **place,
                "arguments": item["arguments"],
                "name": item["name"],
            },
        ]
    else:
        part = item["content"][0]
        opened = {**item, "content": [], "status": "in_progress"}
        inner = {**place, "content_index": 0}
        middle = [
            {"type": "response.content_part.added", **inner, "part": {**part, "text": ""}},
            {"type": "response.output_text.delta", **inner, "delta": part["text"], "logprobs": []},
            {"type": "response.output_text.done", **inner, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **inner, "part": part},
        ]
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        *middle,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": body},
    ]
    return event_stream((event["type"], {**event, "sequence_number": place}) for place, event in enumerate(events))
