"""More features than anybody can list: views, lists and choosers stay short, and what they leave out is counted.

A hundred and thirty thousand of them here: beyond 122,880 groups the engine works in another way, and once waited for
ever on itself. A million with OUTLAY_HYPOTHESIS=thorough, which takes a minute.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from many_facts import batch_of, many_calls, many_names
from outlay.core.money import nano_of
from outlay.faces.api.app import build_app
from outlay.faces.desk import HouseDesk
from outlay.faces.web.pages import routes
from outlay.house import House
from outlay.ledger.duckdb_snapshot import Snapshot
from outlay.metrics.values import VALUES_MAX

FEATURES = 1_000_000 if os.environ.get("OUTLAY_HYPOTHESIS") == "thorough" else 130_000
AT_ONCE = 100_000
PAGE_BYTES_MAX = 60 * 1024
ROWS_MAX = 12_000
"""Rows one statement may read out: hours of four weeks for the features of one chart."""
PAGES = ("/overview", "/tactical", "/strategic", "/executive", "/sessions", "/tags", "/targets", "/prices", "/budgets")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    began = datetime.now(UTC) - timedelta(hours=2)
    with House.open(tmp_path_factory.mktemp("home")) as house:
        names = many_names("feature", FEATURES)
        for first in range(0, FEATURES, AT_ONCE):
            part = names.slice(first, AT_ONCE)
            calls = many_calls(len(part), began, first=first, feature=part, session_id=part, team="all of them")
            assert house.post_facts(batch_of(calls)).posted == len(part)
        house.intake.settle()
        yield house


@pytest.fixture
def browser(house: House) -> TestClient:
    return TestClient(build_app(house, routes(house)), base_url="http://127.0.0.1")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_stays_short_and_reads_little(browser: TestClient, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_out: list[int] = []
    rows, records = Snapshot.rows, Snapshot.records

    def counted_rows(self: Snapshot, sql: str, parameters: tuple[object, ...] = ()) -> pa.Table:
        table = rows(self, sql, parameters)
        read_out.append(table.num_rows)
        return table

    def counted_records(self: Snapshot, sql: str, parameters: tuple[object, ...] = ()) -> list[dict[str, object]]:
        found = records(self, sql, parameters)
        read_out.append(len(found))
        return found

    monkeypatch.setattr(Snapshot, "rows", counted_rows)
    monkeypatch.setattr(Snapshot, "records", counted_records)
    page = browser.get(path)
    assert page.status_code == 200
    assert len(gzip.compress(page.content)) <= PAGE_BYTES_MAX
    assert max(read_out, default=0) <= ROWS_MAX


def test_what_a_list_leaves_out_is_counted(house: House) -> None:
    desk = HouseDesk(house)
    reply = desk.spend({"by": ["feature"], "measures": ["cost", "usages"], "top": ["10"]})
    assert len(reply["rows"]) == 11
    assert reply["rows"][-1]["feature"] == "(other)"
    assert sum(nano_of(row["cost"]) for row in reply["rows"]) == nano_of(reply["total"]["cost"])
    assert sum(row["usages"] for row in reply["rows"]) == reply["total"]["usages"] == FEATURES


def test_a_chooser_is_a_field_to_type_in_that_offers_the_first_values(browser: TestClient) -> None:
    page = browser.get("/sessions").text
    assert '<input type="search" name="feature"' in page
    assert page.count('<option value="feature-') == VALUES_MAX
    assert '<select name="team">' in page


def test_a_value_that_is_none_is_said_with_what_is_like_it(browser: TestClient) -> None:
    page = browser.get("/sessions?feature=URE-1999&order=retries").text
    assert "No feature is called <b>URE-1999</b>" in page
    assert '<a href="/sessions?feature=feature-1999&amp;order=retries">feature-1999</a>' in page
    assert "No feature" not in browser.get("/sessions?feature=feature-19999").text
    assert "No feature is called <b>&lt;b&gt;</b>." in browser.get("/overview?feature=<b>").text
