"""The registry: every format Outlay reads, how its content shows itself, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import FormatError, InputError, nearest
from outlay.sources import claude_code, inspect_logs, langfuse, otlp_files, table_files, tau2, tau2_judges
from outlay.sources.facts import Batch
from outlay.sources.options import ReadOptions
from outlay.sources.sample import Sample

__all__ = ["FORMATS", "Format", "ReadOptions", "detect", "discover", "read"]


@dataclass(frozen=True, slots=True)
class Format:
    """One foreign shape: what it is in words, whether a sample is one, and the reader of its files."""

    name: str
    text: str
    recognises: Callable[[Sample], bool]
    read: Callable[[Path, ReadOptions], Iterator[Batch]]


FORMATS: Mapping[str, Format] = {
    item.name: item
    for item in (
        Format(
            "otlp",
            "OpenTelemetry traces as OTLP: protobuf, JSON or JSON lines",
            otlp_files.recognises,
            otlp_files.read,
        ),
        Format("tau2", "tau2-bench results: simulations with messages, cost and reward", tau2.recognises, tau2.read),
        Format("tau2_judges", "summaries of LLM judges over tau2-bench", tau2_judges.recognises, tau2_judges.read),
        Format(
            "claude_code",
            "Claude Code transcripts and sub-agent logs (JSON lines)",
            claude_code.recognises,
            claude_code.read,
        ),
        Format("langfuse", "Langfuse trace exports: a trace with its observations", langfuse.recognises, langfuse.read),
        Format("inspect", "Inspect AI logs: .eval archives and .json", inspect_logs.recognises, inspect_logs.read),
        Format(
            "table",
            "tables: CSV, JSON, JSON lines, YAML or Parquet, with a mapping of columns to words",
            table_files.recognises,
            table_files.read,
        ),
    )
}
"""Every format by its name; the order has no meaning, because a sample that two formats claim is refused."""

_SKIPPED_ENDINGS = (".md", ".txt", ".py", ".html", ".toml", ".lock", ".png", ".pdf", ".meta.json")


def discover(paths: Iterable[Path]) -> list[Path]:
    """The files below the given paths, in a stable order, each once.

    A folder is searched to its bottom, hidden files and files that document (`.md`, `.txt`, …) left out; a file named
    by hand is taken whatever it is called. Raises InputError for a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_file():
            found[path] = None
        elif path.is_dir():
            found.update(dict.fromkeys(sorted(file for file in path.rglob("*") if _is_wanted(file, path))))
        else:
            raise InputError(f"no such file or folder: {path}")
    return list(found)


def _is_wanted(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.is_file() and not file.name.lower().endswith(_SKIPPED_ENDINGS)


def detect(path: Path) -> str:
    """The name of the format that a file's content shows. Raises FormatError that says what was seen instead."""
    return _format_of(path, ReadOptions()).name


def _format_of(path: Path, options: ReadOptions) -> Format:
    if options.format is not None:
        if options.format not in FORMATS:
            raise FormatError(f'no format named "{options.format}"', hint=nearest(options.format, FORMATS))
        return FORMATS[options.format]
    if options.mapping is not None:
        return FORMATS["table"]
    sample = Sample.of(path)
    claims = [item for item in FORMATS.values() if item.recognises(sample)]
    if len(claims) == 1:
        return claims[0]
    if claims:
        names = " and ".join(item.name for item in claims)
        raise FormatError(f"{path.name} could be {names}", hint="say which with --format")
    raise FormatError(
        f"{path.name} is no format Outlay knows: it looks like {sample.described()}",
        detail=[f"{item.name}: {item.text}" for item in FORMATS.values()],
        hint="a table of your own needs a mapping: --mapping FILE.toml (see docs/mappings.md)",
    )


def read(path: Path, options: ReadOptions | None = None) -> Iterator[Batch]:
    """The content of a file in batches of at most 50,000 rows, the options' defaults applied.

    Raises FormatError only where nothing can be read; what concerns single rows stands in `Batch.problems`.
    """
    options = options or ReadOptions()
    chosen = _format_of(path, options)
    for batch in chosen.read(path, options):
        batch.facts = _with_defaults(batch.facts, options)
        batch.outcomes = _with_defaults(batch.outcomes, options)
        yield batch


def _with_defaults(table: pa.Table, options: ReadOptions) -> pa.Table:
    unknown = sorted(set(options.envelope) - set(ENVELOPE_KEYS))
    if unknown:
        raise InputError(f'no envelope key named "{unknown[0]}"', hint=nearest(unknown[0], ENVELOPE_KEYS))
    for key, value in options.envelope.items():
        place = table.schema.get_field_index(key)
        table = table.set_column(place, key, pc.fill_null(table.column(key).cast(pa.string()), value))
    if options.tags and table.num_rows:
        table = table.set_column(table.schema.get_field_index("tags"), "tags", _tagged(table, options.tags))
    return table


def _tagged(table: pa.Table, tags: Mapping[str, str]) -> pa.Array:
    column = table.column("tags")
    kind = table.schema.field("tags").type
    if column.null_count == table.num_rows:
        return pa.repeat(pa.scalar(list(tags.items()), kind), table.num_rows)
    return pa.array([list({**tags, **dict(own or ())}.items()) for own in column.to_pylist()], kind)
