"""Aider: a burn rate over months, money for nothing, names of models, and what has no price."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, exact_money

EVENTS = ("--where", "source:table:aider_analytics")
SUMS = "cost_recorded,usages,total_tokens"


@pytest.fixture(scope="module")
def books(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The usage events and the leaderboard."""
    return Books(tmp_path_factory.mktemp("aider"))


@pytest.fixture(scope="module", autouse=True)
def imported(books: Books, shared_data: Path) -> dict[str, Any]:
    """What the import said of both files."""
    return books.load(shared_data / "aider_analytics")


@pytest.fixture(scope="module")
def facts(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of the messages by name."""
    return {row["figure"]: row["value"] for row in figures["aider"]["Messages"]}


def test_the_import_accounts_for_every_event(books: Books, imported: dict[str, Any], facts: dict[str, Any]) -> None:
    (events,) = (row for row in imported["rows"] if "events" in Path(row["file"]).name)
    assert events["received"] + events["passed_over"] == facts["events"]
    # starts of the tool are read beside the messages; they are nothing that was tried
    tried = books.total("operations", *EVENTS)["operations"]
    assert tried == facts["messages"] + facts["message exceptions"] < events["received"] == events["posted"]


def test_who_spends_nothing_is_a_user_too(books: Books, facts: dict[str, Any]) -> None:
    users = books.rows("usages,chat_calls,cost_recorded", *EVENTS, by="user")
    assert len(users) == facts["user ids"]
    idle = [row for row in users if not row["usages"]]
    assert len(idle) == 9  # they started the tool, and no message of theirs is in the file
    assert {row["cost_recorded"] for row in idle} == {"0"}


def test_the_first_event_is_where_the_books_begin(books: Books, facts: dict[str, Any]) -> None:
    coverage = books.command("spend", *EVENTS)["coverage"]
    assert _moment(coverage["from"]) == _moment(facts["first event"])
    # the last event is an exit, which is nothing that was done
    assert _moment(facts["last event"]) - _moment(coverage["to"]) < timedelta(hours=1)


def test_messages_tokens_and_recorded_cost(books: Books, facts: dict[str, Any]) -> None:
    ours = books.total("cost_recorded,usages,operations,failed_usages,input_tokens,output_tokens", *EVENTS)
    assert ours["usages"] == facts["messages"]
    assert exact_money(ours["cost_recorded"], facts["cost"])
    assert (ours["input_tokens"], ours["output_tokens"]) == (facts["tokens in"], facts["tokens out"])
    assert ours["failed_usages"] == ours["operations"] - ours["usages"] == facts["message exceptions"]
    busiest = books.rows("usages", *EVENTS, by="user")[0]
    assert busiest["usages"] == facts["messages of the busiest user"]


@pytest.mark.parametrize(("grain", "characters"), [("month", 7), ("day", 10), ("hour", 13)])
def test_the_series_has_data_only_where_there_was_some(
    books: Books, figures: dict[str, Any], grain: str, characters: int
) -> None:
    rows = books.rows(SUMS, *EVENTS, "--grain", grain, "--since", "2024-08", "--until", "2025-04")
    series = [row for row in rows if row["usages"]]
    assert len({row["time"][:characters] for row in rows}) == len(rows)
    months: dict[str, list[dict[str, Any]]] = {}
    for row in series:
        months.setdefault(row["time"][:7], []).append(row)
    expected = {row["month"]: row for row in figures["aider"]["By month, UTC"]}
    assert months.keys() == expected.keys()
    for month, found in months.items():
        assert sum(row["usages"] for row in found) == expected[month]["messages"]
        assert sum(row["total_tokens"] for row in found) == expected[month]["tokens"]
        assert exact_money(_recorded(found), expected[month]["cost"])


def test_the_longest_silence_has_no_rows(books: Books, facts: dict[str, Any]) -> None:
    begins = datetime.fromisoformat(facts["it begins"]).replace(tzinfo=UTC)
    ends = begins + timedelta(hours=float(facts["longest silence, hours"]))
    since, until = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (begins + timedelta(seconds=1), ends))
    assert books.rows("usages", *EVENTS, "--grain", "day", "--since", since, "--until", until) == []


def test_the_ten_dearest_models_under_their_own_names(books: Books, figures: dict[str, Any]) -> None:
    rows = books.rows(SUMS, *EVENTS, "--order", "cost_recorded", "--top", "10", by="model_raw")
    for ours, row in zip(rows[:10], figures["aider"]["By model, the ten dearest"], strict=True):
        assert (ours["model_raw"], ours["usages"], ours["total_tokens"]) == (
            row["model"],
            row["messages"],
            row["tokens"],
        )
        assert exact_money(ours["cost_recorded"], row["cost"])


def test_names_that_say_nothing_are_kept(books: Books, facts: dict[str, Any]) -> None:
    found = books.table(SUMS, *EVENTS, by="model_raw,cost_source")
    hidden = [(source, row) for (model, source), row in found.items() if "REDACTED" in model]
    assert sum(row["usages"] for _, row in hidden) == facts["messages with a REDACTED model"]
    assert sum(row["usages"] for source, row in hidden if source == "(none)") == facts["of these at cost 0"]
    unnamed = [row for (model, _), row in found.items() if model == "None"]
    assert sum(row["usages"] for row in unnamed) == facts["messages whose model is the text None"]
    assert exact_money(_recorded(unnamed), facts["their cost"])


def test_a_cost_of_zero_is_no_recorded_cost(books: Books, facts: dict[str, Any]) -> None:
    ours = books.table("usages,total_tokens,unpriced_usages,cost_recorded,cost_priced", *EVENTS, by="cost_source")
    nobody, emitter = ours[("(none)",)], ours[("emitter",)]
    assert nobody["usages"] == facts["messages at cost 0"]
    assert nobody["total_tokens"] == facts["tokens of messages at cost 0"]
    assert (nobody["cost_recorded"], emitter["unpriced_usages"]) == ("0", 0)
    # the price book knows some of the models; what it does not know stays without a price
    assert Decimal(nobody["cost_priced"]) > 0
    assert 0 < nobody["unpriced_usages"] < nobody["usages"]
    redacted = [
        row
        for (model,), row in books.table("cost,unpriced_usages", *EVENTS, by="model_raw").items()
        if "REDACTED" in model
    ]
    assert sum(row["unpriced_usages"] for row in redacted) == facts["of these at cost 0"]


def test_money_for_nothing_is_a_cost_of_retries(books: Books, facts: dict[str, Any]) -> None:
    ours = books.table("cost_recorded,usages,output_tokens", *EVENTS, by="centre,reason,cost_source")
    silent = ours["retries", "no output", "emitter"]
    assert (silent["usages"], silent["output_tokens"]) == (facts["paid messages with no output"], 0)
    assert exact_money(silent["cost_recorded"], facts["cost of these"])
    assert ours["retries", "failed", "(none)"]["usages"] == 0


def test_the_dearest_message(books: Books, facts: dict[str, Any], shared_data: Path) -> None:
    start = _time_of_the_dearest(shared_data / "aider_analytics" / "events_to_2025-03-03.jsonl.gz")
    since, until = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (start, start + timedelta(seconds=1)))
    measures = "cost,usages,input_tokens,output_tokens"
    (ours,) = books.rows(measures, *EVENTS, "--since", since, "--until", until, by="model_raw,centre")
    assert (ours["model_raw"], ours["centre"], ours["usages"]) == (facts["its model"], "retries", 1)
    assert (ours["input_tokens"], ours["output_tokens"]) == (facts["its tokens in"], facts["its tokens out"])
    assert exact_money(ours["cost"], facts["dearest message"])


def test_benchmark_runs(books: Books, figures: dict[str, Any]) -> None:
    (row,) = figures["aider"]["Benchmark runs"]
    ours = books.total("cost,usages,unpriced_usages", "--where", "source:table:aider_leaderboard")
    assert exact_money(ours["cost"], row["sum"])
    assert ours["usages"] == row["runs"]
    assert ours["usages"] - ours["unpriced_usages"] == row["total_cost above 0"]
    stated = books.table("usages", "--where", "source:table:aider_leaderboard", by="tag.cost_stated")
    counts = {said: found["usages"] for (said,), found in stated.items()}
    assert counts["yes"] == row["total_cost above 0"]
    assert counts["yes"] + counts["zero"] == row["with total_cost"] == row["runs"] - counts["no"]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=UTC)


def _recorded(rows: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(row["cost_recorded"]) for row in rows), Decimal(0))


def _time_of_the_dearest(path: Path) -> datetime:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    dearest = max(events, key=lambda event: event["properties"].get("cost") or 0)
    return datetime.fromtimestamp(dearest["time"], UTC)
