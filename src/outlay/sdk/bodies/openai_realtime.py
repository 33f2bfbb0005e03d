"""The Realtime API: events over a socket. What an answer used stands in the event that ends it, whatever ended it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies import openai_responses
from outlay.sdk.bodies.reading import Reading, count, part
from outlay.sdk.bodies.shape import Shape


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """One event. An answer that was interrupted is charged for what it made, and is no failure."""
    openai_responses.read(data, reading)
    details = part(part(data, "response"), "status_details")
    if details.get("type") == "failed":
        reading.say("error_type", part(details, "error").get("code") or part(details, "error").get("type") or "failed")
    reading.say("finish_reason", details.get("reason"))
    asked = part(part(part(data, "response"), "usage"), "input_token_details")
    cached = part(asked, "cached_tokens_details")
    for kind in ("audio", "image"):  # what a cache served is charged as cached, whatever it was
        total = count(asked.get(f"{kind}_tokens"))
        if total is not None:
            reading.set(f"input_{kind}_tokens", max(0, total - (count(cached.get(f"{kind}_tokens")) or 0)))


REALTIME = Shape(
    "openai_realtime",
    Operation.CHAT,
    read,
    worth=re.compile(rb'"type"\s*:\s*"(?:response\.(?:created|done)|error)"'),
)
