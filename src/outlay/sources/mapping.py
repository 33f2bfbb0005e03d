"""Mappings: small TOML files that say which column of a table is which word. Documented in docs/mappings.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from outlay.core.centre import Operation
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import FormatError, nearest
from outlay.core.meters import METER_NAMES
from outlay.core.outcome import OutcomeStatus

COUNT_WORDS = (
    *("input_tokens", "output_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens"),
    *("output_audio_tokens", "input_image_tokens", "output_image_tokens", "attempt"),
)
TEXT_WORDS = (
    *("response_id", "session_id", "parent_session_id", "task_id", "name", "provider", "model_requested"),
    *("model_served", "region", "service_tier", "processing", "speed", "error_type", "finish_reason"),
    *("retry_reason", "basis", "scope_name", "scope_version", "currency", "cost_source", "user", *ENVELOPE_KEYS),
)
FACT_WORDS = ("operation", "start", "end", "duration", "cost", "failed", "units", *COUNT_WORDS, *TEXT_WORDS)
OUTCOME_WORDS = ("task_id", "session_id", "status", "at", "task_type", "value", "currency", *ENVELOPE_KEYS)
TIME_UNITS: Mapping[str, int | None] = {"iso": None, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in one unit of a time column; None for text."""

STATUS_WORDS: Mapping[str, tuple[str, ...]] = {
    "done": ("true", "1", "1.0", "yes", "done", "success", "succeeded", "pass", "passed", "resolved", "correct"),
    "failed": ("false", "0", "0.0", "no", "failed", "failure", "fail", "unresolved", "incorrect", "error"),
    "abandoned": ("abandoned", "cancelled", "canceled"),
}
"""What counts as which status unless the mapping's `[status]` says otherwise; anything else is unknown."""

TRUE_WORDS = frozenset({"true", "1", "yes", "failed", "failure", "error"})
"""What makes the word `failed` true."""

_FORMATS = ("csv", "json", "jsonl", "yaml", "parquet")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a word comes from: the first of `columns` that says something, a `template` of columns, or a `value`.

    `values` translates what the column says; `otherwise` stands for what it does not list, `missing` for a column
    that says nothing (else `otherwise` does).
    """

    columns: tuple[str, ...] = ()
    template: str | None = None
    value: str | None = None
    values: Mapping[str, str] | None = None
    otherwise: str | None = None
    missing: str | None = None

    def needs(self) -> tuple[str, ...]:
        """The columns it looks at."""
        return (*self.columns, *(re.findall(r"\{([^{}]+)\}", self.template) if self.template else ()))


@dataclass(frozen=True)
class TableMapping:
    """One mapping file, checked."""

    name: str
    text: str
    detect: tuple[str, ...]
    fact: Mapping[str, Source]
    units: Mapping[str, Source]
    outcome: Mapping[str, Source]
    tags: Mapping[str, Source]
    identity: tuple[str, ...]
    where: Mapping[str, tuple[str, ...]]
    unless: Mapping[str, tuple[str, ...]]
    format: str | None = None
    records: str | None = None
    keys: str | None = None
    path: re.Pattern[str] | None = None
    companions: tuple[str, ...] = ()
    prefix_blocks: str | None = None
    time_unit: str = "iso"
    duration_unit: str = "s"
    anchor: str | None = None
    zero_is_unknown: bool = False
    status: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: STATUS_WORDS)

    def columns(self) -> tuple[str, ...]:
        """Every column the mapping looks at, each once."""
        sources = (*self.fact.values(), *self.units.values(), *self.outcome.values(), *self.tags.values())
        named = [column for source in sources for column in source.needs()]
        return tuple(dict.fromkeys((*named, *self.identity, *self.where, *self.unless)))


def load_mapping(path: Path) -> TableMapping:
    """The mapping in a TOML file. Raises FormatError that names the file, the key and what is valid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"the mapping {path} cannot be read: {error}") from error
    return parse_mapping(text, path.name.removesuffix(".toml"))


@cache
def shipped_mappings() -> tuple[TableMapping, ...]:
    """The mappings that come with Outlay, by name."""
    folder = resources.files("outlay.sources") / "mappings"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".toml")), key=lambda item: item.name)
    return tuple(parse_mapping(item.read_text(encoding="utf-8"), item.name.removesuffix(".toml")) for item in files)


