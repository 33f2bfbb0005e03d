"""Ollama: chat, generate and embed, whole or as lines of JSON; the last line carries the counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.reading import Reading, part
from outlay.sdk.bodies.shape import Shape, length_of, texts_at


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """An answer or its last line. A prompt that Ollama still held is not counted by it, so it is unknown, not zero."""
    reading.say("model", data.get("model"))
    if "error" in data:
        reading.error_type = "error"
    if data.get("done") is True:
        reading.say("finish_reason", data.get("done_reason"))
        reading.ended = reading.complete = True
    reading.set("input_tokens", data.get("prompt_eval_count"))
    reading.set("output_tokens", data.get("eval_count"))


def read_embedding(data: Mapping[str, Any], reading: Reading) -> None:
    """Vectors with the tokens they were made of."""
    reading.say("model", data.get("model"))
    reading.set("input_tokens", data.get("prompt_eval_count"))
    reading.complete = reading.input_tokens is not None


def text(data: Mapping[str, Any]) -> int:
    """Characters in one line."""
    return length_of(data.get("response"), part(data, "message").get("content"), part(data, "message").get("thinking"))


CHAT = Shape(
    "ollama_chat",
    Operation.CHAT,
    read,
    re.compile(rb'"done"\s*:\s*true|"error"\s*:'),
    text=text,
    generated=texts_at("response", "content", "thinking"),
)
EMBED = Shape("ollama_embed", Operation.EMBEDDING, read_embedding, members=frozenset({"model", "prompt_eval_count"}))
