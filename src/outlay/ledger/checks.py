"""The integrity check behind `outlay doctor`: one line a check, each can fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outlay.core.envelope import UNTAGGED
from outlay.core.errors import OutlayError
from outlay.ledger.journal import Journal
from outlay.ledger.store import Books

FREE_BYTES_MIN = 1024**3
"""Below this much free room intake may stop within the hour on a busy machine."""

_SUMS = """
SELECT (SELECT coalesce(sum(amount_nano), 0) FROM usages)::VARCHAR AS usages,
       (SELECT coalesce(sum(recorded_nano + priced_nano + estimated_nano), 0) FROM usages)::VARCHAR AS parts,
       (SELECT coalesce(sum(amount_nano), 0) FROM charges)::VARCHAR AS charges
"""
_UNEVEN = """
SELECT count(*) FROM (
    SELECT u.seq
    FROM usages u LEFT JOIN (SELECT seq, sum(amount_nano) AS amount FROM charges GROUP BY seq) c USING (seq)
    WHERE coalesce(u.amount_nano, 0) <> coalesce(c.amount, 0))
"""
_ORPHANS = "SELECT count(*) FROM charges c ANTI JOIN usages u USING (seq)"
_REPEATS = "SELECT count(*) - count(DISTINCT fact_key) FROM usages"
_COVERAGE = f"""
SELECT count(*) FILTER (bears) AS usages, count(*) FILTER (unpriced_meters > 0) AS unpriced,
       count(*) FILTER (zone_assumed) AS zoneless,
       sum(amount_nano)::VARCHAR AS amount, sum(amount_nano) FILTER (team = '{UNTAGGED}')::VARCHAR AS untagged
FROM usages WHERE counted
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, whether it is well, what was found and what to do."""

    name: str
    ok: bool
    text: str
    hint: str = ""


def check_books(books: Books, journal: Journal, home: Path) -> list[Check]:
    """Every check of the books and the journal."""
    checks: list[Callable[[], Check]] = [
        lambda: _journal(journal),
        lambda: _posted(books, journal),
        lambda: _parked(books),
        lambda: _sums(books),
        lambda: _lines(books),
        lambda: _repeats(books),
        lambda: _counters(books),
        lambda: _unpriced(books),
        lambda: _attributed(books),
        lambda: _room(home),
    ]
    return [_guarded(check) for check in checks]


def _guarded(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except OutlayError as error:
        return Check("books", ok=False, text=error.message, hint=error.hint)


def _journal(journal: Journal) -> Check:
    try:
        entries = sum(1 for _ in journal.read())
    except OutlayError as error:
        return Check("journal", ok=False, text=error.message, hint=error.hint)
    torn = len(list(journal.folder.glob("*.torn")))
    text = f"{entries} entries readable, {journal.size_bytes:,} bytes"
    text += f", {torn} torn ends moved aside" if torn else ""
    return Check("journal", entries == journal.last_number or _begins_late(journal, entries), text)


def _begins_late(journal: Journal, entries: int) -> bool:
    """Old files may have been moved away on purpose: then the first number is above 1."""
    first = next(iter(journal.read())).number if entries else 1
    return journal.last_number - first + 1 == entries


def _posted(books: Books, journal: Journal) -> Check:
    behind = journal.last_number - books.meta("posted_through")
    return Check(
        "posted",
        behind <= 0,
        "the books hold every journal entry" if behind <= 0 else f"{behind} journal entries are not in the books yet",
        "" if behind <= 0 else "they are posted when Outlay opens the books; if it persists: outlay rebuild",
    )


def _parked(books: Books) -> Check:
    count = books.scalar("SELECT count(*) FROM parked")
    text = "no entry had to be stepped over" if not count else f"{count} journal entries could not be posted"
    return Check("parked", not count, text, "" if not count else "outlay rebuild tries them again")


def _sums(books: Books) -> Check:
    row = books.rows(_SUMS).to_pylist()[0]
    same = row["usages"] == row["charges"] == row["parts"]
    text = "cost lines add up to the usages, to the last unit" if same else f"sums differ (nano-units): {row}"
    return Check("sums", same, text, "" if same else "outlay rebuild")


def _lines(books: Books) -> Check:
    uneven, orphans = books.scalar(_UNEVEN), books.scalar(_ORPHANS)
    well = not uneven and not orphans
    text = "every usage equals its own cost lines" if well else f"{uneven} usages differ, {orphans} lines have no usage"
    return Check("lines", well, text, "" if well else "outlay rebuild")


def _repeats(books: Books) -> Check:
    count = books.scalar(_REPEATS)
    return Check("repeats", not count, "every fact stands once" if not count else f"{count} facts stand twice")


def _counters(books: Books) -> Check:
    received, posted = books.meta("received"), books.meta("posted")
    duplicates, refused = books.meta("duplicates"), books.meta("refused")
    well = received == posted + duplicates + refused
    text = f"received {received:,} = posted {posted:,} + duplicates {duplicates:,} + refused {refused:,}"
    return Check("counters", well, text)


def _unpriced(books: Books) -> Check:
    row = books.rows(_COVERAGE).to_pylist()[0]
    count = row["unpriced"]
    text = f"{count:,} of {row['usages']:,} usages have a part without a price; {row['zoneless']:,} times had no zone"
    return Check("prices known", not count, text, "" if not count else "outlay prices check")


def _attributed(books: Books) -> Check:
    row = books.rows(_COVERAGE).to_pylist()[0]
    amount, untagged = int(row["amount"] or 0), int(row["untagged"] or 0)
    share = f"{100 * (amount - untagged) // amount} %" if amount else "no cost yet, 0 %"
    hint = "" if not untagged else "tag sessions with a team"
    return Check("attributed", not untagged, f"{share} of the cost has a team", hint)


def _room(home: Path) -> Check:
    free = shutil.disk_usage(home).free
    well = free >= FREE_BYTES_MIN
    return Check("room", well, f"{free // 1024**2:,} MiB free in {home}", "" if well else "free some space")
