"""The usage object of OpenAI and of the many who speak like it: both spellings, with the details each vendor adds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from outlay.sdk.bodies.reading import Reading, count, part


def read_usage(usage: Mapping[str, Any], reading: Reading) -> None:
    """Takes tokens, details, searches and a stated cost. Input includes cache, output includes reasoning."""
    if not usage:
        return
    reading.set("input_tokens", _first(usage, "prompt_tokens", "input_tokens"))
    reading.set("output_tokens", _first(usage, "completion_tokens", "output_tokens"))
    if reading.input_tokens is None and "completion_tokens" not in usage:
        reading.set("input_tokens", usage.get("total_tokens"))  # embedders and rerankers that state a total alone
    asked = (
        part(usage, "prompt_tokens_details")
        or part(usage, "input_tokens_details")
        or part(usage, "input_token_details")
    )
    made = (
        part(usage, "completion_tokens_details")
        or part(usage, "output_tokens_details")
        or part(usage, "output_token_details")  # over a socket
    )
    reading.set("cache_read_tokens", _first(usage, "prompt_cache_hit_tokens", "cached_tokens"))  # DeepSeek, Moonshot
    reading.set("cache_read_tokens", asked.get("cached_tokens"))
    reading.set("cache_write_tokens", asked.get("cache_write_tokens"))
    reading.set("input_audio_tokens", asked.get("audio_tokens"))
    reading.set("input_image_tokens", asked.get("image_tokens"))
    reading.set("reasoning_tokens", _first(usage, "reasoning_tokens"))  # Perplexity
    reading.set("reasoning_tokens", made.get("reasoning_tokens"))
    reading.set("output_audio_tokens", made.get("audio_tokens"))
    reading.set("output_image_tokens", made.get("image_tokens"))
    _reasoning_beside(usage, reading)
    reading.unit("web_searches", _first(usage, "num_search_queries", "num_sources_used"))  # Perplexity, xAI
    reading.unit("web_searches", part(usage, "server_tool_use").get("web_search_requests"))  # OpenRouter
    reading.unit("audio_ms", _milliseconds(_first(usage, "prompt_audio_seconds", "seconds")))  # Mistral, transcription
    cost = usage.get("cost")
    read_cost(part(usage, "cost").get("total_cost") if isinstance(cost, dict) else cost, reading)
    reading.complete = True


def read_cost(value: object, reading: Reading) -> None:
    """Takes a stated cost in US dollars. A cost of 0 beside tokens is not a price, so it says nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return
    if amount.is_finite() and amount > 0:
        reading.cost_usd = format(amount, "f")


def _reasoning_beside(usage: Mapping[str, Any], reading: Reading) -> None:
    """Some, xAI among them, state reasoning beside the completion; the total decides which way it was counted."""
    total, reasoning = count(usage.get("total_tokens")), reading.reasoning_tokens
    if not reasoning or total is None or reading.input_tokens is None or reading.output_tokens is None:
        return
    if total == reading.input_tokens + reading.output_tokens + reasoning:
        reading.output_tokens += reasoning


def _first(data: Mapping[str, Any], *keys: str) -> object:
    return next((data[key] for key in keys if data.get(key) is not None), None)


def _milliseconds(seconds: object) -> int | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return None
    return round(seconds * 1000)
