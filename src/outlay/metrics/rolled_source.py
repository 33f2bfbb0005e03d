"""The FROM clause of a question that rollups answer: whole months and days from them, the rest row by row."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.ledger.labels import LABELS
from outlay.ledger.rollups import Reading, Stretch
from outlay.metrics.parts import CHARGES, USAGE, Statement, columns_read, quoted, within
from outlay.metrics.plan import Plan
from outlay.metrics.rolled_sessions import FIGURE_NAMES, figure_of_row

_LABELS = frozenset(LABELS)
_ROW = {"n": "1 AS n", "first": "time AS first", "last": "time AS last"}
_CHARGE_COLUMNS = ("time", "n", "meter", "provenance", "quantity", "amount_nano")


def rolled_source(statement: Statement, plan: Plan, reading: Reading, columns: frozenset[str]) -> str:
    """`u` (and `c` with charges) as the rows would give them, `n` being how many rows one stands for."""
    texts = sorted(columns & _LABELS)
    if plan.with_charges:
        parts = _parts(statement, reading, "charge", _charge_rows(), ("labels", "counted", *_CHARGE_COLUMNS))
        labels = f" JOIN labels AS {USAGE} ON {USAGE}.number = {CHARGES}.labels" if texts else ""
        return f"({parts}) AS {CHARGES}{labels}"
    read = sorted((columns - _LABELS) | ({"labels"} if plan.session_sums else {"labels", "n"}))
    if plan.by_session:
        parts = _session_parts(statement, reading, read)
    else:
        parts = _parts(statement, reading, "session" if plan.session_sums else "usage", "usage_rows", read)
    if not texts:
        return f"({parts}) AS {USAGE}"
    named = ", ".join(f'l."{name}"' for name in texts)
    return f"(SELECT r.*, {named} FROM ({parts}) AS r JOIN labels AS l ON l.number = r.labels) AS {USAGE}"


def _session_parts(statement: Statement, reading: Reading, columns: Sequence[str]) -> str:
    """The parts of the period from the days of sessions, and from rows that give the same columns."""
    names = ", ".join(map(quoted, columns))
    days = [f"SELECT {names} FROM session_days WHERE {_within(statement, reading.days)}"] if reading.days else []
    if not reading.rows:
        return days[0]
    each = [_of_row(statement, name) for name in columns]
    rows = f"{statement.dialect.usages(columns_read(each))} AS {USAGE}"
    return " UNION ALL ".join((*days, f"SELECT {', '.join(each)} FROM {rows} WHERE {_within(statement, reading.rows)}"))


def parents_source(statement: Statement, plan: Plan) -> str:
    """Every session that another one started, and which, on any day; the same may stand there several times."""
    if plan.history is None:
        raise ValueError("the plan does not say where all of the past is read")
    known = "parent_session_id <> ''"
    parts = (("session_days", plan.history.days), ("usage_rows", plan.history.rows))
    return " UNION ALL ".join(
        f"SELECT session_id, parent_session_id FROM {table} WHERE ({_within(statement, stretches)}) AND {known}"
        for table, stretches in parts
        if stretches
    )


def _of_row(statement: Statement, name: str) -> str:
    """A column of the days of sessions, as one usage has it."""
    if name == "first":
        return f"{USAGE}.time AS first"
    if name == "ended_us":
        return f"{statement.dialect.end_of(f'{USAGE}.time', f'{USAGE}.duration_ms')} AS ended_us"
    return f"{figure_of_row(statement, name)} AS {name}" if name in FIGURE_NAMES else f"{USAGE}.{quoted(name)}"


def _charge_rows() -> str:
    kept = ", ".join(f"c.{name}" for name in _CHARGE_COLUMNS if name != "n")
    return f"(SELECT {kept}, r.labels, r.counted FROM charges AS c JOIN usage_rows AS r ON r.seq = c.seq)"


def _parts(statement: Statement, reading: Reading, kind: str, rows: str, columns: Sequence[str]) -> str:
    """The parts of the period, each from its table."""
    names = ", ".join(columns)
    rows_as = {**_ROW, "ended_us": f"{statement.dialect.end_of('time', 'duration_ms')} AS ended_us"}
    each = ", ".join(rows_as.get(name, name) for name in columns)
    parts = (
        (names, f"{kind}_months", reading.months),
        (names, f"{kind}_days", reading.days),
        (each, rows, reading.rows),
    )
    return " UNION ALL ".join(
        f"SELECT {selected} FROM {table} WHERE {_within(statement, stretches)}"
        for selected, table, stretches in parts
        if stretches
    )


def _within(statement: Statement, stretches: Sequence[Stretch]) -> str:
    return " OR ".join(f"({within(statement, stretch)})" for stretch in stretches)
