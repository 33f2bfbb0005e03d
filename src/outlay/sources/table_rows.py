"""Tables as they lie in files: CSV, JSON, JSON lines, YAML and Parquet become columns of text, in chunks of rows.

Text keeps amounts exact. Beside its own columns a chunk has `row.number` (from 1), `row.content` (what the whole row
says, for rows without an identity), `file.name`, `file.time`, `path.<part>` and `companion.<key>`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from outlay.core.errors import FormatError, Problem
from outlay.core.period import moment_of
from outlay.sources.gather import ROWS_MAX
from outlay.sources.jsons import list_in, mapping_in, parse_json
from outlay.sources.mapping import TableMapping
from outlay.sources.moments import file_moment
from outlay.sources.reader import blocks, document, lines, read_json
from outlay.sources.sample import Sample

Row = tuple[int, Any, str]
"""Row number, record, and the record's content as text."""

_SEPARATOR = "\x1f"
_NO_TEXT = frozenset({"", "null", "~"})
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
        yield from _csv(sample, mapping, problems)
        return
    if kind == "parquet":
        yield from _parquet(sample, mapping)
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


def text_of(value: Any) -> str | None:
    """A value of JSON or YAML as a table would hold it; nothing for an empty one."""
    if isinstance(value, str):
        return None if value in _NO_TEXT else value
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return msgspec.json.encode(value, order="sorted").decode()
    return str(value)


def at(record: Any, path: str) -> Any:
    """The value below a dotted path; numbers count list items, negative ones from the end; JSON in a text is opened."""
    if isinstance(record, dict) and path in record:
        return record[path]
    value = record
    for part in path.split("."):
        if isinstance(value, str) and value[:1] == "{":
            try:
                value = parse_json(value.encode())
            except ValueError:
                return None
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _of_rows(rows: list[Row], mapping: TableMapping) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "row.number": pa.array([number for number, _, _ in rows], pa.int64()).cast(pa.string()),
        "row.content": pa.array([content for _, _, content in rows], pa.string()),
    }
    records = [record for _, record, _ in rows]
    for name in mapping.columns():
        if not name.startswith(_TOLD):
            columns[name] = _text_column(_values(records, name))
    return pa.table(columns)


def _values(records: list[dict[str, Any]], name: str) -> list[Any]:
    """What stands under a name or a dotted path in each record."""
    if "." not in name:
        return [record.get(name) for record in records]
    top = name.split(".", 1)[0]
    return [at(record, name) if top in record or name in record else None for record in records]


def _text_column(values: list[Any]) -> pa.Array:
    """A column of text from values of JSON; the common cases, all text or all whole numbers, without a step per row."""
    kinds = set(map(type, values))
    if kinds <= {type(None)}:
        return pa.nulls(len(values), pa.string())
    if kinds <= {str, type(None)}:
        texts = pa.array(values, pa.string())
        return pc.if_else(pc.is_in(texts, value_set=pa.array(sorted(_NO_TEXT))), pa.scalar(None, pa.string()), texts)
    if kinds <= {int, type(None)}:
        try:
            return pa.array(values, pa.int64()).cast(pa.string())
        except (pa.ArrowInvalid, OverflowError):
            pass
    return pa.array([text_of(value) for value in values], pa.string())


# ---- JSON and YAML ----------------------------------------------------------------------------------------------


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


# ---- CSV and Parquet --------------------------------------------------------------------------------------------


