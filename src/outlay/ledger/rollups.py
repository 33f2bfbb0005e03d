"""Rollups: whole days and months of usages and cost lines added up once, for questions that ask for nothing finer.

A row of `usage_days` or `charge_days` stands for `n` rows of one day that are alike in everything a question may split,
filter or test by, with their quantities added; `usage_months` and `charge_months` add up those days. A row of
`session_days` stands for what one session did on a day, with the figures that sessions are listed and ranked by: what
is asked by session, customer, user or task is read from these few. The tables are derived and never believed blindly:
whatever touches a usage or a cost line marks its day as stale in the same transaction, and a reader takes a stale day
row by row. So an answer is the same with and without them, at any moment; the clerk adds stale days up again when there
is time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from outlay.core.centre import CostCentre
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.meters import INPUT_METERS, OUTPUT_METERS, TOKEN_METERS
from outlay.ledger.labels import LABELS

ROLLUP_VERSION = 5
"""Raised with every change of what a rollup holds; older ones are added up again."""

TOO_FINE = frozenset(("origin", "scope", "error_type", "reason", "basis"))
"""Labels with too many values to keep apart: questions about them read the rows."""

ROLLUP_LABELS: tuple[str, ...] = tuple(name for name in LABELS if name not in TOO_FINE)
"""The texts every row of a group shares; its `labels` is the number of one combination that has them."""

FLAGS: tuple[str, ...] = ("counted", "failed", "bears")
SIGNED: tuple[str, ...] = ("amount_nano", "recorded_nano", "unpriced_meters", "tag_gaps")
"""Sums of which it is also kept apart whether each part was below, at or above zero."""
NULLABLE: tuple[str, ...] = ("list_nano",)
"""Sums of which it is kept apart whether the parts were known."""

SUMS: tuple[str, ...] = (
    *TOKEN_METERS,
    "amount_nano",
    "recorded_nano",
    "priced_nano",
    "estimated_nano",
    "list_nano",
    "unpriced_meters",
    "unpriced_tokens",
    "band_low_nano",
    "band_high_nano",
    "duration_ms",
    "tag_gaps",
)
USAGE_DAY_COLUMNS = frozenset((*ROLLUP_LABELS, "labels", "time", "n", "first", "last", *FLAGS, *SUMS))
CHARGE_DAY_COLUMNS = frozenset(("time", "n", "counted", "meter", "provenance", "currency", "quantity", "amount_nano"))

# `session_days` has a row for a session's work on a day, its tags and texts: a tenth of the usages, and narrow.
SESSION_TEXTS: tuple[str, ...] = ("session_id", "parent_session_id", "task_id", "customer", "user")
"""Texts of a usage that a session's day keeps apart; most sessions have one combination of them."""
SESSION_LABELS: tuple[str, ...] = tuple(name for name in ENVELOPE_KEYS if name in LABELS)

SESSION_COUNTS: dict[str, str] = {
    "bearing": "bears OR amount_nano > 0",
    "retried": "(bears OR amount_nano > 0) AND is_retry",
    "unpriced": "unpriced_meters > 0",
    "unpriced_inference": "unpriced_meters > 0 AND is_inference",
    "unpriced_retries": "unpriced_meters > 0 AND is_retry",
    "unpriced_hidden": "unpriced_meters > 0 AND NOT is_inference",
}
"""How many usages of a session's day there are of a kind; `is_…` says something about their labels (LABEL_TESTS)."""
SESSION_SUMS: dict[str, tuple[str, str]] = {
    **{f"{name}_nano": (f"{name}_nano", "") for name in ("amount", "recorded", "priced", "estimated")},
    "inference_nano": ("amount_nano", "is_inference"),
    "retries_nano": ("amount_nano", "is_retry"),
    "hidden_nano": ("amount_nano", "NOT is_inference"),
    "unpriced_tokens": ("unpriced_tokens", ""),
    "input_tokens": (" + ".join(INPUT_METERS), ""),
    "output_tokens": (" + ".join(OUTPUT_METERS), ""),
}
"""What is added up over a session's day, and over which of its usages; NULL where there is none of them."""
LABEL_TESTS: dict[str, CostCentre] = {"is_inference": CostCentre.INFERENCE, "is_retry": CostCentre.RETRIES}
"""Which cost centre a label must name for a test to hold."""

