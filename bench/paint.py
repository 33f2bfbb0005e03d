"""First contentful paint of each page in a headless Chromium, over loopback, light and dark.

A real `outlay up` over full books; each page is loaded once to warm up, then several times in a fresh browser context
each time, so that nothing comes from the browser's cache. `first_paint_ms` is what the browser itself says
(`performance.getEntriesByName("first-contentful-paint")`), from the moment the address was asked for; `server_ms` of it
passed until the first byte came, so the rest is the page's own: parsing, style, layout, paint. `main_thread_cpu_ms` is
the CPU time of the page's main thread up to that moment, which other work on the machine does not move.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import books
import measure
from outlay.house import House
from server import Server, serving

PAGES = ("/tactical", "/strategic", "/executive", "/overview", "/sessions", "/budgets", "/prices", "/tags", "/targets")
THEMES = ("light", "dark")
_READ = """() => new Promise((told) => {
    new PerformanceObserver((list) => {
        const asked = performance.getEntriesByType("navigation")[0];
        for (const painted of list.getEntriesByName("first-contentful-paint"))
            told([painted.startTime, asked.responseStart - asked.requestStart, asked.encodedBodySize]);
    }).observe({type: "paint", buffered: true});
})"""


def chromium() -> str:
    """The path of a Chromium or Chrome."""
    names = (os.environ.get("OUTLAY_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("error: no Chromium on this machine; install the system's chromium or set OUTLAY_CHROMIUM")
    return found


def loaded(browser: Any, address: str, theme: str) -> list[float]:
    """First paint, the server's part of it (both ms), the size of the page as it was sent, CPU of its thread (ms)."""
    context = browser.new_context(color_scheme=theme, viewport={"width": 1440, "height": 900})
    try:
        page = context.new_page()
        inside = context.new_cdp_session(page)
        inside.send("Performance.enable", {"timeDomain": "threadTicks"})
        answer = page.goto(address, wait_until="load")
        if answer is None or answer.status != 200:
            raise SystemExit(f"error: {address} was not answered")
        told = page.evaluate(_READ)
        spent = {each["name"]: each["value"] for each in inside.send("Performance.getMetrics")["metrics"]}
        return [*told, spent["TaskDuration"] * 1e3]
    finally:
        context.close()


def paints(server: Server, loads: int) -> dict[str, Any]:
    """Every page in both themes."""
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {}
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        for path in PAGES:
            for theme in THEMES:
                rounds = [loaded(browser, f"http://127.0.0.1:{server.port}{path}", theme) for _ in range(loads + 1)][1:]
                painted, answered, size, busy = zip(*rounds, strict=True)
                found[f"{path}, {theme}"] = {
                    "first_paint_ms": measure.spread(painted, 0),
                    "server_ms": round(statistics.median(answered)),
                    "page_ms": round(statistics.median(a - b for a, b in zip(painted, answered, strict=True))),
                    "main_thread_cpu_ms": round(statistics.median(busy)),
                    "bytes": round(size[-1]),
                }
        browser.close()
    return found


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Fills a home, serves it and looks at it."""
    with tempfile.TemporaryDirectory(prefix="outlay-bench-", dir=args.folder) as name:
        home = Path(name) / "home"
        home.mkdir()
        books.fill(home / "books.duckdb", args.usages)
        with House.open(home) as house:
            house.intake.settle()
        with serving(home) as server:
            return {"usages": args.usages, "loads": args.loads, **paints(server, args.loads)}


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--usages", type=int, default=200_000, help="size of the books (200000)")
    parser.add_argument("--loads", type=int, default=7, help="how often each page is loaded (7)")
    parser.add_argument("--folder", type=Path, help="where the temporary home goes (the system's temporary folder)")
    args = parser.parse_args()
    measure.report("paint", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
