"""The pages of budgets and exceptions over a real control store: what forms do, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from faces.web.visiting import send, visitor
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web.bullets import bullet
from outlay.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(house: House) -> ControlDesk:
    desk = ControlDesk(house.control, "test")
    desk.set_budget({"team": "support", "month": "1200", "steps": 40, "plan": {"2030-12": "5"}, "ladder": {"a": "b"}})
    return desk


def test_a_budget_is_made_from_the_page(house: House, desk: ControlDesk) -> None:
    answer = send(visitor(house), "/budgets", key="feature", value="kyc", amount="50", period="week", mode="soft")
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/budgets/kyc%20a%20week"
    told = desk.budget("kyc a week")["total"]
    assert (told["scope"], told["amount"], told["mode"]) == ({"feature": "kyc"}, "50", "soft")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"key": "team", "value": "a", "amount": "-1"}, "below 0"),
        ({"key": "team", "value": "a", "amount": "NaN"}, "NaN"),
        ({"key": "team", "value": "", "amount": "1"}, "which team"),
        ({"key": "planet", "value": "a", "amount": "1"}, "planet"),
        ({"key": "team", "value": "a", "amount": "1", "period": "aeon"}, "aeon"),
        ({"key": "team", "value": "support", "amount": "1"}, "was changed since"),
    ],
)
def test_what_cannot_be_set_is_said_and_what_was_typed_stays(
    house: House, desk: ControlDesk, fields: dict[str, str], said: str
) -> None:
    answer = send(visitor(house), "/budgets", **fields)
    assert answer.status_code in {400, 409}
    assert said in answer.text
    assert f'value="{fields["amount"]}"' in answer.text
    assert [row["name"] for row in desk.budgets()["rows"]] == ["support"]


def test_a_change_keeps_what_the_form_does_not_say(house: House, desk: ControlDesk) -> None:
    before = desk.budget("support")["total"]
    change = {"do": "change", "seen": before["version"], "amount": "1500", "owner": "ana", "steps": "", "depth": "3"}
    answer = send(visitor(house), "/budgets/support", **change)
    assert answer.status_code == 303, answer.text
    after = desk.budget("support")["total"]
    assert (after["amount"], after["owner"], after["caps"]) == ("1500", "ana", {"depth": 3})
    assert (after["plan"], after["ladder"], after["mode"]) == (before["plan"], before["ladder"], before["mode"])


def test_of_two_editors_the_second_is_told_and_nothing_is_lost(house: House, desk: ControlDesk) -> None:
    seen = desk.budget("support")["total"]["version"]
    one, other = visitor(house), visitor(house)
    assert send(one, "/budgets/support", do="change", seen=seen, amount="1300").status_code == 303
    late = send(other, "/budgets/support", do="change", seen=seen, amount="1400")
    assert late.status_code == 409
    assert "was changed since you looked at it" in late.text
    told = desk.budget("support")["total"]
    assert told["amount"] == "1300"
    assert told["version"] in late.text, "the page shown again is made from what is in force"
    assert send(other, "/budgets/support", do="change", amount="1").status_code == 400


def test_a_grant_is_given_ended_and_a_budget_removed_only_by_its_name(house: House, desk: ControlDesk) -> None:
    client = visitor(house)
    assert send(client, "/budgets/support", do="grant", amount="100", reason="launch").status_code == 303
    given = desk.budget("support")["total"]["grants"][-1]
    assert desk.budget("support")["rows"][0]["limit"] == "1300"
    assert f'value="{given["id"]}"' in client.get("/budgets/support").text
    assert send(client, "/budgets/support", do="end", grant=str(given["id"])).status_code == 303
    assert desk.budget("support")["rows"][0]["limit"] == "1200"
    assert send(client, "/budgets/support", do="remove", sure="suport").status_code == 400
    assert send(client, "/budgets/support", do="explode").status_code == 400
    assert send(client, "/budgets/support", do="remove", sure="support").headers["location"] == "/budgets"
    assert client.get("/budgets/support").status_code == 404


def test_who_may_only_look_sees_no_form_and_cannot_send_one(house: House, desk: ControlDesk) -> None:
    viewer = visitor(house, "viewer")
    page = viewer.get("/budgets/support")
    assert page.status_code == 200
    assert 'value="change"' not in page.text
    assert 'id="ask"' not in viewer.get("/overrides").text
    seen = desk.budget("support")["total"]["version"]
    refused = send(viewer, "/budgets/support", do="change", seen=seen, amount="1")
    assert refused.status_code == 403
    assert "may not govern" in refused.text
    assert send(viewer, "/overrides", budget="support", amount="1", until="7d", reason="x").status_code == 403
    assert desk.budget("support")["total"]["amount"] == "1200"


def test_a_lead_asks_finops_decides_and_the_trail_tells_it(house: House, desk: ControlDesk) -> None:
    lead, finops = visitor(house, "lead"), visitor(house, "finops")
    asked = send(lead, "/overrides", budget="support", amount="300", until="7d", reason="a fair")
    assert asked.headers["location"] == "/overrides/1"
    own = send(lead, "/overrides/1", do="approve")
    assert own.status_code in {400, 403}
    assert "somebody else" in own.text
    assert "waits for a decision" in finops.get("/budgets").text
    assert send(finops, "/overrides/1", do="approve", amount="200", note="half is enough").status_code == 303
    assert desk.budget("support")["rows"][0]["limit"] == "1400"
    page = finops.get("/overrides/1").text
    assert "override.approve" in page
    assert "key:finops" in page
    assert send(finops, "/overrides/1", do="end").status_code == 303
    assert desk.budget("support")["rows"][0]["limit"] == "1200"


def test_a_lead_asks_for_the_own_team_only(house: House, desk: ControlDesk) -> None:
    desk.set_budget({"team": "labs", "month": "10"})
    answer = send(visitor(house, "lead"), "/overrides", budget="labs", amount="3", until="7d", reason="x")
    assert answer.status_code == 403
    assert "for support only" in answer.text


def test_a_request_is_taken_back_by_who_asked(house: House, desk: ControlDesk) -> None:
    client = visitor(house)
    send(client, "/overrides", budget="support", amount="3", until="7d", reason="x")
    assert "Take it back" in client.get("/overrides/1").text
    assert send(client, "/overrides/1", do="withdraw").status_code == 303
    assert desk.override("1")["total"]["state"] == "withdrawn"


def test_names_with_markup_are_text(house: House, desk: ControlDesk) -> None:
    name = "<b>a</b> & \N{GRINNING FACE} / x"
    desk.set_budget({"team": "a", "month": "1", "name": name, "owner": '"><script>'})
    client = visitor(house)
    page = client.get("/budgets").text
    assert "<b>a" not in page
    address = re.search(r'href="(/budgets/[^"]*script[^"]*|/budgets/%3Cb[^"]*)"', page)
    assert address is not None
    shown = client.get(address.group(1))
    assert shown.status_code == 200
    assert "<script>" not in shown.text.replace("<script src", "")


def test_a_bullet_says_how_full_it_is() -> None:
    plain = bullet(Decimal(10), Decimal(5), Decimal(100), "10 of 100")
    assert 'class="bullet "' in plain
    assert plain.count('class="tick"') == 2
    assert 'class="bullet warn"' in bullet(Decimal(91), Decimal(0), Decimal(100), "")
    assert 'class="bullet warn"' in bullet(Decimal(50), Decimal(60), Decimal(100), "")
    assert 'class="bullet bad"' in bullet(Decimal(101), Decimal(0), Decimal(100), "")
    assert 'class="bullet none"' in bullet(Decimal(1), Decimal(0), Decimal(0), "no limit")
