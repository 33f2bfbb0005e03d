"""Hooking: a framework's method is replaced once, and a hook point that has moved is said once, not raised."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

from outlay.sdk.frameworks.around import MARK, Opener, Verdict, wrap

_log = logging.getLogger("outlay.frameworks")
_said: set[str] = set()


def inside(owner: type | ModuleType, name: str, opener: Opener, verdict: Verdict | None = None) -> None:
    """Runs the method or function `name` of `owner` inside the scopes of `opener` from now on."""
    replace(owner, name, lambda original: wrap(original, opener, verdict))


def replace(owner: type | ModuleType, name: str, around: Callable[[Any], Any]) -> None:
    """Puts what `around` makes of an attribute in its place. One that is ours already stays; a missing one is said."""
    original = vars(owner).get(name)
    if original is None:
        moved(f"{_place(owner)}.{name}")
        return
    if getattr(original, MARK, False):
        return
    replacement = around(original)
    setattr(replacement, MARK, True)
    setattr(owner, name, replacement)


def moved(place: str) -> None:
    """Says once that a hook point is not where this version of Outlay looks for it."""
    if place not in _said:
        _said.add(place)
        _log.warning(
            "outlay: %s is not in this version of the framework; model calls are metered all the same, "
            "agent names or tool calls may be missing. docs/frameworks.md lists the versions that were tried",
            place,
        )


def _place(owner: type | ModuleType) -> str:
    return owner.__name__ if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__qualname__}"
