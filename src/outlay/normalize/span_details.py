"""Details of spans that several attributes make up: the provider and its region, other meters, tags."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.tagging import TagSource, digit_at
from outlay.normalize.aliases import RESOURCE, load
from outlay.normalize.columns import Ints, words
from outlay.normalize.span_columns import SpanColumns, first, known_counts, list_items, mapped
from outlay.sources.facts import TAGS, UNITS
from outlay.sources.otlp_records import OF_KEY

_BEDROCK_REGION = re.compile(r"(?:^|\.)bedrock[a-z-]*\.([a-z]{2}-[a-z-]+-\d)\.amazonaws\.com(?:\.cn)?$")
_VERTEX_REGION = re.compile(r"^([a-z]+-[a-z]+\d+)-aiplatform\.googleapis\.com$")


def places_of(read: SpanColumns) -> tuple[pa.Array | None, pa.Array | None]:
    """Provider (under its canonical name) and region; what is not said is told by the host called, where it can."""
    providers, hosts = load().providers, load().hosts
    provider, region, host = read.text("provider"), read.text("region"), read.text("server_address")
    if provider is not None:
        provider = mapped(provider, lambda word: providers.get(word.strip('" ').lower(), word.strip('" ')))
    if host is None:
        return provider, region
    if provider is None or provider.null_count:
        known = tuple(hosts)

        def owner(name: str) -> str | None:
            return next((hosts[end] for end in known if name == end or name.endswith(("." + end, "-" + end))), None)

        provider = first([*([] if provider is None else [provider]), mapped(host, owner)])
    by_host = mapped(host, _region)
    return provider, first([*([] if region is None else [region]), by_host])


def _region(host: str) -> str | None:
    found = _BEDROCK_REGION.search(host) or _VERTEX_REGION.search(host)
    return found[1] if found else None


def units_of(read: SpanColumns) -> pa.Array | None:
    """Every other meter as lists of meter and quantity; None where no span states one."""
    aliases = load()
    rows: list[np.ndarray] = []
    meters: list[np.ndarray] = []
    quantities: list[Ints] = []
    names = list(aliases.units)
    for number, keys in enumerate(aliases.units.values()):
        found = first(_divided(read.count_of(key), aliases.divisors.get(key, 1)) for key in keys if read.has(key))
        if found is not None:
            values, known = known_counts(found)
            rows.append(np.flatnonzero(known))
            meters.append(np.full(int(known.sum()), number, np.int32))
            quantities.append(values[known])
    if not rows:
        return None
    order, offsets, absent = _by_row(np.concatenate(rows), read.length)
    meter = pa.DictionaryArray.from_arrays(pa.array(np.concatenate(meters)[order]), words(*names)).cast(pa.string())
    entries = pa.StructArray.from_arrays(
        [meter, pa.array(np.concatenate(quantities)[order])], fields=list(UNITS.value_type)
    )
    return pa.ListArray.from_arrays(pa.array(offsets), entries, mask=pa.array(absent))


def _divided(column: pa.Array, divisor: int) -> pa.Array:
    """Whole numbers divided, half to even."""
    if divisor == 1:
        return column
    values, known = known_counts(column)
    whole, rest = np.divmod(values, divisor)
    half = divisor // 2
    return pa.array(whole + ((rest > half) | ((rest == half) & (whole % 2 == 1))), mask=~known)


def tags_of(read: SpanColumns) -> pa.Array | None:
    """Whatever else the emitter says about itself, as a map; None where no span says anything."""
    rows: list[np.ndarray] = []
    keys: list[pa.Array] = []
    values: list[pa.Array] = []
    for tag, columns in read.carried():
        said = first(read.text_of(name) for name in columns)
        if said is None:
            continue
        where = np.flatnonzero(said.is_valid())
        rows.append(where)
        keys.append(
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(where), np.int32)), words(tag)).cast(pa.string())
        )
        values.append(said.take(pa.array(where)))
    for name in read.present("tag_list"):
        listed = _listed(read.text_of(name))
        rows.append(np.array([row for row, _ in listed], np.int64))
        keys.append(pa.array([tag for _, tag in listed], pa.string()))
        values.append(words("true").take(pa.array(np.zeros(len(listed), np.int64))))
    if not any(map(len, rows)):
        return None
    order, offsets, absent = _by_row(np.concatenate(rows), read.length)
    places = pa.array(order)
    key, value = pa.concat_arrays(keys).take(places), pa.concat_arrays(values).take(places)
    return pa.MapArray.from_arrays(pa.array(offsets), key, value, TAGS, mask=pa.array(absent))


def _listed(lists: pa.Array) -> list[tuple[int, str]]:
    """Each row with each of its bare tags, once."""
    pairs = ((row, text.as_py()) for row, text in enumerate(lists) if text.is_valid)
    return [(row, tag) for row, text in pairs for tag in dict.fromkeys(list_items(text)) if tag]


def _by_row(rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order that brings entries to their rows, the offsets of the rows, and which rows have none."""
    counts = np.bincount(rows, minlength=length)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return np.argsort(rows, kind="stable"), offsets, counts == 0


def sources_of(read: SpanColumns) -> pa.Array | None:
    """Packed digits (`core.tagging`) of tags that only the resource or the key states; None where none are."""
    packed = np.zeros(read.length, np.int64)
    for key in ENVELOPE_KEYS:
        names = read.present(key)
        if not names or not names[-1].startswith((RESOURCE, OF_KEY)):
            continue
        said = np.zeros(read.length, np.bool_)
        for name in names:
            fresh = np.asarray(read.text_of(name).is_valid()) & ~said
            said |= fresh
            if source := _source_of(name):
                packed |= np.where(fresh, int(source) << digit_at(key), 0)
    return pa.array(packed) if packed.any() else None


def _source_of(name: str) -> TagSource:
    """Where the values of a column come from, NONE for the span itself."""
    if name.startswith(OF_KEY):
        return TagSource.API_KEY
    return TagSource.RESOURCE if name.startswith(RESOURCE) else TagSource.NONE
