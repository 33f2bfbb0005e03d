"""The public surface: every name is there, sorted, loaded only when asked for, and known to type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import outlay

TREE = ast.parse(Path(outlay.__file__).read_text(encoding="utf-8"))


def test_every_name_is_there_and_sorted() -> None:
    assert outlay.__all__ == sorted(outlay.__all__)
    for name in outlay.__all__:
        assert getattr(outlay, name) is not None
        assert name in dir(outlay)


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    (block,) = [node for node in TREE.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == outlay._PLACES
    assert set(seen) | {"__version__"} == set(outlay.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sesion'"):
        outlay.sesion  # type: ignore[attr-defined]  # noqa: B018


def test_nothing_is_loaded_before_a_name_is_asked_for() -> None:
    script = (
        "import sys; before = set(sys.modules); import outlay; "
        "print(sorted(name for name in set(sys.modules) - before if name not in {'outlay', '__future__'}))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=False)
    if run.returncode:  # without site the package may not be found
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_session_starts_no_thread_of_anybody_else_and_loads_nothing_heavy() -> None:
    script = (
        "import sys, outlay\n"
        "outlay.init(instrument=False)\n"
        "with outlay.session(team='a'): pass\n"
        "outlay.flush()\n"
        "print([name for name in ('numpy', 'pyarrow', 'google.protobuf', 'platformdirs', 'click', 'asyncio', 'ssl') "
        "if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
