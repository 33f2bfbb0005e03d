"""Rewriting: the few changes Outlay makes to a request, and only where somebody asked for them.

A lower ceiling and another model are a gate's doing, `include_usage` a setting's. A body that is not plain JSON, or
that is signed, is left alone.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from outlay.sdk.bodies.asked import Asked
from outlay.sdk.bodies.routes import Route

_CEILING_OF = {
    "openai_responses": ("", "max_output_tokens"),
    "openai_chat": ("", "max_tokens"),
    "google_generate": ("generationConfig", "maxOutputTokens"),
    "cohere_chat": ("", "max_tokens"),
    "ollama_chat": ("options", "num_predict"),
    "anthropic_messages": ("", "max_tokens"),
}
"""Where a ceiling is written for a request that named none."""

_REASONS = re.compile(r"(?:^|/)(?:o\d|gpt-[5-9])")
"""OpenAI's reasoning models take another word for the ceiling, which other servers do not know."""


def may_clamp(route: Route, asked: Asked) -> bool:
    """Whether the ceiling of this request can be lowered: plain JSON, not signed, and a shape with a ceiling."""
    return asked.is_json and route.shape.name in _CEILING_OF


def may_swap(route: Route, asked: Asked) -> bool:
    """Whether the model stands in the body, so that another can be named."""
    return may_clamp(route, asked) and bool(asked.model) and not route.model


def asks_usage(route: Route, asked: Asked) -> bool:
    """Whether this is a stream of chat completions that did not ask for its usage."""
    return (
        asked.is_json
        and asked.stream
        and not asked.asks_usage
        and route.shape.name == "openai_chat"
        and not route.stream
    )


def rewritten(body: bytes, route: Route, asked: Asked, *, lower_to: int | None, swap_to: str, usage: bool) -> bytes:
    """The body with the changes made, everything else as it was meant; the body itself where it cannot be read."""
    try:
        read: object = json.loads(body)
    except ValueError:
        return body
    if not isinstance(read, dict):
        return body
    data = cast("dict[str, Any]", read)
    if lower_to is not None:
        holder, key = asked.ceiling_at or _CEILING_OF[route.shape.name]
        if route.shape.name == "openai_chat" and asked.ceiling_at is None and _REASONS.search(swap_to or asked.model):
            key = "max_completion_tokens"
        place: dict[str, Any] = data.setdefault(holder, {}) if holder else data
        place[key] = lower_to
    if swap_to:
        data["model"] = swap_to
    if usage:
        options = data.get("stream_options")
        data["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
