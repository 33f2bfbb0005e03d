"""tau2-bench: what sessions cost, agent and simulated user apart, and what a completed task cost."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, exact_money, same_money
from outlay.core.money import NANO
from outlay.house import House
from outlay.metrics.session_rows import rows_of_session
from outlay.metrics.steps import StepsAsked, UsageRow, steps_page

AGENT, USER = "llm_agent", "user_simulator"
OUTCOMES = "Outcomes and recorded cost (done = reward 1)"
CALLS = "Calls, tokens and the cost written on each message"
LISTED = "Recorded cost against list price"

Table = dict[tuple[str, ...], dict[str, Any]]


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Books, dict[str, Any]]:
    """The six files of both folders, and what the import said."""
    filled = Books(tmp_path_factory.mktemp("tau2"))
    return filled, filled.load(shared_data / "tau2_gym", shared_data / "tau2_other")


@pytest.fixture(scope="module")
def books(imported: tuple[Books, dict[str, Any]]) -> Books:
    """The six files of both folders."""
    return imported[0]


@pytest.fixture(scope="module")
def steps(books: Books) -> dict[str, list[UsageRow]]:
    """The steps of all sessions as `outlay session` lists them, by file, read at one opening of the books."""
    found: dict[str, list[UsageRow]] = {}
    named = list(books.table("usages", by="origin,session"))
    with House(books.home) as house, house.books.reading() as reader:
        for origin, session in named:
            page = steps_page(rows_of_session(reader, session), StepsAsked())
            assert not page.next
            found.setdefault(_file_of(origin), []).extend(page.steps)
    return found


def _file_of(origin: str) -> str:
    """The figures' short name of a file."""
    return origin.split("_default", maxsplit=1)[0].removesuffix(".json")


def _rates(books: Books, model: str) -> dict[str, Decimal]:
    """What a model costs by meter in spring 2026, as `outlay prices show` says."""
    rows = books.command("prices", "show", model, "--at", "2026-03-14")["rows"]
    return {row["meter"]: Decimal(row["rate"]) for row in rows}


def _by_payer(table: Table) -> Table:
    return {(_file_of(origin), agent): row for (origin, agent), row in table.items()}


def _by_file(table: Table) -> dict[str, dict[str, Any]]:
    return {_file_of(origin): row for (origin,), row in table.items()}


def test_sessions_and_what_became_of_them(books: Books, figures: dict[str, Any]) -> None:
    found = _by_file(books.table("sessions,sessions_seen,tasks,tasks_completed,tasks_failed", by="origin"))
    assert len(found) == len(figures["tau2"][OUTCOMES])
    for row in figures["tau2"][OUTCOMES]:
        ours = found[row["file"]]
        assert ours["sessions"] == ours["sessions_seen"] == ours["tasks"] == row["sessions"]
        assert ours["tasks_completed"] == row["done"]
        assert ours["tasks_failed"] == row["sessions"] - row["done"]


def test_cost_of_both_payers_and_of_a_completed_task(books: Books, figures: dict[str, Any]) -> None:
    measures = "cost,cost_recorded,failed_task_cost,cost_per_completed_task"
    payers = _by_payer(books.table(measures, by="origin,agent"))
    full = _by_file(books.table(measures, by="origin"))
    for row in figures["tau2"][OUTCOMES]:
        agent, user, whole = payers[row["file"], AGENT], payers[row["file"], USER], full[row["file"]]
        assert same_money(agent["cost_per_completed_task"], row["agent cost / done"])
        assert same_money(whole["cost_per_completed_task"], row["full cost / done"])
        if row["agent cost"] is None:
            continue  # the session says nothing; its messages do, see the next test
        assert exact_money(user["cost"], row["user cost"])
        assert exact_money(agent["cost_recorded"], row["agent cost"])
        # 0 beside tokens is no price: the amount is unknown, and so is what the failures cost
        priced = Decimal(row["agent cost"]) > 0
        assert exact_money(agent["cost"], row["agent cost"] if priced else None)
        assert exact_money(agent["failed_task_cost"], row["agent cost of not done"])


