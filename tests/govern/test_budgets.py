"""Budgets in words: what is valid, what is refused and why, files put into force, figures from the books."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.control import audit
from outlay.control.budgets import list_budgets, set_budget, standings
from outlay.control.leases import Leases
from outlay.control.store import ControlStore
from outlay.core.calendar import Calendar
from outlay.core.errors import InputError
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.faces.cli.main import run
from outlay.govern.budget_words import FIELDS, read_budget, read_budgets, window_named
from outlay.govern.budgets import GRACE_NS, apply, findings, true_up_all
from outlay.house import House
from outlay.sources.facts import Batch, facts_of, outcomes_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ControlStore]:
    with ControlStore(f"sqlite:///{tmp_path / 'control.sqlite'}") as opened:
        yield opened


def test_one_line_is_enough() -> None:
    wanted = read_budget({"team": "onboarding", "month": 12000})
    budget = wanted.budget
    assert (budget.name, budget.scope, budget.mode) == ("onboarding", {"team": "onboarding"}, "hard")
    assert (wanted.amount_nano, budget.calendar) == (12_000 * NANO, Calendar("month"))


def test_everything_that_can_be_said() -> None:
    said = {
        "name": "growth", "scope": {"team": "growth"}, "feature": "*", "amount": "1.5", "period": "quarter",
        "zone": "Europe/Berlin", "start_month": 4, "start_day": 2, "week_start": "sunday", "mode": "soft",
        "fail": "closed", "unpriced": "allow", "currency": "EUR", "rollover_percent": 20, "carry_overage": True,
        "reserve_percent": 0, "steps": 5, "tool_calls": 6, "seconds": 7, "depth": 2, "width": 3,
        "ladder": {"big": "small"}, "owner": "ann", "plan": {"2026-Q3": 7},
    }  # fmt: skip
    wanted = read_budget(said)
    assert wanted.budget.scope == {"feature": "*", "team": "growth"}
    assert wanted.budget.caps == {"steps": 5, "tool_calls": 6, "seconds": 7, "depth": 2, "width": 3}
    ((window, amount),) = wanted.plans.items()
    assert (wanted.budget.calendar.label(window[0]), amount) == ("2026-Q3", 7 * NANO)
    assert set(said) - {"scope", "feature", "amount", "period"} <= set(FIELDS)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([], "object"),
        ({}, "one amount"),
        ({"month": 1, "week": 1}, "one amount"),
        ({"month": 1, "period": "week"}, "say it once"),
        ({"month": -5}, "below 0"),
        ({"month": float("nan")}, "finite"),
        ({"month": "1e18"}, "range"),
        ({"month": 2 * 10**9}, "at most"),
        ({"month": "many"}, "many"),
        ({"month": True}, "True"),
        ({"teem": "x", "month": 1}, "team"),
        ({"team": "", "month": 1}, "team"),
        ({"team": "x", "scope": {"team": "y"}, "month": 1}, "say it once"),
        ({"scope": {"planet": "x"}, "month": 1}, "planet"),
        ({"month": 1, "mode": "hardd"}, "hard"),
        ({"month": 1, "zone": "Mars"}, "Mars"),
        ({"month": 1, "start_day": 30}, "start_day"),
        ({"month": 1, "rollover_percent": 101}, "rollover_percent"),
        ({"month": 1, "steps": -1}, "steps"),
        ({"month": 1, "plan": {"2026-13": 1}}, "2026-13"),
        ({"month": 1, "plan": {"2026-11-05": 1}}, "2026-11-05"),
        ({"month": 1, "currency": "euro"}, "euro"),
        ({"month": 1, "carry_overage": "yes"}, "carry_overage"),
        ({"month": 1, "name": "a\x00b"}, "name"),
    ],
)
def test_what_cannot_be_a_budget_says_what_is_wrong(said: object, named: str) -> None:
    with pytest.raises(InputError) as caught:
        read_budget(said)
    assert named in f"{caught.value.message} {caught.value.hint}"


@given(st.dictionaries(st.sampled_from(list(FIELDS)), st.none() | st.integers() | st.text(max_size=5) | st.floats()))
def test_no_words_do_anything_but_make_a_budget_or_a_refusal(said: dict[str, Any]) -> None:
    try:
        wanted = read_budget(said)
    except InputError:
        return
    assert 0 <= wanted.amount_nano <= 10**18


@pytest.mark.parametrize(
    ("label", "calendar"),
    [
        ("2026-12", Calendar("month", "Europe/Berlin")),
        ("2026-12", Calendar("month", start_day=15)),
        ("2026", Calendar("year", start_month=4)),
        ("2026-Q4", Calendar("quarter", start_month=11)),
        ("2026-11-23", Calendar("week")),
        ("2026-11-26T08", Calendar("hour", "Asia/Kolkata")),
    ],
)
def test_a_window_is_found_by_its_name(label: str, calendar: Calendar) -> None:
    assert calendar.label(window_named(label, calendar)[0]) == label


def test_a_file_is_put_into_force_whole_or_not_at_all(store: ControlStore) -> None:
    good = [{"team": "a", "month": 1}, {"team": "b", "month": 2}]
    wanted, problems = read_budgets({"budget": good})
    assert not problems
    assert [change.what for change in apply(store, wanted, "me", dry_run=True)] == ["add", "add"]
    assert not list_budgets(store)
    apply(store, wanted, "me")
    wanted, _ = read_budgets([{"team": "a", "month": 5}])
    changes = apply(store, wanted, "me", prune=True)
    assert [(change.name, change.what) for change in changes] == [("a", "change"), ("b", "remove")]
    assert changes[0].differences() == {"amount_nano": [NANO, 5 * NANO]}
    assert [budget.name for budget in list_budgets(store)] == ["a"]
    assert [change.what for change in apply(store, wanted, "me")] == ["keep"]
    _, problems = read_budgets([{"team": "a", "month": 1}, {"month": "x"}, {"name": "a", "month": 1}])
    assert [problem.where for problem in problems] == ["budget 2", "budget 3"]
    with store.reading() as connection:
        assert audit.verify(connection).lines == 4


def test_contradictions_and_scopes_that_match_nothing_are_told(store: ControlStore) -> None:
    said = [
        {"name": "one", "team": "a", "month": 5},
        {"name": "two", "team": "a", "month": 6},
        {"name": "inner", "team": "a", "feature": "f", "month": 9},
        {"name": "ghost", "team": "nobody", "month": 0},
    ]
    for row in said:
        set_budget(store, read_budget(row), "me")
    found = findings(store, time.time_ns(), lambda key: {"a"} if key == "team" else {"f"})
    told = {(problem.where, problem.what.split(":")[0]) for problem in found}
    assert ("two", '"one" has the same scope (team=a) and period') in told
    assert ("ghost", 'nothing in the books has the team "nobody"') in told
    assert ("ghost", "the amount is 0") in told
    assert any(where == "inner" and "larger" in what for where, what in told)


def fact(number: int, team: str, cost_nano: int, start_ns: int) -> dict[str, object]:
    return {
        "fact_id": f"{team}{number}", "source": "table:x", "start_ns": start_ns, "end_ns": start_ns + 10**9,
        "operation": "chat", "provider": "p", "model_requested": "m", "input_tokens": 1, "output_tokens": 1,
        "cost_nano": cost_nano, "currency": "USD", "team": team,
    }  # fmt: skip


def test_what_was_spent_is_what_the_books_say(tmp_path: Path) -> None:
    now = time.time_ns()
    old, young = now - 2 * GRACE_NS, now - GRACE_NS // 2
    with House.open(tmp_path) as house:
        for row in ({"team": "a", "life": 100}, {"team": "*", "life": 100, "name": "each"}, {"life": 1000}):
            set_budget(house.control, read_budget(row), "me")
        desk = Leases(house.control)
        given = desk.decide(Ask({"team": "a"}, 5 * NANO), now)
        desk.settle(given.lease, 3 * NANO, now)
        rows = [fact(1, "a", 10 * NANO, old), fact(2, "b", 4 * NANO, old), fact(3, "a", NANO, young)]
        house.post_facts(Batch(facts_of(rows), outcomes_of([]), received=3))
        house.intake.settle()
        true_up_all(house.control, house.ask, now)
        found = {
            (item.budget.name, item.part): item.spent_nano // NANO
            for budget in list_budgets(house.control)
            for item in standings(house.control, budget, now)
        }
    assert found == {
        ("a a life", ""): 13,
        ("each", '["a"]'): 13,
        ("each", '["b"]'): 4,
        ("company a life", ""): 17,
    }, "of the last quarter of an hour the larger of books and settlements counts"


def test_the_command_line_from_nothing_to_a_grant(
    home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def told(*words: str) -> Any:
        assert run(["budgets", *words, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    assert told("set", "--team", "onboarding", "--month", "12000", "--mode", "hard")["rows"][0]["limit"] == "12000"
    assert told("grant", "onboarding", "500", "--reason", "launch")["rows"][0]["kind"] == "override"
    assert told("list")["rows"][0]["limit"] == "12500"
    number = told("show", "onboarding")["total"]["grants"][-1]["id"]
    told("end-grant", str(number))
    assert told("list")["rows"][0]["limit"] == "12000"
    told("set", "--team", "search", "--month", "100")
    told("grant", "onboarding", "2000", "--to", "search")
    assert [row["limit"] for row in told("list")["rows"]] == ["10000", "2100"]
    file = tmp_path / "budgets.yaml"
    file.write_text("budget:\n  - {team: search, month: 7}\n", encoding="utf-8")
    dry = told("apply", "-f", str(file), "--dry-run", "--prune")
    assert dry["total"] == {"add": 0, "change": 1, "remove": 1, "keep": 0}
    assert len(told("list")["rows"]) == 2
    told("apply", "-f", str(file), "--prune")
    assert [row["name"] for row in told("list")["rows"]] == ["search"]
    assert told("history", "search")["total"]["grants"]
    assert run(["budgets", "check"]) == 3, "nothing in the books has this team"
    capsys.readouterr()
    told("remove", "search")
    capsys.readouterr()
    assert run(["budgets", "show", "search"]) == 1
    assert 'no budget is called "search"' in capsys.readouterr().err
    assert run(["audit", "verify"]) == 0
