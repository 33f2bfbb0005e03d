"""Names: from the provider and model as telemetry spells them to the ones the price book is asked under.

A name is cleaned, never guessed beyond what a person would read out of it, and whatever was assumed is said in `notes`,
which end in `variant_applied` of every charge.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from outlay.core.price import ANY

_CONTEXT_SUFFIX = re.compile(r"\[\d+[km]\]$", re.IGNORECASE)  # claude-opus-5[1m]: the same model, another window
_PATH_PREFIX = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/[^/]+/)?models/")
_ARN = re.compile(r"^arn:aws[\w-]*:bedrock:(?P<region>[^:]*):[^:]*:(?P<kind>[a-z-]+)/(?P<name>.+)$")
_READABLE_ARN = frozenset({"inference-profile", "foundation-model"})  # application-inference-profile names are random
_CLOUD_REGION = re.compile(r"^(?:us|eu|global|[a-z]{2}(?:-gov)?-[a-z]+-\d)$")
_CLOUDS = frozenset({"azure", "aws", "google"})
# OpenAI's protocol is spoken by every gateway: `azure/gpt-4o` asked through it names who really serves. Hosts of many
# makers' models (openrouter, together …) write the maker in front too, but there it is part of the id.
_SPOKEN_BY_GATEWAYS = frozenset({"openai", "litellm"})


@dataclass(frozen=True, slots=True)
class Alias:
    """A name of one's own for a known model: a deployment, a Bedrock profile. `model` and `provider` are globs."""

    model: str
    to: str
    provider: str = ANY
    to_provider: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A cleaned name. `provider` is Outlay's word or the raw one if unknown, `raw` the model as it was spelled."""

    provider: str
    model: str
    region: str
    raw: str
    notes: tuple[str, ...] = ()


@cache
def _table() -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    text = (files("outlay.pricing") / "data" / "providers.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    spellings = {word: name for name, words in data["aliases"].items() for word in words}
    families = tuple((glob, entry["provider"]) for entry in data["family"] for glob in entry["models"])
    return spellings, families


def provider_of(spelling: str) -> str:
    """Outlay's name of a provider; an unknown spelling comes back in lower case."""
    word = spelling.strip().lower()
    return _table()[0].get(word, word)


def known_provider(spelling: str) -> bool:
    """Whether this spelling names a provider at all."""
    return spelling.strip().lower() in _table()[0]


def clean(provider: str, model: str, region: str = "", aliases: Sequence[Alias] = ()) -> Named:
    """The name to ask the book under. A given provider is kept unless the model's own prefix names a closer one."""
    raw = model.strip()
    name = Named(provider_of(provider), _CONTEXT_SUFFIX.sub("", raw), region.strip().lower(), raw)
    name = _aliased(name, aliases)
    if arn := _ARN.match(name.model):
        readable = arn["kind"] in _READABLE_ARN
        return replace(
            name,
            provider=name.provider or "aws",
            region=name.region or arn["region"],
            model=arn["name"] if readable else name.model,
        )
    name = replace(name, model=_PATH_PREFIX.sub("", name.model))
    return name if name.provider and "/" not in name.model else _from_prefix(name)


def _aliased(name: Named, aliases: Sequence[Alias]) -> Named:
    for alias in aliases:
        spellings = {name.model.lower(), name.raw.lower()}
        hit = any(fnmatchcase(spelling, alias.model.lower()) for spelling in spellings)
        if hit and fnmatchcase(name.provider, alias.provider):
            provider = provider_of(alias.to_provider) if alias.to_provider else name.provider
            return replace(name, provider=provider, model=alias.to, notes=(f"alias of {alias.to}",))
    return name


def _from_prefix(name: Named) -> Named:
    """Reads `azure/eu/gpt-4o`, `anthropic/claude-…`, or a family's name where nobody said who served it."""
    prefix, slash, rest = name.model.partition("/")
    if slash and known_provider(prefix):
        named = provider_of(prefix)
        if named == name.provider:
            return _region_of(replace(name, model=rest))
        if name.provider in _CLOUDS:  # openai/gpt-4o at Azure is sold by Azure
            return replace(name, model=rest)
        if not name.provider or name.provider in _SPOKEN_BY_GATEWAYS:
            note = f"provider {named} read from the model name"
            return _region_of(replace(name, provider=named, model=rest, notes=(*name.notes, note)))
    if name.provider:
        return name
    for glob, provider in _table()[1]:
        if fnmatchcase(name.model.lower(), glob):
            return replace(
                name, provider=provider, notes=(*name.notes, f"provider {provider} assumed from the model name")
            )
    return name


def _region_of(name: Named) -> Named:
    """Takes the region out of `us-east-1/anthropic.…` and `eu/gpt-4o`, as gateways write it."""
    region, slash, rest = name.model.partition("/")
    if slash and name.provider in {"aws", "azure"} and _CLOUD_REGION.match(region.lower()):
        return replace(name, model=rest, region=name.region or region.lower())
    return name
