"""Relatives of a session: those above it, and the tree of those it started, added up by the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlay.core.money import DEFAULT_CURRENCY
from outlay.ledger.store import Snapshot
from outlay.ledger.whereabouts import Named, span_of
from outlay.metrics.dialect import dialect_named
from outlay.metrics.parts import USAGE, Statement
from outlay.metrics.session_rows import BEARS
from outlay.metrics.steps import GENERATIONS_MAX, cost_of

BRANCHES_MAX = 100
"""Sessions of a tree that are told one by one, those nearest to its root first; the figures cover all."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A session under another, `generation` levels down; `cost_nano` is its own, None where nothing of it is priced."""

    session: str
    parent_session: str
    generation: int
    agent: str
    usages: int
    failed_steps: int
    cost_nano: int | None


@dataclass(frozen=True, slots=True)
class Tree:
    """What a session started, and what they started. `cost_nano` is None where nothing is known of it.

    `branches` come by generation, the dearest of each first; `sessions` counts all of them, `children` those of the
    first generation. Amounts of several `currencies` are not to be added.
    """

    branches: tuple[Branch, ...] = ()
    sessions: int = 0
    children: int = 0
    cost_nano: int | None = None
    currencies: tuple[str, ...] = ()


def sessions_above(reader: Snapshot, session: str) -> list[str]:
    """The sessions above a session, the one that started it first; relations that run in a circle end."""
    found: list[str] = []
    while len(found) < GENERATIONS_MAX:
        parent = _parent(reader, found[-1] if found else session)
        if not parent or parent in {session, *found}:
            break
        found.append(parent)
    return found


def _parent(reader: Snapshot, session: str) -> str:
    """The session that started one; of several the first by name. A session is not its own relative."""
    span = span_of(reader, Named.SESSION, session)
    if span is None:
        return ""
    statement = Statement(dialect_named(reader.dialect))
    source = statement.dialect.usages(frozenset({"counted", "time", "session_id", "parent_session_id"}))
    sql = (
        f"SELECT min({USAGE}.parent_session_id) AS parent FROM {source} AS {USAGE} WHERE {USAGE}.counted "
        f"AND {USAGE}.session_id = {statement.bind(session)} AND {USAGE}.parent_session_id <> '' "
        f"AND {USAGE}.parent_session_id <> {USAGE}.session_id "
        f"AND {USAGE}.time >= {statement.bind(span[0])} AND {USAGE}.time < {statement.bind(span[1])}"
    )
    (row,) = reader.rows(sql, statement.parameters).to_pylist()
    return row["parent"] or ""


def tree_below(reader: Snapshot, session: str) -> Tree:
    """The sessions under a session, itself left out, over at most GENERATIONS_MAX generations."""
    if span_of(reader, Named.PARENT, session) is None:
        return Tree()
    statement = Statement(dialect_named(reader.dialect))
    root = statement.bind(session)
    narrow = statement.dialect.usages(frozenset({"counted", "session_id", "parent_session_id"}))
    link = f"{USAGE}.counted AND {USAGE}.session_id NOT IN ({root}, {USAGE}.parent_session_id)"
    # Of the ways to a session the shortest is its place; a circle goes round until the last generation, and ends.
    below = (
        f"below AS (SELECT {USAGE}.session_id AS session, {USAGE}.parent_session_id AS parent, 1 AS generation "
        f"FROM {narrow} AS {USAGE} WHERE {USAGE}.parent_session_id = {root} AND {link} "
        f"UNION SELECT {USAGE}.session_id, {USAGE}.parent_session_id, b.generation + 1 "
        f"FROM below AS b JOIN {narrow} AS {USAGE} ON {USAGE}.parent_session_id = b.session "
        f"WHERE {link} AND b.generation < {GENERATIONS_MAX})"
    )
    ranked = "row_number() OVER (PARTITION BY session ORDER BY generation, parent) AS place"
    cost, unpriced = f"sum({USAGE}.amount_nano)", f"count(*) FILTER (WHERE {USAGE}.unpriced_meters > 0)"
    currency = f"coalesce(nullif({USAGE}.currency, ''), {statement.bind(DEFAULT_CURRENCY)})"
    spent = f"FILTER (WHERE {USAGE}.amount_nano <> 0)"
    sql = (
        f"WITH RECURSIVE {below}, placed AS (SELECT * FROM (SELECT *, {ranked} FROM below) AS ways WHERE place = 1), "
        f"runs AS (SELECT p.session, p.parent, p.generation, min({USAGE}.agent) AS agent, "
        f"count(*) FILTER (WHERE {BEARS}) AS usages, count(*) FILTER (WHERE {USAGE}.failed) AS failed, "
        f"{cost} AS cost, {unpriced} AS unpriced, min({currency}) {spent} AS low, max({currency}) {spent} AS high "
        f"FROM placed AS p JOIN usages AS {USAGE} ON {USAGE}.session_id = p.session WHERE {USAGE}.counted "
        "GROUP BY p.session, p.parent, p.generation) "
        "SELECT *, count(*) OVER () AS sessions, count(*) FILTER (WHERE generation = 1) OVER () AS children, "
        "sum(cost) OVER () AS tree_cost, sum(unpriced) OVER () AS tree_unpriced, min(low) OVER () AS lowest, "
        "max(high) OVER () AS highest FROM runs "
        f"ORDER BY generation, cost DESC NULLS LAST, session LIMIT {statement.bind(BRANCHES_MAX)}"
    )
    rows = reader.rows(sql, statement.parameters).to_pylist()
    return _tree(rows) if rows else Tree()


def _tree(rows: list[dict[str, Any]]) -> Tree:
    first = rows[0]
    return Tree(
        branches=tuple(
            Branch(
                session=row["session"],
                parent_session=row["parent"],
                generation=row["generation"],
                agent=row["agent"],
                usages=row["usages"],
                failed_steps=row["failed"],
                cost_nano=cost_of(int(row["cost"] or 0), unpriced=bool(row["unpriced"])),
            )
            for row in rows
        ),
        sessions=first["sessions"],
        children=first["children"],
        cost_nano=cost_of(int(first["tree_cost"] or 0), unpriced=bool(first["tree_unpriced"])),
        currencies=tuple(sorted({first["lowest"], first["highest"]} - {None})),
    )
