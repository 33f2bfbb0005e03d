"""Which usage was primary work and which is what failure cost: centre and reason, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from normalizing import usage
from outlay.core.centre import CENTRE_OF, Operation
from outlay.normalize.attempts import REJECTED, bare_finish

CHAT = {"input_tokens": 100, "output_tokens": 10}


def judged(**fact: Any) -> tuple[str, str]:
    row = usage(**fact)
    return row["centre"], row["reason"]


@pytest.mark.parametrize("operation", Operation)
def test_what_went_well_lies_where_its_operation_lies(operation: Operation) -> None:
    assert judged(operation=operation.value) == (CENTRE_OF[operation].value, "")


class TestRetries:
    def test_a_failure_says_its_error(self) -> None:
        assert judged(failed=True, error_type="rate_limit_exceeded") == ("retries", "failed: rate_limit_exceeded")

    def test_a_failure_without_a_word(self) -> None:
        assert judged(failed=True) == ("retries", "failed")

    @pytest.mark.parametrize(
        "operation", ["embedding", "tool", "guardrail", "retrieval", "rerank", "evaluation", "memory"]
    )
    def test_whatever_it_was(self, operation: str) -> None:
        assert judged(operation=operation, failed=True, error_type="timeout") == ("retries", "failed: timeout")

    def test_money_for_nothing(self) -> None:
        told = {"input_tokens": 913_414, "output_tokens": 0, "cost_nano": 2_740_242_000}
        assert judged(**told) == ("retries", "no output")

    def test_an_output_nobody_stated_is_not_nothing(self) -> None:
        assert judged(input_tokens=100) == ("inference", "")

    def test_a_metric_states_one_side_at_a_time(self) -> None:
        assert judged(input_tokens=100, output_tokens=0, signal="metric") == ("inference", "")

    def test_thoughts_are_output(self) -> None:
        assert judged(scope_name="gemini-cli", input_tokens=9, output_tokens=0, reasoning_tokens=4) == ("inference", "")

    def test_an_embedding_has_no_output(self) -> None:
        assert judged(operation="embedding", input_tokens=100, output_tokens=0) == ("retrieval", "")

    def test_the_emitter_says_so(self) -> None:
        assert judged(**CHAT, retry_reason="content retry") == ("retries", "said by emitter: content retry")

    @pytest.mark.parametrize("finish", sorted(REJECTED))
    def test_an_answer_nobody_could_use(self, finish: str) -> None:
        assert judged(**CHAT, finish_reason=finish.upper()) == ("retries", f"rejected: {finish}")

    @pytest.mark.parametrize("finish", ["stop", "length", "tool_calls", "end_turn", "", None])
    def test_an_answer_one_can_use(self, finish: str | None) -> None:
        assert judged(**CHAT, finish_reason=finish) == ("inference", "")

    def test_a_failure_outranks_every_other_word(self) -> None:
        told = {"input_tokens": 9, "output_tokens": 0, "retry_reason": "again", "finish_reason": "error"}
        assert judged(**told, failed=True, error_type="timeout") == ("retries", "failed: timeout")
        assert judged(**told) == ("retries", "said by emitter: again")


class TestPrimary:
    def test_the_attempt_that_succeeds_is_the_work(self) -> None:
        assert judged(**CHAT, attempt=3) == ("inference", "")

    @pytest.mark.parametrize("operation", ["agent", "workflow", "step"])
    def test_structure_is_never_a_retry_itself(self, operation: str) -> None:
        assert judged(operation=operation, failed=True, error_type="timeout", retry_reason="x") == ("orchestration", "")

    def test_tokens_stated_only_on_an_agent_are_model_work(self) -> None:
        row = usage(operation="agent", **CHAT)
        assert (row["centre"], row["aggregate"], row["bears"]) == ("inference", True, True)


def test_content_in_an_error_type_goes_nowhere() -> None:
    row = usage(failed=True, error_type="the prompt was: " + "secret " * 60)
    assert (row["error_type"], row["reason"]) == ("", "failed")


@pytest.mark.parametrize(
    ("said", "bare"), [('["error"]', "error"), ("['stop', 'error']", "stop"), (" SAFETY ", "safety"), ("", "")]
)
def test_finish_reasons_are_read_out_of_their_wrapping(said: str, bare: str) -> None:
    assert bare_finish(said) == bare
