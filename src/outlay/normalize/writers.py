"""Whose facts a sender may write: facts of other teams are refused, counted and named; the rest goes through.

A sender that may write one team only is that team: what it sends without a team is of that team. Of a sender of several
teams, what names none goes through and takes the team of its session, as everything untagged does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import UNTAGGED
from outlay.core.errors import Problem
from outlay.normalize.columns import Mask
from outlay.normalize.span_columns import SpanColumns
from outlay.sources.facts import Batch
from outlay.sources.otlp_records import BodyReport

_TEAM_ATTRIBUTE = "outlay.team"
"""The spelling that wins over every other."""

_HINT_CHARACTERS_MAX = 200


def keep_permitted(rows: pa.Table, reports: Sequence[BodyReport], writers: Sequence[Sequence[str] | None]) -> pa.Table:
    """Decoded rows of OTLP without those that their body's sender may not write.

    `writers` holds a body's teams, None where its sender may write all. What was refused is added to the body's report.
    """
    if not rows.num_rows or all(teams is None for teams in writers):
        return rows
    team = _words(SpanColumns(rows).text("team"), rows.num_rows)
    body = np.asarray(rows.column("body").combine_chunks())
    kept, own = np.ones(rows.num_rows, np.bool_), np.full(rows.num_rows, "", object)
    for number, teams in enumerate(writers):
        if teams is None:
            continue
        mine = body == number
        good, problems = _judged(team, mine, teams, "rows")
        kept &= good | ~mine
        reports[number].refused += int((mine & ~good).sum())
        reports[number].problems.extend(problems)
        if len(teams) == 1:
            own[mine] = teams[0]
    rows = _stamped(rows, team, own)
    return rows if kept.all() else rows.filter(pa.array(kept))


def permitted(batch: Batch, teams: Sequence[str]) -> Batch:
    """A batch without the facts, outcomes and rows of OTLP of other teams than these."""
    problems = list(batch.problems)
    facts = _permitted_rows(batch.facts, teams, "facts", problems)
    outcomes = _permitted_rows(batch.outcomes, teams, "outcomes", problems)
    raw = (batch.spans, batch.logs, batch.points)
    return Batch(
        facts,
        outcomes,
        batch.received,
        batch.repeats,
        problems,
        *(_permitted_raw(rows, teams, problems) for rows in raw),
    )


def _permitted_raw(rows: pa.Table | None, teams: Sequence[str], problems: list[Problem]) -> pa.Table | None:
    if rows is None:
        return None
    report = BodyReport()
    bare = rows.drop_columns(["body"]) if "body" in rows.column_names else rows
    one_body = bare.append_column("body", pa.array(np.zeros(rows.num_rows, np.int32)))
    kept = keep_permitted(one_body, [report], [teams])
    problems += report.problems
    return kept


def _permitted_rows(table: pa.Table, teams: Sequence[str], what: str, problems: list[Problem]) -> pa.Table:
    if not table.num_rows:
        return table
    place = table.schema.get_field_index("team")
    team = _words(table.column(place).combine_chunks(), table.num_rows)
    good, found = _judged(team, np.ones(table.num_rows, np.bool_), teams, what)
    problems += found
    if len(teams) == 1:
        named = pa.array(np.where(team == "", teams[0], team), pa.string())
        table = table.set_column(place, table.schema.field(place).with_type(pa.string()), named)
    return table if good.all() else table.filter(pa.array(good))


def _judged(team: np.ndarray, mine: Mask, teams: Sequence[str], what: str) -> tuple[Mask, list[Problem]]:
    """Which rows are of these teams or of none; one problem for each other team among `mine`."""
    good = (team == "") | np.isin(team, list(teams))
    names, counts = np.unique(team[mine & ~good].astype(str), return_counts=True)
    hint = ("this key may write: " + ", ".join(teams))[:_HINT_CHARACTERS_MAX]
    problems = [
        Problem(f'team "{name}"', f"{count} {what} refused: the key may not write this team", hint)
        for name, count in zip(names.tolist(), counts.tolist(), strict=True)
    ]
    return good, problems


def _words(team: pa.Array | None, length: int) -> np.ndarray:
    """The teams as they will be written: trimmed, and empty where none is named."""
    if team is None:
        return np.full(length, "", object)
    text = team.cast(pa.string()) if not pa.types.is_string(team.type) else team
    words = np.asarray(pc.utf8_trim_whitespace(pc.fill_null(text, "")).to_numpy(zero_copy_only=False), object)
    words[words == UNTAGGED] = ""
    return words


def _stamped(rows: pa.Table, team: np.ndarray, own: np.ndarray) -> pa.Table:
    """The rows with the sender's own team where they name none."""
    silent = (team == "") & (own != "")
    if not silent.any():
        return rows
    place = rows.schema.get_field_index(_TEAM_ATTRIBUTE)
    said = _words(None if place < 0 else rows.column(place).combine_chunks(), rows.num_rows)
    words = np.where(silent, own, said)
    named = pa.array(words, pa.string(), mask=words == "")
    return rows.append_column(_TEAM_ATTRIBUTE, named) if place < 0 else rows.set_column(place, _TEAM_ATTRIBUTE, named)
