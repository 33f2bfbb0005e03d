"""Digests: the strategic and the executive view as a letter, and those that are due on their way to the outbox.

The figures are those of the pages, from the same functions; only what a mail program cannot draw is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from outlay.control.alerts import post
from outlay.control.outbox import known_keys
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web.executive import collect_year, executive_page
from outlay.faces.web.figures import Books
from outlay.faces.web.months import parse_month
from outlay.faces.web.rendering import text_of
from outlay.faces.web.strategic import collect_strategy, strategic_page
from outlay.faces.web.visit import Rooms
from outlay.govern.alert_rules import rules_in_force
from outlay.govern.digests import WEEK, Digest, digests_in_force, due_since_ns

LATE_NS = 2 * 86_400 * 10**9
"""A digest that could not be made for so long is not sent any more: the next one is near."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent: a line, plain text, and the same as HTML."""

    title: str
    text: str
    html: str


def post_digests(rooms: Rooms, now: datetime | None = None) -> int:
    """Puts what is due into the outbox, once for all servers; how many were new."""
    now = now or datetime.now(UTC)
    now_ns = int(now.timestamp()) * 10**9
    waiting = [item for item in digests_in_force(rooms.control) if now_ns - due_since_ns(item, now) < LATE_NS]
    known = known_keys(rooms.control, [item.key(now) for item in waiting])
    made = 0
    letters: dict[str, Letter] = {}
    for digest in waiting:
        if digest.key(now) in known:
            continue
        if digest.every not in letters:
            with rooms.moment() as books:
                letters[digest.every] = letter_of(books, ControlDesk(rooms.control, "server"), digest, now)
        payload = json.dumps(_payload(letters[digest.every], now), ensure_ascii=False)
        with rooms.control.writing() as connection:
            number = post(connection, digest.key(now), "digest", payload, digest.channel, now_ns, now_ns)
        made += number is not None
    return made


def letter_of(books: Books, desk: ControlDesk, digest: Digest, now: datetime) -> Letter:
    """The letter: every week the month its Sunday lies in, on the first the month before."""
    if digest.every == WEEK:
        last = digest.due(now) - timedelta(days=1)
        choice = parse_month({"month": f"{last:%Y-%m}"}, now, "/strategic")
        told = strategic_page(collect_strategy(books, desk.store, choice))
        title = f"Agents in week {last.isocalendar().week}: {told['total']['cost']} in {last:%B}"
        lines = [told["words"]]
    else:
        before = digest.due(now).replace(day=1) - timedelta(days=1)
        choice = parse_month({"month": f"{before:%Y-%m}"}, now, "/executive")
        told = executive_page(collect_year(books, desk, choice))
        title = f"Agents in {before:%B %Y}: {told['total']['cost']}"
        lines = [told["lede"].striptags()]
    lines += [f"{item.label}: {item.figure} ({item.against})" for item in told["numbers"]]
    href = rules_in_force(desk.store).page.rstrip("/")
    link = f"{href}{choice.address()}" if href else ""
    html = text_of("digest.html", {**told, "title": title, "view": digest.view, "link": link})
    return Letter(title, "\n".join(lines), html)


def _payload(letter: Letter, now: datetime) -> dict[str, Any]:
    return {
        "type": "digest",
        "severity": "info",
        "title": letter.title,
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "text": letter.text,
        "html": letter.html,
    }
