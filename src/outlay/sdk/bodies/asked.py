"""Asked: what a request asks for, read from its body: model, ceiling, stream, tier. Prompts are passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from outlay.sdk.bodies.members import members_of
from outlay.sdk.bodies.reading import count, part

PARSED_BYTES_MAX = 64 * 1024
"""A body up to this size is parsed whole; a larger one is read for its wanted members only."""

BYTES_PER_TOKEN = 4
"""What a token is taken to be where only bytes are known; an estimate, and shown as one."""

TOKENS_PER_FILE = 1_500
"""What a picture or file inside a body is taken for; the providers' own rules say 85 to 2,500 for a picture."""

_FILE_BYTES_MIN = 1_024
_FILE_SIGNS = (b"base64", b'"inlineData"', b'"inline_data"', b'"bytes"')
_FILE = re.compile(rb"[A-Za-z0-9+/=_-]{%d,}" % _FILE_BYTES_MIN)

_WANTED = frozenset(
    {
        "model",
        "modelId",
        "stream",
        "stream_options",
        "service_tier",
        "serviceTier",
        "speed",
        "background",
        "n",
        "input",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens_to_sample",
        "max_gen_len",
        "maxTokens",
        "generationConfig",
        "generation_config",
        "inferenceConfig",
        "textGenerationConfig",
        "options",
        "extra_body",
    }
)
_CEILINGS: tuple[tuple[str, str], ...] = (
    ("", "max_completion_tokens"),
    ("", "max_output_tokens"),
    ("", "max_tokens"),
    ("", "max_tokens_to_sample"),
    ("", "max_gen_len"),
    ("", "maxTokens"),
    ("generationConfig", "maxOutputTokens"),
    ("generation_config", "max_output_tokens"),
    ("inferenceConfig", "maxTokens"),
    ("inferenceConfig", "max_new_tokens"),
    ("textGenerationConfig", "maxTokenCount"),
    ("options", "num_predict"),
)
"""Where a ceiling of the answer may stand: object (empty: the top level) and key."""

_FORM_FIELD = re.compile(rb'name="(model|stream)"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,128})\r\n')


@dataclass(slots=True)
class Asked:
    """One request. `ceiling_at` names where its ceiling stands, so that it can be lowered; `body_bytes` is its size,
    `file_bytes` the part of it that is `files` packed as base64.
    """

    model: str = ""
    max_tokens: int | None = None
    ceiling_at: tuple[str, str] | None = None
    stream: bool = False
    asks_usage: bool = False
    service_tier: str = ""
    speed: str = ""
    background: bool = False
    answers: int = 1
    input_characters: int | None = None
    searches: int = 0
    body_bytes: int = 0
    file_bytes: int = 0
    files: int = 0
    is_json: bool = False

    @property
    def input_tokens_estimate(self) -> int:
        """Tokens the body may come to: from its length, with a flat number for each picture or file inside it."""
        return -(-(self.body_bytes - self.file_bytes) // BYTES_PER_TOKEN) + self.files * TOKENS_PER_FILE


def read_request(body: bytes, kind: str = "") -> Asked:
    """What a request body asks for; an unreadable one asks for nothing known."""
    asked = Asked(body_bytes=len(body))
    if "multipart/form-data" in kind:
        for name, value in _FORM_FIELD.findall(body):
            if name == b"model":
                asked.model = value.decode("utf-8", "replace")
            else:
                asked.stream = value.strip().lower() == b"true"
        return asked
    data = _object(body)
    if data is None:
        return asked
    asked.is_json = True
    _note_files(body, asked)
    model = data.get("model") or data.get("modelId")
    asked.model = model if isinstance(model, str) else ""
    asked.stream = data.get("stream") is True
    asked.asks_usage = part(data, "stream_options").get("include_usage") is True
    tier = data.get("service_tier") or part(data, "serviceTier").get("type") or data.get("serviceTier")
    asked.service_tier = tier if isinstance(tier, str) else ""
    speed = data.get("speed")
    asked.speed = speed if isinstance(speed, str) else ""
    asked.background = data.get("background") is True
    asked.answers = count(data.get("n")) or 1
    asked.input_characters = len(data["input"]) if isinstance(data.get("input"), str) else None
    for holder, key in _CEILINGS:
        ceiling = count((part(data, holder) if holder else data).get(key))
        if ceiling is not None:
            asked.max_tokens, asked.ceiling_at = ceiling, (holder, key)
            break
    return asked


def _note_files(body: bytes, asked: Asked) -> None:
    """Pictures and files packed as base64: their length says next to nothing about their tokens."""
    if len(body) < _FILE_BYTES_MIN or not any(sign in body for sign in _FILE_SIGNS):
        return
    sizes = [len(found) for found in _FILE.findall(body)]
    asked.files, asked.file_bytes = len(sizes), sum(sizes)


def _object(body: bytes) -> Mapping[str, Any] | None:
    if body[:1] != b"{" and body.lstrip()[:1] != b"{":
        return None
    if len(body) > PARSED_BYTES_MAX:
        return members_of(body, _WANTED)
    try:
        data: object = json.loads(body)
    except ValueError:
        return None
    return cast("Mapping[str, Any]", data) if isinstance(data, dict) else None
