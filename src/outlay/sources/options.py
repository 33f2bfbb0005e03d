"""What a person may say about the files they hand in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read: None lets the content decide.

    `format` is a name of `registry.FORMATS`, `mapping` a mapping file for tables, `zone` the IANA zone of times that
    state none (UTC where not given, flagged `zone_assumed` either way). `envelope` and `tags` stand on every fact and
    outcome that states no value of its own.
    """

    format: str | None = None
    mapping: Path | None = None
    zone: str | None = None
    envelope: Mapping[str, str] = field(default_factory=_nothing)
    tags: Mapping[str, str] = field(default_factory=_nothing)
