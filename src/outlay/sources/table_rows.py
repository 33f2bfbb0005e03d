"""Tables as they lie in files: CSV, JSON, JSON lines, YAML and Parquet become columns of text, in chunks of rows.

Text keeps amounts exact. Beside its own columns a chunk has `row.number` (from 1), `row.content` (what the whole row
says, for rows without an identity), `file.name`, `file.time`, `path.<part>` and `companion.<key>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from outlay.core.errors import FormatError, Problem
from outlay.core.period import moment_of
from outlay.sources.cells import at, text_column, text_of, values_at
from outlay.sources.gather import ROWS_MAX
from outlay.sources.jsons import list_in, mapping_in, parse_json
from outlay.sources.mapping import TableMapping
from outlay.sources.moments import file_moment
from outlay.sources.reader import document, lines, read_json
from outlay.sources.sample import Sample
from outlay.sources.table_arrow import csv_chunks, parquet_chunks

Row = tuple[int, Any, str]
"""Row number, record, and the record's content as text."""

_TOLD = ("row.", "file.", "path.", "companion.")


def kind_of(sample: Sample, mapping: TableMapping) -> str:
    """`csv`, `json`, `jsonl`, `yaml` or `parquet`: as the mapping says, else as the content shows."""
    if sample.is_parquet:
        return "parquet"
    if mapping.format is not None:
        return mapping.format
    if sample.is_json_lines:
        return "jsonl"
    if sample.json is not None:
        return "json"
    return "yaml" if sample.is_yaml else "csv"


def chunks(sample: Sample, mapping: TableMapping, problems: list[Problem]) -> Iterator[tuple[pa.Table, int]]:
    """Text tables of at most 50,000 rows, each with how many rows it had to refuse; problems are added on the way."""
    kind = kind_of(sample, mapping)
    if kind == "csv":
        yield from csv_chunks(sample, mapping, problems)
        return
    if kind == "parquet":
        yield from parquet_chunks(sample, mapping)
        return
    rows = _json_lines(sample, mapping, problems) if kind == "jsonl" else _records(sample, mapping, kind, problems)
    while True:
        before = len(problems)
        chunk = list(islice(rows, ROWS_MAX))
        refused = sum("refused" in problem.hint for problem in problems[before:])
        if not chunk and not refused:
            return
        yield _of_rows(chunk, mapping), refused


def constants(path: Path, mapping: TableMapping) -> dict[str, str | None]:
    """What the file, its place and its companion say about every row: `file.…`, `path.…` and `companion.…`."""
    written = moment_of(file_moment(path).ns).isoformat()
    told: dict[str, str | None] = {"file.name": path.name.removesuffix(".gz"), "file.time": written}
    if mapping.path is not None and (found := mapping.path.search(path.absolute().as_posix())):
        told |= {f"path.{part}": text for part, text in found.groupdict().items()}
    for companion in mapping.companions:
        body = _companion(path.parent / companion, told)
        told |= {f"companion.{key}": text_of(value) for key, value in body.items()}
    return told


def _companion(path: Path, told: dict[str, str | None]) -> dict[str, Any]:
    """The object in a companion file; in a list, the first one that agrees with the parts of the path."""
    try:
        body = parse_json(document(path, []))
    except (OSError, ValueError):
        return {}
    for record in map(mapping_in, list_in(body)):
        shared = [key for key in record if f"path.{key}" in told]
        if shared and all(text_of(record[key]) == told[f"path.{key}"] for key in shared):
            return record
    return mapping_in(body)


def _of_rows(rows: list[Row], mapping: TableMapping) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "row.number": pa.array([number for number, _, _ in rows], pa.int64()).cast(pa.string()),
        "row.content": pa.array([content for _, _, content in rows], pa.string()),
    }
    records = [record for _, record, _ in rows]
    for name in mapping.columns():
        if not name.startswith(_TOLD):
            columns[name] = text_column(values_at(records, name))
    return pa.table(columns)


def _json_lines(sample: Sample, mapping: TableMapping, problems: list[Problem]) -> Iterator[Row]:
    """Lines as rows; their content only where it is their identity."""
    for number, line in lines(sample.path, problems):
        try:
            record = parse_json(line)
        except ValueError as error:
            problems.append(Problem(f"{sample.path.name}, line {number}", f"not JSON: {error}", "refused"))
            continue
        if not isinstance(record, dict):
            problems.append(Problem(f"{sample.path.name}, line {number}", "not a JSON object", "refused"))
            continue
        yield number, record, "" if mapping.identity else line.decode("utf-8", "replace").strip()


def _records(sample: Sample, mapping: TableMapping, kind: str, problems: list[Problem]) -> Iterator[Row]:
    body = _yaml(sample, problems) if kind == "yaml" else read_json(sample.path, problems)
    for number, record in enumerate(records_in(body, mapping), 1):
        if not isinstance(record, dict):
            problems.append(Problem(f"{sample.path.name}, record {number}", "not an object", "refused"))
            continue
        yield number, record, text_of(record) or ""


def records_in(body: Any, mapping: TableMapping) -> Iterable[Any]:
    """The records of a document: the list at `records`, or the values of an object whose keys are a column."""
    if mapping.records:
        body = at(body, mapping.records)
    if mapping.keys is not None:
        for key, value in mapping_in(body).items():
            yield {mapping.keys: key, **value} if isinstance(value, dict) else value
        return
    yield from list_in(body) if not isinstance(body, dict) else [body]


def _yaml(sample: Sample, problems: list[Problem]) -> Any:
    """YAML with every scalar as the text that stands there, so that no amount passes through a float."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        return yaml.load(document(sample.path, problems), Loader=loader)  # noqa: S506 - the base loader builds texts, lists and dicts only
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"{sample.path.name} is not readable YAML: {error}") from error
