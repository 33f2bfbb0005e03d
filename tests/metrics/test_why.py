"""Why a session is dear."""

from __future__ import annotations

from datetime import timedelta

from metrics.books import DAY, Books, usage
from outlay.metrics.session import session_detail
from outlay.metrics.why import REASONS_MAX, ReasonKind


def chat(cost: int, place: int, tokens: int = 100, **stated: object) -> dict[str, object]:
    at = {"time": DAY + timedelta(seconds=place), "session_id": "s", "model_id": "m", "feature": "kyc"}
    return usage(cost, **{**at, "in_uncached": tokens, **stated})


def test_the_usual_cost_is_that_of_the_feature_before_this_session() -> None:
    others = [usage(10, session_id=f"o{place}", feature="kyc") for place in range(3)]
    detail = session_detail(Books([chat(70, 1), *others]), "s")
    assert detail.usual_cost_nano == 10
    assert session_detail(Books([chat(70, 1, feature="(untagged)")]), "s").usual_cost_nano is None


def test_retries_and_compute_come_before_the_model_and_say_how_many() -> None:
    books = Books(
        [
            chat(40, 1),
            chat(30, 2, centre="retries"),
            chat(20, 3, centre="retries"),
            chat(15, 4, operation="runtime", centre="orchestration", model_id="", in_uncached=0),
        ]
    )
    reasons = session_detail(books, "s").reasons
    assert [(reason.kind, reason.amount_nano, reason.count) for reason in reasons] == [
        (ReasonKind.RETRIES, 50, 2),
        (ReasonKind.COMPUTE, 15, 1),
        (ReasonKind.MODEL, 90, 3),
    ]


def test_a_context_that_grows_threefold_is_a_reason_and_twofold_is_not() -> None:
    grown = session_detail(Books([chat(10, 1, 100), chat(40, 2, 400)]), "s").reasons
    assert (ReasonKind.CONTEXT, 30, 100, 400) in [(r.kind, r.amount_nano, r.first, r.last) for r in grown]
    steady = session_detail(Books([chat(10, 1, 100), chat(20, 2, 200)]), "s").reasons
    assert ReasonKind.CONTEXT not in {reason.kind for reason in steady}


def test_a_tool_that_ran_often_is_a_reason_and_a_child_s_cost_is_told_apart() -> None:
    tools = [chat(5, place, model_id="", operation="tool", centre="tools", name="crawl") for place in range(6)]
    books = Books([*tools, chat(5, 9), usage(9, session_id="child", parent_session_id="s")])
    reasons = session_detail(books, "s").reasons
    assert [(reason.kind, reason.amount_nano, reason.count, reason.name) for reason in reasons] == [
        (ReasonKind.REPEATED, 30, 6, "crawl"),
        (ReasonKind.CHILDREN, 9, 0, ""),
        (ReasonKind.MODEL, 5, 1, "m"),
    ]


def test_what_is_not_counted_or_small_or_unpriced_is_no_reason() -> None:
    books = Books([chat(100, 1), chat(50, 2, centre="retries", counted=False), chat(5, 3, centre="retries")])
    assert {reason.kind for reason in session_detail(books, "s").reasons} == {ReasonKind.MODEL}
    assert session_detail(Books([chat(None, 1)]), "s").reasons == ()  # type: ignore[arg-type]
    assert REASONS_MAX == 4
