"""The counters are of one moment, whatever is posted while they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.house import House
from outlay.sources.facts import Batch, facts_of, outcomes_of


def one(number: int) -> Batch:
    row = {"fact_id": str(number), "source": "x", "start_ns": 1_764_000_000 * 10**9, "operation": "chat"}
    return Batch(facts_of([row]), outcomes_of([]), received=1)


def test_what_is_posted_while_the_counters_are_read_is_in_both_figures_or_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with House.open(tmp_path) as house:
        house.post_facts(one(1))
        read, more = house.books.metas, [one(2)]

        def and_then_the_clerk_posts() -> dict[str, int]:
            held = read()
            if more:  # once: whoever posts may read them too
                house.post_facts(more.pop())
            return held

        monkeypatch.setattr(house.books, "metas", and_then_the_clerk_posts)
        counters = house.counters()
        assert (counters["posted"], counters["waiting"]) == (1, 1)
        monkeypatch.undo()
        counters = house.counters()
        assert (counters["posted"], counters["waiting"]) == (2, 0)
