"""docs/guard.md: every line of Python on it runs, against a budget that has room and then has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

import outlay
from budgeting import put, put_rates, soon, standing
from outlay.core.budget import Refusal
from outlay.sdk import office


def blocks(page: Path) -> list[str]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [token.content for token in tokens if token.type == "fence" and token.info.strip() == "python"]


@pytest.fixture
def home(spool: Path, tmp_path: Path) -> Iterator[Path]:
    """A home with the budget of the page."""
    put(tmp_path / "home", "support", 1, {"team": "support"}, reserve_percent=5)
    put_rates(tmp_path / "home")
    yield tmp_path / "home"
    office.office.close()


def refused(question: str) -> str:
    """A model that is not asked any more."""
    said = Refusal("budget", "support", "", "usd", 1, 1, 1, 0, 0, None, retryable=False, retry_after_s=0, ask="ann")
    raise RuntimeError(question) from outlay.BudgetExceeded(said)


def test_every_block_runs_and_the_budget_is_used_up_to_its_reserve(home: Path, root: Path) -> None:
    space: dict[str, Any] = {"call_a_model": refused, "make_a_digest": lambda: "a digest"}
    for block in blocks(root / "docs" / "guard.md"):
        exec(block, space)
    assert 'the budget "support" is used up' in space["answer"]
    assert soon(lambda: standing(home, "support").held_nano == 0)
    assert 900_000_000 <= standing(home, "support").spent_nano <= 950_000_000


def test_the_page_lists_every_field_of_a_refusal(root: Path) -> None:
    page = (root / "docs" / "guard.md").read_text(encoding="utf-8")
    said = {name for name in Refusal.__slots__ if f"`{name}`" in page}
    assert set(Refusal.__slots__) - said <= {"currency", "said"}
