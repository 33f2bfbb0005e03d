"""Steps: the usages of one session, a page at a time, with their cost lines and their place in the depth of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from outlay.core.centre import CostCentre
from outlay.core.charge import PROVENANCES
from outlay.core.errors import QueryError, nearest
from outlay.core.meters import INPUT_METERS, METER_NAMES, OUTPUT_METERS
from outlay.core.tagging import gaps_of
from outlay.metrics.parts import USAGE, Statement
from outlay.metrics.session_rows import BEARS, COUNTED, SessionRows, moment_ns
from outlay.metrics.tag_notes import source_words

STEPS_LISTED = 1_000
"""Steps in an answer where nobody says how many."""
STEPS_MAX = 10_000
GENERATIONS_MAX = 64
"""Relations that run in a circle end here."""

_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,18})")
_US_MAX = 10**16
"""Three centuries in microseconds."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC without a zone, as the books hold it


class StepOrder(StrEnum):
    """In which order steps are listed."""

    TIME = "time"
    COST = "cost"


ONLY: dict[str, str] = {
    "failed": f"{USAGE}.failed",
    "retries": f"{COUNTED} AND {BEARS} AND {USAGE}.centre = '{CostCentre.RETRIES}'",
    "unpriced": f"{COUNTED} AND {USAGE}.unpriced_meters > 0",
}
"""What a list of steps can be narrowed to."""