def test_the_figures_everyone_will_look_for(books: Books) -> None:
    (gpt,) = books.rows(
        "sessions,tasks_completed,cost,cost_per_completed_task",
        *("--where", "origin:gpt-4.1_airline_default_gpt-4.1_1trials.json"),
    )
    assert (gpt["sessions"], gpt["tasks_completed"]) == (20, 10)
    assert (gpt["cost"], gpt["cost_per_completed_task"]) == ("1.0112", "0.10112")


def test_the_models_of_both_payers(books: Books, figures: dict[str, Any]) -> None:
    calls = books.table("usages", "--where", "operation:chat", by="origin,agent,model_raw")
    models = {(_file_of(origin), agent): model for origin, agent, model in calls}
    for row in figures["tau2"][OUTCOMES]:
        assert models[row["file"], AGENT] == row["agent model"]
    assert len(calls) == 2 * len(figures["tau2"][OUTCOMES])


def test_calls_tokens_and_tools(books: Books, figures: dict[str, Any]) -> None:
    payers = _by_payer(books.table("chat_calls,input_tokens,output_tokens,cost_recorded", by="origin,agent"))
    tools = _by_file(books.table("tool_calls,tool_errors,usages", by="origin"))
    for row in figures["tau2"][CALLS]:
        for agent, word, speaker in ((AGENT, "agent", "agent"), (USER, "user", "user")):
            ours = payers[row["file"], agent]
            assert ours["chat_calls"] == row[f"{word} calls"]
            assert ours["input_tokens"] == row[f"{word} in"]
            assert ours["output_tokens"] == row[f"{word} out"]
            assert exact_money(ours["cost_recorded"], row[f"{speaker} message cost"])
        ours = tools[row["file"]]
        assert (ours["tool_calls"], ours["tool_errors"]) == (row["tool results"], row["tool errors"])
        # greetings carry no usage: they are no calls
        assert ours["usages"] == row["agent calls"] + row["user calls"]


def test_a_message_without_usage_is_passed_over_and_said_so(
    imported: tuple[Books, dict[str, Any]], figures: dict[str, Any]
) -> None:
    passed = {_file_of(Path(row["file"]).name): row["passed_over"] for row in imported[1]["rows"]}
    assert passed == {row["file"]: row["messages without usage"] for row in figures["tau2"][CALLS]}


def test_the_fine_tuned_model_has_no_price(books: Books, figures: dict[str, Any]) -> None:
    row = next(row for row in figures["tau2"][CALLS] if row["file"].startswith("ft-"))
    ours = _by_payer(books.table("cost,unpriced_usages,unpriced_tokens", by="origin,agent"))[row["file"], AGENT]
    assert (ours["cost"], ours["unpriced_usages"]) == (None, row["agent calls"])
    assert ours["unpriced_tokens"] == row["agent in"] + row["agent out"]
    unpriced = books.command("spend")["coverage"]["unpriced_models"]
    assert [model["tokens"] for model in unpriced] == [ours["unpriced_tokens"]]


def test_recorded_cost_against_list_price(books: Books, figures: dict[str, Any]) -> None:
    payers = _by_payer(books.table("chat_calls,cost_recorded,list_cost,recorded_to_list", by="origin,agent"))
    for row in figures["tau2"][LISTED]:
        ours = payers[row["file"], {"assistant": AGENT, "user": USER}[row["payer"]]]
        assert ours["chat_calls"] == row["calls"]
        assert exact_money(ours["cost_recorded"], row["recorded"])
        assert exact_money(ours["list_cost"], row["list without cache"])
        assert same_money(ours["recorded_to_list"], 1 / Decimal(row["list / recorded"]))


