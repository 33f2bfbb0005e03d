"""Anthropic's messages, from whichever cloud: whole, streamed, or one line of a batch's results.

Anthropic counts input beside cache reads and writes; here the three are added up, and each part is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.reading import Aside, Reading, count, part, parts
from outlay.sdk.bodies.shape import Shape, length_of, texts_at

_OWN_BILL = frozenset({"compaction", "advisor_message"})
"""Iterations whose tokens are not in the totals of the answer."""


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """A message, or an event: `message_start` carries it, `message_delta` the cumulative usage and the stop reason."""
    kind = data.get("type")
    if kind == "error" or "error" in data:
        reading.say("error_type", part(data, "error").get("type") or "error")
        return
    message = part(data, "message") if kind == "message_start" else data
    reading.say("response_id", message.get("id"))
    reading.say("model", message.get("model"))
    stop = part(data, "delta").get("stop_reason") or message.get("stop_reason")
    if stop:
        reading.say("finish_reason", stop)
        reading.ended = True
    usage = part(message, "usage")
    read_usage(usage, reading)
    if usage and kind != "message_start":
        reading.complete = True


def read_usage(usage: Mapping[str, Any], reading: Reading) -> None:
    """Takes the counts an event states; what it leaves out stays as the events before it said."""
    if not usage:
        return
    fresh = count(usage.get("input_tokens"))
    if fresh is None and reading.input_tokens is not None:
        fresh = reading.input_tokens - (reading.cache_read_tokens or 0) - (reading.cache_write_tokens or 0)
    reading.set("cache_read_tokens", usage.get("cache_read_input_tokens"))
    reading.set("cache_write_tokens", usage.get("cache_creation_input_tokens"))
    lives = part(usage, "cache_creation")
    reading.set("cache_write_5m_tokens", lives.get("ephemeral_5m_input_tokens"))
    reading.set("cache_write_1h_tokens", lives.get("ephemeral_1h_input_tokens"))
    if fresh is not None:
        reading.input_tokens = fresh + (reading.cache_read_tokens or 0) + (reading.cache_write_tokens or 0)
    reading.set("output_tokens", usage.get("output_tokens"))
    reading.set("reasoning_tokens", part(usage, "output_tokens_details").get("thinking_tokens"))
    tools = part(usage, "server_tool_use")
    reading.unit("web_searches", tools.get("web_search_requests"))
    reading.unit("code_executions", tools.get("code_execution_requests"))
    reading.say("service_tier", usage.get("service_tier"))
    reading.say("speed", usage.get("speed"))
    reading.say("region", usage.get("inference_geo"))
    if reading.service_tier == "batch":
        reading.processing = "batch"
    if "iterations" in usage:
        reading.asides[:] = [_aside(item) for item in parts(usage, "iterations") if item.get("type") in _OWN_BILL]


def _aside(item: Mapping[str, Any]) -> Aside:
    own = Reading()
    read_usage({key: value for key, value in item.items() if key != "iterations"}, own)
    names = (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
    )
    tokens = {name: value for name in names if (value := getattr(own, name)) is not None}
    model = item.get("model")
    return Aside(Operation.CHAT, str(item["type"]), model if isinstance(model, str) else "", tokens=tokens)


def text(data: Mapping[str, Any]) -> int:
    """Characters in one delta event."""
    delta = part(data, "delta")
    return length_of(delta.get("text"), delta.get("thinking"), delta.get("partial_json"))


MESSAGES = Shape(
    "anthropic_messages",
    Operation.CHAT,
    read,
    worth=re.compile(rb'"type"\s*:\s*"(?:message_start|message_delta|error)"'),
    members=frozenset({"id", "type", "model", "usage", "stop_reason", "error"}),
    text=text,
    generated=texts_at("text", "thinking", "partial_json"),
)
