"""A server looks at its views before anybody does: once an hour, and only at books in which it matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outlay.faces.actors import LOOPBACK
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web import warm
from outlay.faces.web.choice import parse_choice
from outlay.faces.web.executive import collect_year
from outlay.faces.web.live import collect_live
from outlay.faces.web.months import parse_month
from outlay.faces.web.strategic import collect_strategy
from outlay.faces.web.warm import Warm
from outlay.house import House
from outlay.ledger.duckdb_snapshot import Snapshot
from outlay.sources.facts import Batch, facts_of, outcomes_of

NOW = datetime(2026, 11, 26, 15, 30, 59, tzinfo=UTC)


def post(house: House) -> None:
    start = NOW - timedelta(days=3, hours=2)
    row: dict[str, Any] = {"fact_id": "call", "source": "test", "operation": "chat", "team": "risk", "cost_nano": 10**9}
    row["start_ns"] = int(start.timestamp()) * 10**9
    house.post_facts(Batch(facts_of([row]), outcomes_of([]), received=1))
    house.intake.settle()


def test_after_it_each_view_is_put_together_from_what_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "USAGES_MIN", 1)
    asked: list[str] = []

    def noted(name: str) -> None:
        original = getattr(Snapshot, name)

        def read(self: Snapshot, sql: str, *rest: Any) -> Any:
            asked.append(sql)
            return original(self, sql, *rest)

        monkeypatch.setattr(Snapshot, name, read)

    with House.open(home) as house:
        post(house)
        assert Warm(house, LOOPBACK).look(NOW)
        for name in ("rows", "records", "columns"):
            noted(name)
        with house.moment() as books:
            collect_live(books, parse_choice({"period": "24h"}, NOW))
            collect_strategy(books, house.control, parse_month({}, NOW, "/strategic"))
            collect_year(books, ControlDesk(house.control, LOOPBACK), parse_month({}, NOW, "/executive"))
            assert asked == [], "all of it was asked already"


def test_once_an_hour_and_never_in_small_books(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with House.open(home) as house:
        post(house)
        looks = Warm(house, LOOPBACK)
        assert not looks.look(NOW), "one usage is no large book"
        monkeypatch.setattr(warm, "USAGES_MIN", 1)
        told = [looks.look(NOW + timedelta(minutes=minutes)) for minutes in (0, 1, 29, 30, 31, 90)]
        assert told == [True, False, False, True, False, True]
