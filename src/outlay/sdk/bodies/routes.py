"""Routes: from host, path and method to the provider and the shape of the answer. The table is `data/hosts.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from outlay.sdk.bodies import (
    anthropic_messages,
    batches,
    bedrock_guardrails,
    bedrock_models,
    bedrock_rerank,
    cohere_answers,
    google_generate,
    ollama_answers,
    openai_chat,
    openai_other,
    openai_realtime,
    openai_responses,
)
from outlay.sdk.bodies.shape import Shape

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        anthropic_messages.MESSAGES,
        batches.OPENAI,
        batches.ANTHROPIC,
        bedrock_guardrails.APPLY,
        bedrock_models.CONVERSE,
        bedrock_models.INVOKE,
        bedrock_rerank.RERANK,
        cohere_answers.CHAT,
        cohere_answers.EMBED,
        cohere_answers.RERANK,
        google_generate.GENERATE,
        google_generate.EMBED,
        google_generate.IMAGES,
        google_generate.INTERACTIONS,
        ollama_answers.CHAT,
        ollama_answers.EMBED,
        openai_chat.CHAT,
        openai_other.EMBEDDINGS,
        openai_other.RERANK,
        openai_other.MODERATION,
        openai_other.IMAGES,
        openai_other.AUDIO,
        openai_other.OCR,
        openai_realtime.REALTIME,
        openai_responses.RESPONSES,
    )
}

_BEDROCK_HOST = re.compile(r"(?:^|\.)bedrock(?:-[a-z-]+)?\.")
_UNMISTAKABLE = re.compile(r"/v\d|/openai/|/model/|/guardrail|:|/chat/completions$")
"""What a path on a host that nobody named has to have besides its ending: `/survey/responses` is no model call."""

_REGION = re.compile(
    r"(?:^|[.-])((?:us|eu|ap|sa|ca|me|af|il|mx|asia|europe|northamerica|southamerica|australia)"
    r"-(?:gov-)?[a-z]+-?\d)(?=[.-])"
)


@dataclass(frozen=True, slots=True)
class Route:
    """What one address is: who answers (empty: not known), how the answer reads, and what the path itself says."""

    provider: str
    shape: Shape
    model: str = ""
    stream: bool = False
    region: str = ""
    guardrail: str = ""
    fetches: bool = False
    """Whether it fetches what another call made, rather than asking for something new."""


@dataclass(frozen=True, slots=True)
class _Path:
    family: str
    pattern: re.Pattern[str]
    shape: Shape
    method: str
    stream: bool
    public: bool


@cache
def _table() -> tuple[dict[str, tuple[str, str]], dict[str, str], tuple[_Path, ...], tuple[str, ...]]:
    data: dict[str, Any] = tomllib.loads(
        Path(__file__).with_name("data").joinpath("hosts.toml").read_text(encoding="utf-8")
    )
    hosts = {end: (str(provider), str(family)) for end, (provider, family) in data["hosts"].items()}
    paths = tuple(
        _Path(
            item["family"],
            re.compile(item["path"]),
            SHAPES[item["shape"]],
            item.get("method", "POST"),
            item.get("stream", False),
            item.get("public", False),
        )
        for item in data["paths"]
    )
    return hosts, dict(data["families"]), paths, tuple(data["guards"]["models"])


@lru_cache(1024)
def is_guard(model: str) -> bool:
    """Whether a model judges what others say, so that a call to it is a check and not an answer."""
    low = model.lower()
    return any(name in low for name in _table()[3])


class Routes:
    """The table with a user's own hosts: `{"llm.internal": "openai"}` says who answers there, with or without port."""

    def __init__(self, hosts: Mapping[str, str] | None = None) -> None:
        self._own = {host.strip().lower(): provider for host, provider in (hosts or {}).items()}
        self._find = lru_cache(1024)(self._look_up)

    def find(self, method: str, host: str, port: int | None, path: str) -> Route | None:
        """The route of an address, or None where it is no call that costs anything. `path` is without query."""
        return self._find(method, host, port, path)

    def _look_up(self, method: str, host: str, port: int | None, path: str) -> Route | None:
        method, host, path = method.upper(), host.lower(), path.rstrip("/")
        if method not in {"POST", "GET"}:
            return None
        provider, family = self._owner(host, port)
        if provider == "aws.bedrock" and not self._is_own(host, port) and not _BEDROCK_HOST.search(host):
            return None
        if not provider and not _UNMISTAKABLE.search(path):
            return None
        for item in _table()[2]:
            own = item.family == family
            if item.method != method or not (own or (item.public and (not provider or self._is_own(host, port)))):
                continue
            found = item.pattern.search(path)
            if found:
                names = found.groupdict()
                region = _REGION.search(host)
                return Route(
                    provider,
                    item.shape,
                    model=unquote(names.get("model") or ""),
                    stream=item.stream,
                    region=region.group(1) if region else "",
                    guardrail=unquote(names.get("guardrail") or ""),
                    fetches=method == "GET",
                )
        return None

    def _is_own(self, host: str, port: int | None) -> bool:
        return host in self._own or f"{host}:{port}" in self._own

    def _owner(self, host: str, port: int | None) -> tuple[str, str]:
        hosts, families, _, _ = _table()
        named = self._own.get(f"{host}:{port}") or self._own.get(host)
        if named:
            known = dict(hosts.values())
            return named, known.get(named) or families.get(named) or "openai"
        if f"{host}:{port}" in hosts:
            return hosts[f"{host}:{port}"]
        return next((hosts[end] for end in _ends(host) if end in hosts), ("", ""))


def _ends(host: str) -> Iterator[str]:
    """A host name, its ends behind each hyphen of its first label (Google puts the region there), behind each dot."""
    first, dot, rest = host.partition(".")
    words = first.split("-")
    for at in range(len(words)):
        yield "-".join(words[at:]) + dot + rest
    while rest:
        yield rest
        rest = rest.partition(".")[2]
