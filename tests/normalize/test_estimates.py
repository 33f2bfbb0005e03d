"""Estimated usage: what it counts as, and that a stated usage of the same answer takes its place."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from normalizing import clean, resolved

ANSWER = "chatcmpl-BqX0aZ81kLmN"
OTHER = "chatcmpl-CCCCaZ81kLmN"
CALL = {"input_tokens": 100, "output_tokens": 10}


def counted(*rows: dict[str, Any]) -> set[str]:
    """The facts that count."""
    return {name for name, answer in resolved(*rows).items() if answer["counted"]}


class TestEstimates:
    """A stream that was cut is estimated by whoever cut it; a gateway may know its end, and tell before or after."""

    CUT: ClassVar[dict[str, Any]] = {
        "fact_id": "cut",
        "response_id": ANSWER,
        "failed": True,
        "error_type": "closed_early",
        "input_tokens": 500,
        "output_tokens": 90,
        "basis": "estimated",
    }

    @pytest.mark.parametrize("signal", ["log", "span", "file"])
    @pytest.mark.parametrize("cut_first", [True, False])
    def test_what_was_stated_counts_whichever_is_larger_or_came_first(self, signal: str, cut_first: bool) -> None:
        told = {"fact_id": "told", "response_id": ANSWER, "signal": signal, **CALL}
        assert counted(*([self.CUT, told] if cut_first else [told, self.CUT])) == {"told"}

    def test_alone_it_counts_as_what_a_failed_attempt_cost(self) -> None:
        found = resolved(self.CUT, {"fact_id": "again", "response_id": OTHER, **CALL})
        assert {name for name, answer in found.items() if answer["counted"]} == {"cut", "again"}
        assert found["cut"]["centre"] == "retries"

    def test_a_failed_attempt_that_estimates_nothing_is_still_known_by_its_own_id_only(self) -> None:
        failed = {"fact_id": "failed", "response_id": ANSWER, "failed": True, "input_tokens": 7}
        assert counted(failed, {"fact_id": "again", "response_id": ANSWER, **CALL}) == {"failed", "again"}

    @pytest.mark.parametrize("basis", ["estimated", "estimated input", "estimated output"])
    def test_an_estimate_counts_the_cache_as_a_part_of_the_input(self, basis: str) -> None:
        done = clean({"input_tokens": 100, "cache_read_tokens": 40, "output_tokens": 5, "basis": basis})
        (row,) = done.usages.to_pylist()
        assert (row["basis"], row["in_uncached"], row["in_cache_read"]) == (basis, 60, 40)
