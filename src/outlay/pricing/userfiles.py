"""User files: what a company writes about its own prices, in one folder, read whole or refused whole.

    contracts.toml   negotiated discounts and prices      overrides.toml   prices of one's own, models run at home
    aliases.toml     deployments and profiles → models    rate_card.toml   runtime
    tiers.toml       which models are frontier, mid …     litellm.json     the imported map of LiteLLM

A file is written beside itself and moved into place, so that a crash leaves the old one whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from outlay.core.errors import PriceError, Problem
from outlay.core.price import ANY
from outlay.pricing.litellm import MAP_NAME, ImportedMap, read_map
from outlay.pricing.names import Alias, provider_of
from outlay.pricing.ratecard import CardRow, read_card
from outlay.pricing.rows import Reader, Row, read_prices
from outlay.pricing.tiers import TierRule, read_tiers

CONTRACTS, OVERRIDES, ALIASES, CARD, TIERS = (
    "contracts.toml",
    "overrides.toml",
    "aliases.toml",
    "rate_card.toml",
    "tiers.toml",
)
FILES = (CONTRACTS, OVERRIDES, ALIASES, CARD, TIERS, MAP_NAME)
_PROBLEMS_SHOWN_MAX = 12


@dataclass(slots=True)
class UserFiles:
    """Everything the folder says. `digest` changes with any of its bytes."""

    contracts: list[Row] = field(default_factory=list[Row])
    overrides: list[Row] = field(default_factory=list[Row])
    aliases: list[Alias] = field(default_factory=list[Alias])
    card: list[CardRow] = field(default_factory=list[CardRow])
    tiers: TierRule | None = None
    imported: ImportedMap = field(default_factory=ImportedMap)
    family_fallback: bool = False
    digest: str = ""


@cache
def own_rows() -> tuple[Row, ...]:
    """The rows Outlay brings along, for what the catalogue lacks."""
    rows, problems = read_prices("prices.toml", _own_text("prices.toml"))
    assert not problems, problems
    return tuple(rows)


@cache
def own_tiers() -> TierRule:
    """The rule of tiers Outlay brings along."""
    rule, problems = read_tiers("tiers.toml", _own_text("tiers.toml"))
    assert not problems, problems
    return rule


def own_version() -> str:
    """The date of Outlay's own rows."""
    return str(_own_head()["version"])


def own_catalogue() -> str:
    """The release of genai-prices that Outlay's own rows were compared with on `own_version`."""
    return str(_own_head()["catalogue"])


@cache
def _own_head() -> dict[str, Any]:
    return Reader("prices.toml", _own_text("prices.toml")).data


def _own_text(file: str) -> str:
    return (files("outlay.pricing") / "data" / file).read_text(encoding="utf-8")


def load(folder: Path | None) -> UserFiles:
    """Reads the folder; a missing folder or file says nothing. Raises PriceError that lists everything wrong."""
    found: dict[str, bytes] = {}
    for name in FILES if folder is not None else ():
        assert folder is not None
        try:
            found[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise PriceError(f"cannot read {folder / name}: {error.strerror}", hint="check who may read it") from error
    user, problems = parse(found)
    if problems:
        refuse(problems)
    return user


def parse(contents: Mapping[str, bytes]) -> tuple[UserFiles, list[Problem]]:
    """What the named files say, and everything wrong in them."""
    user = UserFiles(digest=_digest(contents))
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    for name in FILES[:-1]:
        try:
            texts[name] = contents.get(name, b"").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.append(Problem(name, f"is not UTF-8 text: {error.reason}", "save it as UTF-8"))
            texts[name] = ""
    user.contracts, wrong = read_prices(CONTRACTS, texts[CONTRACTS], "contract")
    problems += wrong
    user.overrides, wrong = read_prices(OVERRIDES, texts[OVERRIDES])
    problems += wrong
    user.family_fallback = _switch(texts[OVERRIDES], problems)
    user.aliases, wrong = _aliases(texts[ALIASES])
    problems += wrong
    user.card, wrong = read_card(CARD, texts[CARD])
    problems += wrong
    if texts[TIERS]:
        user.tiers, wrong = read_tiers(TIERS, texts[TIERS], own_tiers())
        problems += wrong
    if MAP_NAME in contents:
        user.imported = unpack_map(contents[MAP_NAME])
    return user, problems


def _switch(text: str, problems: list[Problem]) -> bool:
    value: Any = Reader(OVERRIDES, text).data.get("family_fallback", False)
    if not isinstance(value, bool):
        problems.append(Problem(OVERRIDES, f"family_fallback is {value!r}", "write family_fallback = true"))
    return value is True


def _aliases(text: str) -> tuple[list[Alias], list[Problem]]:
    reader = Reader(ALIASES, text)
    found: list[Alias] = []
    for place, entry in reader.entries("alias", frozenset({"model", "provider", "to", "to_provider"})):
        model, to = reader.text(place, entry, "model"), reader.text(place, entry, "to")
        provider = reader.text(place, entry, "provider", ANY)
        given = provider if "*" in provider else provider_of(provider)
        found.append(Alias(model, to, given, entry.get("to_provider", "")))
    return found, reader.problems


def refuse(problems: list[Problem]) -> None:
    """Raises one PriceError that lists the problems, the first ones in full."""
    lines = [
        f"{each.where}: {each.what}{f' ({each.hint})' if each.hint else ''}" for each in problems[:_PROBLEMS_SHOWN_MAX]
    ]
    if len(problems) > _PROBLEMS_SHOWN_MAX:
        lines.append(f"and {len(problems) - _PROBLEMS_SHOWN_MAX} more")
    what = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise PriceError(
        f"the price files have {what}; none of them was used", detail=lines, hint="docs/prices.md shows every file"
    )


def pack_map(content: bytes, as_of: str, origin: str) -> bytes:
    """The imported map with the day and place it came from, as it is kept."""
    head = {"as_of": as_of, "origin": origin, "sha256": hashlib.sha256(content).hexdigest()}
    return json.dumps(head).encode() + b"\n" + content


def unpack_map(kept: bytes) -> ImportedMap:
    """The map from its kept form. Raises FormatError if it is no longer what was written."""
    head, _, content = kept.partition(b"\n")
    try:
        as_of = str(json.loads(head)["as_of"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"{MAP_NAME} was not written by outlay prices import"
        raise PriceError(message, hint="outlay prices import litellm FILE") from error
    return read_map(content, as_of)


def write(path: Path, content: bytes) -> None:
    """Replaces a file in one step; parents are made. Raises PriceError if there is no room or no permission."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PriceError(f"cannot write {path}: {error.strerror}", hint="the old file is unchanged") from error


def _digest(contents: Mapping[str, bytes]) -> str:
    total = hashlib.blake2b(digest_size=6)
    for name in sorted(contents):
        total.update(name.encode() + b"\0" + hashlib.blake2b(contents[name]).digest())
    return total.hexdigest() if contents else "none"
