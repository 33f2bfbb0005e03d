"""Where cubes come from: one statement for all stretches of time that a question lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.ledger.rollups import FLAGS, NULLABLE, ROLLUP_LABELS, SIGNED, SUMS, Stretch
from outlay.ledger.store import Snapshot
from outlay.metrics.cube import Cube, Numbers, Texts
from outlay.metrics.dialect import dialect_named
from outlay.metrics.dimensions import Dimension
from outlay.metrics.few_rows import WIDE, Columns, counted, few_rows, is_short
from outlay.metrics.filters import Filter
from outlay.metrics.groups import select
from outlay.metrics.parts import Statement, quoted, within

CUBE_ROWS_MAX = 30_000
"""Rows of all stretches read at once; where facts are less alike than this, the engine adds them up itself."""
LABELS_MAX = 50_000
"""More combinations of texts than this are not held in memory."""

OUTCOME_TEXTS = (*(key for key in ENVELOPE_KEYS if key != "customer"), "task_type", "status", "currency", "source")
"""Texts of outcomes that few values are usual for."""

_OUTCOME_TEXT = "coalesce({0}, '') AS {0}"
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000
_NULLABLE = (*NULLABLE, "band_low_nano", "band_high_nano", "duration_ms")
_KNOWN = tuple(name for name in SUMS if name not in _NULLABLE)


@dataclass(frozen=True, slots=True)
class LabelTexts:
    """The texts that rollups keep apart, by the number of their combination; `numbers` ascend."""

    numbers: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    full: bool = False
    """There are too many to hold: none is."""
    places: dict[str, Numbers] = field(default_factory=dict[str, Numbers])
    words: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def last(self) -> int:
        """The highest number known."""
        return int(self.numbers[-1]) if len(self.numbers) else 0

    def of(self, numbers: npt.NDArray[Any], **beside: tuple[Numbers, Sequence[str]]) -> Texts:
        """The texts of rows by the numbers of their labels, and columns that stand `beside` them."""
        at, held = np.searchsorted(self.numbers, numbers), dict(beside)

        def texts(column: str) -> tuple[Numbers, Sequence[str]]:
            if column not in held:
                held[column] = (self.places[column][at], self.words[column]) if len(at) else (at, ())
            return held[column]

        return texts

    def with_fresh(self, reader: Snapshot) -> LabelTexts:
        """The same with the combinations that came since; they are never changed."""
        statement = Statement(dialect_named(reader.dialect))
        names = ", ".join(quoted(name) for name in ROLLUP_LABELS)
        where = f"WHERE number > {statement.bind(self.last)} ORDER BY number LIMIT {LABELS_MAX + 1}"
        fresh = reader.columns(f"SELECT number, {names} FROM labels {where}", statement.parameters)
        if len(self.numbers) + len(fresh["number"]) > LABELS_MAX:
            return LabelTexts(full=True)
        places, words = dict[str, Numbers](), dict[str, list[str]]()
        for name in ROLLUP_LABELS:
            more, words[name] = coded(fresh[name], self.words.get(name, []))
            places[name] = np.concatenate((self.places[name], more)) if name in self.places else more
        numbers = np.concatenate((self.numbers, fresh["number"].astype(np.int64)))
        return LabelTexts(numbers, places=places, words=words)


def read_usages(
    reader: Snapshot, labels: LabelTexts, stretches: Sequence[tuple[Stretch, bool]], *, hourly: bool
) -> tuple[LabelTexts, list[Cube | None]]:
    """A cube for each stretch, read from rollups where it says so; None where they would be too large."""
    if labels.full:
        return labels, [None] * len(stretches)
    by_row = [(place, stretch) for place, (stretch, is_rolled) in enumerate(stretches) if not is_rolled]
    short = [(place, stretch) for place, stretch in by_row if is_short(stretch)]
    cubes = dict[int, Cube | None]()
    if short and (few := _few_usages(reader, short, hourly=hourly)) is not None:
        labels, cubes = _usage_cubes(reader, labels, few, [place for place, _ in short])
        by_row = [(place, stretch) for place, stretch in by_row if place not in cubes]
    statement = Statement(dialect_named(reader.dialect))
    parts = [_rows_part(statement, by_row, hourly=hourly)] if by_row else []
    parts += [_rolled_part(statement, place, item) for place, (item, is_rolled) in enumerate(stretches) if is_rolled]
    if parts:
        left = [place for place in range(len(stretches)) if place not in cubes]
        labels, others = _added_up(reader, labels, statement, parts, left)
        cubes |= others
    return labels, [cubes[place] for place in range(len(stretches))]


def read_sessions(
    reader: Snapshot, labels: LabelTexts, sessions: Sequence[str], stretch: Stretch, *, hourly: bool
) -> tuple[LabelTexts, Cube | None]:
    """A cube of the usages of some sessions, each apart: their column is `session_id`, their last sign `ended`.

    Where none is named it is of all of them, if they have few rows; else None.
    """
    if labels.full:
        return labels, None
    few = _few_usages(reader, [(0, stretch)], hourly=hourly, sessions=sessions)
    if few is not None:
        labels, cubes = _usage_cubes(reader, labels, few, [0])
        return labels, cubes[0]
    if not sessions:
        return labels, None
    statement = Statement(dialect_named(reader.dialect))
    part = _rows_part(statement, [(0, stretch)], hourly=hourly, sessions=sessions)
    labels, cubes = _added_up(reader, labels, statement, [part], [0])
    return labels, cubes[0]


def _few_usages(
    reader: Snapshot, stretches: Sequence[tuple[int, Stretch]], *, hourly: bool, sessions: Sequence[str] | None = None
) -> Columns | None:
    """The rows themselves, where they are few; with `sessions` each session apart, and these only if there are any."""
    statement = Statement(dialect_named(reader.dialect))
    wheres = [f"session_id IN ({statement.bind_all(tuple(sessions))})"] if sessions else []
    ended = f"{statement.dialect.end_of('time', 'duration_ms')} AS ended"
    run = ["session_id", ended] if sessions is not None else []
    columns = [f"{statement.dialect.us('time')} AS us", "labels", *FLAGS, *run, *SUMS]
    found = few_rows(reader, _rows(statement, stretches, "usage_rows", columns, wheres), statement, SUMS)
    return None if found is None else counted(found, _HOUR_US if hourly else _DAY_US)


def _added_up(
    reader: Snapshot, labels: LabelTexts, statement: Statement, parts: Sequence[str], places: Sequence[int]
) -> tuple[LabelTexts, dict[int, Cube | None]]:
    found = reader.columns(limited(parts, CUBE_ROWS_MAX), statement.parameters)
    if len(found["piece"]) > CUBE_ROWS_MAX or _any(found["wide"]):
        return labels, dict.fromkeys(places)
    return _usage_cubes(reader, labels, found, places)


def _usage_cubes(
    reader: Snapshot, labels: LabelTexts, found: Columns, places: Sequence[int]
) -> tuple[LabelTexts, dict[int, Cube | None]]:
    if any(np.ma.is_masked(found[name]) for name in _KNOWN):
        return labels, dict.fromkeys(places)
    labels = labelled(reader, labels, found)
    if labels.full:
        return labels, dict.fromkeys(places)
    return labels, {place: _usage_cube(found, found["piece"] == place, labels) for place in places}


def read_outcomes(reader: Snapshot, stretches: Sequence[Stretch], *, hourly: bool) -> list[Cube | None]:
    """A cube of the outcomes that stand for each stretch; None where they would be too large."""
    few = _few_outcomes(reader, stretches, hourly=hourly) if all(map(is_short, stretches)) else None
    if few is not None:
        return [_outcome_cube(few, few["piece"] == place) for place in range(len(stretches))]
    statement = Statement(dialect_named(reader.dialect))
    texts = [_OUTCOME_TEXT.format(quoted(name)) for name in OUTCOME_TEXTS]
    read = ["time", *map(quoted, OUTCOME_TEXTS), "found", "value_nano"]
    rows = _rows(statement, list(enumerate(stretches)), "outcomes", read, [quoted("current")])
    at, unknown = f"{stamp(statement, hourly=hourly)} AS stamp", "value_nano IS NULL AS bare"
    keys = ["piece", at, *texts, "found", unknown, "sign(value_nano) AS side"]
    sums = ["count(*) AS n", f"{statement.dialect.whole('sum(value_nano)')} AS value_nano"]
    part = select([*keys, *sums], rows, (), [str(place + 1) for place in range(len(keys))])
    found = reader.columns(limited([part], CUBE_ROWS_MAX), statement.parameters)
    lost = np.ma.getmaskarray(found["value_nano"]) & ~found["bare"].astype(bool)
    if len(found["piece"]) > CUBE_ROWS_MAX or bool(lost.any()):
        return [None] * len(stretches)
    return [_outcome_cube(found, found["piece"] == place) for place in range(len(stretches))]


def _few_outcomes(reader: Snapshot, stretches: Sequence[Stretch], *, hourly: bool) -> Columns | None:
    statement = Statement(dialect_named(reader.dialect))
    texts = [_OUTCOME_TEXT.format(quoted(name)) for name in OUTCOME_TEXTS]
    columns = [f"{statement.dialect.us('time')} AS us", *texts, "found", "value_nano"]
    rows = _rows(statement, list(enumerate(stretches)), "outcomes", columns, [quoted("current")])
    found = few_rows(reader, rows, statement, ["value_nano"])
    return None if found is None else counted(found, _HOUR_US if hourly else _DAY_US)


def outcomes_fit(dimensions: Sequence[Dimension], filters: Sequence[tuple[Dimension, Filter]]) -> bool:
    """Whether a cube of outcomes tells what is split and filtered by."""
    named = (*dimensions, *(dimension for dimension, _ in filters))
    return all(not item.tag and item.outcome_column in OUTCOME_TEXTS for item in named)


def limited(parts: Sequence[str], most: int) -> str:
    """All of the parts, up to a row more than can be used."""
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS read LIMIT {most + 1}"


def labelled(reader: Snapshot, labels: LabelTexts, found: dict[str, npt.NDArray[Any]]) -> LabelTexts:
    """The texts of labels, with those of rows that came since."""
    numbers = found["labels"]
    return labels.with_fresh(reader) if len(numbers) and int(numbers.max()) > labels.last else labels


def stamp(statement: Statement, *, hourly: bool) -> str:
    """The start of the day or hour of `time`, in microseconds since 1970."""
    width = _HOUR_US if hourly else _DAY_US
    return f"{statement.dialect.whole_quotient(statement.dialect.us('time'), str(width))} * {width}"


def _rows_part(
    statement: Statement, stretches: Sequence[tuple[int, Stretch]], *, hourly: bool, sessions: Sequence[str] = ()
) -> str:
    """Rows that are alike, added up as a rollup does; those of some sessions only, each apart, where they are named."""
    us = statement.dialect.us
    run = ["session_id"] if sessions else []
    wheres = [f"session_id IN ({statement.bind_all(tuple(sessions))})"] if sessions else []
    rows = _rows(statement, stretches, "usage_rows", ["time", "labels", *FLAGS, *run, *SUMS], wheres)
    keys = ["piece", f"{stamp(statement, hourly=hourly)} AS stamp", "labels", *FLAGS, *run]
    tests = [*(f"sign({name})" for name in SIGNED), *(f"{name} IS NULL" for name in NULLABLE)]
    sums = [f"{statement.dialect.whole(f'sum({name})')} AS {name}" for name in SUMS]
    wide = " OR ".join(f"coalesce(abs(sum({name})) > {WIDE}, false)" for name in _NULLABLE)
    ended = [f"max({statement.dialect.end_of('time', 'duration_ms')}) AS ended"] if sessions else []
    ends = [f"{us('min(time)')} AS first", f"{us('max(time)')} AS last"]
    groups = [*(str(number + 1) for number in range(len(keys))), *tests]
    return select([*keys, "count(*) AS n", *ends, *sums, *ended, f"({wide}) AS wide"], rows, (), groups)


def _rows(
    statement: Statement,
    stretches: Sequence[tuple[int, Stretch]],
    table: str,
    columns: Sequence[str],
    wheres: Sequence[str],
) -> str:
    """The rows of all stretches, `piece` being which: added up together, since planning sums is what costs."""
    parts = [
        select([f"{place} AS piece", *columns], table, [within(statement, stretch), *wheres])
        for place, stretch in stretches
    ]
    return f"({' UNION ALL '.join(parts)}) AS rows_read"


def _rolled_part(statement: Statement, place: int, stretch: Stretch) -> str:
    """Whole days that are added up already."""
    us = statement.dialect.us
    keys = [f"{place} AS piece", f"{us('time')} AS stamp", "labels", *FLAGS, "n"]
    sums = [f"{statement.dialect.whole(name)} AS {name}" for name in SUMS]
    wide = " OR ".join(f"coalesce(abs({name}) > {WIDE}, false)" for name in _NULLABLE)
    ends = [f"{us('first')} AS first", f"{us('last')} AS last"]
    return select([*keys, *ends, *sums, f"({wide}) AS wide"], "usage_days", [within(statement, stretch)])


def _usage_cube(found: dict[str, npt.NDArray[Any]], rows: npt.NDArray[np.bool_], labels: LabelTexts) -> Cube:
    ended = ("ended",) if "ended" in found else ()
    beside = {"session_id": coded(found["session_id"][rows], [])} if ended else {}
    numbers = {name: _filled(found[name][rows]) for name in ("n", "first", "last", *ended, *SUMS)}
    missing = {name: np.ma.getmaskarray(found[name])[rows] for name in _NULLABLE}
    flags = {name: found[name][rows].astype(bool) for name in FLAGS}
    return Cube(found["stamp"][rows], numbers, missing, flags, labels.of(found["labels"][rows], **beside))


def _outcome_cube(found: dict[str, npt.NDArray[Any]], rows: npt.NDArray[np.bool_]) -> Cube:
    texts = {name: coded(found[name][rows], []) for name in OUTCOME_TEXTS}
    numbers = {"n": found["n"][rows], "value_nano": _filled(found["value_nano"][rows])}
    missing = {"value_nano": np.ma.getmaskarray(found["value_nano"])[rows]}
    return Cube(found["stamp"][rows], numbers, missing, {"found": found["found"][rows].astype(bool)}, texts.__getitem__)


def _filled(values: npt.NDArray[Any]) -> Numbers:
    return np.ma.filled(values, 0).astype(np.int64, copy=False)


def coded(texts: npt.NDArray[Any], known: Sequence[str]) -> tuple[Numbers, list[str]]:
    """The place of each text among the words, those known before first."""
    places = {word: place for place, word in enumerate(known)}
    found = [places.setdefault(text, len(places)) for text in np.ma.filled(texts, "").tolist()]
    return np.array(found, dtype=np.int64), list(places)


def _any(flags: npt.NDArray[Any]) -> bool:
    return bool(np.ma.filled(flags, fill_value=True).any())
