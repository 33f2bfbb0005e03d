"""Chat completions and completions, OpenAI's and everybody's who answers like it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.openai_usage import read_usage
from outlay.sdk.bodies.reading import Reading, part, parts
from outlay.sdk.bodies.shape import Shape, length_of, texts_at


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """One answer, or one chunk of it: the usage stands in the answer or in the last chunk, if the client asked."""
    reading.say("response_id", data.get("id"))
    reading.say("model", data.get("model"))
    reading.say("service_tier", data.get("service_tier"))
    for choice in parts(data, "choices"):
        reason = choice.get("finish_reason")
        if reason:
            reading.say("finish_reason", reason)
            reading.ended = True
    read_usage(part(data, "usage"), reading)
    if "x_groq" in data:
        read_usage(part(part(data, "x_groq"), "usage"), reading)
    if "error" in data:
        error = part(data, "error")
        reading.say("error_type", error.get("code") or error.get("type") or ("error" if data["error"] else None))


def text(data: Mapping[str, Any]) -> int:
    """Characters of text, reasoning and tool arguments in one chunk."""
    size = 0
    for choice in parts(data, "choices"):
        delta = part(choice, "delta")
        size += length_of(
            choice.get("text"), delta.get("content"), delta.get("reasoning_content"), delta.get("reasoning")
        )
        for call in parts(delta, "tool_calls"):
            size += length_of(part(call, "function").get("arguments"))
    return size


CHAT = Shape(
    "openai_chat",
    Operation.CHAT,
    read,
    worth=re.compile(rb'"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|"error"\s*:|"role"\s*:'),
    members=frozenset({"id", "model", "service_tier", "usage", "error"}),
    text=text,
    generated=texts_at("content", "text", "reasoning_content", "reasoning", "arguments"),
)
