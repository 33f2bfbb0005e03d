"""Every guarantee names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROWS = [line for line in (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]


@pytest.mark.parametrize("row", ROWS[1:])
def test_a_guarantee_names_tests_that_are_there(row: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)
    assert named, "a guarantee without a test is a hope"
    for path, test in named:
        file = ROOT / "tests" / path
        assert file.is_file(), path
        assert re.search(rf"^def {test}\(", file.read_text(encoding="utf-8"), re.MULTILINE), test
