"""Meters: the disjoint quantities a Usage is measured in. Every quantity is a whole number of its unit.

Disjoint means that adding meters never counts a token twice: cached input is not in `in_uncached`, reasoning is not in
`out_text`. A new kind of quantity is one line here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meter:
    """One disjoint quantity: `unit` it is counted in, `side` (`input`, `output` or `other`), and what it means."""

    name: str
    unit: str
    side: str
    text: str


METERS: tuple[Meter, ...] = (
    Meter("in_uncached", "token", "input", "input tokens that no cache served"),
    Meter("in_cache_read", "token", "input", "input tokens read from a prompt cache"),
    Meter("in_cache_write_5m", "token", "input", "input tokens written to a five-minute cache"),
    Meter("in_cache_write_1h", "token", "input", "input tokens written to a one-hour cache"),
    Meter("in_cache_write_unspec", "token", "input", "input tokens written to a cache whose lifetime is not said"),
    Meter("in_audio", "token", "input", "audio input tokens"),
    Meter("in_image", "token", "input", "image input tokens"),
    Meter("out_text", "token", "output", "output tokens without reasoning"),
    Meter("out_reasoning", "token", "output", "reasoning (thinking) tokens"),
    Meter("out_audio", "token", "output", "audio output tokens"),
    Meter("out_image", "token", "output", "image output tokens"),
    Meter("total", "usage", "other", "a recorded total that the source does not split by meter"),
    Meter("requests", "request", "other", "calls that are charged by the call"),
    Meter("searches", "search", "other", "vector, file or rerank searches charged by the search"),
    Meter("web_searches", "search", "other", "web searches run by the provider or a tool"),
    Meter("code_executions", "execution", "other", "code execution calls or containers"),
    Meter("pages", "page", "other", "document pages"),
    Meter("images", "image", "other", "images charged by the piece"),
    Meter("characters", "character", "other", "characters"),
    Meter("policy_units", "unit", "other", "guardrail policy units (text units)"),
    Meter("free_policy_units", "unit", "other", "guardrail policy units the provider does not charge"),
    Meter("read_units", "unit", "other", "database read units"),
    Meter("credits", "credit", "other", "vendor credits, in thousandths"),
    Meter("audio_ms", "ms", "other", "audio, in milliseconds"),
    Meter("runtime_ms", "ms", "other", "wall-clock time an agent session was alive"),
    Meter("vcpu_ms", "vCPU ms", "other", "processor time"),
    Meter("memory_gib_ms", "GiB ms", "other", "memory held over time"),
)

UNIT_OF: dict[str, str] = {meter.name: meter.unit for meter in METERS}
"""What each meter is counted in."""

METER_NAMES: tuple[str, ...] = tuple(meter.name for meter in METERS)
METER_CODE: dict[str, int] = {name: code for code, name in enumerate(METER_NAMES)}
"""The code a meter is stored under; append only, never reorder."""

TOKEN_METERS: tuple[str, ...] = tuple(meter.name for meter in METERS if meter.unit == "token")
INPUT_METERS: tuple[str, ...] = tuple(meter.name for meter in METERS if meter.side == "input")
OUTPUT_METERS: tuple[str, ...] = tuple(meter.name for meter in METERS if meter.side == "output")
OTHER_METERS: tuple[str, ...] = tuple(meter.name for meter in METERS if meter.side == "other")