@dataclass(frozen=True, slots=True)
class StepsAsked:
    """Which steps of a session: `top` of them in an order, behind or before a cursor that an earlier answer gave."""

    top: int = STEPS_LISTED
    order: StepOrder = StepOrder.TIME
    only: str = ""
    after: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """One cost line of a usage; `amount_nano` is None where the price is not known."""

    meter: str
    quantity: int
    rate_pico: int | None
    amount_nano: int | None
    currency: str
    provenance: str
    price: str
    variant_applied: str


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One step of a session; `depth` counts the steps around it, 0 is the outermost.

    A step `bears` where quantities or cost are its own; the others only hold steps together. `tag_source` says for each
    tag that has a value where it came from, `tag_gaps` what the tag policy finds wrong.
    """

    id: str
    depth: int
    time_ns: int
    duration_ms: int | None
    operation: str
    centre: str
    name: str
    provider: str
    model: str
    attempt: int
    failed: bool
    error_type: str
    reason: str
    bears: bool
    counted: bool
    why_not_counted: str
    input_tokens: int
    output_tokens: int
    cost_nano: int | None
    list_nano: int | None
    charges: tuple[ChargeRow, ...]
    tag_source: Mapping[str, str] = field(default_factory=dict[str, str])
    tag_gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepsPage:
    """Some steps of a session: the first of them is number `first` (from 0) of the `count` that were asked for.

    `previous` and `next` are cursors, empty where nothing lies there.
    """

    steps: tuple[UsageRow, ...]
    first: int
    count: int
    previous: str
    next: str


def parse_steps(parameters: Mapping[str, str | Sequence[str]]) -> StepsAsked:
    """The steps an address or a command asks for. QueryError names the word that is wrong and what is valid."""
    said: dict[str, str] = {}
    for name, value in parameters.items():
        if name not in StepsAsked.__dataclass_fields__:
            raise QueryError(f'unknown parameter "{name}"', hint=nearest(name, StepsAsked.__dataclass_fields__))
        said[name] = (value if isinstance(value, str) else (list(value) or [""])[-1]).strip()
    top, order, only = said.get("top", ""), said.get("order", ""), said.get("only", "")
    if top and not (re.fullmatch(r"[0-9]{1,9}", top) and 1 <= int(top) <= STEPS_MAX):
        raise QueryError(f'top must be 1 to {STEPS_MAX}, not "{top}"', hint="the answer names the cursor of the rest")
    if order and order not in set(StepOrder):
        raise QueryError(f'steps cannot be ordered by "{order}"', hint=nearest(order, list(StepOrder)))
    if only and only not in ONLY:
        raise QueryError(f'no steps are called "{only}"', hint=nearest(only, ONLY))
    if said.get("after") and said.get("before"):
        raise QueryError("steps lie after one cursor or before one, not both", hint="leave one of them out")
    cursor = said.get("after", ""), said.get("before", "")
    asked = StepsAsked(int(top or STEPS_LISTED), StepOrder(order or "time"), only, *cursor)
    for text in filter(None, cursor):
        _values(text, asked)
    return asked


def steps_page(rows: SessionRows, asked: StepsAsked) -> StepsPage:
    """The steps that were asked for, with their cost lines. What is read out is bounded by `asked.top`."""
    found = _usages(rows, asked)
    if not found:
        count, _ = _counts(rows, asked, None)
        return StepsPage((), 0 if asked.before else count, count, "", "")
    first, last = _key(found[0], asked), _key(found[-1], asked)
    count, skipped = _counts(rows, asked, first)
    charges, depths = _charges(rows, [row["seq"] for row in found]), _depths(rows, [row["seq"] for row in found])
    return StepsPage(
        tuple(_step(row, depths[row["seq"]], charges.get(row["seq"], ())) for row in found),
        skipped,
        count,
        _cursor(first) if skipped else "",
        _cursor(last) if skipped + len(found) < count else "",
    )


def cost_of(amount_nano: int, *, unpriced: bool) -> int | None:
    """What usages cost: 0 where nothing bears cost, None where nothing of what bears it is priced."""
    return None if not amount_nano and unpriced else amount_nano


# ---- reading a page -------------------------------------------------------------------------------------------------

_SAME = (
    "duration_ms",
    "operation",
    "centre",
    "name",
    "provider",
    "attempt",
    "failed",
    "error_type",
    "reason",
    "bears",
    "counted",
    "why_not_counted",
    "list_nano",
)
_READ = ("seq", "time", "model_id", "amount_nano", "unpriced_meters", "tag_source", "tag_rule", "tag_gaps", *_SAME)
_DEARNESS = f"CASE WHEN {COUNTED} THEN coalesce({USAGE}.amount_nano, 0) ELSE 0 END"
"""What a step ranks by: what is not counted costs nothing here."""


def _usages(rows: SessionRows, asked: StepsAsked) -> list[dict[str, Any]]:
    statement, source = rows.start()
    sums = {"input_tokens": INPUT_METERS, "output_tokens": OUTPUT_METERS}
    selected = [
        *(f"{USAGE}.{name}" for name in _READ),
        f"{rows.dialect.text(f'{USAGE}.fact_key')} AS fact",
        f"{_DEARNESS} AS dearness",
        *(f"{' + '.join(f'{USAGE}.{meter}' for meter in meters)} AS {name}" for name, meters in sums.items()),
    ]
    wheres = [ONLY[asked.only]] if asked.only else []
    if cursor := asked.after or asked.before:
        wheres.append(_beyond(statement, asked, _values(cursor, asked), behind=bool(asked.after)))
    by_cost, backwards = asked.order is StepOrder.COST, bool(asked.before)
    key = _DEARNESS if by_cost else f"{USAGE}.time"
    ways = ("DESC" if by_cost is not backwards else "ASC", "DESC" if backwards else "ASC")
    sql = (
        f"SELECT {', '.join(selected)} {source} {' '.join(f'AND ({each})' for each in wheres)} "
        f"ORDER BY {key} {ways[0]}, {USAGE}.seq {ways[1]} LIMIT {statement.bind(asked.top)}"
    )
    found = rows.read(statement, sql)
    return found[::-1] if backwards else found


def _beyond(statement: Statement, asked: StepsAsked, values: tuple[object, int], *, behind: bool) -> str:
    """The condition of lying behind a place in the order, or before it."""
    place, seq = statement.bind(values[0]), statement.bind(values[1])
    if asked.order is StepOrder.COST:
        key, beyond = _DEARNESS, "<" if behind else ">"
    else:
        key, beyond = f"{USAGE}.time", ">" if behind else "<"
    return f"{key} {beyond} {place} OR ({key} = {place} AND {USAGE}.seq {'>' if behind else '<'} {seq})"


def _counts(rows: SessionRows, asked: StepsAsked, first: tuple[int, int] | None) -> tuple[int, int]:
    """How many steps were asked for in all, and how many of them lie before the first one shown."""
    statement, source = rows.start()
    before = "false" if first is None else _beyond(statement, asked, _values(_cursor(first), asked), behind=False)
    only = f"AND ({ONLY[asked.only]})" if asked.only else ""
    sql = f"SELECT count(*) AS n, count(*) FILTER (WHERE {before}) AS skipped {source} {only}"
    (row,) = rows.read(statement, sql)
    return row["n"], row["skipped"]


def _key(row: Mapping[str, Any], asked: StepsAsked) -> tuple[int, int]:
    """The place of a step in the order: microseconds since 1970 or nano-units, and its number in the books."""
    value = row["dearness"] if asked.order is StepOrder.COST else moment_ns(row["time"]) // 1_000
    return int(value), row["seq"]


def _cursor(key: tuple[int, int]) -> str:
    return f"{key[0]}.{key[1]}"


def _values(cursor: str, asked: StepsAsked) -> tuple[object, int]:
    """What a cursor says, as the books hold it. QueryError for what is none."""
    found = _CURSOR.fullmatch(cursor)
    if found is None or (asked.order is StepOrder.TIME and abs(int(found[1])) > _US_MAX):
        raise QueryError(f'no step lies at "{cursor}"', hint="take next or previous of an earlier answer")
    value, seq = int(found[1]), int(found[2])
    return (value if asked.order is StepOrder.COST else _EPOCH + timedelta(microseconds=value)), seq


def _charges(rows: SessionRows, seqs: Sequence[int]) -> dict[int, list[ChargeRow]]:
    statement = Statement(rows.dialect)
    within = f"seq BETWEEN {statement.bind(min(seqs))} AND {statement.bind(max(seqs))}"
    sql = (
        "SELECT seq, meter, quantity, rate_pico, amount_nano, currency, provenance, price, variant_applied "
        f"FROM charges WHERE {within} AND seq IN ({statement.bind_all(tuple(seqs))}) ORDER BY line"
    )
    found: dict[int, list[ChargeRow]] = {}
    for row in rows.read(statement, sql):
        meter, provenance = METER_NAMES[row.pop("meter")], PROVENANCES[row.pop("provenance")].value
        found.setdefault(row.pop("seq"), []).append(ChargeRow(meter=meter, provenance=provenance, **row))
    return found


def _depths(rows: SessionRows, seqs: Sequence[int]) -> dict[int, int]:
    """How many steps of the same session stand around each of these."""
    statement, source = rows.start("seq", "fact_key", "parent_key")
    shown = statement.bind_all(tuple(seqs))
    sql = (
        f"WITH RECURSIVE own AS (SELECT {USAGE}.seq, {USAGE}.fact_key, {USAGE}.parent_key {source}), "
        f"climb AS (SELECT seq, parent_key, 0 AS depth FROM own WHERE seq IN ({shown}) "
        "UNION ALL SELECT c.seq, o.parent_key, c.depth + 1 FROM climb AS c JOIN own AS o ON o.fact_key = c.parent_key "
        f"WHERE c.depth < {GENERATIONS_MAX}) SELECT seq, max(depth) AS depth FROM climb GROUP BY seq"
    )
    return {row["seq"]: row["depth"] for row in rows.read(statement, sql)}


def _step(row: Mapping[str, Any], depth: int, charges: Sequence[ChargeRow]) -> UsageRow:
    return UsageRow(
        id=row["fact"],
        depth=depth,
        time_ns=moment_ns(row["time"]),
        model=row["model_id"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_nano=cost_of(row["amount_nano"] or 0, unpriced=bool(row["unpriced_meters"])),
        charges=tuple(charges),
        tag_source=source_words(row["tag_source"], row["tag_rule"]),
        tag_gaps=tuple(gaps_of(row["tag_gaps"])),
        **{name: row[name] for name in _SAME},
    )
