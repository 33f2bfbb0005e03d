"""Readings: what one answer says about what it used. Numbers, names and states only; no content is ever taken.

Tokens are counted one way, the way of the OpenTelemetry conventions: the input includes what a cache served or took in,
the output includes reasoning. None means that the answer did not say; 0 means that it said zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

LARGEST_COUNT = 1 << 53
"""A count above this is no count of tokens; it is not taken."""

_NOTHING: Mapping[str, Any] = {}


def _no_units() -> dict[str, int]:
    return {}


def _no_asides() -> list[Aside]:
    return []


@dataclass(frozen=True, slots=True)
class Aside:
    """Something else that was charged inside one exchange: a guardrail policy, an advisor model, a compaction.

    `operation` is a core Operation; `name` says what ran; `units` maps core meters to whole numbers, `tokens` the token
    fields of a Reading to theirs.
    """

    operation: str
    name: str
    model: str
    units: Mapping[str, int] = field(default_factory=_no_units)
    tokens: Mapping[str, int] = field(default_factory=_no_units)


@dataclass(slots=True)
class Reading:
    """What an answer said of itself, gathered event by event; later events win.

    `complete` says that the usage is the final one, `ended` that the answer said it was over, `unreadable` that bytes
    came which could not be read. `cost_usd` is the decimal text of a cost the provider or gateway stated.
    """

    response_id: str = ""
    model: str = ""
    service_tier: str = ""
    speed: str = ""
    region: str = ""
    finish_reason: str = ""
    error_type: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    units: dict[str, int] = field(default_factory=_no_units)
    asides: list[Aside] = field(default_factory=_no_asides)
    cost_usd: str = ""
    processing: str = ""
    complete: bool = False
    ended: bool = False
    unreadable: bool = False
    characters: int = 0
    """Characters of generated text seen in a stream: as they read where somebody asks, else as bytes on the wire."""

    def set(self, name: str, value: object) -> None:
        """Takes a count where the answer stated one; anything that is no count leaves what was known."""
        number = count(value)
        if number is not None:
            setattr(self, name, number)

    def unit(self, meter: str, value: object) -> None:
        """Takes a quantity of another meter, where it is stated and above zero."""
        number = count(value)
        if number:
            self.units[meter] = number

    def say(self, name: str, value: object) -> None:
        """Takes a text where the answer has one; a long text is no name."""
        if isinstance(value, str) and 0 < len(value) <= 256:
            setattr(self, name, value)


TOKEN_FIELDS: tuple[str, ...] = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
)
"""The fields of a Reading that count tokens."""


def count(value: object) -> int | None:
    """A whole number of something, or None where the value is none: absent, negative, a fraction, a text, true."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= LARGEST_COUNT else None
    if isinstance(value, float) and value.is_integer():
        return count(int(value))
    return None


def part(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under a key, or an empty one where there is none."""
    value = data.get(key)
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else _NOTHING


def parts(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects of the list under a key, or none."""
    value = data.get(key)
    if not isinstance(value, list):
        return []
    return [cast("Mapping[str, Any]", item) for item in cast("list[object]", value) if isinstance(item, dict)]
