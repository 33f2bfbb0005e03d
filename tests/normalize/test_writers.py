"""Whose facts a sender may write: other teams' are refused and counted, one's own and untagged ones go through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_wire import log, logs_request, request, span
from outlay.core.tagging import TagSource, sources_of
from outlay.normalize.spans import facts_of_spans
from outlay.normalize.writers import Sender, keep_permitted, permitted
from outlay.sources.facts import Batch, facts_of, outcomes_of
from outlay.sources.otlp import decode
from outlay.sources.otlp_logs import decode_logs
from outlay.sources.otlp_records import Decoded


def bodies(*teams: list[str | None], attribute: str = "outlay.team") -> Decoded:
    """One body for each list, one span for each team of it."""
    number, sent = 0, []
    for names in teams:
        spans = []
        for name in names:
            number += 1
            spans.append(span(number, {} if name is None else {attribute: name}))
        sent.append(request(spans).SerializeToString())
    return decode(sent, "protobuf")


def of(*teams: str) -> Sender:
    return Sender("collector", teams)


def teams_of(decoded: Decoded) -> list[str | None]:
    return facts_of_spans(decoded.rows).facts.column("team").to_pylist()


def test_each_body_is_judged_by_its_own_sender() -> None:
    decoded = bodies(["a", "b", "a"], ["b", "c"], ["a", "c"])
    decoded.rows = keep_permitted(decoded.rows, decoded.bodies, [of("a"), of("b", "c"), None])
    assert teams_of(decoded) == ["a", "a", "b", "c", "a", "c"]
    assert [report.refused for report in decoded.bodies] == [1, 0, 0]
    (problem,) = decoded.bodies[0].problems
    assert (problem.where, problem.hint) == ('team "b"', "this key may write: a")
    assert problem.what == "1 rows refused: the key may not write this team"


def test_the_only_team_of_a_sender_is_that_of_what_names_none() -> None:
    decoded = bodies(["a", None, "(untagged)", " "], [None], [None])
    decoded.rows = keep_permitted(decoded.rows, decoded.bodies, [of("a"), of("a", "b"), None])
    assert teams_of(decoded) == ["a", "a", "a", "a", None, None]
    assert not any(report.refused for report in decoded.bodies)


@pytest.mark.parametrize("attribute", ["outlay.team", "team", "team.id", "team.name"])
def test_every_spelling_of_a_team_is_judged(attribute: str) -> None:
    decoded = bodies(["a", "b"], attribute=attribute)
    decoded.rows = keep_permitted(decoded.rows, decoded.bodies, [of("a")])
    assert teams_of(decoded) == ["a"]


def test_a_team_on_the_resource_is_judged() -> None:
    sent = [request([span(1), span(2)], {"service.namespace": name}).SerializeToString() for name in ("a", "b")]
    decoded = decode(sent, "protobuf")
    decoded.rows = keep_permitted(decoded.rows, decoded.bodies, [of("a"), of("a")])
    assert teams_of(decoded) == ["a", "a"]
    assert decoded.bodies[1].refused == 2


def test_a_key_says_what_nothing_else_says() -> None:
    spans = [span(1, {"outlay.team": "a", "outlay.feature": " "}), span(2, {"outlay.customer": "acme"})]
    sent = [request(spans, {"outlay.team": "r"}).SerializeToString(), request([span(3)]).SerializeToString()]
    decoded = decode(sent, "protobuf")
    said = Sender("ci", tags={"team": "platform", "feature": "build"})
    decoded.rows = keep_permitted(decoded.rows, decoded.bodies, [said, None])
    facts = facts_of_spans(decoded.rows).facts.select(["team", "feature", "customer", "api_key", "tag_source"])
    one, two, three = facts.to_pylist()
    assert (one["team"], one["feature"], one["api_key"]) == ("a", "build", "ci")
    assert (two["team"], two["feature"], two["customer"], two["api_key"]) == ("r", "build", "acme", "ci")
    assert (three["team"], three["feature"], three["api_key"]) == (None, None, None)
    assert sources_of(one["tag_source"]) == {"feature": TagSource.API_KEY}
    assert sources_of(two["tag_source"]) == {"team": TagSource.RESOURCE, "feature": TagSource.API_KEY}


def test_no_attribute_can_pretend_to_be_said_by_a_key() -> None:
    sent = [request([span(1, {"sent_with.team": "forged", "sent_by": "root"})]).SerializeToString()]
    decoded = decode(sent, "protobuf")
    rows = keep_permitted(decoded.rows, decoded.bodies, [None])
    (fact,) = facts_of_spans(rows).facts.to_pylist()
    assert (fact["team"], fact["api_key"]) == (None, None)


def test_a_batch_says_what_its_key_says_and_keeps_who_said_it() -> None:
    rows = [
        {"fact_id": name, "source": "x", "start_ns": 10**18, "operation": "chat", "team": team}
        for name, team in (("1", None), ("2", "search"))
    ]
    outcome = {"outcome_id": "1", "task_id": "1", "status": "done", "at_ns": 1, "source": "x"}
    kept = permitted(Batch(facts_of(rows), outcomes_of([outcome]), received=3), Sender("ci", tags={"team": "platform"}))
    assert kept.facts.column("team").to_pylist() == ["platform", "search"]
    assert kept.facts.column("api_key").to_pylist() == ["ci", "ci"]
    sources = [sources_of(value) for value in kept.facts.column("tag_source").to_pylist()]
    assert sources == [{"team": TagSource.API_KEY}, {}]
    assert kept.outcomes.column("team").to_pylist() == ["platform"]


def test_a_batch_of_facts_spans_and_outcomes_is_judged() -> None:
    facts = facts_of(
        [{"fact_id": name, "source": "x", "start_ns": 10**18, "operation": "chat", "team": name} for name in "ab"]
    )
    outcomes = outcomes_of(
        [
            {"outcome_id": name, "task_id": name, "status": "done", "at_ns": 1, "source": "x", "team": name}
            for name in "ab"
        ]
    )
    kept = permitted(Batch(facts, outcomes, received=4), of("a"))
    assert kept.facts.column("team").to_pylist() == ["a"]
    assert kept.outcomes.column("team").to_pylist() == ["a"]
    assert (kept.received, kept.refused, len(kept.problems)) == (4, 2, 2)
    spans = bodies(["a", "b", None]).rows
    kept = permitted(Batch(facts_of([]), outcomes_of([]), received=3, spans=spans), of("a"))
    assert kept.spans is not None
    assert facts_of_spans(kept.spans).facts.column("team").to_pylist() == ["a", "a"]
    assert (kept.refused, len(kept.problems)) == (1, 1)


@given(st.lists(st.sampled_from(["a", "b", "c", " a ", None]), min_size=1, max_size=20), st.sampled_from(["a", "ab"]))
def test_nothing_foreign_goes_through_and_nothing_else_is_lost(teams: list[str | None], own: str) -> None:
    decoded = bodies(teams)
    decoded.rows = keep_permitted(decoded.rows, decoded.bodies, [of(*own)])
    stated = [(team or "").strip() for team in teams]
    refused = sum(team not in {"", *own} for team in stated)
    assert decoded.bodies[0].refused == refused
    assert decoded.rows.num_rows == len(teams) - refused
    assert {(team or "").strip() for team in teams_of(decoded)} <= {"", *own}


def test_logs_are_judged_like_spans() -> None:
    record = log("claude_code.api_request", {"model": "m", "input_tokens": 5, "team": "b"})
    decoded = decode_logs([logs_request([record]).SerializeToString()], "protobuf")
    assert decoded.rows.num_rows == 1
    kept = keep_permitted(decoded.rows, decoded.bodies, [of("a")])
    assert kept.num_rows == 0
    assert decoded.bodies[0].refused == 1
