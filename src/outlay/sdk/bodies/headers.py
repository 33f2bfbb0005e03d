"""Response headers that say something about usage or cost: Bedrock's counts, LiteLLM's cost, the tier that served."""

from __future__ import annotations

from collections.abc import Mapping

from outlay.sdk.bodies.openai_usage import read_cost
from outlay.sdk.bodies.reading import Reading

_INPUT = "x-amzn-bedrock-input-token-count"
_OUTPUT = "x-amzn-bedrock-output-token-count"
_CACHE_READ = "x-amzn-bedrock-cache-read-input-token-count"
_CACHE_WRITE = "x-amzn-bedrock-cache-write-input-token-count"


def read(fields: Mapping[str, str], reading: Reading, *, whole: bool) -> None:
    """Fills what the body left open. Token headers count for whole answers only: a stream's come before its end."""
    if whole and reading.input_tokens is None and _number(fields.get(_INPUT)) is not None:
        reading.set("cache_read_tokens", _number(fields.get(_CACHE_READ)))
        reading.set("cache_write_tokens", _number(fields.get(_CACHE_WRITE)))
        fresh = _number(fields.get(_INPUT)) or 0
        reading.input_tokens = fresh + (reading.cache_read_tokens or 0) + (reading.cache_write_tokens or 0)
        reading.complete = True
    if whole and reading.output_tokens is None:
        reading.set("output_tokens", _number(fields.get(_OUTPUT)))
    if not reading.service_tier:
        reading.say("service_tier", fields.get("x-amzn-bedrock-service-tier"))
    if not reading.cost_usd:
        read_cost(fields.get("x-litellm-response-cost"), reading)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
