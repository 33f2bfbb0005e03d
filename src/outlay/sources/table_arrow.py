"""CSV and Parquet as columns of text, a batch of rows at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from outlay.core.errors import FormatError, Problem
from outlay.sources.cells import text_column, text_of, values_at
from outlay.sources.gather import ROWS_MAX
from outlay.sources.jsons import parse_json
from outlay.sources.mapping import TableMapping
from outlay.sources.reader import blocks
from outlay.sources.sample import Sample

_SEPARATOR = "\x1f"


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


def csv_chunks(sample: Sample, mapping: TableMapping, problems: list[Problem]) -> Iterator[tuple[pa.Table, int]]:
    """Chunks of a table with separators, each with how many rows were refused. Raises FormatError without a header."""
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


def parquet_chunks(sample: Sample, mapping: TableMapping) -> Iterator[tuple[pa.Table, int]]:
    """Chunks of a Parquet file; nothing in it is refused here. Raises FormatError where it is not readable."""
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
    return {name: text_column(values_at(opened, name)).take(encoded.indices) for name in names}
