"""The page of prices, over the real book."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from faces.web.doubles import Miniature
from faces.web.visiting import send, visitor
from many_facts import batch_of, many_calls
from outlay.faces.api.guard import Guard
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web import pages
from outlay.house import House
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


# ---- forms ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Books with one call of a deployment nobody knows."""
    with House.open(tmp_path / "home") as opened:
        began = datetime.now(UTC) - timedelta(hours=1)
        opened.post_facts(batch_of(many_calls(1, began, model_requested="my-deployment", provider="azure")))
        opened.intake.settle()
        yield opened


def actions(house: House) -> list[tuple[str, str]]:
    lines = ControlDesk(house.control, "test").audit({})["rows"]
    return [(line["action"], line["actor"]) for line in lines if line["action"].startswith("price.")]


def test_a_price_is_written_a_deployment_named_and_a_period_valued_again_from_the_page(house: House) -> None:
    client = visitor(house, "finops")
    assert "my-deployment" in words_of(client.get("/prices").text)
    wrote = send(client, "/prices", do="add", model="own-model", provider="azure", input="3 per 1M", output="9 per 1M")
    assert (wrote.status_code, wrote.headers["location"]) == (303, "/prices?model=own-model&provider=azure")
    assert "$3.00 per 1M tokens" in words_of(client.get(wrote.headers["location"]).text)
    named = send(client, "/prices", do="alias", model="my-deployment", provider="azure", to="own-model")
    assert named.status_code == 303
    again = send(client, "/prices", do="reprice", since="", until="")
    assert again.status_code == 200
    told = re.search(r"Valued again\. (.*? no price\.)", words_of(again.text).replace("  ", " "))
    assert told is not None
    assert told[1] == "1 of 1 usages changed: $0.00 known before, $0.004 now; 0 still have no price."
    assert "Every usage in these books has a price" in client.get("/prices").text
    assert actions(house) == [
        ("price.override", "key:finops"),
        ("price.alias", "key:finops"),
        ("price.reprice", "key:finops"),
    ]


def test_a_price_that_is_none_is_refused_with_what_was_typed(house: House) -> None:
    client = visitor(house)
    answer = send(client, "/prices", do="add", model="mine", input="three per 1M")
    assert answer.status_code == 400
    assert "three per 1M" in answer.text
    assert 'value="mine"' in answer.text
    assert send(client, "/prices", do="sell").status_code == 400
    assert send(client, "/prices", do="reprice", since="someday").status_code == 400
    assert actions(house) == []


def test_who_may_not_govern_has_no_form_and_is_refused(house: House) -> None:
    client = visitor(house, "viewer")
    assert 'action="/prices"' not in client.get("/prices").text.replace('method="get" action="/prices"', "")
    assert send(client, "/prices", do="add", model="mine", input="3 per 1M").status_code == 403
    assert actions(house) == []


def test_a_forged_form_changes_nothing(house: House) -> None:
    client = visitor(house)
    client.get("/prices")
    forged = client.post("/prices", data={"do": "add", "model": "mine", "input": "3 per 1M", "form_token": "x" * 43})
    assert forged.status_code == 403
    assert actions(house) == []
