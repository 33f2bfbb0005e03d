"""One line under every table: how far its figures can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from outlay.faces import formats
from outlay.faces.plain import Reply


def coverage_line(reply: Reply) -> str:
    """How the cost was obtained, what has no price, what has no team, and the window, as far as the reply says it."""
    parts = [*_obtained(reply["coverage"]), *_missing(reply["coverage"]), *_window(reply)]
    return " · ".join(parts)


def session_line(reply: Reply) -> str:
    """A session in one line: its id, whose it was, from when to when, what it cost."""
    total = reply["total"]
    parts = [f"session {total['session']} ({total['state']})"]
    parts += [f"{name} {total['envelope'][name]}" for name in ("team", "feature", "agent") if name in total["envelope"]]
    parts.append(f"{_minute(total['first_seen'])} to {_minute(total['last_seen'])} UTC")
    if total["sessions_below"]:
        tree = "(unpriced)" if total["tree_cost"] is None else formats.money(total["tree_cost"])
        parts.append(f"with {formats.count(total['sessions_below'])} sub-sessions {tree}")
    parts += [f"task {outcome['task']} {outcome['outcome']}" for outcome in total["outcomes"]]
    return " · ".join(parts)


def tag_lines(reply: Reply) -> Iterator[str]:
    """One line a tag of a session: each value with where it came from and on how many steps."""
    by_key: dict[str, dict[str, list[str]]] = {}
    for note in reply["total"].get("tags", ()):
        said = f"{note['source'] or 'unknown'} {formats.count(note['usages'])}"
        by_key.setdefault(note["key"], {}).setdefault(note["value"], []).append(said)
    for key, values in by_key.items():
        told = "; ".join(f"{value} ({', '.join(sources)})" for value, sources in values.items())
        yield f"{key}: {told}"


def page_line(reply: Reply) -> Iterator[str]:
    """Which steps of a session these are, where they are not all, and how to see the others."""
    page, shown = reply["coverage"], len(reply["rows"])
    if page.get("count", shown) > shown:
        first, last = formats.count(page["first"] + 1), formats.count(page["first"] + shown)
        parts = [f"steps {first} to {last} of {formats.count(page['count'])}"]
        parts += [f"the next: --after {page['next']}"] if page["next"] else []
        parts += [f"the ones before: --before={page['previous']}"] if page["previous"] else []
        yield " · ".join(parts)


def _obtained(coverage: dict[str, Any]) -> Iterator[str]:
    """The parts of the cost by provenance; those that are nothing are left out."""
    for name in ("recorded", "priced", "estimated"):
        part = coverage.get(f"{name}_share")
        if part is not None and Decimal(part):
            yield f"{name} {formats.share(part)}"


def _missing(coverage: dict[str, Any]) -> Iterator[str]:
    unpriced = coverage.get("unpriced_usages")
    if unpriced is not None:
        tokens = f" ({formats.count(coverage['unpriced_tokens'])} tokens)" if coverage.get("unpriced_tokens") else ""
        yield f"{formats.count(unpriced)} unpriced usages{tokens}"
    attributed = coverage.get("attributed_share")
    if attributed is not None:
        yield f"untagged {formats.share(str(1 - Decimal(attributed)))}"


def _window(reply: Reply) -> Iterator[str]:
    """The window that was asked for; an open end is where the facts begin or end."""
    query, coverage = reply["query"], reply["coverage"]
    start, end = query.get("since") or coverage.get("from"), query.get("until") or coverage.get("to")
    if start and end:
        yield f"{_minute(start)} to {_minute(end)} UTC"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")
