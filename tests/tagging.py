"""A small home whose tags go wrong in every way there is, for tests of what is said about them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from normalizing import facts
from outlay.house import House
from outlay.sources.facts import OUTCOMES, Batch

POLICY = """\
[keys.team]
required = true
case = "lower"
allowed = ["search", "support"]
aliases = { "search team" = "search" }

[[owner]]
key = "team"
value = "search"
name = "Ann Lee"
contact = "ann@example.com"
"""

_COST = {"cost_nano": 10**9, "currency": "USD", "input_tokens": 5}


def troubled_facts() -> pa.Table:
    """Ten dollars: three tagged (one by its parent), one with a typo, six lost in five ways; one session quarrels."""
    return facts(
        {"team": "Search Team", "session_id": "S", "tree_id": "t1", "feature": "answers", **_COST},
        {"team": "serch", "session_id": "typo", **_COST},
        {"tree_id": "t2", "fact_id": "root", "team": "search", "operation": "agent", "session_id": "S"},
        {"tree_id": "t2", "parent_id": "root", **_COST},
        {"tree_id": "t3", "parent_id": "nowhere", "agent": "worker", **_COST},
        {"tree_id": "t4", "agent": "bot-1", **_COST},
        {"tree_id": "t5", "parent_session_id": "S", "session_id": "sub", "agent": "helper", **_COST},
        {"tree_id": "t6", "session_id": "q", "origin": "silent", **_COST},
        {"tree_id": "t7", "session_id": "k", **_COST},
        {"tree_id": "t8", "session_id": "quarrel", "team": "support", **_COST},
        {"tree_id": "t9", "session_id": "quarrel", "team": "search", **_COST},
    )


def troubled_home(home: Path) -> None:
    """The facts in the books of that home."""
    with House(home) as house:
        table = troubled_facts()
        house.post_facts(Batch(table, OUTCOMES.empty_table(), received=table.num_rows))
