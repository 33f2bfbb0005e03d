"""The tactical page over four weeks of an invented day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from faces.web.doubles import MEASURES, NOW, Miniature, work
from outlay.core.period import Grain
from outlay.faces.api.guard import Guard
from outlay.faces.web import pages
from outlay.faces.web.burn import short
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query, check

HOUR = NOW.replace(minute=0) - timedelta(hours=1)


def hours(days: int = 30, spike: str = "2") -> list[dict[str, Any]]:
    """One session an hour that costs two dollars; the last full hour costs `spike`."""
    rows: list[dict[str, Any]] = []
    for place in range(days * 24):
        began = HOUR - timedelta(hours=place)
        cost = spike if place == 0 else "2"
        rows.append(
            work(0, cost, session=f"s{place}", agent="kyc-agent", user_tier="pro", operation="chat") | {"time": began}
        )
    return rows


class Checked(Miniature):
    """Books whose guardrails rejected one check in four."""

    def ask(self, query: Query) -> Answer:
        if "tag.guardrail_verdict" in query.by:
            check(query)
            told = [
                {"tag.guardrail_verdict": verdict, "operations": count}
                for verdict, count in (("Block", 1), ("pass", 3))
            ]
            at: Mapping[str, str] = {"time": HOUR.replace(tzinfo=None).isoformat() + "Z"} if query.grain else {}
            return Answer({}, [{**row, **at} for row in told], {}, {})
        return super().ask(query)


def page_of(books: Miniature, **asked: str) -> str:
    browser = TestClient(
        Guard(Starlette(routes=pages.routes(books)), None, key_needed=False), base_url="http://127.0.0.1"
    )
    answer = browser.get("/tactical", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.text


def words_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOW.astimezone(tz)

    monkeypatch.setattr(pages, "datetime", Frozen)
    for name, text in (("error_rate", "0"), ("attributed_share", "1")):
        monkeypatch.setitem(MEASURES, name, lambda _, text=text: text)


def test_an_ordinary_hour_is_said_to_be_one() -> None:
    page = words_of(page_of(Checked(rows=hours())))
    assert "Nothing is out of line" in page
    assert "usual 1" in page
    assert "Guardrail rejections 25.0 %" in page
    assert "1 M/h ±0 % tokens; usual 1 M/h" in page
    assert "usual by 14:00 is $28.00" in page


def test_an_hour_far_above_its_band_is_a_numbered_finding_with_its_money() -> None:
    page = page_of(Checked(rows=hours(spike="40")))
    assert "1 out of line" in words_of(page)
    assert "kyc-onboarding burns far above its band" in page
    assert "+$38.00" in page
    assert 'href="#anomaly-1"' in page
    assert 'id="anomaly-1"' in page


def test_a_feature_of_two_teams_is_judged_by_what_both_cost() -> None:
    rows = [row | {"team": team} for row in hours(spike="40") for team in ("onboarding", "growth")]
    assert "+$76.00" in page_of(Checked(rows=rows))


def test_a_session_that_retries_again_and_again_loops() -> None:
    loop = [
        work(0.01, "1", "retries", session="loop", agent="kyc-agent", user_tier="pro", operation="chat")
        for _ in range(30)
    ]
    page = words_of(page_of(Checked(rows=[*hours(), *loop])))
    assert "kyc-onboarding loops" in page
    assert "1 session, 30 retries each" in page
    assert "looping" in page


def test_without_history_nothing_is_usual_and_nothing_is_empty() -> None:
    page = words_of(page_of(Checked(rows=hours(days=1))))
    assert "no usual yet" in page
    assert "Nothing is out of line" in page
    assert "Nothing is metered" in words_of(page_of(Checked(rows=[])))


def test_every_question_is_one_the_metrics_know_and_is_narrowed() -> None:
    books = Checked(rows=hours())
    page_of(books, team="onboarding")
    for query in books.asked:
        check(query)
    assert all(query.where for query in books.asked if query.by not in {("team",), ("environment",)})
    assert max(len(query.by) for query in books.asked) <= 4
    assert any(query.grain is Grain.HOUR for query in books.asked)


@pytest.mark.parametrize(("number", "words"), [(0, "0"), (850, "850"), (12_345, "12 k"), (3_400_000, "3.4 M")])
def test_tokens_are_short(number: int, words: str) -> None:
    assert short(number) == words
