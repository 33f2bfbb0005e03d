"""Inspect AI logs, `.eval` archives and `.json`: a session per sample and epoch.

Sample ids repeat from epoch to epoch. A model call while a scorer runs is the grader's, an evaluation, although it
stands on the same usage line as the sample's own. Where no call is logged, the totals above are taken: those of the
sample, else those of the log, named as a roll-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outlay.core.errors import FormatError
from outlay.sources.archives import members
from outlay.sources.facts import Batch
from outlay.sources.gather import Gathering
from outlay.sources.inspect_samples import InspectLog, rolled_up, sample_facts, sample_id
from outlay.sources.jsons import list_in, mapping_in, parse_json
from outlay.sources.moments import zone_of
from outlay.sources.options import ReadOptions
from outlay.sources.reader import plain_name, read_json
from outlay.sources.sample import Sample

NAME = "inspect"
_HEADERS = ("header.json", "_journal/start.json")


def recognises(sample: Sample) -> bool:
    """An archive with samples and a header, or an object with an evaluation, a plan and statistics."""
    if sample.is_zip:
        return any(name in sample.member_names for name in _HEADERS)
    top = mapping_in(sample.json)
    return "eval" in top and "task" in mapping_in(top["eval"]) and bool({"plan", "stats", "samples"} & set(top))


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Batches of one log. Raises FormatError where it is no log."""
    gathering = Gathering(NAME, plain_name(path), zone_of(options.zone))
    header, samples = _archive(path, gathering) if Sample.of(path).is_zip else _document(path, gathering)
    log = InspectLog.of(header, gathering)
    if log is None:
        raise FormatError(f"{path.name} holds no evaluation", hint="is it an Inspect AI log?")
    seen: list[str] = []
    detailed = False
    for number, sample in enumerate(samples, 1):
        where = f"{path.name}, sample {sample.get('id', number)} epoch {sample.get('epoch', 1)}"
        detailed = sample_facts(log, sample, where) or detailed
        seen.append(sample_id(log, sample))
        yield from gathering.batches()
    if not detailed:
        rolled_up(log, header, seen, path.name)
    yield from gathering.batches(last=True)


def _document(path: Path, gathering: Gathering) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    log = mapping_in(read_json(path, gathering.problems))
    return log, (mapping_in(sample) for sample in list_in(log.get("samples")))


def _archive(path: Path, gathering: Gathering) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and samples of an archive; one that was interrupted has only its journal for a header."""
    headers: dict[str, bytes] = {name: data for name, data in members(path, []) if name in _HEADERS}
    name = next((name for name in _HEADERS if name in headers), None)
    if name is None:
        raise FormatError(f"{path.name} is an archive without {_HEADERS[0]}", hint="is it an Inspect AI log?")
    try:
        return mapping_in(parse_json(headers[name])), _samples(path, gathering)
    except ValueError as error:
        raise FormatError(f"{path.name}!{name} is not JSON: {error}") from error


def _samples(path: Path, gathering: Gathering) -> Iterator[dict[str, Any]]:
    for name, data in members(path, gathering.problems):
        if not name.startswith("samples/"):
            continue
        try:
            yield mapping_in(parse_json(data))
        except ValueError as error:
            gathering.refuse(f"{path.name}!{name}", f"not JSON: {error}")
