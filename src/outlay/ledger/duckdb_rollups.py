"""Rollups in DuckDB: their tables, how days become stale, and how they are added up again."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import pyarrow as pa

from outlay.ledger.rollups import (
    FLAGS,
    LABEL_TESTS,
    NULLABLE,
    ROLLUP_LABELS,
    SESSION_COUNTS,
    SESSION_LABELS,
    SESSION_SUMS,
    SESSION_TEXTS,
    SIGNED,
    SUMS,
)
from outlay.ledger.touched import HOUR_US, Hours

DAYS_AT_ONCE = 31
"""Days added up in one transaction: bounds its memory and how long posting waits for it."""
_HOURS_A_DAY = 24

STALE_DAYS = "SELECT day FROM stale_days ORDER BY day"

_TABLES = f"""
CREATE TABLE stale_days (day DATE);
CREATE TABLE usage_days (
    time TIMESTAMP, labels INTEGER, n BIGINT, first TIMESTAMP, last TIMESTAMP,
    {", ".join(f"{name} BOOLEAN" for name in FLAGS)}, {", ".join(f"{name} HUGEINT" for name in SUMS)});
CREATE TABLE charge_days (
    time TIMESTAMP, labels INTEGER, n BIGINT, counted BOOLEAN, meter INTEGER, provenance INTEGER, currency VARCHAR,
    quantity HUGEINT, amount_nano HUGEINT);
CREATE TABLE session_days (
    time TIMESTAMP, {", ".join(f'"{name}" VARCHAR' for name in SESSION_TEXTS)}, labels INTEGER, counted BOOLEAN,
    n BIGINT, first TIMESTAMP, ended_us BIGINT,
    {", ".join(f"{name} BIGINT" for name in SESSION_COUNTS)}, {", ".join(f"{name} HUGEINT" for name in SESSION_SUMS)});
CREATE TABLE usage_months AS FROM usage_days;
CREATE TABLE charge_months AS FROM charge_days;
"""
TABLES = ("stale_days", "usage_days", "usage_months", "charge_days", "charge_months", "session_days")

_ALIKE = [*FLAGS, *(f"s{place}" for place in range(len(SIGNED))), *(f"k{place}" for place in range(len(NULLABLE)))]
_TESTS = [
    *(f"sign({name}) AS s{place}" for place, name in enumerate(SIGNED)),
    *(f"{name} IS NULL AS k{place}" for place, name in enumerate(NULLABLE)),
]
_TEXTS = ", ".join(f'l."{name}"' for name in ROLLUP_LABELS)
_STALE = "SELECT day FROM stale_days WHERE day BETWEEN $1::DATE AND $2::DATE"
_WITHIN = f"time >= $1::DATE AND time < $2::DATE + 1 AND time::DATE IN ({_STALE})"

# Two steps: by label, which is a number, and then by the texts that several labels share.
_USAGE_DAYS = f"""
INSERT INTO usage_days
SELECT day, min(labels), sum(n), min(first), max(last), {", ".join(FLAGS)}, {", ".join(f"sum({n})" for n in SUMS)}
FROM (SELECT time::DATE AS day, labels, count(*) AS n, min(time) AS first, max(time) AS last, {", ".join(FLAGS)},
             {", ".join(_TESTS)}, {", ".join(f"sum({name}) AS {name}" for name in SUMS)}
      FROM usage_rows WHERE {_WITHIN} GROUP BY day, labels, {", ".join(_ALIKE)}) q
JOIN labels l ON l.number = q.labels
GROUP BY day, {", ".join(f"q.{name}" for name in _ALIKE)}, {_TEXTS} ORDER BY day
"""
_CHARGE_DAYS = f"""
INSERT INTO charge_days
SELECT day, min(labels), sum(n), counted, meter, provenance, q.currency, sum(quantity), sum(amount)
FROM (SELECT c.time::DATE AS day, u.labels, u.counted, c.meter, c.provenance, c.currency, c.amount_nano IS NULL AS bare,
             count(*) AS n, sum(c.quantity) AS quantity, sum(c.amount_nano) AS amount
      FROM (SELECT * FROM charges WHERE {_WITHIN}) c JOIN usage_rows u USING (seq)
      GROUP BY day, u.labels, u.counted, c.meter, c.provenance, c.currency, bare) q
JOIN labels l ON l.number = q.labels
GROUP BY day, counted, meter, provenance, q.currency, bare, {_TEXTS} ORDER BY day
"""


def _session_figures() -> str:
    counts = [f"count(*) FILTER (WHERE {where})" for where in SESSION_COUNTS.values()]
    sums = [f"sum({added})" + (f" FILTER (WHERE {where})" if where else "") for added, where in SESSION_SUMS.values()]
    return ", ".join((*counts, *sums))


# One step: the labels that share the tags of a session have one number, so that a session's day is one group.
_APART = ", ".join(f'"{name}"' for name in SESSION_TEXTS)
_SESSION_DAYS = f"""
INSERT INTO session_days
WITH tags AS MATERIALIZED (
    SELECT number, min(number) OVER (PARTITION BY {", ".join(SESSION_LABELS)}) AS alike,
           {", ".join(f"centre = '{centre}' AS {name}" for name, centre in LABEL_TESTS.items())}
    FROM labels)
