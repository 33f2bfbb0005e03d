"""Inheritance: whose money a usage was, when it does not say so itself.

Own word first; then the nearest ancestor in the tree, because a caller tags what it calls; then another report of the
same answer; then the earliest word of the session within the tree, of the tree, and of the session in any of its trees.
So a tag set late, a thread that lost its context and a parent that was sampled away all end in the same books.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.session import NO_SESSION
from outlay.core.tagging import TagSource, digit_at
from outlay.normalize.clean import TRACE_PREFIX
from outlay.normalize.columns import Codes, Ints, Text, text_of, whole
from outlay.normalize.forest import Forest, earliest

INHERITED_KEYS: tuple[str, ...] = (*ENVELOPE_KEYS, "session_id", "parent_session_id", "user")
INHERITED_BIT: dict[str, int] = {name: 1 << place for place, name in enumerate(INHERITED_KEYS)}
"""The bit of the column `inherited` that says that a value is not the usage's own word; append only."""

_ABSENT = {"", UNTAGGED, NO_SESSION}


@dataclass(frozen=True, slots=True)
class Kin:
    """How rows belong together: the forest, and their tree and answer as group numbers; rows in order of time."""

    forest: Forest
    tree: Ints
    answer: Ints
    by_time: Ints


@dataclass(frozen=True, slots=True)
class Inherited:
    """The resolved text columns, the session group of every row (-1: none was named) and the bits of `inherited`.

    `sources` holds the digits of `tag_source` for the values that are not the usage's own word.
    """

    columns: dict[str, pa.Array]
    session: Ints
    bits: Codes
    sources: Ints


def inherit(rows: pa.Table, kin: Kin) -> Inherited:
    """Session, envelope and user of every row."""
    bits, sources = np.zeros(rows.num_rows, np.int32), np.zeros(rows.num_rows, np.int64)
    session = _stated(rows, "session_id")
    groups, source = _from_kin(session.codes.astype(np.int64), kin, (TagSource.TRACE, kin.tree))
    sources |= source << digit_at("session_id")
    columns = {"session_id": _session_array(rows, session, groups)}
    bits |= _bit("session_id", session, groups)

    parent = _stated(rows, "parent_session_id")
    parent_own = parent.codes.astype(np.int64)
    parents = np.where(parent_own >= 0, parent_own, earliest(groups, parent_own, kin.by_time))
    parents = np.where(_same(parent, parents, session, groups), -1, parents)
    columns["parent_session_id"] = Text(parent.values, parents.astype(np.int32)).array()
    bits |= _bit("parent_session_id", parent, parents)
    sources |= np.where((parent_own < 0) & (parents >= 0), int(TagSource.SESSION), 0) << digit_at("parent_session_id")

    # A trace may serve several sessions: the words of one are asked before those of its neighbours.
    sessions = int(groups.max(initial=-1)) + 1
    pairs = pa.array(kin.tree * sessions + groups, mask=(kin.tree < 0) | (groups < 0)).dictionary_encode()
    within = np.asarray(pairs.indices.fill_null(-1)).astype(np.int64)
    for name in (*ENVELOPE_KEYS, "user"):
        text = _stated(rows, name)
        values, source = _from_kin(
            text.codes.astype(np.int64),
            kin,
            (TagSource.SESSION, within),
            (TagSource.TRACE, kin.tree),
            (TagSource.OTHER_TRACE, groups),
        )
        bits |= _bit(name, text, values)
        sources |= source << digit_at(name)
        columns[name] = Text(text.values, values.astype(np.int32)).array("" if name == "user" else UNTAGGED)
    return Inherited(columns, groups, bits, sources)


def _stated(rows: pa.Table, name: str) -> Text:
    """The column with -1 wherever the row does not say anything itself, and each distinct value once."""
    text = text_of(whole(rows, name))
    if not len(text.values):
        return text
    merged = text.values.dictionary_encode()
    absent = [
        value in _ABSENT or (name == "session_id" and value.startswith(TRACE_PREFIX))
        for value in text.values.to_pylist()
    ]
    places = np.where(absent, -1, np.asarray(merged.indices)).astype(np.int32)
    return Text(merged.dictionary, np.append(places, np.int32(-1))[text.codes])


def _from_kin(own: Ints, kin: Kin, *circles: tuple[TagSource, Ints]) -> tuple[Ints, Ints]:
    """Own value, else the nearest ancestor's, else one of the same answer, else the earliest of the first circle.

    And beside it where each value came from that is not the row's own.
    """
    source = np.zeros(len(own), np.int64)
    if not (own < 0).any() or not (own >= 0).any():
        return own, source
    found = kin.forest.nearest(own)
    source[(own < 0) & (found >= 0)] = TagSource.PARENT
    wider = [(TagSource.ANSWER, earliest(kin.answer, found, kin.by_time))]
    wider += [(kind, earliest(circle, own, kin.by_time)) for kind, circle in circles]
    for kind, values in wider:
        source[(found < 0) & (values >= 0)] = kind
        found = np.where(found >= 0, found, values)
    return found, source


def _session_array(rows: pa.Table, session: Text, groups: Ints) -> pa.DictionaryArray:
    """The session found, else the name the row came with (its trace)."""
    came = text_of(whole(rows, "session_id"))
    values = pa.concat_arrays([session.values, came.values])
    own = np.where(came.stated(), came.codes + len(session.values), -1)
    return Text(values, np.where(groups >= 0, groups, own).astype(np.int32)).array(NO_SESSION)


def _same(parent: Text, parents: Ints, session: Text, groups: Ints) -> np.ndarray:
    """Rows that would be their own parent session."""
    place = {value: code for code, value in enumerate(session.values.to_pylist())}
    as_session = np.asarray([*(place.get(value, -2) for value in parent.values.to_pylist()), -2], np.int64)
    return as_session[parents] == groups


def _bit(name: str, own: Text, found: Ints) -> Codes:
    """The bit of this column on the rows whose value is not their own word."""
    return np.where((own.codes < 0) & (found >= 0), np.int32(INHERITED_BIT[name]), np.int32(0))