def parse_mapping(text: str, name: str) -> TableMapping:
    """The mapping of a TOML text; `name` is its name unless it states one. Raises FormatError."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"the mapping {name} is not TOML: {error}") from error
    known = ("name", "text", "detect", "read", "where", "unless", "time", "cost", "prefix", "identity")
    _only(name, "the file", body, (*known, "fact", "outcome", "status", "tags"))
    reading, time, cost, prefix = (_table(name, body, section) for section in ("read", "time", "cost", "prefix"))
    _only(name, "[read]", reading, ("format", "records", "keys", "path", "companions"))
    _only(name, "[time]", time, ("unit", "duration_unit", "anchor"))
    _only(name, "[cost]", cost, ("zero_is_unknown",))
    _only(name, "[prefix]", prefix, ("blocks",))
    fact, outcome = _table(name, body, "fact"), _table(name, body, "outcome")
    _only(name, "[fact]", fact, FACT_WORDS)
    _only(name, "[outcome]", outcome, OUTCOME_WORDS)
    if not fact and not outcome:
        raise FormatError(f"the mapping {name} maps nothing", hint="give it a [fact] or an [outcome] section")
    units = _table(name, fact, "units")
    _only(name, "[fact.units]", units, METER_NAMES)
    for word, valid in (("unit", tuple(TIME_UNITS)), ("duration_unit", tuple(TIME_UNITS)[1:])):
        _one_of(name, f"[time] {word}", time.get(word), valid)
    _one_of(name, "[read] format", reading.get("format"), _FORMATS)
    _check_constants(name, fact, outcome)
    return TableMapping(
        name=str(body.get("name", name)),
        text=str(body.get("text", "")),
        detect=_texts(name, "[detect] columns", _table(name, body, "detect").get("columns", [])),
        fact={word: _source(name, word, value) for word, value in fact.items() if word != "units"},
        units={word: _source(name, word, value) for word, value in units.items()},
        outcome={word: _source(name, word, value) for word, value in outcome.items()},
        tags={word: _source(name, word, value) for word, value in _table(name, body, "tags").items()},
        identity=_texts(name, "[identity] columns", _table(name, body, "identity").get("columns", [])),
        where=_choices(name, body, "where"),
        unless=_choices(name, body, "unless"),
        format=reading.get("format"),
        records=reading.get("records"),
        keys=reading.get("keys"),
        path=_pattern(name, reading.get("path")),
        companions=_texts(name, "[read] companions", reading.get("companions", [])),
        prefix_blocks=prefix.get("blocks"),
        time_unit=time.get("unit", "iso"),
        duration_unit=time.get("duration_unit", "s"),
        anchor=time.get("anchor"),
        zero_is_unknown=bool(cost.get("zero_is_unknown", False)),
        status=_choices(name, body, "status") or STATUS_WORDS,
    )


def _check_constants(name: str, fact: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
    for word, value, valid in (
        ("operation", fact.get("operation"), tuple(Operation)),
        ("status", outcome.get("status"), tuple(OutcomeStatus)),
        ("basis", fact.get("basis"), ("inclusive", "exclusive")),
    ):
        if isinstance(value, dict):
            stated = [value.get(key) for key in ("value", "otherwise", "missing")]
            for text in (*stated, *dict(value.get("values") or {}).values()):
                _one_of(name, word, text, valid)


def _only(name: str, place: str, table: Mapping[str, Any], valid: Sequence[str]) -> None:
    for key in table:
        if key not in valid:
            raise FormatError(f'the mapping {name}: {place} has no "{key}"', hint=nearest(key, valid))


def _one_of(name: str, place: str, value: Any, valid: Sequence[str]) -> None:
    if value is not None and value not in valid:
        raise FormatError(f'the mapping {name}: {place} cannot be "{value}"', hint=nearest(str(value), valid))


def _table(name: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key, {})
    if not isinstance(value, dict):
        raise FormatError(f"the mapping {name}: [{key}] must be a section, not {value!r}")
    return value


def _texts(name: str, place: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise FormatError(f"the mapping {name}: {place} must be a list of texts, not {value!r}")


def _choices(name: str, body: Mapping[str, Any], key: str) -> dict[str, tuple[str, ...]]:
    return {word: _texts(name, f"[{key}] {word}", value) for word, value in _table(name, body, key).items()}


def _pattern(name: str, text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text is not None else None
    except re.error as error:
        raise FormatError(f"the mapping {name}: [read] path is no regular expression: {error}") from error


def _source(name: str, word: str, value: Any) -> Source:
    """A text names a column, a list the first of several, a table says more."""
    if isinstance(value, dict):
        _only(name, word, value, ("column", "columns", "template", "value", "values", "otherwise", "missing"))
        columns = _texts(name, word, value.get("columns", value.get("column", [])))
        translated = {str(key): str(text) for key, text in dict(value.get("values") or {}).items()}
        constant = None if value.get("value") is None else str(value["value"])
        rest = value.get("otherwise"), value.get("missing")
        return Source(columns, value.get("template"), constant, translated or None, *rest)
    return Source(_texts(name, word, value))
