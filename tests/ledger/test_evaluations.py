"""Evaluations that come as OTel log records find the task they judge: by the span they stand in, or by the answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import pytest

from otlp_wire import START_NS, log, logs_request, request, span
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.journal import Entry
from outlay.ledger.posting import Clerk
from outlay.ledger.settling import settle
from outlay.ledger.signals import WAYS, Signal, post_entry
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules, parse_rules
from outlay.pricing.book import PriceBook

TRACE, OTHER = b"t" * 16, b"o" * 16
SCOPE = ("opentelemetry.instrumentation.openai_v2", "2.3b0")
Body = tuple[Signal, bytes]


def answer(number: int, session: str, **said: object) -> Any:
    """A call of a session; two sessions share one trace, as under a batch job."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4.1", "session.id": session}
    attributes |= {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
    return span(number, attributes | {"gen_ai.response.id": f"chatcmpl-{number:016d}"} | said, trace_id=TRACE)


CALLS: Body = (
    "traces",
    request([answer(1, "first"), answer(2, "second")], {"outlay.feature": "kyc"}).SerializeToString(),
)


def evaluation(said: dict[str, object], **place: object) -> Body:
    record = log("", {"gen_ai.evaluation.name": "task success"} | said, event_name="gen_ai.evaluation.result", **place)
    return "logs", logs_request([record], {"service.name": "judge"}, SCOPE).SerializeToString()


def tasks(bodies: Sequence[Body], rules: OutcomeRules = DEFAULT_RULES) -> dict[str, tuple[str, str]]:
    """Task → status and feature, after these bodies in this order."""
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, PriceBook.load(None), rules)
        for number, (signal, body) in enumerate(bodies, 1):
            decoded = WAYS[signal].decode([body], "protobuf")
            assert not decoded.bodies[0].problems
            post_entry(clerk, Entry(number, WAYS[signal].kind, time.time_ns(), decoded.rows))
            settle(books)
        rows = books.rows("SELECT task_id, status, feature FROM outcomes WHERE current").to_pylist()
        assert books.meta("received") == books.meta("posted") + books.meta("duplicates") + books.meta("refused")
        return {row["task_id"]: (row["status"], row["feature"]) for row in rows}
    finally:
        books.close()


DONE, FAILED = {"gen_ai.evaluation.score.label": "pass"}, {"gen_ai.evaluation.score.value": 0.0}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_span_in_which_it_is_written_says_whose_it_is(order: tuple[int, ...]) -> None:
    bodies = [
        CALLS,
        evaluation(FAILED, trace_id=TRACE, span_id=(2).to_bytes(8, "big")),
        evaluation(DONE, trace_id=TRACE, span_id=(1).to_bytes(8, "big"), time_unix_nano=START_NS + 9),
    ]
    assert tasks([bodies[place] for place in order]) == {"first": ("done", "kyc"), "second": ("failed", "kyc")}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_without_a_span_the_answer_says_whose_it_is(order: tuple[int, ...]) -> None:
    """A judge that runs later, in a trace of its own or in none, knows the id of the answer it judged."""
    bodies = [
        CALLS,
        evaluation(FAILED | {"gen_ai.response.id": f"chatcmpl-{2:016d}"}),
        evaluation(DONE | {"gen_ai.response.id": f"chatcmpl-{1:016d}"}, trace_id=OTHER, span_id=(9).to_bytes(8, "big")),
    ]
    assert tasks([bodies[place] for place in order]) == {"first": ("done", "kyc"), "second": ("failed", "kyc")}


def test_a_session_of_its_own_word_wins_and_rules_of_the_home_hold() -> None:
    said: dict[str, object] = {"gen_ai.evaluation.name": "Helpfulness", "gen_ai.evaluation.score.value": 0.7}
    stated = evaluation(said | {"session.id": "second"}, trace_id=TRACE, span_id=(1).to_bytes(8, "big"))
    assert tasks([CALLS, stated]) == {}
    rules = parse_rules({"evaluation": [{"name": "helpfulness", "done_from": 0.6}]})
    assert tasks([CALLS, stated], rules) == {"second": ("done", "kyc")}
