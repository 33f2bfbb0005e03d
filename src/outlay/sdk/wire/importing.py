"""Importing: a client library is patched when it is there, and the moment it comes where it is not there yet.

Nothing is imported for the sake of patching. A module that is already loaded is patched at once; for the others a
finder stands in front of `sys.meta_path` that finds nothing itself: it lets the real finders find, and patches after
loading.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Patch = Callable[[ModuleType], None]


class _Loader:
    """The real loader, and the patch after it. (No base class: `importlib.abc` would cost more than all of this.)"""

    def __init__(self, loader: Any, patch: Patch) -> None:
        self._loader = loader
        self._patch = patch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        safely(self._patch, module)


class Watcher:
    """Patches named modules once each."""

    def __init__(self) -> None:
        self._patches: dict[str, Patch] = {}
        self._finding = threading.local()

    def watch(self, name: str, patch: Patch) -> None:
        """Patches this module now or when it is imported."""
        module = sys.modules.get(name)
        if module is not None:
            safely(patch, module)
            return
        self._patches[name] = patch
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Watches no longer."""
        self._patches.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Nothing for a module nobody waits for; else what the others find, with the patch behind its loader."""
        patch = self._patches.get(fullname)
        if patch is None or getattr(self._finding, "name", "") == fullname:
            return None
        self._finding.name = fullname
        try:
            spec = _found_by_others(self, fullname, path, target)
        finally:
            self._finding.name = ""
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            self._patches.pop(fullname, None)
            found: Any = spec
            found.loader = _Loader(spec.loader, patch)
        return spec


def _found_by_others(
    watcher: Watcher, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for finder in list(sys.meta_path):
        if finder is watcher:
            continue
        spec = finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


def safely(patch: Patch, module: ModuleType) -> None:
    """Patches, or leaves a library of an unknown make as it is: metering never breaks an import."""
    try:
        patch(module)
    except (AttributeError, TypeError, ImportError):
        return