STRETCHES_MAX = 8
"""More stretches of stale days are read as fewer, longer ones: a statement stays a statement."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time from `start` up to, not including, `end` (UTC without a zone); None is open."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a period is read: every moment of it in one of the three, and nowhere twice."""

    months: tuple[Stretch, ...]
    days: tuple[Stretch, ...]
    rows: tuple[Stretch, ...]


def reading_of(
    start: datetime | None, end: datetime | None, stale: Sequence[date], *, by_month: bool
) -> Reading | None:
    """How to read a period, given the days whose rollup cannot be used; None where every row has to be read.

    `stale` ascends. Parts of a day at either end are read row by row, like stale days. With `by_month` a bucket is
    never narrower than a month.
    """
    first = None if start is None else _midnight(start) if start == _midnight(start) else _midnight(start) + _DAY
    last = None if end is None else _midnight(end)
    if first is not None and last is not None and first >= last:
        return None
    rows = [Stretch(start, first)] if start != first else []
    rows += [Stretch(last, end)] if end != last else []
    moments = (datetime(day.year, day.month, day.day) for day in stale)  # noqa: DTZ001 - UTC, as the books hold it
    runs = _runs(moment for moment in moments if _is_in(moment, first, last))
    months: list[Stretch] = []
    days: list[Stretch] = []
    for whole in _between(first, last, runs):
        _split(whole, months, days) if by_month else days.append(whole)
    return Reading(tuple(months), tuple(days), (*rows, *runs))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _is_in(moment: datetime, first: datetime | None, last: datetime | None) -> bool:
    return (first is None or moment >= first) and (last is None or moment < last)


def _runs(days: Iterable[datetime]) -> list[Stretch]:
    """Neighbouring days as one stretch; beyond STRETCHES_MAX the narrowest gaps are closed too."""
    runs: list[tuple[datetime, datetime]] = []
    for day in days:
        if runs and runs[-1][1] == day:
            runs[-1] = (runs[-1][0], day + _DAY)
        else:
            runs.append((day, day + _DAY))
    while len(runs) > STRETCHES_MAX:
        gaps = [after[0] - before[1] for before, after in pairwise(runs)]
        place = gaps.index(min(gaps))
        runs[place : place + 2] = [(runs[place][0], runs[place + 1][1])]
    return [Stretch(start, end) for start, end in runs]


def _between(first: datetime | None, last: datetime | None, runs: Sequence[Stretch]) -> Iterator[Stretch]:
    """What is left of a period without these stretches."""
    for run in runs:
        if first is None or (run.start is not None and first < run.start):
            yield Stretch(first, run.start)
        first = run.end
    if first is None or last is None or first < last:
        yield Stretch(first, last)


def _split(whole: Stretch, months: list[Stretch], days: list[Stretch]) -> None:
    """Whole months, and the days before and after them."""
    first = None if whole.start is None else _month(whole.start, up=True)
    last = None if whole.end is None else _month(whole.end, up=False)
    if first is not None and last is not None and first >= last:
        days.append(whole)
        return
    months.append(Stretch(first, last))
    days += [Stretch(whole.start, first)] if whole.start != first else []
    days += [Stretch(last, whole.end)] if whole.end != last else []


def _month(moment: datetime, *, up: bool) -> datetime:
    """The start of the month a day is in, or, with `up`, the first start that is not before it."""
    start = moment.replace(day=1)
    return start if start == moment or not up else (start + 31 * _DAY).replace(day=1)
