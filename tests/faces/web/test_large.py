"""What grows without end: a session of 200 000 steps and more features than anybody can list, over real books."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from many_facts import batch_of, many_calls, many_keys
from outlay.core.money import nano_of
from outlay.faces import formats
from outlay.faces.api.app import build_app
from outlay.faces.desk import HouseDesk
from outlay.faces.web.pages import routes
from outlay.faces.web.steps import STEPS_SHOWN
from outlay.house import House
from outlay.ledger.duckdb_snapshot import Snapshot
from outlay.metrics.relatives import BRANCHES_MAX
from outlay.metrics.steps import STEPS_LISTED

STEPS = 200_000
AGENTS = 500
CHILDREN = 3_000
CHARGES_A_STEP = 2
PAGE_BYTES_MAX = 60 * 1024
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
WHOSE = {"team": "research", "feature": "crawl"}


def long_session() -> pa.Table:
    """A run of 200 000 calls under one agent step: every thousandth failed, one call is much dearer than all others."""
    place = np.arange(STEPS)
    tokens = np.where(place == 123_456, 500_000, 1_000)
    return many_calls(
        STEPS,
        BEGAN,
        step_us=50_000,
        session_id="long",
        parent_key=pa.array([None, *many_keys(1).to_pylist() * (STEPS - 1)], pa.binary(16)),
        tree_key=many_keys(1, 10**9)[0].as_py(),
        operation=pa.array(np.where(place == 0, "agent", "chat")),
        agent=pa.array([f"helper-{each}" for each in place % AGENTS]),
        input_tokens=pa.array(tokens, mask=place == 0),
        output_tokens=pa.array(np.full(STEPS, 100), mask=place == 0),
        model_requested=pa.array(np.where(place == 0, None, "gpt-4.1"), pa.string()),
        failed=place % 1_000 == 999,
        error_type=pa.array(np.where(place % 1_000 == 999, "timeout", None), pa.string()),
        **WHOSE,
    )


def sub_agents() -> pa.Table:
    """Three thousand sessions that the long one started, and one under the first of them."""
    return many_calls(
        CHILDREN + 1,
        BEGAN + timedelta(minutes=1),
        first=STEPS,
        session_id=pa.array([*(f"child-{place}" for place in range(CHILDREN)), "grandchild"]),
        parent_session_id=pa.array([*["long"] * CHILDREN, "child-0"]),
        **WHOSE,
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House.open(tmp_path_factory.mktemp("home")) as house:
        for facts in (long_session(), sub_agents()):
            report = house.post_facts(batch_of(facts))
            assert (report.posted, report.refused) == (facts.num_rows, 0)
        house.intake.settle()
        yield house


@pytest.fixture
def browser(house: House) -> TestClient:
    return TestClient(build_app(house, routes(house)), base_url="http://127.0.0.1")


@pytest.fixture
def read_out(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each statement of the test read out of the books."""
    counted: list[int] = []
    reads = Snapshot.rows

    def rows(self: Snapshot, sql: str, parameters: tuple[object, ...] = ()) -> pa.Table:
        table = reads(self, sql, parameters)
        counted.append(table.num_rows)
        return table

    monkeypatch.setattr(Snapshot, "rows", rows)
    return counted


def size(page: str) -> int:
    return len(gzip.compress(page.encode()))


def numbers(page: str) -> dict[str, str]:
    found = re.findall(r'<div class="number"><h2>([^<]+)</h2><p class="value"><b>([^<]+)</b>', page)
    return {unescape(word): unescape(value) for word, value in found}


def test_a_page_of_a_long_session_reads_a_page_and_says_the_totals_of_all(
    house: House, browser: TestClient, read_out: list[int]
) -> None:
    page = browser.get("/sessions/long")
    assert page.status_code == 200
    assert size(page.text) <= PAGE_BYTES_MAX
    assert max(read_out) <= STEPS_SHOWN * CHARGES_A_STEP
    assert "steps 1 to 200 of 200,000" in page.text
    figures = numbers(page.text)
    total = HouseDesk(house).spend({"where": ["session:long"], "measures": ["cost,usages,retries,failed_usages"]})[
        "total"
    ]
    assert figures["Full cost"] == formats.money(total["cost"])
    assert figures["Steps"] == formats.count(total["usages"]) == "199,999"
    assert f"Failed: {formats.count(total['failed_usages'])}" in page.text
    assert nano_of(total["cost"]) > 0
    assert "3,001 sessions under this one, the nearest 50 listed" in page.text


def test_every_list_of_a_long_session_can_be_walked_and_the_dearest_is_the_first(
    house: House, read_out: list[int]
) -> None:
    desk = HouseDesk(house)
    failed: list[str] = []
    after = ""
    while True:
        reply = desk.session("long", {"only": ["failed"], "top": ["150"], "after": [after]})
        failed += [row["time"] for row in reply["rows"]]
        assert reply["coverage"]["count"] == STEPS // 1_000
        assert {row["depth"] for row in reply["rows"]} == {1}
        after = reply["coverage"]["next"]
        if not after:
            break
    assert len(failed) == len(set(failed)) == STEPS // 1_000
    assert failed == sorted(failed)
    first = desk.session("long", {"order": ["cost"], "top": ["5"]})
    assert first["rows"][0]["input_tokens"] == 500_000
    costs = [nano_of(row["cost"]) for row in first["rows"]]
    assert costs == sorted(costs, reverse=True)
    second = desk.session("long", {"order": ["cost"], "top": ["5"], "after": [first["coverage"]["next"]]})
    again = desk.session("long", {"order": ["cost"], "top": ["5"], "before": [second["coverage"]["previous"]]})
    assert again["rows"] == first["rows"]
    assert not {row["id"] for row in first["rows"]} & {row["id"] for row in second["rows"]}
    assert max(read_out) <= 150 * CHARGES_A_STEP


def test_api_and_desk_cut_lists_and_count_what_they_leave_out(house: House, browser: TestClient) -> None:
    told = browser.get("/api/v1/sessions/long").json()
    assert told == json.loads(json.dumps(HouseDesk(house).session("long", {})))
    assert len(told["rows"]) == STEPS_LISTED
    assert told["coverage"]["usages_left_out"] == STEPS - STEPS_LISTED
    total = told["total"]
    assert (total["child_count"], total["sessions_below"], len(total["branches"])) == (
        CHILDREN,
        CHILDREN + 1,
        BRANCHES_MAX,
    )
    below = HouseDesk(house).spend({"where": ["feature:crawl"], "measures": ["cost"]})["total"]["cost"]
    assert nano_of(total["tree_cost"]) == nano_of(below)
    agents = [note for note in total["tags"] if note["key"] == "agent"]
    assert len(agents) == 21
    assert agents[-1]["value"] == "(other)"
    assert sum(note["usages"] for note in agents) == STEPS
    assert browser.get("/api/v1/sessions/long?top=20000").status_code == 400


def test_two_long_sessions_side_by_side_read_no_steps(browser: TestClient, read_out: list[int]) -> None:
    page = browser.get("/compare?a=long&b=child-0")
    assert page.status_code == 200
    assert size(page.text) <= PAGE_BYTES_MAX
    assert max(read_out) <= BRANCHES_MAX
