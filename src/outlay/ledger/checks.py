"""The integrity check behind `outlay doctor`: one line a check, each can fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outlay.core.envelope import UNTAGGED
from outlay.core.errors import OutlayError
from outlay.core.outcome import DERIVED
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
_COUNTED = f"""
SELECT max(value) FILTER (name = 'received') AS received, max(value) FILTER (name = 'posted') AS posted,
       max(value) FILTER (name = 'duplicates') AS duplicates, max(value) FILTER (name = 'refused') AS refused,
       (SELECT count(*) FROM usages) + (SELECT count(*) FROM outcomes WHERE source <> '{DERIVED}') AS held
FROM meta
"""
_UNEQUAL_DAYS = """
WITH rows AS (SELECT time::DATE AS day, count(*) AS n, sum(amount_nano) AS amount FROM {rows} GROUP BY day),
days AS (SELECT time::DATE AS day, sum(n) AS n, sum(amount_nano) AS amount FROM {kind}_days GROUP BY day),
months AS (SELECT time::DATE AS month, sum(n) AS n, sum(amount_nano) AS amount FROM {kind}_months GROUP BY month)
SELECT count(*) FROM (
    SELECT day FROM rows FULL JOIN days USING (day)
    WHERE day NOT IN (SELECT day FROM stale_days)
      AND (rows.n IS DISTINCT FROM days.n OR rows.amount IS DISTINCT FROM days.amount)
    UNION ALL
    SELECT month FROM months FULL JOIN (
        SELECT date_trunc('month', day)::DATE AS month, sum(n) AS n, sum(amount) AS amount FROM days GROUP BY ALL) d
        USING (month)
    WHERE months.n IS DISTINCT FROM d.n OR months.amount IS DISTINCT FROM d.amount)
"""
_UNEQUAL_SESSIONS = """
WITH rows AS (SELECT time::DATE AS day, count(*) AS n, sum(amount_nano) AS amount FROM usages GROUP BY day),
days AS (SELECT time::DATE AS day, sum(n) AS n, sum(amount_nano) AS amount FROM session_days GROUP BY day)
SELECT count(*) FROM rows r FULL JOIN days d USING (day)
WHERE day NOT IN (SELECT day FROM stale_days) AND (r.n IS DISTINCT FROM d.n OR r.amount IS DISTINCT FROM d.amount)
"""
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


def check_books(books: Books, journal: Journal, home: Path, through: int, settled: int) -> list[Check]:
    """Every check of the books and the journal; what came in while they run is not held against them.

    The books should hold the journal up to the entry `through`, and be settled up to the seq `settled`.
    """
    checks: dict[str, Callable[[], Check]] = {
        "journal": lambda: _journal(journal, through),
        "posted": lambda: _posted(books, through),
        "settled": lambda: _settled(books, settled),
        "parked": lambda: _parked(books),
        "sums": lambda: _sums(books),
        "lines": lambda: _lines(books),
        "repeats": lambda: _repeats(books),
        "rollups": lambda: check_rollups(books),
        "whereabouts": lambda: check_whereabouts(books),
        "counters": lambda: _counters(books),
        "prices known": lambda: _unpriced(books),
        "attributed": lambda: _attributed(books),
        "room": lambda: _room(home),
    }
    return [_guarded(name, check) for name, check in checks.items()]


def last_seq(books: Books) -> int:
    """The highest number of a row in the books."""
    return max(books.scalar(f"SELECT max(seq) FROM {table}") for table in ("usages", "outcomes"))


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except OutlayError as error:
        return Check(name, ok=False, text=error.message, hint=error.hint)


def _journal(journal: Journal, through: int) -> Check:
    first = last = entries = 0
    for entry in journal.read():
        first, last, entries = first or entry.number, entry.number, entries + 1
    torn = len(list(journal.folder.glob("*.torn")))
    text = f"{entries} entries readable, {journal.size_bytes:,} bytes"
    text += f", {torn} torn ends moved aside" if torn else ""
    # Old files may have been moved away on purpose: then the first number is above 1.
    missing = max(last, through) - entries - (first - 1 if entries else 0)
    if missing:
        return Check("journal", ok=False, text=f"{text}; {missing} are missing", hint="restore them from a backup")
    return Check("journal", ok=True, text=text)


def _posted(books: Books, through: int) -> Check:
    behind = through - books.meta("posted_through")
    return Check(
        "posted",
        behind <= 0,
        "the books hold every journal entry" if behind <= 0 else f"{behind} journal entries are not in the books yet",
        "" if behind <= 0 else "they are posted when Outlay opens the books; if it persists: outlay rebuild",
    )


def _settled(books: Books, through: int) -> Check:
    behind = through - books.meta("settled_through")
    text = "relatives have been looked at everywhere" if behind <= 0 else f"{behind} rows wait for their relatives"
    return Check("settled", behind <= 0, text, "" if behind <= 0 else "see the server's log; outlay rebuild")


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


def check_rollups(books: Books) -> Check:
    """Whether the days and months that were added up equal what they stand for."""
    unequal = sum(
        books.scalar(_UNEQUAL_DAYS.format(kind=kind, rows=rows))
        for kind, rows in (("usage", "usages"), ("charge", "charges"))
    )
    unequal += books.scalar(_UNEQUAL_SESSIONS)
    text = "days and months equal the rows they add up" if not unequal else f"{unequal} days or months differ"
    return Check("rollups", not unequal, text, "" if not unequal else "outlay rebuild")


def check_whereabouts(books: Books) -> Check:
    """Whether every day on which a session or a task did its work can be looked up."""
    count = books.unnoted()
    text = "every day of a session and a task can be looked up" if not count else f"{count} days of work are not noted"
    return Check("whereabouts", not count, text, "" if not count else "outlay rebuild")


def _counters(books: Books) -> Check:
    row = books.rows(_COUNTED).to_pylist()[0]
    received, posted, duplicates, refused = (row[name] or 0 for name in ("received", "posted", "duplicates", "refused"))
    text = f"received {received:,} = posted {posted:,} + duplicates {duplicates:,} + refused {refused:,}"
    if received != posted + duplicates + refused:
        return Check("counters", ok=False, text=f"not true: {text}", hint="outlay rebuild")
    if posted != row["held"]:
        return Check(
            "counters", ok=False, text=f"{posted:,} were posted, {row['held']:,} are here", hint="outlay rebuild"
        )
    return Check("counters", ok=True, text=text)


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
