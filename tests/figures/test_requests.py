"""Request traces of Azure and Mooncake: tokens that nobody prices, counted by hour and never merged by time."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, same_money

COUNTS = "cost,cost_per_session,usages,chat_calls,unpriced_usages,input_tokens,output_tokens"


@pytest.fixture(scope="module")
def azure(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """One hour of a conversation service."""
    filled = Books(tmp_path_factory.mktemp("azure"))
    filled.load(shared_data / "azure_llm_2023" / "conv.csv.gz")
    return filled


@pytest.fixture(scope="module")
def mooncake(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """About an hour of conversation requests."""
    filled = Books(tmp_path_factory.mktemp("mooncake"))
    filled.load(shared_data / "mooncake_conversation")
    return filled


def test_azure_by_hour(azure: Books, figures: dict[str, Any]) -> None:
    reply = azure.command("spend", "--measures", COUNTS, "--grain", "hour")
    *hours, everything = figures["azure"]["By hour"]
    found = {row["time"][:13].replace("T", " "): row for row in reply["rows"]}
    assert found.keys() == {row["hour"] for row in hours}
    for row in hours:
        _same(found[row["hour"]], row["requests"], row["context"], row["generated"])
    _same(reply["total"], everything["requests"], everything["context"], everything["generated"])


def test_azure_by_minute(azure: Books, figures: dict[str, Any]) -> None:
    (row,) = figures["azure"]["Minutes"]
    reply = azure.command("spend")
    assert reply["coverage"]["from"].replace("T", " ")[:26] == row["first"][:26]
    assert reply["coverage"]["to"].replace("T", " ")[:26] == row["last"][:26]
    asked = ("--grain", "minute", "--since", row["first"][:16] + "Z", "--until", row["first"][:10] + "T20:00Z")
    minutes = azure.rows("total_tokens,usages", *asked)
    assert len(minutes) == row["minutes with traffic"]
    busiest = max(minutes, key=lambda minute: minute["total_tokens"])
    assert busiest["time"].replace("T", " ")[:16] == row["busiest minute"]
    assert busiest["total_tokens"] == row["its tokens"]
    assert sum(minute["usages"] for minute in minutes) == azure.total("usages")["usages"]


def test_mooncake_requests(mooncake: Books, figures: dict[str, Any]) -> None:
    (row,) = figures["mooncake"]["Requests"]
    reply = mooncake.command("spend", "--measures", COUNTS)
    # up to 28 requests share one timestamp, and each is one
    _same(reply["total"], row["requests"], row["tokens in"], row["tokens out"])
    first, last = (datetime.fromisoformat(reply["coverage"][end]) for end in ("from", "to"))
    assert Decimal((last - first) // timedelta(milliseconds=1)) / 1000 == Decimal(row["span s"])


def test_what_a_prefix_cache_could_serve(shared_data: Path, tmp_path: Path, figures: dict[str, Any]) -> None:
    (row,) = figures["mooncake"]["Requests"]
    trace = next((shared_data / "mooncake_conversation").glob("*.gz"))
    (ours,) = Books(tmp_path).command("prefixes", str(trace))["rows"]
    assert (ours["requests"], ours["input_tokens"]) == (row["requests"], row["tokens in"])
    assert (ours["blocks"], ours["blocks_seen_before"]) == (row["prefix blocks"], row["blocks seen before"])
    assert same_money(ours["cacheable_share"], row["cacheable share"])
    assert ours["moments"] == row["distinct timestamps"]
    assert ours["requests_at_once_max"] == row["most requests in one timestamp"]


def _same(ours: dict[str, Any], requests: int, tokens_in: int, tokens_out: int) -> None:
    assert ours["usages"] == ours["chat_calls"] == ours["unpriced_usages"] == requests
    assert (ours["input_tokens"], ours["output_tokens"]) == (tokens_in, tokens_out)
    assert (ours["cost"], ours["cost_per_session"]) == (None, None)
