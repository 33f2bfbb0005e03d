"""Targets and the forecast on the command line and over the API, end to end on a real store and real books."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from faces.double import FakeHouse
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of
from outlay.control.place import open_control
from outlay.faces.api.app import build_app
from outlay.faces.cli.main import run


def said(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*words, "--home", str(home), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> str:
    capsys.readouterr()
    assert run([*words, "--home", str(home)]) in {1, 2}
    return capsys.readouterr().err


def test_a_target_is_set_listed_decided_reviewed_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = said(capsys, tmp_path, "targets", "set", "kyc", "0.95", "--quarter", "2026-q3", "--note", "as agreed")
    assert (made["rows"][0]["target"], made["rows"][0]["quarter"], made["total"]) == (
        "0.95",
        "2026-Q3",
        {"changed": True},
    )
    again = said(capsys, tmp_path, "targets", "set", "kyc", "0.95", "--quarter", "2026-Q3", "--note", "as agreed")
    assert again["total"] == {"changed": False}
    decided = said(capsys, tmp_path, "targets", "decide", "kyc", "two retries at most", "--quarter", "2026-Q3")
    assert decided["rows"][0]["decision"] == "two retries at most"
    assert said(capsys, tmp_path, "targets", "list")["total"] == {"targets": 1}
    reviewed = said(capsys, tmp_path, "targets", "review", "--quarter", "2026-Q3")
    (row,) = reviewed["rows"]
    assert (row["feature"], row["target"], row["verdict"], row["cost_per_completed_task"]) == (
        *("kyc", "0.95", "open"),
        None,
    )
    assert reviewed["total"] == {"met": 0, "near": 0, "over": 0, "few": 0, "open": 1, "none": 0}
    said(capsys, tmp_path, "targets", "remove", "kyc", "--quarter", "2026-Q3")
    assert said(capsys, tmp_path, "targets", "list")["rows"] == []
    actions = [line["action"] for line in said(capsys, tmp_path, "audit", "show")["rows"]]
    assert actions == ["target.set", "target.decide", "target.remove"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("targets", "set", "kyc", "0"), "more than 0"),
        (("targets", "set", "kyc", "-1"), "No such option"),
        (("targets", "set", "kyc", "much"), "not an amount"),
        (("targets", "set", "kyc", "1", "--quarter", "2026-13"), "like 2026-Q4"),
        (("targets", "set", "", "1"), "feature must be"),
        (("targets", "set", "x" * 400, "1"), "at most"),
        (("targets", "decide", "kyc", "no"), "has no target"),
        (("targets", "remove", "kyc"), "has no target"),
        (("targets", "review", "--quarter", "2099-Q1"), "has not begun"),
        (("forecast", "--month", "2026-13"), "is no month"),
        (("forecast", "--month", "2099-01"), "has not begun"),
        (("forecast", "--by", "tean"), "team"),
        (("forecast", "--by", "team,feature"), "one value"),
        (("efficiency", "--month", "2099-01"), "has not begun"),
        (("efficiency", "--by", "tean"), "team"),
        (("efficiency", "--by", "model"), "by feature, product_line"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert told.lower() in refused(capsys, tmp_path, *words).lower()


def test_a_forecast_of_nothing_is_unknown_and_not_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = said(capsys, tmp_path, "forecast")
    assert (reply["rows"], reply["total"]["forecast"], reply["total"]["verdict"]) == ([], None, "no budget")
    said(capsys, tmp_path, "budgets", "set", "--month", "100")
    assert said(capsys, tmp_path, "forecast")["total"]["verdict"] == "young"
    past = said(capsys, tmp_path, "forecast", "--month", "2026-01")["total"]
    assert (past["forecast"], past["basis"], past["limit"]) == ("0", "actual", None)


def test_over_the_api_only_who_may_govern_sets_targets(tmp_path: Path) -> None:
    keys = {"viewer": ApiKey("viewer", ("read",)), "finance": ApiKey("finance", ("read", "govern"))}

    async def asked() -> None:
        with open_control(tmp_path) as store:
            keyring = Keyring(store, {digest_of(name): key for name, key in keys.items()})
            app = build_app(FakeHouse(control=store), keyring=keyring, key_needed=True)  # type: ignore[arg-type]
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                target = {"feature": "kyc/eu", "amount": "0.95", "quarter": "2026-Q4"}

                async def post(path: str, body: Any, who: str) -> httpx2.Response:
                    return await client.post(path, json=body, headers={"authorization": f"Bearer {who}"})

                assert (await post("/api/v1/targets", target, "viewer")).status_code == 403
                assert (await post("/api/v1/targets", target, "finance")).json()["total"] == {"changed": True}
                wrong = await post("/api/v1/targets", {**target, "amont": 1}, "finance")
                assert wrong.status_code == 400
                assert "amount" in wrong.json()["hint"]
                held = await client.get("/api/v1/targets", headers={"authorization": "Bearer viewer"})
                assert held.json()["rows"][0]["changed_by"] == "key:finance"
                address = "/api/v1/targets/kyc/eu?quarter=2026-Q4"
                gone = await client.delete(address, headers={"authorization": "Bearer finance"})
                assert gone.json()["total"] == {"removed": 1}

    asyncio.run(asked())
