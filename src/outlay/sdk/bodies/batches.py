"""Results of batches: lines of answers that were worked off at leisure, each a call of its own at the batch price.

A line is one answer in the shape of its endpoint. Downloading the same results twice gives the same response ids, by
which the books know them as the same calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies import anthropic_messages, openai_chat, openai_other, openai_responses
from outlay.sdk.bodies.reading import Reading, part
from outlay.sdk.bodies.shape import Shape

_KINDS: Mapping[str, Shape] = {
    "chat.completion": openai_chat.CHAT,
    "text_completion": openai_chat.CHAT,
    "response": openai_responses.RESPONSES,
    "list": openai_other.EMBEDDINGS,
}


def openai_line(data: Mapping[str, Any]) -> tuple[Shape, Reading] | None:
    """The answer in one line of an OpenAI batch's output file; None where the line is something else."""
    response = part(data, "response")
    if "custom_id" not in data or not response:
        return None
    body = part(response, "body")
    shape = _KINDS.get(str(body.get("object")))
    if shape is None:
        return None
    reading = Reading(processing="batch", ended=True)
    shape.read(body, reading)
    if not reading.response_id:
        reading.say("response_id", response.get("request_id"))
    return shape, reading


def anthropic_line(data: Mapping[str, Any]) -> tuple[Shape, Reading] | None:
    """The message in one line of an Anthropic batch's results; None where it did not succeed and so was not charged."""
    result = part(data, "result")
    if "custom_id" not in data or result.get("type") != "succeeded":
        return None
    reading = Reading(ended=True)
    anthropic_messages.MESSAGES.read(part(result, "message"), reading)
    reading.processing = "batch"
    return anthropic_messages.MESSAGES, reading


def _nothing(data: Mapping[str, Any], reading: Reading) -> None:
    """A file of results is read line by line, see `lines`; as one object it says nothing."""


OPENAI = Shape("openai_batch", Operation.CHAT, _nothing)
ANTHROPIC = Shape("anthropic_batch", Operation.CHAT, _nothing)
LINE_OF = {OPENAI.name: openai_line, ANTHROPIC.name: anthropic_line}
"""How one line of a file of results is read, by the name of its shape."""
