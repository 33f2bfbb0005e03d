"""The page as a reader gets it: its states, its figures, its manners."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from faces.web.doubles import MEASURES, NOW, Miniature, company, work
from outlay.core.errors import StoreBusyError
from outlay.faces import formats
from outlay.faces.api.guard import Guard
from outlay.faces.web import pages
from outlay.faces.web.rendering import asset
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query, check


class Frozen(datetime):
    """A clock that stands at the moment of the miniature company."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return NOW.astimezone(tz)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "datetime", Frozen)


def client(books: Miniature) -> TestClient:
    return TestClient(Guard(Starlette(routes=pages.routes(books)), None, key_needed=False), base_url="http://127.0.0.1")


def text_of(books: Miniature, **parameters: str) -> str:
    answer = client(books).get("/overview", params=parameters)
    assert answer.status_code == 200
    return answer.text


def words_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


class Outline(HTMLParser):
    """Collects what an accessibility rule asks about."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Mapping[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[Mapping[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def outline(html: str) -> Outline:
    told = Outline()
    told.feed(html)
    return told


def test_the_figures_are_the_answers_own() -> None:
    books = Miniature()
    page = words_of(text_of(books))
    total = next(
        {name: MEASURES[name]([row for row in books.rows if (NOW - row["time"]).days < 30]) for name in query.measures}
        for query in books.asked
        if "outcome_value" in query.measures
    )
    for name in ("cost", "inference_cost", "cost_per_completed_task", "outcome_value"):
        assert formats.money(str(total[name])) in page, name
    for name in ("hidden_share", "retry_share", "retrieval_share", "completion_rate"):
        assert formats.share(str(total[name])) in page, name
    assert formats.multiple(str(total["full_cost_multiple"])) in page
    assert "teams and cost centres add up to the full cost" in page


def test_every_question_is_one_the_metrics_know() -> None:
    books = Miniature()
    for window in ("24h", "7d", "30d", "90d", "13m"):
        text_of(books, period=window, team="onboarding", environment="production", feature="kyc-onboarding")
    assert len(books.asked) >= 5 * 17
    for query in books.asked:
        check(query)


def test_the_choice_narrows_every_question() -> None:
    books = Miniature()
    text_of(books, team="documents")
    assert all(any(item.dimension == "team" for item in query.where) for query in books.asked)


def test_sums_that_do_not_meet_are_said() -> None:
    class Leaking(Miniature):
        def ask(self, query: Query) -> Answer:
            answer = super().ask(query)
            if query.by == ("team", "centre"):
                answer.rows.pop()
            return answer

    assert "sums differ by −" in text_of(Leaking())


def test_empty_books_show_the_one_command_that_fills_them() -> None:
    page = text_of(Miniature(rows=[], through=""))
    assert "outlay demo" in page
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in page
    assert "nothing metered yet" in page
    assert "$0" not in words_of(page)


def test_a_quiet_period_is_not_an_empty_house() -> None:
    page = text_of(Miniature(rows=[work(200, "5")]))
    assert "Nothing happened in the last 30 days" in page
    assert "period=13m" in page


def test_a_period_without_an_earlier_one_says_so() -> None:
    page = words_of(text_of(Miniature(), period="13m"))
    assert "nothing is known of the time before" in page
    assert "no earlier" in page


def test_partial_figures_carry_a_banner_with_the_share() -> None:
    coverage = {
        "unpriced_usages": 881,
        "unpriced_models": [{"model": "ft:gpt-4.1-mini:lumen", "usages": 881, "tokens": 5}],
        "attributed_share": "0.963",
        "untagged_cost": {"team": "980.4"},
        "orchestration_gap": True,
    }
    page = words_of(text_of(Miniature(coverage=coverage)))
    assert "881 usages have no price and are not in these sums" in page
    assert "ft:gpt-4.1-mini:lumen" in page
    assert "$980 carries no team tag (3.7 % of full cost)" in page
    assert "no rate card is configured" in page


def test_unknown_figures_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cost", "cost_per_completed_task", "hidden_share", "retry_share", "full_cost_multiple"):
        monkeypatch.setitem(MEASURES, name, lambda _: None)
    page = words_of(text_of(Miniature()))
    assert "(unpriced)" in page
    assert "unknown" in page
    assert "None" not in page
    assert "the sums cannot be checked where amounts are unknown" in page


def test_without_outcomes_nothing_is_divided() -> None:
    page = words_of(text_of(Miniature(rows=[work(1, "5"), work(2, "3", "tools")])))
    assert "No task was reported as completed" in page
    assert "no task" in page


@pytest.mark.parametrize(
    ("through", "tone", "words"),
    [
        ("2026-11-23T14:50:00Z", "good", "metered through 14:50"),
        ("2026-11-23T11:00:00Z", "stale", "last fact 11:00"),
        ("2026-11-20T11:00:00Z", "stale", "last fact 20 Nov 11:00"),
    ],
)
def test_the_dot_says_how_fresh_the_books_are(through: str, tone: str, words: str) -> None:
    page = text_of(Miniature(through=through))
    assert f'class="fresh {tone}"' in page
    assert words in page


def test_a_wrong_period_is_a_page_that_says_the_way_out() -> None:
    answer = client(Miniature()).get("/overview", params={"period": "30days"})
    assert answer.status_code == 400
    assert "no period is called" in answer.text
    assert "30d" in answer.text


def test_an_error_of_the_store_says_what_still_works() -> None:
    class Busy(Miniature):
        def ask(self, query: Query) -> Answer:
            raise StoreBusyError("the books are being rebuilt", hint="try again in a minute")

    answer = client(Busy()).get("/overview")
    assert answer.status_code == 503
    for words in ("the books are being rebuilt", "try again in a minute", "Asked at 14:52:00 UTC", "/v1/traces"):
        assert words in answer.text
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "Bücher & Söhne", 'the "best" team', "🤖🧾", "a" * 256]
)
def test_foreign_names_are_shown_and_never_run(name: str) -> None:
    rows = [row | {"team": name, "feature": name, "session": name, "environment": name} for row in company()]
    page = text_of(Miniature(rows=rows))
    assert "<img src=x" not in page
    told = outline(page)
    assert [tag.get("src") for tag in told.all("img")] == [pages.asset_path("outlay.svg")]
    assert not any(key.startswith("on") for _, attributes in told.found for key in attributes)
    assert told.all("script") == [{"src": pages.asset_path("outlay.js"), "defer": None}]


def test_tables_have_captions_and_scopes_and_charts_have_words() -> None:
    told = outline(text_of(Miniature()))
    assert len(told.all("table")) == len(told.all("caption")) == 4
    assert all(cell.get("scope") in {"col", "row"} for cell in told.all("th"))
    for drawing in told.all("svg"):
        assert drawing.get("aria-hidden") == "true" or drawing.get("aria-label")
    assert told.all("html") == [{"lang": "en"}]
    assert [len(told.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    assert all(field.get("name") for field in told.all("select"))
    assert told.all("form")[0]["method"] == "get"


def test_nothing_foreign_is_loaded_and_nothing_runs_inline() -> None:
    answer = client(Miniature()).get("/overview")
    told = outline(answer.text)
    sources = [tag.get("src") or tag.get("href") for kind in ("script", "link", "img") for tag in told.all(kind)]
    assert all(source and source.startswith("/static/") for source in sources)
    assert not told.all("style")
    assert not any(key.startswith("on") for _, attributes in told.found for key in attributes)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "'unsafe-inline'" not in policy.replace("style-src-attr 'unsafe-inline'", "")
    assert answer.headers["cache-control"] == "no-store"


def test_files_carry_their_content_in_their_name_and_are_kept() -> None:
    with client(Miniature()) as browser:
        for name, kind in pages.ASSETS.items():
            answer = browser.get(pages.asset_path(name))
            assert answer.status_code == 200
            assert answer.headers["content-type"] == kind
            assert "immutable" in answer.headers["cache-control"]
        assert browser.get("/static/outlay-0000000000.css").status_code == 404


def test_the_script_is_small() -> None:
    assert len(asset("outlay.js").decode().splitlines()) <= 40


def test_a_page_weighs_little() -> None:
    import gzip

    assert len(gzip.compress(text_of(Miniature()).encode())) < 20_000


def test_the_shares_beside_the_chart_are_those_of_a_week_that_is_over() -> None:
    books = Miniature()
    page = text_of(books)
    assert "the shares are those of W47" in page
    week = [row for row in books.rows if 16 <= row["time"].day < 23 and row["time"].month == 11]
    part = sum((row["cost"] for row in week if row["centre"] == "retries"), Decimal(0))
    whole = sum((row["cost"] for row in week), Decimal(0))
    assert f"<b>{formats.share(str(part / whole))}</b> Retries" in page


def test_money_in_the_chart_is_money_in_the_table() -> None:
    books = Miniature()
    page = text_of(books)
    last_week = [row for row in books.rows if row["time"] >= datetime(2026, 11, 23, tzinfo=NOW.tzinfo)]
    assert f"W48, from 23 Nov: {formats.money(str(sum((row['cost'] for row in last_week), Decimal(0))))}" in page
