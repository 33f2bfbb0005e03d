"""Amazon Bedrock: Converse and InvokeModel, streamed or not, in the shapes of the models behind them.

Bedrock counts input beside cache reads and writes, as Anthropic does; here they are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies import anthropic_messages, bedrock_guardrails, cohere_answers, openai_chat
from outlay.sdk.bodies.reading import Reading, count, part, parts
from outlay.sdk.bodies.shape import Shape, length_of

METRICS = "amazon-bedrock-invocationMetrics"
TRACE = "amazon-bedrock-trace"


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """One answer or one event. The model's own words come first; what Bedrock itself counted wins over them."""
    if data.get("type") in {"message", "message_start", "message_delta", "error"}:
        anthropic_messages.read(data, reading)
    elif "choices" in data:
        openai_chat.read(data, reading)
    elif "billed_units" in part(data, "meta"):
        cohere_answers.read(data, reading)
    else:
        _read_plain(data, reading)
    for holder in (data, part(data, "metadata")):
        usage = part(holder, "usage")
        if "inputTokens" in usage or "outputTokens" in usage:
            _read_tokens(usage, reading)
        bedrock_guardrails.read_trace(part(holder, "trace"), reading)
    if METRICS in data:
        _read_metrics(part(data, METRICS), reading)
    bedrock_guardrails.read_trace(part(data, TRACE), reading)
    if data.get("amazon-bedrock-guardrailAction") == "INTERVENED":
        reading.finish_reason = "guardrail_intervened"


def _read_plain(data: Mapping[str, Any], reading: Reading) -> None:
    stop = (
        data.get("stopReason")
        or part(data, "messageStop").get("stopReason")
        or data.get("stop_reason")
        or data.get("completionReason")
    )
    if stop:
        reading.say("finish_reason", stop)
        reading.ended = True
    reading.say("service_tier", part(data, "serviceTier").get("type"))
    reading.set("input_tokens", data.get("prompt_token_count"))  # Llama
    reading.set("output_tokens", data.get("generation_token_count"))
    reading.set("input_tokens", data.get("inputTextTokenCount"))  # Titan
    results = parts(data, "results")
    made = [number for item in results if (number := count(item.get("tokenCount"))) is not None]
    if made:
        reading.output_tokens = sum(made)
        reading.say("finish_reason", results[0].get("completionReason"))
    reading.set("output_tokens", data.get("totalOutputTextTokenCount"))
    for item in parts(data, "outputs"):  # Mistral
        reading.say("finish_reason", item.get("stop_reason"))
    if reading.output_tokens is not None or "embedding" in data or "embeddings" in data:
        reading.complete = True


def _read_tokens(usage: Mapping[str, Any], reading: Reading) -> None:
    """Converse and Nova: the three kinds of input beside each other, writes split by their life where it is said."""
    reading.set("cache_read_tokens", _first(usage, "cacheReadInputTokens", "cacheReadInputTokenCount"))
    reading.set("cache_write_tokens", _first(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount"))
    for detail in parts(usage, "cacheDetails"):
        if detail.get("ttl") in {"5m", "1h"}:
            reading.set(f"cache_write_{detail['ttl']}_tokens", detail.get("inputTokens"))
    _add_up(usage.get("inputTokens"), usage.get("outputTokens"), reading)


def _read_metrics(metrics: Mapping[str, Any], reading: Reading) -> None:
    reading.set("cache_read_tokens", metrics.get("cacheReadInputTokenCount"))
    reading.set("cache_write_tokens", metrics.get("cacheWriteInputTokenCount"))
    _add_up(metrics.get("inputTokenCount"), metrics.get("outputTokenCount"), reading)
    reading.ended = True


def _add_up(fresh: object, made: object, reading: Reading) -> None:
    number = count(fresh)
    if number is not None:
        reading.input_tokens = number + (reading.cache_read_tokens or 0) + (reading.cache_write_tokens or 0)
    reading.set("output_tokens", made)
    reading.complete = True


def _first(data: Mapping[str, Any], *keys: str) -> object:
    return next((data[key] for key in keys if data.get(key) is not None), None)


def text(data: Mapping[str, Any]) -> int:
    """Characters in one event, Converse's or a model's own."""
    delta = part(part(data, "contentBlockDelta"), "delta") or part(data, "delta")
    return length_of(
        delta.get("text"), data.get("generation"), data.get("outputText"), part(delta, "toolUse").get("input")
    )


_MEMBERS = frozenset(
    {"usage", "stopReason", "trace", "serviceTier", "type", "id", "model", "stop_reason", "inputTextTokenCount"}
)

CONVERSE = Shape("bedrock_converse", Operation.CHAT, read, members=_MEMBERS, text=text)
INVOKE = Shape("bedrock_invoke", Operation.CHAT, read, members=_MEMBERS, text=text)
