"""Cohere, version 1 and 2: chat, embed, rerank. What was billed wins over what was processed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.reading import Reading, count, part
from outlay.sdk.bodies.shape import Shape, length_of


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """An answer, or the event that ends a stream (`message-end` of version 2, `stream-end` of version 1)."""
    answer = part(data, "response") or data
    delta = part(data, "delta")
    reading.say("response_id", answer.get("response_id") or answer.get("id") or answer.get("generation_id"))
    reason = delta.get("finish_reason") or answer.get("finish_reason")
    if reason:
        reading.say("finish_reason", reason)
        reading.ended = True
    meta = part(delta, "usage") or part(answer, "usage") or part(answer, "meta")
    billed, processed = part(meta, "billed_units"), part(meta, "tokens")
    if not billed and not processed:
        return
    for name in ("input_tokens", "output_tokens"):
        reading.set(name, billed.get(name, processed.get(name)))
    cached = count(meta.get("cached_tokens"))
    if cached is not None and cached <= (reading.input_tokens or 0):
        reading.cache_read_tokens = cached
    reading.set("input_image_tokens", billed.get("image_tokens"))
    if reading.input_tokens is None and reading.input_image_tokens is not None:
        reading.input_tokens = reading.input_image_tokens
    reading.unit("searches", billed.get("search_units"))
    reading.unit("pages", billed.get("pages"))
    if "image_tokens" not in billed:
        reading.unit("images", billed.get("images"))
    reading.complete = True


def text(data: Mapping[str, Any]) -> int:
    """Characters in one event."""
    return length_of(data.get("text"), part(part(part(data, "delta"), "message"), "content").get("text"))


_WORTH = re.compile(rb'"(?:message-start|message-end|stream-start|stream-end)"')
_MEMBERS = frozenset({"id", "response_id", "generation_id", "finish_reason", "usage", "meta"})

CHAT = Shape("cohere_chat", Operation.CHAT, read, _WORTH, _MEMBERS, text)
EMBED = Shape("cohere_embed", Operation.EMBEDDING, read, members=_MEMBERS)
RERANK = Shape("cohere_rerank", Operation.RERANK, read, members=_MEMBERS)
