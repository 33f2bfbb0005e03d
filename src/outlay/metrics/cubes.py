"""Cubes of the stretches of one look: kept ones, and those that are lacking read in one statement for all."""

from __future__ import annotations

from collections.abc import Sequence

from outlay.core.session import NO_SESSION
from outlay.ledger.rollups import SESSION_LABELS, Stretch
from outlay.metrics.cube import Cube
from outlay.metrics.cube_source import coded, labelled, limited, read_outcomes, read_usages, stamp
from outlay.metrics.dialect import dialect_named
from outlay.metrics.division import is_rolled
from outlay.metrics.groups import select
from outlay.metrics.parts import Statement, quoted, within
from outlay.metrics.stretches import Stretches

SESSION_ROWS_MAX = 60_000
"""Sessions of all stretches read at once, one for each day or hour and set of tags; more are left to the engine."""


def usage_cubes(at: Stretches, wanted: Sequence[Stretch], *, hourly: bool) -> list[Cube | None]:
    """Usages by everything that rollups keep apart."""

    def read(lacking: list[Stretch]) -> list[Cube | None]:
        stretches = [(item, not hourly and is_rolled(item, at.stale)) for item in lacking]
        at.store.labels, found = read_usages(at.reader, at.store.labels, stretches, hourly=hourly)
        return found

    return at.cubes(("work", hourly), wanted, at.work, read, ahead=not hourly)


def outcome_cubes(at: Stretches, wanted: Sequence[Stretch], *, hourly: bool) -> list[Cube | None]:
    """Outcomes that stand."""

    def read(lacking: list[Stretch]) -> list[Cube | None]:
        return read_outcomes(at.reader, lacking, hourly=hourly)

    return at.cubes(("reports", hourly), wanted, at.reports, read, ahead=not hourly)


def session_cubes(
    at: Stretches, wanted: Sequence[Stretch], beside: tuple[str, ...] = (), *, hourly: bool
) -> list[Cube | None]:
    """A row for each session, its tags, and the day or hour it was at work in; texts `beside` them where asked for."""

    def read(lacking: list[Stretch]) -> list[Cube | None]:
        statement = Statement(dialect_named(at.reader.dialect))
        rolled = [not hourly and is_rolled(item, at.stale) for item in lacking]
        parts = [
            _session_days(statement, place, [item], beside)
            if is_one
            else _session_rows(statement, place, item, beside, hourly=hourly)
            for place, (item, is_one) in enumerate(zip(lacking, rolled, strict=True))
        ]
        return _session_cubes(at, statement, parts, beside)

    return at.cubes(("sessions", hourly, beside), wanted, at.work, read)


def seen_cubes(
    at: Stretches, days: tuple[Stretch, ...], wanted: Sequence[Stretch], beside: tuple[str, ...] = ()
) -> list[Cube | None]:
    """The same of whole days that are rolled up, of the sessions of each stretch only: where else they were."""

    def read(lacking: list[Stretch]) -> list[Cube | None]:
        statement = Statement(dialect_named(at.reader.dialect))
        parts: list[str] = []
        for place, item in enumerate(lacking):
            days_part = _session_days(statement, place, days, beside)
            mine = f"SELECT session_id FROM usage_rows WHERE {within(statement, item)}"
            parts.append(f"{days_part} AND session_id IN ({mine})")
        return _session_cubes(at, statement, parts, beside)

    return at.cubes(("seen", days, beside), wanted, lambda item: (at.work(item), at.work(*days)), read)


def _session_days(statement: Statement, place: int, days: Sequence[Stretch], beside: tuple[str, ...]) -> str:
    names = [f"{place} AS piece", f"{statement.dialect.us('time')} AS stamp", "session_id", "labels", "counted"]
    names += map(quoted, beside)
    held = " OR ".join(f"({within(statement, item)})" for item in days)
    return select(names, "session_days", [f"({held})", f"session_id <> '{NO_SESSION}'"])


def _session_rows(statement: Statement, place: int, stretch: Stretch, beside: tuple[str, ...], *, hourly: bool) -> str:
    """Two steps, as when days are added up: by label, which is a number, and then by the tags that several share."""
    names = [f"{stamp(statement, hourly=hourly)} AS stamp", "session_id", "labels", "counted", *map(quoted, beside)]
    wheres = [within(statement, stretch), f"session_id <> '{NO_SESSION}'"]
    rows = select([f"DISTINCT {names[0]}", *names[1:]], "usage_rows", wheres)
    texts = [f"q.{quoted(name)}" for name in beside]
    keys = ["q.stamp", "q.session_id", "q.counted", *texts, *(f"l.{quoted(name)}" for name in SESSION_LABELS)]
    told = [f"{place} AS piece", "q.stamp", "q.session_id", "min(q.labels) AS labels", "q.counted", *texts]
    return select(told, f"({rows}) AS q JOIN labels AS l ON l.number = q.labels", (), keys)


def _session_cubes(
    at: Stretches, statement: Statement, parts: Sequence[str], beside: tuple[str, ...]
) -> list[Cube | None]:
    found = at.reader.columns(limited(parts, SESSION_ROWS_MAX), statement.parameters)
    if len(found["piece"]) > SESSION_ROWS_MAX:
        return [None] * len(parts)
    at.store.labels = labels = labelled(at.reader, at.store.labels, found)
    if labels.full:
        return [None] * len(parts)
    cubes: list[Cube | None] = []
    for place in range(len(parts)):
        rows = found["piece"] == place
        texts = {name: coded(found[name][rows], []) for name in ("session_id", *beside)}
        counted = {"counted": found["counted"][rows].astype(bool)}
        cubes.append(Cube(found["stamp"][rows], {}, {}, counted, labels.of(found["labels"][rows], **texts)))
    return cubes