def test_the_cached_share_that_recorded_cost_implies(books: Books, figures: dict[str, Any]) -> None:
    """List price less recorded cost, over what a cached token saves: from three commands, token by token."""
    payers = _by_payer(books.table("cost_recorded,list_cost,input_tokens", by="origin,agent"))
    calls = books.table("usages", "--where", "operation:chat", by="origin,agent,model")
    models = {(_file_of(origin), agent): model for origin, agent, model in calls}
    for row in figures["tau2"][LISTED]:
        payer = row["file"], {"assistant": AGENT, "user": USER}[row["payer"]]
        rates = _rates(books, models[payer])
        saved = rates["in_uncached"] - rates["in_cache_read"]
        implied = (Decimal(payers[payer]["list_cost"]) - Decimal(payers[payer]["cost_recorded"])) / saved
        assert same_money(implied / payers[payer]["input_tokens"], row["implied cached share"])


def test_every_call_is_explained_by_whole_steps_of_cached_tokens(
    books: Books, steps: dict[str, list[UsageRow]], figures: dict[str, Any]
) -> None:
    """A call's list price less its recorded cost, over what a cached token saves, is a multiple of 128 tokens."""
    saved: dict[str, Decimal] = {}
    for model in {row["model"] for row in books.rows("usages", "--where", "operation:chat", by="model")}:
        if not model.startswith("ft:"):
            rates = _rates(books, model)
            saved[model] = rates["in_uncached"] - rates["in_cache_read"]
    explained: Counter[str] = Counter()
    for file, of_file in steps.items():
        for step in of_file:
            if step.operation == "chat" and step.cost_nano is not None and step.list_nano is not None:
                cached = Decimal(step.list_nano - step.cost_nano) / NANO / saved[step.model]
                fits = abs(cached / 128 - round(cached / 128)) < Decimal("0.001") and cached > Decimal("-0.01")
                explained[file] += fits
    for file, count in explained.items():
        rows = [row for row in figures["tau2"][LISTED] if row["file"] == file]
        assert count == sum(row["calls explained exactly"] for row in rows) == sum(row["calls"] for row in rows)
    assert set(explained) == {row["file"] for row in figures["tau2"][LISTED]}


def test_time_of_sessions(books: Books, figures: dict[str, Any]) -> None:
    for origin, ours in books.table("session_seconds,sessions", by="origin").items():
        row = next(row for row in figures["tau2"]["Time"] if row["file"] == _file_of(*origin))
        # the files measure a session by another clock than its two ends, a few milliseconds apart
        assert (
            abs(Decimal(ours["session_seconds"]) - Decimal(row["session seconds"]))
            < Decimal("0.005") * ours["sessions"]
        )
        reply = books.command("spend", "--where", f"origin:{origin[0]}")
        first = datetime.fromisoformat(reply["coverage"]["from"]).replace(tzinfo=None)
        assert first == datetime.fromisoformat(row["first start"])
        ends = [task["time"] for task in books.command("outcomes", "list", "--where", f"origin:{origin[0]}")["rows"]]
        last = max(datetime.fromisoformat(end) for end in ends).replace(tzinfo=None)
        assert (len(ends), last) == (ours["sessions"], datetime.fromisoformat(row["last end"]))
        in_time = books.command("sessions", "--where", f"origin:{origin[0]}", "--top", "1")["total"]
        assert in_time["sessions_at_once_max"] == row["most at once"]
        assert abs(Decimal(in_time["wall_clock_seconds"]) - Decimal(row["wall clock s"])) < Decimal("0.005")


def test_times_without_a_zone_are_said_to_be_so(
    imported: tuple[Books, dict[str, Any]], figures: dict[str, Any]
) -> None:
    assert {row["time zone"] for row in figures["tau2"]["Time"]} == {None}
    facts = imported[1]["total"]["posted"] - imported[0].total("tasks")["tasks"]
    told = [check["text"] for check in imported[0].command("doctor", code=1)["rows"]]
    assert [text for text in told if f"{facts:,} times had no zone" in text]


def test_one_session_says_what_is_unknown(books: Books) -> None:
    where = ("--where", "origin:ft-gpt-4.1-BzrYdMNm_airline_default_gpt-4.1_1trials.json", "--top", "1")
    session = books.command("sessions", *where)["rows"][0]["session"]
    steps = books.command("session", session)["rows"]
    tuned = [step for step in steps if step["model"].startswith("ft:")]
    assert tuned
    assert {step["cost"] for step in tuned} == {None}
