"""Whose facts a sender may write: facts of other teams are refused, counted and named; the rest goes through.

A sender that may write one team only is that team: what it sends without a team is of that team. Of a sender of several
teams, what names none goes through and takes the team of its session, as everything untagged does. What else the key
says (`tags`) holds for what does not say it; the books keep that the key said so, and with which key it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import KEY_TAGS, UNTAGGED
from outlay.core.errors import Problem
from outlay.core.tagging import TagSource, digit_at
from outlay.normalize.columns import Mask, whole
from outlay.normalize.span_columns import SpanColumns
from outlay.sources.facts import Batch
from outlay.sources.otlp_records import OF_KEY, SENT_BY, BodyReport

_HINT_CHARACTERS_MAX = 200


def _no_tags() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the name of its key, the teams it may write (none is all), and the tags of what names none."""

    name: str
    teams: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=_no_tags)

    def tag(self, key: str) -> str:
        """What it says of facts without a value under this key, empty for nothing."""
        if key == "team" and len(self.teams) == 1:
            return self.teams[0]
        return self.tags.get(key, "")


def keep_permitted(rows: pa.Table, reports: Sequence[BodyReport], senders: Sequence[Sender | None]) -> pa.Table:
    """Decoded rows of OTLP without those that their body's sender may not write, the others with what its key says.

    `senders` holds a body's sender, None for one that needs no key and may write all. What was refused is added to the
    body's report.
    """
    if not rows.num_rows or all(sender is None for sender in senders):
        return rows
    read = SpanColumns(rows)
    team = _words(read.text("team"), rows.num_rows)
    body = np.asarray(whole(rows, "body"))
    kept = np.ones(rows.num_rows, np.bool_)
    for number, sender in enumerate(senders):
        if sender is None or not sender.teams:
            continue
        mine = body == number
        good, problems = _judged(team, mine, sender.teams, "rows")
        kept &= good | ~mine
        reports[number].refused += int((mine & ~good).sum())
        reports[number].problems.extend(problems)
    rows = _with_words(rows, read, body, senders)
    return rows if kept.all() else rows.filter(pa.array(kept))


def permitted(batch: Batch, sender: Sender) -> Batch:
    """A batch without the facts, outcomes and rows of OTLP of teams its sender may not write; see `keep_permitted`."""
    problems = list(batch.problems)
    facts = _permitted_rows(batch.facts, sender, "facts", problems)
    outcomes = _permitted_rows(batch.outcomes, sender, "outcomes", problems)
    return replace(
        batch,
        facts=facts,
        outcomes=outcomes,
        problems=problems,
        spans=_permitted_raw(batch.spans, sender, problems),
        logs=_permitted_raw(batch.logs, sender, problems),
        points=_permitted_raw(batch.points, sender, problems),
    )


def of_own_work(batch: Batch, teams: Sequence[str], owners: Sequence[frozenset[str]]) -> Batch:
    """A batch without the outcomes of other teams' work; `owners` holds the teams of the work each outcome names.

    Work of several teams may be completed by each of them, work that the books do not know yet by everybody.
    """
    good = np.array([not teams_of or not teams_of.isdisjoint(teams) for teams_of in owners], np.bool_)
    if good.all():
        return batch
    hint = ("this key may complete work of: " + ", ".join(teams))[:_HINT_CHARACTERS_MAX]
    names = batch.outcomes.select(["task_id", "session_ids", "response_id"]).to_pylist()
    problems = [
        Problem(f"outcome of {_named(names[row])}", "refused: the work is another team's", hint)
        for row in np.flatnonzero(~good).tolist()
    ]
    return replace(batch, outcomes=batch.outcomes.filter(pa.array(good)), problems=[*batch.problems, *problems])


def _named(outcome: dict[str, Any]) -> str:
    sessions = ", ".join(f'"{name}"' for name in (outcome["session_ids"] or ())[:3])
    said = f'task "{outcome["task_id"]}"' if outcome["task_id"] else f"session {sessions}" if sessions else ""
    return said or f'answer "{outcome["response_id"]}"'


def _permitted_raw(rows: pa.Table | None, sender: Sender, problems: list[Problem]) -> pa.Table | None:
    if rows is None:
        return None
    report = BodyReport()
    bare = rows.drop_columns(["body"]) if "body" in rows.column_names else rows
    one_body = bare.append_column("body", pa.array(np.zeros(rows.num_rows, np.int32)))
    kept = keep_permitted(one_body, [report], [sender])
    problems += report.problems
    return kept


def _permitted_rows(table: pa.Table, sender: Sender, what: str, problems: list[Problem]) -> pa.Table:
    if not table.num_rows:
        return table
    if sender.teams:
        team = _words(whole(table, "team"), table.num_rows)
        good, found = _judged(team, np.ones(table.num_rows, np.bool_), sender.teams, what)
        problems += found
        table = table if good.all() else table.filter(pa.array(good))
    filled = np.zeros(table.num_rows, np.int64)
    for key in KEY_TAGS:
        if value := sender.tag(key):
            said = _words(whole(table, key), table.num_rows)
            filled |= np.where(said == "", np.int64(int(TagSource.API_KEY) << digit_at(key)), 0)
            table = _put(table, key, pa.array(np.where(said == "", value, said), pa.string()))
    if "api_key" not in table.column_names:  # outcomes keep no source
        return table
    source = whole(table, "tag_source").fill_null(0)
    table = _put(table, "tag_source", pa.array(np.asarray(source) | filled, pa.int64()))
    return _put(table, "api_key", pa.repeat(sender.name, table.num_rows))


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


def _words(column: pa.Array | None, length: int) -> np.ndarray:
    """The values as they will be written: trimmed, and empty where none is named."""
    if column is None:
        return np.full(length, "", object)
    text = column.cast(pa.string()) if not pa.types.is_string(column.type) else column
    words = np.asarray(pc.utf8_trim_whitespace(pc.fill_null(text, "")).to_numpy(zero_copy_only=False), object)
    words[words == UNTAGGED] = ""
    return words


def _with_words(rows: pa.Table, read: SpanColumns, body: np.ndarray, senders: Sequence[Sender | None]) -> pa.Table:
    """The rows with the names of their senders, and what each says of rows that do not say it, as columns beside."""
    rows = _put(rows, SENT_BY, _by_body(body, [sender.name if sender else "" for sender in senders]))
    for key in KEY_TAGS:
        said = [sender.tag(key) if sender else "" for sender in senders]
        if not any(said):
            continue
        # A blank is no value: it must not stand before what the key says.
        blank = pa.array(_words(read.text(key), rows.num_rows) == "")
        for name in read.present(key):
            column = whole(rows, name)
            rows = _put(rows, name, pc.if_else(blank, pa.scalar(None, column.type), column))
        rows = _put(rows, OF_KEY + key, _by_body(body, said))
    return rows


def _by_body(body: np.ndarray, words: Sequence[str]) -> pa.Array:
    """The word of each row's body; nothing is null."""
    texts = pa.array([word or None for word in words], pa.string())
    return texts.take(pa.array(body))


def _put(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.append_column(name, column) if place < 0 else table.set_column(place, name, column)
