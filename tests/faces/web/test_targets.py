"""The page of targets over a real control store: who may set and decide, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from faces.web.visiting import send, visitor
from outlay.control.targets import list_targets
from outlay.faces.control_desk import ControlDesk
from outlay.govern.targets import quarter_at
from outlay.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.open(tmp_path) as opened:
        yield opened


def test_a_target_is_set_decided_and_removed_from_the_page(house: House) -> None:
    client = visitor(house, "finops")
    answer = send(client, "/targets", do="set", feature="kyc", amount="0.95", quarter="2026-Q3", note="as agreed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/targets?quarter=2026-Q3")
    send(client, "/targets", do="decide", feature="kyc", quarter="2026-Q3", decision="two retries at most")
    page = client.get("/targets?quarter=2026-Q3").text
    assert "Decided: two retries at most" in page
    assert "as agreed" in page
    (held,) = list_targets(house.control)
    assert (held.changed_by, held.decided_by) == ("key:finops", "key:finops")
    send(client, "/targets", do="remove", feature="kyc", quarter="2026-Q3")
    assert list_targets(house.control) == ()


@pytest.mark.parametrize("role", ["viewer", "lead"])
def test_who_may_only_look_sees_no_form_and_cannot_send_one(house: House, role: str) -> None:
    ControlDesk(house.control, "test").set_target({"feature": "kyc", "amount": "1"})
    client = visitor(house, role)
    assert "<h2>Set a target</h2>" not in client.get("/targets").text
    for fields in ({"do": "set", "amount": "9"}, {"do": "decide", "decision": "x"}, {"do": "remove"}):
        assert send(client, "/targets", feature="kyc", **fields).status_code == 403
    (held,) = list_targets(house.control)
    assert (held.amount_nano, held.decision) == (10**9, "")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"do": "set", "feature": "kyc", "amount": "0"}, "more than 0"),
        ({"do": "set", "feature": "kyc", "amount": "much"}, "not an amount"),
        ({"do": "set", "feature": "", "amount": "1"}, "feature must be"),
        ({"do": "decide", "feature": "nobody", "decision": "x"}, "has no target"),
        ({"do": "remove", "feature": "nobody", "quarter": "2026-Q1"}, "has no target"),
        ({"do": "dance"}, "nothing to do with a target"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_changed(house: House, fields: dict[str, str], told: str) -> None:
    answer = send(visitor(house), "/targets", **fields)
    assert answer.status_code in {400, 404}
    assert told in re.sub(r"<[^>]+>", " ", answer.text).replace("&#34;", '"')
    assert list_targets(house.control) == ()


def test_quarters_are_those_of_the_fiscal_year_of_the_company_s_budget(house: House) -> None:
    desk = ControlDesk(house.control, "test")
    desk.set_budget({"team": "support", "year": "900", "start_month": 2, "name": "a team's year is its own"})
    calendar = visitor(house).get("/targets?quarter=2026-Q1").text
    assert "1 January to 31 March" in calendar
    desk.set_budget({"year": "9000", "start_month": 4, "name": "the whole"})
    assert "1 April to 30 June" in visitor(house).get("/targets?quarter=2026-Q1").text
    said = desk.set_target({"feature": "kyc", "amount": "1"})["query"]["quarter"]
    assert said == quarter_at(datetime.now(UTC), 4).name
    assert "kyc" in visitor(house).get(f"/targets?quarter={said}").text


def test_a_forged_form_sets_nothing(house: House) -> None:
    client = visitor(house)
    fields = {"do": "set", "feature": "kyc", "amount": "1"}
    assert client.post("/targets", data=fields).status_code == 403
    assert client.post("/targets", data={**fields, "form_token": "x" * 43}).status_code == 403
    assert list_targets(house.control) == ()