SELECT time::DATE AS day, {_APART}, alike, counted, count(*), min(time),
       max(epoch_us(time) + coalesce(duration_ms, 0) * 1000), {_session_figures()}
FROM usage_rows r JOIN tags ON tags.number = r.labels
WHERE {_WITHIN} GROUP BY day, {_APART}, alike, counted ORDER BY day
"""

_MONTHS = "SELECT DISTINCT date_trunc('month', day)::TIMESTAMP FROM stale_days WHERE day BETWEEN $1::DATE AND $2::DATE"
_USAGE_MONTHS = f"""
INSERT INTO usage_months
SELECT month, min(labels), sum(n), min(first), max(last), {", ".join(FLAGS)}, {", ".join(f"sum({n})" for n in SUMS)}
FROM (SELECT *, date_trunc('month', time)::TIMESTAMP AS month, {", ".join(_TESTS)} FROM usage_days
      WHERE date_trunc('month', time)::TIMESTAMP IN ({_MONTHS})) q
JOIN labels l ON l.number = q.labels
GROUP BY month, {", ".join(f"q.{name}" for name in _ALIKE)}, {_TEXTS} ORDER BY month
"""
_CHARGE_MONTHS = f"""
INSERT INTO charge_months
SELECT month, min(labels), sum(n), counted, meter, provenance, q.currency, sum(quantity), sum(amount_nano)
FROM (SELECT *, date_trunc('month', time)::TIMESTAMP AS month, amount_nano IS NULL AS bare FROM charge_days
      WHERE date_trunc('month', time)::TIMESTAMP IN ({_MONTHS})) q
JOIN labels l ON l.number = q.labels
GROUP BY month, counted, meter, provenance, q.currency, bare, {_TEXTS} ORDER BY month
"""

_MARK = "INSERT INTO stale_days SELECT day FROM touched_days ANTI JOIN stale_days USING (day)"
_HOURS_OF_SEQS = f"""
SELECT DISTINCT epoch_us(time) // {HOUR_US} FROM usage_rows WHERE seq IN (SELECT seq FROM {{seqs}})
UNION SELECT DISTINCT epoch_us(time) // {HOUR_US} FROM charges WHERE seq IN (SELECT seq FROM {{seqs}})
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables anew, every day of the books stale."""
    for table in TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(_TABLES)
    every = "SELECT DISTINCT time::DATE AS day FROM usage_rows UNION SELECT DISTINCT time::DATE AS day FROM charges"
    connection.execute(f"INSERT INTO stale_days {every}")


def days_of(hours: Hours) -> frozenset[int]:
    """The days, since 1970, that these hours are part of."""
    return frozenset(hour // _HOURS_A_DAY for hour in hours)


def mark_seqs(transaction: duckdb.DuckDBPyConnection, seqs: str) -> Hours:
    """The days of the usages whose `seq` stand in the table `seqs`, and of their cost lines, are stale."""
    rows = transaction.execute(_HOURS_OF_SEQS.format(seqs=seqs)).fetchall()
    hours = frozenset(hour for (hour,) in rows)
    mark_days(transaction, days_of(hours))
    return hours


def mark_days(transaction: duckdb.DuckDBPyConnection, days: frozenset[int]) -> None:
    """These days, since 1970, are stale."""
    dates = pa.array(sorted(days), pa.int32()).cast(pa.date32())
    transaction.register("touched_days", pa.table({"day": dates}))
    try:
        transaction.execute(_MARK)
    finally:
        transaction.unregister("touched_days")


def next_chunk(days: list[date]) -> tuple[date, date] | None:
    """The first and last of the stale days to add up next; the latest come first, since they are asked for most."""
    if not days:
        return None
    last = days[-1]
    return next(day for day in days if day > last - timedelta(days=DAYS_AT_ONCE)), last


def roll_up(transaction: duckdb.DuckDBPyConnection, first: date, last: date) -> None:
    """Add up the stale days from `first` to `last`, both included."""
    bounds = [first, last]
    for table in ("usage_days", "charge_days", "session_days"):
        transaction.execute(f"DELETE FROM {table} WHERE time >= $1::DATE AND time::DATE IN ({_STALE})", bounds)
    transaction.execute(_USAGE_DAYS, bounds)
    transaction.execute(_CHARGE_DAYS, bounds)
    transaction.execute(_SESSION_DAYS, bounds)
    for table in ("usage_months", "charge_months"):
        transaction.execute(f"DELETE FROM {table} WHERE time IN ({_MONTHS})", bounds)
    transaction.execute(_USAGE_MONTHS, bounds)
    transaction.execute(_CHARGE_MONTHS, bounds)
    transaction.execute("DELETE FROM stale_days WHERE day BETWEEN $1::DATE AND $2::DATE", bounds)
