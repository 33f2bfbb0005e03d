"""docs/sdk.md and the README: every line of Python on them runs, and says to the books what the page says it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

import outlay
from sdk_facts import Fact, outcomes_in

Recorded = Callable[[], list[Fact]]


def blocks(page: Path) -> list[str]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [token.content for token in tokens if token.type == "fence" and token.info.strip() == "python"]


def agent(question: str) -> str:
    """The agent of whoever reads the page: it asks a model once."""
    outlay.usage("chat", provider="openai", model="gpt-4.1", input_tokens=1000, output_tokens=100)
    return f"an answer to {question}"


def test_the_quick_start_is_four_lines_and_runs(recorded: Recorded, spool: Path, root: Path) -> None:
    quick = blocks(root / "docs" / "sdk.md")[0]
    assert quick in blocks(root / "README.md")
    assert len([line for line in quick.splitlines() if line.strip()]) == 4
    exec(quick, {"agent": agent, "question": "why?"})
    facts = {fact["name"]: fact for fact in recorded()}
    assert {(fact["team"], fact["feature"], fact["user_tier"]) for fact in facts.values()} == {
        ("search", "answers", "pro")
    }
    assert facts["chat"]["input_tokens"] == 1000
    (outcome,) = outcomes_in(spool)
    assert (outcome["status"], outcome["value_nano"]) == ("done", 2_500_000_000)


def test_every_other_block_runs_too(recorded: Recorded, root: Path) -> None:
    space: dict[str, Any] = {"agent": agent, "question": "why?"}
    for block in blocks(root / "docs" / "sdk.md"):
        exec(block, space)
    facts = {fact["name"]: fact for fact in recorded()}
    assert facts["web search"]["units"] == {"web_searches": 1}
    assert facts["scanner"]["cost_nano"] == 300_000_000
    assert facts["writer"]["parent_session_id"] == facts["planner"]["session_id"]
    assert facts["writer"]["task_id"] == "ticket-17"
