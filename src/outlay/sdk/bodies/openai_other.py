"""OpenAI's other endpoints: embeddings, moderations, images, transcription, speech; and rerankers that answer alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.openai_usage import read_usage
from outlay.sdk.bodies.reading import Reading, part, parts
from outlay.sdk.bodies.shape import Shape

_USAGE = re.compile(rb'"usage"\s*:\s*\{|"error"\s*:')


def _head(data: Mapping[str, Any], reading: Reading) -> None:
    reading.say("response_id", data.get("id"))
    reading.say("model", data.get("model"))
    if "error" in data:
        error = part(data, "error")
        reading.say("error_type", error.get("code") or error.get("type"))


def read_embeddings(data: Mapping[str, Any], reading: Reading) -> None:
    """Vectors: input tokens only, there is no output to state. Voyage and Jina state a total alone."""
    _head(data, reading)
    read_usage(part(data, "usage"), reading)


def read_moderation(data: Mapping[str, Any], reading: Reading) -> None:
    """A moderation states no usage: it is one request. Mistral's states tokens."""
    _head(data, reading)
    read_usage(part(data, "usage"), reading)
    if "results" in data and reading.input_tokens is None:
        reading.unit("requests", 1)
        reading.complete = True


def read_images(data: Mapping[str, Any], reading: Reading) -> None:
    """Images: by token where usage is stated, then all output is image; by the piece where it is not."""
    _head(data, reading)
    usage = part(data, "usage")
    read_usage(usage, reading)
    if usage and "output_tokens_details" not in usage:
        reading.set("output_image_tokens", usage.get("output_tokens"))
    pieces = parts(data, "data")
    if pieces and not usage:
        reading.unit("images", len(pieces))
        reading.complete = True


def read_audio(data: Mapping[str, Any], reading: Reading) -> None:
    """Transcription and speech: tokens or seconds, in the answer or in its `….done` event."""
    _head(data, reading)
    read_usage(part(data, "usage"), reading)


def read_ocr(data: Mapping[str, Any], reading: Reading) -> None:
    """Mistral's OCR is charged by the page."""
    _head(data, reading)
    pages = part(data, "usage_info").get("pages_processed")
    reading.unit("pages", pages)
    reading.complete = pages is not None


EMBEDDINGS = Shape("openai_embeddings", Operation.EMBEDDING, read_embeddings, _USAGE)
RERANK = Shape("openai_rerank", Operation.RERANK, read_embeddings, _USAGE)
MODERATION = Shape(
    "openai_moderation", Operation.GUARDRAIL, read_moderation, members=frozenset({"id", "model", "usage", "results"})
)
IMAGES = Shape(
    "openai_images", Operation.CHAT, read_images, _USAGE, members=frozenset({"id", "model", "usage", "error"})
)
AUDIO = Shape("openai_audio", Operation.CHAT, read_audio, _USAGE)
OCR = Shape("mistral_ocr", Operation.TOOL, read_ocr, members=frozenset({"id", "model", "usage_info"}))
