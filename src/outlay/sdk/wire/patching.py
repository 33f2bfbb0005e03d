"""Patching: one method is replaced by one that calls it, once, and can be put back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

_MARK = "__outlay_wire__"
_done: list[tuple[type, str, Any]] = []


def patch(owner: type, name: str, around: Callable[[Any], Any]) -> None:
    """Replaces a method of a class by what `around` makes of it; a method that is ours already stays."""
    original = owner.__dict__.get(name)
    if original is None or getattr(original, _MARK, False):
        return
    replacement = around(original if isinstance(original, FunctionType) else _bound_when_called(original))
    setattr(replacement, _MARK, True)
    setattr(owner, name, replacement)
    _done.append((owner, name, original))


def _bound_when_called(original: Any) -> Callable[..., Any]:
    """A method that another library has wrapped before us may have to be bound first, as any method is."""

    @functools.wraps(original)
    def call(self: Any, *args: Any, **more: Any) -> Any:
        return original.__get__(self, type(self))(*args, **more)

    return call


def restore() -> None:
    """Puts back every method that is still ours."""
    while _done:
        owner, name, original = _done.pop()
        if getattr(owner.__dict__.get(name), _MARK, False):
            setattr(owner, name, original)
