"""Sessions: one agent run as data — what it did, in order and in depth, what each step cost, how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from outlay.core.centre import STRUCTURE, CostCentre, Operation
from outlay.core.charge import PROVENANCES
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import QueryError
from outlay.core.meters import INPUT_METERS, METER_NAMES, OUTPUT_METERS
from outlay.core.money import DEFAULT_CURRENCY, decimal_text
from outlay.core.period import ns_of
from outlay.core.session import NO_SESSION, SessionState
from outlay.core.tagging import gaps_of
from outlay.ledger.store import Reader, Snapshot
from outlay.metrics.dialect import Dialect, dialect_named
from outlay.metrics.groups import usage_conditions, usage_source, work_tables
from outlay.metrics.outcomes import OutcomeRow, outcomes_of_session
from outlay.metrics.parts import USAGE, Statement
from outlay.metrics.plan import plan_of_usages
from outlay.metrics.query import Query
from outlay.metrics.tags import TagNote, source_words, tag_notes
from outlay.metrics.why import Reason, reasons_of, usual_cost_nano

USAGES_MAX = 10_000
"""A longer session is cut: its figures still cover all of it, and `usages_left_out` says how many are not listed."""
_GENERATIONS_MAX = 64


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
    """One step of a session, in order of time; `depth` counts the steps around it, 0 is the outermost.

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
class SessionDetail:
    """A session with everything under it. `cost_nano` is its own known cost; `unpriced_usages` says what it lacks.

    Amounts of several currencies are never added: the costs are then None and `cost_by_centre` is empty.
    `tree_cost_nano` adds the known cost of the sessions it started, and of those they started. `usual_cost_nano` is
    what a session of this feature cost on average in the thirty days before it began; `reasons` say where it went;
    `tags` say which values its steps carry, and where each came from.
    """

    session: str
    state: SessionState
    parent_session: str
    root_session: str
    child_sessions: tuple[str, ...]
    envelope: Mapping[str, str]
    first_seen_ns: int
    last_seen_ns: int
    cost_nano: int | None
    tree_cost_nano: int | None
    cost_by_centre: Mapping[str, str | None]
    currencies: tuple[str, ...]
    unpriced_usages: int
    outcomes: tuple[OutcomeRow, ...]
    usages: tuple[UsageRow, ...]
    usages_left_out: int
    usual_cost_nano: int | None
    reasons: tuple[Reason, ...]
    tags: tuple[TagNote, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelShare:
    """What a session asked of one model: calls, and their known cost."""

    model: str
    calls: int
    cost_nano: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One line of a list of sessions; `cost_nano` is None where nothing about it is priced."""

    session: str
    parent_session: str
    state: SessionState
    first_seen_ns: int
    last_seen_ns: int
    team: str
    feature: str
    agent: str
    cost_nano: int | None
    usages: int
    unpriced_usages: int
    failed_usages: int


@dataclass(frozen=True, slots=True)
class Together:
    """`at_once_max` sessions were alive at once, at most; `wall_clock_us` passed from the first sign to the last."""

    at_once_max: int
    wall_clock_us: int


def list_sessions(reader: Reader, query: Query, *, limit: int = 100) -> list[SessionRow]:
    """The dearest sessions in the part and period of a question, at most `limit`; those without a price come last.

    Where one session carries several teams, features or agents, the first by name is shown.
    """
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    tables = work_tables(statement.dialect, plan)
    columns = ", ".join([f"{USAGE}.session_id AS session", *_session_columns(statement)])
    wheres = [*usage_conditions(statement, plan), f"{USAGE}.session_id <> {statement.bind(NO_SESSION)}"]
    source = usage_source(statement, plan, [columns, *wheres])
    tables.append(f"runs AS (SELECT {columns} FROM {source} WHERE {' AND '.join(wheres)} GROUP BY 1)")
    tables.append(
        "ended AS (SELECT DISTINCT " + statement.dialect.elements("session_ids") + " AS session FROM outcomes)"
    )
    sql = (
        f"WITH RECURSIVE {', '.join(tables)} SELECT runs.*, ended.session IS NOT NULL AS has_outcome FROM runs "
        f"LEFT JOIN ended ON ended.session = runs.session "
        f"ORDER BY nullif(cost, 0) DESC NULLS LAST, runs.session LIMIT {statement.bind(limit)}"
    )
    return [_session_row(row) for row in reader.rows(sql, statement.parameters).to_pylist()]


def sessions_together(reader: Reader, query: Query) -> Together:
    """How the sessions of a set lie in time: each lives from its first to its last sign."""
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    tables = f"WITH RECURSIVE {', '.join(work_tables(statement.dialect, plan))} " if plan.with_work else ""
    first, last = _first(statement.dialect), _last(statement.dialect)
    wheres = [*usage_conditions(statement, plan), f"{USAGE}.session_id <> {statement.bind(NO_SESSION)}"]
    usages = usage_source(statement, plan, [first, last, *wheres])
    source = f"{usages} WHERE {' AND '.join(wheres)} GROUP BY {USAGE}.session_id"
    table = reader.rows(f"{tables}SELECT {first} AS first, {last} AS last FROM {source}", statement.parameters)
    if not table.num_rows:
        return Together(0, 0)
    starts = np.sort(table.column("first").to_numpy())
    ends = np.sort(table.column("last").to_numpy())
    alive = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="left")
    return Together(int(alive.max()), int(ends[-1] - starts[0]))


def session_detail(reader: Snapshot, session: str) -> SessionDetail:
    """One session from the books; QueryError where no usage carries that id."""
    dialect = dialect_named(reader.dialect)
    usages = _usages(reader, dialect, session)
    if not usages:
        raise QueryError(f'no session is called "{session}"', hint="outlay sessions lists them")
    counted = [row for row in usages if row["counted"]]
    outcomes = outcomes_of_session(reader, session)
    above, levels = _above(reader, dialect, session), _below(reader, dialect, session)
    below = [each for level in levels for each in level]
    listed = usages[:USAGES_MAX]
    charges = _charges(reader, dialect, [row["seq"] for row in listed])
    currencies = tuple(sorted({row["currency"] or DEFAULT_CURRENCY for row in counted if row["amount_nano"]}))
    own = _cost(counted) if len(currencies) < 2 else None
    under = _cost_of(reader, dialect, below)
    first_seen_ns = min(_ns(row["time"]) for row in usages)
    last_seen_ns = max(_ns(row["time"]) + (row["duration_ms"] or 0) * 1_000_000 for row in usages)
    envelope = _envelope(counted or usages)
    steps = _steps(listed, charges)
    return SessionDetail(
        session=session,
        state=_state(_facts_of(counted), has_outcome=bool(outcomes)),
        parent_session=above[0] if above else "",
        root_session=above[-1] if above else session,
        child_sessions=tuple(levels[0]) if levels else (),
        envelope=envelope,
        first_seen_ns=first_seen_ns,
        last_seen_ns=last_seen_ns,
        cost_nano=own,
        tree_cost_nano=_known([own, under]) if len(currencies) < 2 else None,
        cost_by_centre=_by_centre(counted) if len(currencies) < 2 else {},
        currencies=currencies,
        unpriced_usages=sum(row["unpriced_meters"] > 0 for row in counted),
        outcomes=tuple(outcomes),
        usages=steps,
        usages_left_out=len(usages) - len(listed),
        usual_cost_nano=usual_cost_nano(reader, envelope["feature"], first_seen_ns),
        reasons=reasons_of(steps, own, under or 0),
        tags=tuple(tag_notes(counted or usages)),
    )


def models_of(detail: SessionDetail) -> list[ModelShare]:
    """The models of a session by what was spent on them, the dearest first."""
    calls: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    for step in detail.usages:
        if step.model and step.counted:
            calls[step.model] += 1
            spent[step.model] += step.cost_nano or 0
    names = sorted(calls, key=lambda name: (-spent[name], name))
    return [ModelShare(name, calls[name], spent[name]) for name in names]


# ---- what the books say of sessions ---------------------------------------------------------------------------------

_OPENING = tuple(sorted(item.value for item in STRUCTURE))


def _first(dialect: Dialect) -> str:
    return dialect.us(f"min({USAGE}.time)")


def _last(dialect: Dialect) -> str:
    return f"max({dialect.end_of(f'{USAGE}.time', f'{USAGE}.duration_ms')})"


def _session_columns(statement: Statement) -> list[str]:
    structure, chat = statement.bind_all(_OPENING), statement.bind(Operation.CHAT.value)
    closed = f"{USAGE}.operation IN ({structure}) AND {USAGE}.duration_ms IS NOT NULL AND {USAGE}.parent_key IS NULL"
    return [
        f"max({USAGE}.parent_session_id) AS parent",
        f"{_first(statement.dialect)} AS first",
        f"{_last(statement.dialect)} AS last",
        *(f"min({USAGE}.{key}) AS {key}" for key in ("team", "feature", "agent")),
        f"sum({USAGE}.amount_nano) AS cost",
        f"count(*) FILTER (WHERE {USAGE}.bears) AS usages",
        f"count(*) FILTER (WHERE {USAGE}.unpriced_meters > 0) AS unpriced",
        f"count(*) FILTER (WHERE {USAGE}.failed) AS failed",
        f"count(*) FILTER (WHERE {USAGE}.bears AND {USAGE}.operation = {chat}) AS calls",
        f"count(*) FILTER (WHERE {closed}) AS closed",
    ]


def _session_row(row: Mapping[str, Any]) -> SessionRow:
    return SessionRow(
        session=row["session"],
        parent_session=row["parent"] or "",
        state=_state(row, has_outcome=row["has_outcome"]),
        first_seen_ns=int(row["first"]) * 1_000,
        last_seen_ns=int(row["last"]) * 1_000,
        team=row["team"],
        feature=row["feature"],
        agent=row["agent"],
        cost_nano=None if not row["cost"] and row["unpriced"] else int(row["cost"] or 0),
        usages=row["usages"],
        unpriced_usages=row["unpriced"],
        failed_usages=row["failed"],
    )


def _state(facts: Mapping[str, Any], *, has_outcome: bool) -> SessionState:
    """Ended when an outcome names the session or its outermost step has an end; not seen without a model call."""
    if not facts["calls"]:
        return SessionState.NOT_SEEN
    return SessionState.ENDED if has_outcome or facts["closed"] else SessionState.OPEN


def _facts_of(counted: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        "calls": sum(row["bears"] and row["operation"] == Operation.CHAT for row in counted),
        "closed": sum(
            row["operation"] in _OPENING and row["duration_ms"] is not None and row["parent"] is None for row in counted
        ),
    }


_DETAIL = (
    "seq",
    "time",
    "duration_ms",
    "operation",
    "centre",
    "name",
    "provider",
    "model_id",
    "attempt",
    "failed",
    "error_type",
    "reason",
    "bears",
    "counted",
    "why_not_counted",
    "team",
    "feature",
    "agent",
    "environment",
    "currency",
    "amount_nano",
    "list_nano",
    "unpriced_meters",
    *(key for key in ENVELOPE_KEYS if key not in {"team", "feature", "agent", "environment"}),
    "tag_source",
    "tag_rule",
    "tag_gaps",
)


def _envelope(usages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {key: usages[0][key] for key in ("team", "feature", "agent", "environment")}


def _usages(reader: Reader, dialect: Dialect, session: str) -> list[dict[str, Any]]:
    statement = Statement(dialect)
    keys = {"fact": "fact_key", "parent": "parent_key"}
    selected = ", ".join(
        [
            *(f"{USAGE}.{name}" for name in _DETAIL),
            *(f"{dialect.text(f'{USAGE}.{column}')} AS {name}" for name, column in keys.items()),
            f"{' + '.join(f'{USAGE}.{meter}' for meter in INPUT_METERS)} AS input_tokens",
            f"{' + '.join(f'{USAGE}.{meter}' for meter in OUTPUT_METERS)} AS output_tokens",
        ]
    )
    where = f"{USAGE}.session_id = {statement.bind(session)}"
    sql = f"SELECT {selected} FROM usages AS {USAGE} WHERE {where} ORDER BY {USAGE}.time, {USAGE}.seq"
    return reader.rows(sql, statement.parameters).to_pylist()


def _charges(reader: Reader, dialect: Dialect, seqs: Sequence[int]) -> dict[int, list[ChargeRow]]:
    statement = Statement(dialect)
    sql = (
        "SELECT seq, meter, quantity, rate_pico, amount_nano, currency, provenance, price, variant_applied "
        f"FROM charges WHERE seq IN ({statement.bind_all(tuple(seqs))}) ORDER BY line"
    )
    found: dict[int, list[ChargeRow]] = {}
    for row in reader.rows(sql, statement.parameters).to_pylist():
        meter, provenance = METER_NAMES[row.pop("meter")], PROVENANCES[row.pop("provenance")].value
        found.setdefault(row.pop("seq"), []).append(ChargeRow(meter=meter, provenance=provenance, **row))
    return found


def _steps(usages: Sequence[Mapping[str, Any]], charges: Mapping[int, Sequence[ChargeRow]]) -> tuple[UsageRow, ...]:
    parent_of = {row["fact"]: row["parent"] for row in usages}
    return tuple(
        UsageRow(
            id=row["fact"],
            depth=_depth(parent_of, row["fact"]),
            time_ns=_ns(row["time"]),
            model=row["model_id"],
            cost_nano=_cost([row]),
            charges=tuple(charges.get(row["seq"], ())),
            tag_source=source_words(row["tag_source"], row["tag_rule"]),
            tag_gaps=tuple(gaps_of(row["tag_gaps"])),
            **{name: row[name] for name in _SAME},
        )
        for row in usages
    )


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
    "input_tokens",
    "output_tokens",
    "list_nano",
)


def _depth(parent_of: Mapping[str, str | None], fact: str) -> int:
    """How many steps of the same session stand around a step; relations that run in a circle end."""
    depth, above = 0, parent_of.get(fact)
    while above is not None and above in parent_of and depth < _GENERATIONS_MAX:
        depth, above = depth + 1, parent_of[above]
    return depth


def _above(reader: Reader, dialect: Dialect, session: str) -> list[str]:
    """The sessions above a session, the one that started it first; relations that run in a circle end."""
    found: list[str] = []
    while len(found) < _GENERATIONS_MAX:
        parents = _related(reader, dialect, "parent_session_id", "session_id", [found[-1] if found else session])
        if not parents or parents[0] in {session, *found}:
            break
        found.append(parents[0])
    return found


def _below(reader: Reader, dialect: Dialect, session: str) -> list[list[str]]:
    """The sessions under a session, a list a generation, itself left out."""
    levels: list[list[str]] = []
    seen, last = {session}, [session]
    while last and len(levels) < _GENERATIONS_MAX:
        last = [each for each in _related(reader, dialect, "session_id", "parent_session_id", last) if each not in seen]
        seen.update(last)
        if last:
            levels.append(last)
    return levels


def _related(reader: Reader, dialect: Dialect, wanted: str, known: str, sessions: Sequence[str]) -> list[str]:
    """The sessions that stand on the other side of a relation, by name; a session is not its own relative."""
    statement = Statement(dialect)
    sql = (
        f"SELECT DISTINCT {USAGE}.{wanted} AS related FROM usages AS {USAGE} WHERE {USAGE}.counted "
        f"AND {USAGE}.{known} IN ({statement.bind_all(tuple(sessions))}) "
        f"AND {USAGE}.{wanted} <> '' AND {USAGE}.{wanted} <> {USAGE}.{known} ORDER BY 1"
    )
    return [row["related"] for row in reader.rows(sql, statement.parameters).to_pylist()]


def _cost_of(reader: Reader, dialect: Dialect, sessions: Sequence[str]) -> int | None:
    if not sessions:
        return None
    statement = Statement(dialect)
    where = f"{USAGE}.counted AND {USAGE}.session_id IN ({statement.bind_all(tuple(sessions))})"
    rows = reader.rows(
        f"SELECT sum({USAGE}.amount_nano) AS cost FROM usages AS {USAGE} WHERE {where}", statement.parameters
    )
    (row,) = rows.to_pylist()
    return None if row["cost"] is None else int(row["cost"])


def _cost(counted: Sequence[Mapping[str, Any]]) -> int | None:
    """What usages cost: 0 where nothing bears cost, None where nothing of what bears it is priced."""
    known = sum(row["amount_nano"] or 0 for row in counted)
    return None if not known and any(row["unpriced_meters"] for row in counted) else known


def _by_centre(counted: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for centre in CostCentre:
        part = [row for row in counted if row["centre"] == centre]
        if part:
            cost = _cost(part)
            found[centre.value] = None if cost is None else decimal_text(cost)
    return found


def _known(amounts: Iterable[int | None]) -> int | None:
    """The sum of the amounts that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _ns(moment: datetime) -> int:
    return ns_of(moment.replace(tzinfo=UTC))
