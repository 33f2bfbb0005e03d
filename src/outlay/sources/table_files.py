"""Tables with a mapping: which mapping fits a table, and the reader of its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from outlay.core.errors import FormatError, Problem
from outlay.sources.cells import at
from outlay.sources.facts import Batch
from outlay.sources.mapping import TableMapping, load_mapping, shipped_mappings
from outlay.sources.moments import zone_of
from outlay.sources.options import ReadOptions
from outlay.sources.sample import Sample
from outlay.sources.table_facts import TableFile
from outlay.sources.table_rows import chunks, constants, kind_of, records_in

NAME = "table"


def recognises(sample: Sample) -> bool:
    """Whether the columns are those of a shipped mapping."""
    return bool(_fitting(sample))


def _fitting(sample: Sample) -> list[TableMapping]:
    """The shipped mappings whose columns the sample has, the most telling ones only."""
    found = [mapping for mapping in shipped_mappings() if mapping.detect and _fits(sample, mapping)]
    most = max((len(mapping.detect) for mapping in found), default=0)
    return [mapping for mapping in found if len(mapping.detect) == most]


def _fits(sample: Sample, mapping: TableMapping) -> bool:
    kind = kind_of(sample, mapping)
    if kind == "csv":
        return set(mapping.detect) <= set(sample.header)
    if kind == "parquet":
        import pyarrow.parquet as pa_parquet

        try:
            return set(mapping.detect) <= set(pa_parquet.read_schema(sample.path).names)
        except (pa.ArrowInvalid, OSError):
            return False
    return any(
        all(at(record, column) is not None or column in record for column in mapping.detect)
        for record in _first_records(sample, mapping, kind)
    )


def _first_records(sample: Sample, mapping: TableMapping, kind: str) -> list[dict[str, Any]]:
    if kind == "jsonl":
        records = list(sample.records)
    elif kind == "json":
        records = list(records_in(sample.json, mapping))[:50] if sample.json is not None else []
    elif sample.is_yaml:
        text = sample.head.decode("utf-8", "replace")
        keys = {line.lstrip("- ").split(":", 1)[0].strip() for line in text.splitlines()[:2000] if ":" in line}
        records = [dict.fromkeys(keys, "")]
    else:
        records = []
    return [record for record in records if isinstance(record, dict)]


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Batches of one table. Raises FormatError where no mapping fits or the mapping is not usable."""
    sample = Sample.of(path)
    yield from read_with(mapping_of(sample, options), sample, options)


def mapping_of(sample: Sample, options: ReadOptions) -> TableMapping:
    """The mapping that was given, else the shipped one that fits. Raises FormatError where there is none."""
    return load_mapping(options.mapping) if options.mapping is not None else _chosen(sample)


def read_with(mapping: TableMapping, sample: Sample, options: ReadOptions) -> Iterator[Batch]:
    """Batches of one table through a mapping."""
    path = sample.path
    problems: list[Problem] = []
    told = constants(path, mapping)
    table = TableFile(mapping, sample.name, path, zone_of(options.zone), told, problems)
    for chunk, refused in chunks(sample, mapping, problems):
        yield table.batch(chunk, refused)
    if problems:
        yield table.rest()


def _chosen(sample: Sample) -> TableMapping:
    fitting = _fitting(sample)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and ".join(mapping.name for mapping in fitting)
        raise FormatError(f"{sample.name} fits the mappings {names}", hint="say which with --mapping FILE.toml")
    known = [f"{mapping.name}: {', '.join(mapping.detect)}" for mapping in shipped_mappings()]
    raise FormatError(
        f"no mapping knows the columns of {sample.name}: it looks like {sample.described()}",
        detail=known,
        hint="write a mapping of your own: --mapping FILE.toml (see docs/mappings.md)",
    )