class _WholeLines(io.RawIOBase):
    """The unpacked content as a file; of one that is cut, the unfinished last line is left out."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        super().__init__()
        self._blocks = self._whole(path, problems)
        self._rest = b""

    @staticmethod
    def _whole(path: Path, problems: list[Problem]) -> Iterator[bytes]:
        rest, damaged, before = b"", False, len(problems)
        for block in blocks(path, problems):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            text = whole + newline
            try:
                text.decode()
            except UnicodeDecodeError:
                damaged = True
                text = text.decode("utf-8", "replace").encode()
            yield text
        if len(problems) == before:
            yield rest.decode("utf-8", "replace").encode()
        if damaged:
            problems.append(Problem(path.name, "bytes that are not UTF-8", "kept with a replacement character"))

    def readable(self) -> bool:
        """It can be read, and nothing else."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there is content."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _csv(sample: Sample, mapping: TableMapping, problems: list[Problem]) -> Iterator[tuple[pa.Table, int]]:
    header = list(sample.header)
    if not header:
        raise FormatError(f"{sample.path.name} has no header line", hint="the first line of a table names its columns")
    refused: list[int] = []

    def skip(row: Any) -> str:
        refused.append(1)
        where = f"{sample.path.name}, line {row.number}" if row.number is not None else sample.path.name
        what = f"{row.actual_columns} values in a row of {row.expected_columns} columns"
        problems.append(Problem(where, what, "refused"))
        return "skip"

    wanted = _needed(header, mapping)
    reader = pa_csv.open_csv(
        pa.PythonFile(io.BufferedReader(_WholeLines(sample.path, problems), 1 << 20), mode="r"),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=4 << 20),
        parse_options=pa_csv.ParseOptions(
            delimiter=sample.separator, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()),
            include_columns=wanted,
            null_values=["", "NULL", "null"],
            strings_can_be_null=True,
        ),
    )
    first = 1
    try:
        for batch in reader:
            for start in range(0, batch.num_rows, ROWS_MAX):
                chunk = pa.Table.from_batches([batch.slice(start, ROWS_MAX)])
                yield _with_rows(chunk, first, mapping), len(refused)
                first += chunk.num_rows
                refused.clear()
    except pa.ArrowInvalid as error:
        problems.append(Problem(sample.path.name, f"after row {first - 1:,}: {error}", "the rows before it were read"))
    if refused:
        yield (
            _with_rows(pa.schema([(name, pa.string()) for name in wanted]).empty_table(), first, mapping),
            len(refused),
        )


def _needed(header: list[str], mapping: TableMapping) -> list[str]:
    """The columns to read: all of them where the row's content is its identity."""
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise FormatError(f'the column "{twice}" stands twice in the header', hint="rename one of them")
    if not mapping.identity:
        return header
    tops = {column.split(".", 1)[0] for column in mapping.columns()} | set(mapping.columns())
    return [name for name in header if name in tops]


def _parquet(sample: Sample, mapping: TableMapping) -> Iterator[tuple[pa.Table, int]]:
    import pyarrow.parquet as pa_parquet

    try:
        file = pa_parquet.ParquetFile(sample.path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{sample.path.name} is not readable Parquet: {error}") from error
    wanted = _needed(list(file.schema_arrow.names), mapping)
    first = 1
    for batch in file.iter_batches(batch_size=ROWS_MAX, columns=wanted):
        chunk = pa.table({name: _as_text(batch.column(name)) for name in wanted})
        yield _with_rows(chunk, first, mapping), 0
        first += chunk.num_rows


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        return pa.array([text_of(value) for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def _with_rows(chunk: pa.Table, first: int, mapping: TableMapping) -> pa.Table:
    """The chunk with row numbers, contents, and columns for paths into JSON that stands in a column."""
    columns: dict[str, pa.Array] = {name: chunk.column(name).combine_chunks() for name in chunk.column_names}
    numbers = pa.array(range(first, first + chunk.num_rows), pa.int64()).cast(pa.string())
    if not mapping.identity:
        content = pc.binary_join_element_wise(
            *columns.values(), _SEPARATOR, null_handling="replace", null_replacement="\0"
        )
    else:
        content = numbers
    for top in [name for name in columns if any(column.startswith(f"{name}.") for column in mapping.columns())]:
        inside = [name for name in mapping.columns() if name.startswith(f"{top}.") and name not in columns]
        columns |= _opened(columns[top], top, inside)
    return pa.table({**columns, "row.number": numbers, "row.content": content})


def _opened(column: pa.Array, top: str, names: list[str]) -> dict[str, pa.Array]:
    """Columns for paths into the JSON which a column's texts hold; each distinct text is opened once."""
    encoded = column.dictionary_encode()
    opened: list[dict[str, Any]] = []
    for text in encoded.dictionary.to_pylist():
        try:
            opened.append({top: parse_json(text.encode())})
        except ValueError:
            opened.append({})
    return {name: _text_column(_values(opened, name)).take(encoded.indices) for name in names}
