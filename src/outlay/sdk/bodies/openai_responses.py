"""The Responses API: whole answers, and streams whose terminal event carries the whole answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.openai_usage import read_usage
from outlay.sdk.bodies.reading import Reading, part, parts
from outlay.sdk.bodies.shape import Shape, length_of, texts_at

_TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """A response object, or an event that carries one; an `error` event names what went wrong."""
    kind = data.get("type")
    if kind == "error":
        reading.say("error_type", data.get("code") or part(data, "error").get("code") or "error")
        return
    answer = part(data, "response") if isinstance(kind, str) and kind.startswith("response.") else data
    reading.say("response_id", answer.get("id"))
    reading.say("model", answer.get("model"))
    reading.say("service_tier", answer.get("service_tier"))
    read_usage(part(answer, "usage"), reading)
    _read_calls(answer, reading)
    status = answer.get("status")
    if status in _TERMINAL:
        reading.ended = True
        reading.say("finish_reason", part(answer, "incomplete_details").get("reason") or status)
    if status == "failed":
        reading.say("error_type", part(answer, "error").get("code") or "failed")
    elif "error" in data and status is None:
        reading.say("error_type", part(data, "error").get("code") or part(data, "error").get("type"))


def _read_calls(answer: Mapping[str, Any], reading: Reading) -> None:
    """Tool calls the provider ran itself and charges by the call; a container is charged once however often it ran."""
    web, files, containers = 0, 0, set[object]()
    for item in parts(answer, "output"):
        kind = item.get("type")
        if kind == "web_search_call":
            web += part(item, "action").get("type", "search") == "search"
        elif kind == "file_search_call":
            files += 1
        elif kind == "code_interpreter_call":
            containers.add(item.get("container_id"))
    reading.unit("web_searches", web)
    reading.unit("searches", files)
    reading.unit("code_executions", len(containers))


def text(data: Mapping[str, Any]) -> int:
    """Characters in one delta event."""
    return length_of(data.get("delta"))


RESPONSES = Shape(
    "openai_responses",
    Operation.CHAT,
    read,
    worth=re.compile(rb'"type"\s*:\s*"(?:response\.(?:created|completed|incomplete|failed|cancelled)|error)"'),
    members=frozenset({"id", "model", "service_tier", "status", "usage", "error", "incomplete_details"}),
    text=text,
    generated=texts_at("delta"),
)
