"""The SDK stands on the standard library and `outlay.core`: what it drags into an agent, the agent has to carry."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parents[2] / "src" / "outlay" / "sdk"
OPTIONAL = {"frameworks", "wire"}
"""Rooms that hook into other packages where those are there already."""


def foreign(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    own = ("outlay.core", "outlay.sdk")
    return {
        name
        for name in names
        if name.split(".")[0] not in sys.stdlib_module_names and name != "outlay" and not name.startswith(own)
    }


def test_the_sdk_needs_the_standard_library_and_core_only() -> None:
    paths = [path for path in SDK.rglob("*.py") if path.relative_to(SDK).parts[0] not in OPTIONAL]
    assert len(paths) > 5
    assert not {f"{path.name}: {name}" for path in paths for name in foreign(path)}
