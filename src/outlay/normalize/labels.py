"""Labels: envelope values, users, error types and tags, made safe to show and to group by.

A label names something, it does not carry content: a value that is longer than 256 characters or holds control
characters is refused, its usage stays. What a refused value said is not repeated anywhere.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import VALUE_CHARACTERS_MAX
from outlay.normalize.columns import Mask, Text, constant, silent, text_of, whole
from outlay.normalize.refusals import Refusals

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_HINT = f"a value has at most {VALUE_CHARACTERS_MAX} characters and no control characters"


def label(facts: pa.Table, name: str, refusals: Refusals) -> Text:
    """The column without the values that are no labels; blanks around a value do not make another value."""
    text = text_of(whole(facts, name))
    if not len(text.values):
        return text
    values = pc.utf8_trim_whitespace(text.values)
    bad = _no_label(values)
    if bad.any():
        concerned = np.append(bad, np.bool_(0))[text.codes]
        refusals.note(concerned, f"{name} refused: {_why(values, bad)}", _HINT)
    empty = bad | np.asarray(pc.equal(values, constant("")))
    merged = values.dictionary_encode()
    places = np.where(empty, -1, np.asarray(merged.indices)).astype(np.int32)
    return Text(merged.dictionary, np.append(places, np.int32(-1))[text.codes])


def tags_of(facts: pa.Table, refusals: Refusals) -> pa.DictionaryArray:
    """The tags of every row as a JSON object with sorted keys, empty where there are none."""
    column = whole(facts, "tags")
    if column.null_count == len(column):
        return silent(len(column)).array()
    # A map's offsets are those of its list of entries, whatever part of a larger array it is.
    entries = column.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])))
    flat = pc.list_flatten(entries)
    rows = np.asarray(pc.list_parent_indices(entries)).astype(np.int64)
    key, value = text_of(pc.struct_field(flat, "key")), text_of(pc.struct_field(flat, "value"))
    bad = (
        np.append(_no_label(key.values), np.bool_(0))[key.codes]
        | np.append(_no_label(value.values), np.bool_(0))[value.codes]
    )
    if bad.any():
        concerned = np.zeros(len(column), np.bool_)
        concerned[rows[bad]] = True
        refusals.note(concerned, "tag refused: too long or with control characters", _HINT)
    kept = ~bad & (value.codes >= 0) & key.stated()
    return _objects(len(column), rows[kept], key, value, kept)


def _objects(rows_count: int, rows: np.ndarray, key: Text, value: Text, kept: Mask) -> pa.DictionaryArray:
    """JSON objects of entries that each name their row: joined in any order, then sorted once a distinct object."""
    keys = pa.array([f"{json.dumps(text)}:" for text in key.values.to_pylist()], pa.string())
    values = pa.array([json.dumps(text) for text in value.values.to_pylist()], pa.string())
    members = pc.binary_join_element_wise(
        keys.take(pa.array(key.codes[kept])), values.take(pa.array(value.codes[kept])), constant("")
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=rows_count))]).astype(np.int32)
    joined = text_of(pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), members), constant(",")))
    objects = [_sorted_object(text) if text else "" for text in joined.values.to_pylist()]
    merged = pa.array(objects, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(merged.indices.take(pa.array(joined.codes)), merged.dictionary)


def _sorted_object(members: str) -> str:
    return json.dumps(json.loads("{" + members + "}"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _no_label(values: pa.StringArray) -> Mask:
    """Which values are too long or hold control characters."""
    if not len(values):
        return np.zeros(0, np.bool_)
    long = pc.greater(pc.utf8_length(values), constant(VALUE_CHARACTERS_MAX))
    return np.asarray(pc.or_(long, pc.match_substring_regex(values, _CONTROL)))


def _why(values: pa.StringArray, bad: Mask) -> str:
    length = len(values[int(np.flatnonzero(bad)[0])].as_py())
    return f"{length:,} characters" if length > VALUE_CHARACTERS_MAX else "control characters in it"
