"""First contentful paint of each page in a headless Chromium, over loopback, light and dark.

A real `outlay up` over full books; each page is loaded once to warm up, then several times in two ways, and both times
nothing comes from the browser's cache. `open_tab_ms` is what somebody waits who follows a link or types an address in a
tab; `new_profile_ms` is a browser context that never existed before, for which the browser starts processes too.
Both are what the browser itself says (`performance.getEntriesByName("first-contentful-paint")`), from the moment the
address was asked for. `server_ms` of a new profile's time passed until the first byte came. `main_thread_cpu_ms` is the
CPU time of the page's main thread there, which other work on the machine does not move. `nothing` is a page of one
word from a server that does nothing: what the browser takes by itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import books
import measure
from outlay.house import House
from server import Server, serving

PAGES = ("/tactical", "/strategic", "/executive", "/overview", "/sessions", "/budgets", "/prices", "/tags", "/targets")
THEMES = ("light", "dark")
VIEWPORT = {"width": 1440, "height": 900}
ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""A browser that does nothing beside."""
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
    context = browser.new_context(color_scheme=theme, viewport=VIEWPORT)
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


def followed(browser: Any, address: str, theme: str, loads: int) -> list[float]:
    """First paints (ms) in one tab, which has shown the page once; what it kept of it is thrown away before each."""
    context = browser.new_context(color_scheme=theme, viewport=VIEWPORT)
    try:
        page = context.new_page()
        inside = context.new_cdp_session(page)
        painted: list[float] = []
        for _ in range(loads + 1):
            inside.send("Network.clearBrowserCache")
            page.goto(address, wait_until="load")
            painted.append(page.evaluate(_READ)[0])
        return painted[1:]
    finally:
        context.close()


def figures(browser: Any, address: str, theme: str, loads: int) -> dict[str, Any]:
    """One page in one theme."""
    rounds = [loaded(browser, address, theme) for _ in range(loads + 1)][1:]
    painted, answered, size, busy = zip(*rounds, strict=True)
    return {
        "open_tab_ms": measure.spread(followed(browser, address, theme, loads), 0),
        "new_profile_ms": measure.spread(painted, 0),
        "server_ms": round(statistics.median(answered)),
        "main_thread_cpu_ms": round(statistics.median(busy)),
        "bytes": round(size[-1]),
    }


def paints(server: Server, loads: int) -> dict[str, Any]:
    """Every page in both themes, and one that is nearly empty."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running, _nothing() as empty:
        browser = running.chromium.launch(executable_path=chromium(), args=ALONE)
        found = {"nothing": figures(browser, empty, "light", loads)}
        for path in PAGES:
            for theme in THEMES:
                address = f"http://127.0.0.1:{server.port}{path}"
                found[f"{path}, {theme}"] = figures(browser, address, theme, loads)
        browser.close()
    return found


class _Nothing(BaseHTTPRequestHandler):
    """Answers everything with one word."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = b"<!doctype html><title>nothing</title><p>nothing"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        with suppress(ConnectionError):  # a browser that has gone again
            self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        """Says nothing either."""


@contextmanager
def _nothing() -> Iterator[str]:
    """The address of a server that does nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


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
