"""No figure is forgotten: every cell of the shared figures and every trap is somebody's test, or no figure of ours."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from figures.claims import CLAIMED, NOT_OURS, TRAPS, Table

TESTS = Path(__file__).parents[1]


def cells(figures: dict[str, Any]) -> dict[Table, set[str]]:
    """The names of the figures in each table; a table of one figure a row is named by its rows."""
    return {
        (title, heading): {row["figure"] for row in rows}
        if "figure" in rows[0]
        else {name for row in rows for name in row}
        for title, tables in figures.items()
        for heading, rows in tables.items()
    }


def test_every_cell_is_claimed_or_no_figure_of_ours(figures: dict[str, Any]) -> None:
    found = cells(figures)
    claimed = {at: {name for names in tests.values() for name in names} for at, tests in CLAIMED.items()}
    assert claimed.keys() == found.keys()
    assert NOT_OURS.keys() <= found.keys()
    for at, names in found.items():
        left_out = set(NOT_OURS.get(at, ()))
        assert claimed[at] | left_out == names, at
        assert not claimed[at] & left_out, at


def test_every_trap_has_its_tests(shared: Path) -> None:
    text = (shared / "data" / "FIGURES.md").read_text(encoding="utf-8")
    table = text.partition("## Traps")[2].partition("# Figures")[0]
    numbered = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert TRAPS.keys() == numbered
    for tests in TRAPS.values():
        for test in tests:
            assert _is_a_test(test), test


@pytest.mark.parametrize(("title", "heading"), CLAIMED)
def test_whoever_claims_a_figure_reads_it(title: str, heading: str) -> None:
    for test, names in CLAIMED[title, heading].items():
        assert _is_a_test(test), test
        source = (TESTS / test.partition("::")[0]).read_text(encoding="utf-8")
        for name in names:
            spelled = (f'"{name}"', f'"{re.sub("^(agent|user) ", "{word} ", name)}"', f"'{name}'")
            spelled += (f'"{re.sub("^(agent|user) ", "{speaker} ", name)}"',)
            assert any(text in source for text in spelled), f"{test} claims {name!r} and never reads it"


@cache
def _tests_of(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _is_a_test(test: str) -> bool:
    """Whether a name stands for a test that is there."""
    file, _, name = test.partition("::")
    return name.startswith("test_") and name in _tests_of(file)
