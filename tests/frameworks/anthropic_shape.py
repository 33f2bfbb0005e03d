"""Anthropic: messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from frameworks.brain import Tool, think
from frameworks.shape import Asked, Reply, event_stream
from frameworks.tariff import Tokens

THIS = sys.modules[__name__]


def asked(path: str, body: Mapping[str, Any]) -> Asked | None:
    """Reads a request of this shape."""
    if not path.endswith("/messages"):
        return None
    tools = tuple(
        Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or () if "name" in tool
    )
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    used = tuple(block["name"] for block in blocks if block.get("type") == "tool_use")
    return Asked(THIS, "chat", str(body["model"]), bool(body.get("stream")), tools, used)


def refusal(status: int, reason: str) -> Reply:
    """An error as Anthropic words it."""
    kind = "rate_limit_error" if status == 429 else "api_error"
    return Reply(body={"type": "error", "error": {"type": kind, "message": reason}})


def reply(asked: Asked, number: int, tokens: Tokens) -> Reply:
    """The answer to a request; its input tokens do not include the cached ones."""
    name = f"msg_{number}"
    thought = think(asked.tools, asked.used)
    if thought.tool:
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": f"toolu_01Fake{number:016d}",
            "name": thought.tool,
            "input": thought.arguments,
        }
    else:
        block = {"type": "text", "text": thought.text}
    usage = {
        "input_tokens": tokens.fresh,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens.out,
        "service_tier": "standard",
    }
    body = {
        "id": name,
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [block],
        "stop_reason": "tool_use" if thought.tool else "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    return Reply(name, thought.tool, body, _events(body, block, usage))


def _events(body: Mapping[str, Any], block: Mapping[str, Any], usage: Mapping[str, Any]) -> bytes:
    if block["type"] == "tool_use":
        opened: dict[str, Any] = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    else:
        opened, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    begun = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    ended = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    events = (
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": opened},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": usage["output_tokens"]}},
        {"type": "message_stop"},
    )
    return event_stream((event["type"], event) for event in events)
