"""The page of prices, over the real book."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from faces.web.doubles import Miniature
from outlay.faces.api.guard import Guard
from outlay.faces.web import pages
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query, check
from outlay.pricing.book import PriceBook

ROWS: list[Mapping[str, Any]] = [
    {"provider": "openai", "model_raw": "ft:mine; rm -rf", "unpriced_usages": 7, "unpriced_tokens": 1_234},
    {"provider": "openai", "model_raw": "gpt-5.4", "unpriced_usages": 0, "unpriced_tokens": 0},
]


class Priced(Miniature):
    """Books whose usages of one model have no price."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.prices = PriceBook.load(folder)

    def ask(self, query: Query) -> Answer:
        check(query)
        if "unpriced_usages" in query.measures:
            return Answer({}, [dict(row) for row in ROWS], {}, {})
        return Answer({}, [{"model": "<b>o3</b>", "provider": "openai", "cost": "9.5", "total_tokens": 5}], {}, {})


@pytest.fixture
def books(tmp_path: Path) -> Priced:
    return Priced(tmp_path)


def page_of(books: Priced, **asked: str) -> str:
    browser = TestClient(
        Guard(Starlette(routes=pages.routes(books)), None, key_needed=False), base_url="http://127.0.0.1"
    )
    answer = browser.get("/prices", params=asked)
    assert answer.status_code == 200
    return answer.text


def words_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_a_model_without_a_price_stands_there_with_the_command_that_mends_it(books: Priced) -> None:
    page = page_of(books)
    assert "outlay prices add --provider openai --model &#39;ft:mine; rm -rf&#39;" in page
    assert "7 1,234" in words_of(page)
    assert "&lt;b&gt;o3&lt;/b&gt;" in page
    assert "<b>o3" not in page


def test_a_model_shows_what_is_charged_today_and_what_was_charged_before(books: Priced) -> None:
    page = words_of(page_of(books, model="o3", provider="openai"))
    assert "$2.00 per 1M tokens" in page
    assert "What was charged over time" in page
    assert "$10.00 per 1M tokens" in page


def test_an_own_price_is_in_force_and_names_its_source(books: Priced) -> None:
    books.prices.add_override({"provider": "openai", "model": "mine", "input": "3 per 1M", "source": "a letter"})
    page = words_of(page_of(books, model="mine", provider="openai"))
    assert "$3.00 per 1M tokens" in page
    assert "a letter" in page


def test_a_model_nobody_prices_is_unpriced_and_never_zero(books: Priced) -> None:
    page = words_of(page_of(books, model="nobody-knows-it", provider="openai"))
    assert "(unpriced)" in page
    assert "per 1M tokens" not in page
