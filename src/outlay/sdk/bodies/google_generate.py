"""Google's generateContent family, from the Gemini API and from Vertex: answers, streams, embeddings, predictions.

Google's candidates exclude thoughts, and its prompt excludes what its tools fed back; here they are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.reading import Reading, count, part, parts
from outlay.sdk.bodies.shape import Shape, length_of

_TRAFFIC = {
    "ON_DEMAND": "default",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "PROVISIONED_THROUGHPUT": "provisioned",
}


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """One GenerateContentResponse; in a stream each carries the usage so far, the last one the whole."""
    reading.say("response_id", data.get("responseId"))
    reading.say("model", data.get("modelVersion"))
    for candidate in parts(data, "candidates"):
        reason = candidate.get("finishReason")
        if reason:
            reading.say("finish_reason", reason)
            reading.ended = True
        _read_grounding(part(candidate, "groundingMetadata"), reading)
    blocked = part(data, "promptFeedback").get("blockReason")
    if blocked:
        reading.say("finish_reason", blocked)
        reading.ended = True
    read_usage(part(data, "usageMetadata"), reading)
    if "error" in data:
        reading.say("error_type", part(data, "error").get("status") or "error")


def read_usage(usage: Mapping[str, Any], reading: Reading) -> None:
    """Takes a usageMetadata object: output is candidates and thoughts, input is prompt and tool results."""
    if not usage:
        return
    prompt, fed_back = count(usage.get("promptTokenCount")), count(usage.get("toolUsePromptTokenCount"))
    made, thoughts = count(usage.get("candidatesTokenCount")), count(usage.get("thoughtsTokenCount"))
    if prompt is not None or fed_back is not None:
        reading.input_tokens = (prompt or 0) + (fed_back or 0)
    if made is not None or thoughts is not None:
        reading.output_tokens = (made or 0) + (thoughts or 0)
    elif prompt is not None and prompt == count(usage.get("totalTokenCount")):
        reading.output_tokens = 0  # Google leaves a zero out; the total says that nothing was made
    reading.set("reasoning_tokens", thoughts)
    reading.set("cache_read_tokens", usage.get("cachedContentTokenCount"))
    asked, cached = _modalities(usage, "promptTokensDetails"), _modalities(usage, "cacheTokensDetails")
    answered = _modalities(usage, "candidatesTokensDetails")
    for name in ("audio", "image"):
        if name in asked:
            reading.set(f"input_{name}_tokens", max(0, asked[name] - cached.get(name, 0)))
        reading.set(f"output_{name}_tokens", answered.get(name))
    tier = usage.get("serviceTier") or _TRAFFIC.get(str(usage.get("trafficType")))
    reading.say("service_tier", tier.lower() if isinstance(tier, str) else None)
    reading.complete = True


def _modalities(usage: Mapping[str, Any], key: str) -> dict[str, int]:
    return {
        str(item.get("modality")).lower(): number
        for item in parts(usage, key)
        if (number := count(item.get("tokenCount"))) is not None
    }


def _read_grounding(grounding: Mapping[str, Any], reading: Reading) -> None:
    """Searches with Google: charged by the query since Gemini 3, by the grounded answer before."""
    queries = grounding.get("webSearchQueries")
    if isinstance(queries, list) and queries:
        by_answer = reading.model.startswith(("gemini-1", "gemini-2"))
        reading.unit("web_searches", 1 if by_answer else len(queries))


def read_embedding(data: Mapping[str, Any], reading: Reading) -> None:
    """Vectors: usage where it is stated, else what Vertex counted for each text."""
    read_usage(part(data, "usageMetadata"), reading)
    counted = [count(part(item, "statistics").get("tokenCount")) for item in parts(data, "embeddings")]
    counted += [
        count(part(part(item, "embeddings"), "statistics").get("token_count")) for item in parts(data, "predictions")
    ]
    known = [number for number in counted if number is not None]
    if known and reading.input_tokens is None:
        reading.input_tokens, reading.complete = sum(known), True
    reading.output_tokens = None
    if "error" in data:
        reading.say("error_type", part(data, "error").get("status") or "error")


def read_images(data: Mapping[str, Any], reading: Reading) -> None:
    """Imagen is charged by the picture."""
    pictures = parts(data, "predictions")
    reading.unit("images", sum(1 for item in pictures if "bytesBase64Encoded" in item or "gcsUri" in item))
    reading.complete = bool(pictures)


def read_interaction(data: Mapping[str, Any], reading: Reading) -> None:
    """The Interactions API: one object, or an event that carries it."""
    answer = part(data, "interaction") or data
    reading.say("response_id", answer.get("id"))
    reading.say("model", answer.get("model"))
    usage = part(answer, "usage")
    if not usage:
        return
    made, thoughts = count(usage.get("total_output_tokens")), count(usage.get("total_thought_tokens"))
    asked, fed_back = count(usage.get("total_input_tokens")), count(usage.get("total_tool_use_tokens"))
    if asked is not None:
        reading.input_tokens = asked + (fed_back or 0)
    if made is not None:
        reading.output_tokens = made + (thoughts or 0)
    reading.set("reasoning_tokens", thoughts)
    reading.set("cache_read_tokens", usage.get("total_cached_tokens"))
    reading.complete = reading.ended = True


def text(data: Mapping[str, Any]) -> int:
    """Characters in one chunk."""
    return sum(
        length_of(piece.get("text"))
        for candidate in parts(data, "candidates")
        for piece in parts(part(candidate, "content"), "parts")
    )


GENERATE = Shape(
    "google_generate",
    Operation.CHAT,
    read,
    members=frozenset({"responseId", "modelVersion", "usageMetadata", "promptFeedback", "error"}),
    text=text,
)
EMBED = Shape("google_embed", Operation.EMBEDDING, read_embedding, members=frozenset({"usageMetadata", "error"}))
IMAGES = Shape("google_images", Operation.CHAT, read_images)
INTERACTIONS = Shape("google_interactions", Operation.CHAT, read_interaction)
