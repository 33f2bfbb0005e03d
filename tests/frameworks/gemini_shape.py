"""Gemini: generateContent, streamGenerateContent and the embeddings beside them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from frameworks.brain import Tool, think
from frameworks.shape import Asked, Reply, event_stream
from frameworks.tariff import Tokens

THIS = sys.modules[__name__]
PATH = re.compile(r"/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)$")


def asked(path: str, body: Mapping[str, Any]) -> Asked | None:
    """Reads a request of this shape."""
    found = PATH.search(path)
    if found is None:
        return None
    offered = [tool for part in body.get("tools") or () for tool in part.get("functionDeclarations") or ()]
    schemas = [tool.get("parameters") or tool.get("parameters_json_schema") or {} for tool in offered]
    tools = tuple(Tool(tool["name"], schema) for tool, schema in zip(offered, schemas, strict=True))
    parts = [part for content in body.get("contents") or () for part in content.get("parts") or ()]
    used = tuple(part["functionCall"]["name"] for part in parts if "functionCall" in part)
    return Asked(THIS, "chat", found["model"], found["verb"].startswith("stream"), tools, used)


def refusal(status: int, reason: str) -> Reply:
    """An error as Google words it."""
    word = "RESOURCE_EXHAUSTED" if status == 429 else "INTERNAL"
    return Reply(body={"error": {"code": status, "message": reason, "status": word}})


def reply(asked: Asked, number: int, tokens: Tokens) -> Reply:
    """The answer to a request; its candidates do not include the thoughts."""
    name = f"gemini-{number}"
    thought = think(asked.tools, asked.used)
    part = (
        {"functionCall": {"name": thought.tool, "args": thought.arguments}} if thought.tool else {"text": thought.text}
    )
    body = {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": tokens.input,
            "cachedContentTokenCount": tokens.cached,
            "candidatesTokenCount": tokens.out - tokens.reasoning,
            "thoughtsTokenCount": tokens.reasoning,
            "totalTokenCount": tokens.total,
        },
        "modelVersion": asked.model,
        "responseId": name,
    }
    return Reply(name, thought.tool, body, event_stream([("", body)]))
