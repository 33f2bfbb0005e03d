"""The views of a month in a real Chromium over the demo's company: one number on the page, from the API, in a shell."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from outlay.demo.finance import settle
from outlay.demo.run import bodies, prepare
from outlay.faces import formats
from outlay.faces.api.app import build_app
from outlay.faces.cli.main import run
from outlay.faces.owner import Owner, announce
from outlay.faces.web.pages import routes
from outlay.house import House

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "vendor" / "axe-core-4.14.1.min.js"
OVERFLOW_PX_MAX = 3
PAGE_BYTES_MAX = 60 * 1024
WIDTHS = (1440, 768, 390)
VIEWS = ("strategic", "executive", "targets")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """A server over the company's last two days, some days of earlier months, its budgets and its targets."""
    prepare(home)
    with House.open(home) as house:
        now = datetime.now(UTC) - timedelta(minutes=1)
        settle(house.control, now)
        days = (range(2), range(60, 64), range(362, 365))
        taken = [house.intake.submit(body, "protobuf") for some in days for body, _ in bodies(7, now, some)]
        assert sum(future.result(timeout=120).refused for future in taken) == 0
        house.intake.settle()
        config = uvicorn.Config(build_app(house, routes(house)), port=0, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        announce(home, Owner(url, os.getpid(), ""))
        yield url
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; make setup brings it")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def opened(browser: Any, address: str, *, script: bool = True) -> tuple[Any, list[str]]:
    """The page, and everything its console said."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, java_script_enabled=script)
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    return page, said


def asked(address: str, path: str) -> Any:
    with urllib.request.urlopen(address + path) as answer:
        return json.load(answer)


def month() -> str:
    return f"{datetime.now(UTC):%Y-%m}"


def numbers(page: Any) -> dict[str, str]:
    names = [text.inner_text() for text in page.query_selector_all(".number h2")]
    return dict(zip(names, [text.inner_text() for text in page.query_selector_all(".number .value b")], strict=True))


def cells(page: Any, caption: str) -> list[list[str]]:
    rows = page.query_selector(f'table:has(caption:text("{caption}"))').query_selector_all("tbody tr, tfoot tr")
    return [[cell.inner_text().strip() for cell in row.query_selector_all("th,td")] for row in rows]


def dollars(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


def in_a_shell(home: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert run([*words, "--home", str(home), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_strategic_numbers_are_the_api_s_and_the_shell_s(
    browser: Any, address: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, said = opened(browser, f"{address}/strategic")
    names = "cost,cost_per_completed_task,full_cost_multiple,retry_share,embedding_share,retrieval_share"
    total = asked(address, f"/api/v1/spend?since={month()}&measures={names}")["total"]
    assert list(numbers(page).values()) == [
        formats.money(total["cost"]),
        formats.money(total["cost_per_completed_task"]),
        formats.multiple(total["full_cost_multiple"]),
        formats.share(total["retry_share"]),
        formats.share(total["embedding_share"]),
        formats.share(total["retrieval_share"]),
    ]
    api = asked(address, "/api/v1/forecast?by=team")
    shell = in_a_shell(home, capsys, "forecast", "--by", "team")
    shown = {row[0]: row for row in cells(page, "Team spend against budget")}
    for told in (api, shell):
        for row in (*told["rows"], {"team": "All teams", **told["total"]}):
            cell = shown[row["team"]]
            assert cell[2] == formats.money(row["spent"])
            assert cell[3] == ("no budget" if row["limit"] is None else formats.money(row["limit"]))
            assert dollars(cell[5]) == pytest.approx(float(row["forecast"]), abs=2), "a forecast moves with the clock"
    features = asked(address, f"/api/v1/spend?since={month()}&by=feature,team&measures=cost,cost_per_completed_task")[
        "rows"
    ]
    table = cells(page, "Cost per completed task by feature")
    assert [(row[1], row[6]) for row in table[: len(features)]] == [
        (formats.money(row["cost"]), formats.money(row["cost_per_completed_task"])) for row in features
    ]
    assert said == []


def test_the_executive_numbers_are_the_api_s(browser: Any, address: str) -> None:
    page, said = opened(browser, f"{address}/executive")
    names = "cost,outcome_value,cost_to_value,tasks_completed"
    total = asked(address, f"/api/v1/spend?since={month()}&measures={names}")["total"]
    forecast = asked(address, "/api/v1/forecast")["total"]
    shown = numbers(page)
    assert shown["Full cost, month to date"] == formats.short(total["cost"])
    assert dollars(shown["Forecast"].replace("k", "")) == pytest.approx(
        dollars(formats.short(forecast["forecast"])), abs=2
    )
    assert shown["Outcome value"] == formats.short(total["outcome_value"])
    assert shown["Cost ÷ value"] == formats.share(total["cost_to_value"])
    asks = f"/api/v1/spend?since={month()}&by=product_line&measures=cost,tasks_completed,cost_per_completed_task"
    lines = asked(address, asks)["rows"]
    table = cells(page, "Cost per business outcome by product line")
    assert [(row[1], row[2], row[4]) for row in table[: len(lines)]] == [
        (
            formats.count(row["tasks_completed"]),
            formats.money(row["cost"]),
            formats.money(row["cost_per_completed_task"]),
        )
        for row in lines
    ]
    assert "should close at" in page.inner_text(".lede")
    index = asked(address, "/api/v1/efficiency")["total"]["index"]
    shown_index = page.locator(".chart.index .ends").inner_text() if index is not None else None
    assert shown_index is None or shown_index.strip() == f"{float(index):.0f}"
    assert said == []


def test_the_review_s_numbers_are_the_api_s_and_the_shell_s(
    browser: Any, address: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, said = opened(browser, f"{address}/targets")
    shown = {row[0].split(" ")[0]: row for row in cells(page, "Features against their targets")}
    for told in (asked(address, "/api/v1/targets/review"), in_a_shell(home, capsys, "targets", "review")):
        assert len(told["rows"]) == len(shown)
        for row in told["rows"]:
            cell = shown[row["feature"]]
            cost = row["cost_per_completed_task"]
            assert cell[4] == (formats.money(cost) if row["tasks_completed"] else "no task")
            assert cell[7] == ("no target" if row["target"] is None else formats.money(row["target"]))
    assert said == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_overflows_the_console_is_silent_there_is_no_barrier_and_the_page_is_small(
    browser: Any, address: str, view: str, tmp_path: Path
) -> None:
    """Pictures of every view are kept where OUTLAY_PICTURES says."""
    kept = Path(os.environ.get("OUTLAY_PICTURES", tmp_path))
    kept.mkdir(parents=True, exist_ok=True)
    page, said = opened(browser, f"{address}/{view}")
    assert len(gzip.compress(page.content().encode())) < PAGE_BYTES_MAX
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width + OVERFLOW_PX_MAX, width
    page.evaluate(AXE.read_text(encoding="utf-8"))  # through the debugger: the policy keeps an injected script out
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=kept / f"{view}-{theme}-{width}.png", full_page=True)
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 20
        assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found["violations"]] == []
    page.emulate_media(media="print")
    assert not page.locator("form.filters").is_visible()
    assert said == []


def test_without_a_script_views_are_narrowed_turned_back_and_targets_set(browser: Any, address: str) -> None:
    page, said = opened(browser, f"{address}/strategic", script=False)
    page.select_option("select[name=team]", "platform")
    page.click("form.filters button")
    assert "team=platform" in page.url
    assert [row[0] for row in cells(page, "Team spend against budget")] == ["platform"]
    page.goto(f"{address}/executive?month=2020-01")
    assert "Nothing is metered in January 2020" in page.inner_text("main")
    page.goto(f"{address}/targets")
    page.fill("#feature", "account-setup")
    page.fill("#amount", "0.30")
    page.click(".forms button")
    assert (
        "no target" not in next(row for row in cells(page, "Features against") if row[0].startswith("account-setup"))[7]
    )
    page.fill("#decision-1", "keep it")
    page.click(".decide button >> nth=0")
    assert "Decided: keep it" in page.inner_text(".review")
    page.fill("#feature", "account-setup")
    page.fill("#amount", "nothing")
    page.click(".forms button")
    assert "not an amount" in page.inner_text("main")
    assert page.input_value("#amount") == "nothing", "what was typed stays"
    assert [text for text in said if "400" not in text] == []


def test_a_bar_and_a_bullet_lead_to_their_sessions(browser: Any, address: str) -> None:
    page, said = opened(browser, f"{address}/strategic")
    page.click("td.bar a.mark >> nth=0")
    assert "/sessions?since=" in page.url
    assert page.locator("table:has(caption) tbody tr").count() > 0
    page.goto(f"{address}/executive")
    page.focus("a.hit >> nth=0")
    assert "so far" in page.locator("a.hit >> nth=0").locator(".tip").inner_text()
    assert said == []
