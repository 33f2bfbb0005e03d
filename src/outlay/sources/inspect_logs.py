"""Inspect AI logs, `.eval` archives and `.json`: a session per sample and epoch.

Sample ids repeat from epoch to epoch. A model call while a scorer runs is the grader's, an evaluation, although it
stands on the same usage line as the sample's own. Where no call is logged, the totals above are taken: those of the
sample, else those of the log, named as a roll-up.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outlay.core.errors import FormatError
from outlay.sources.facts import Batch
from outlay.sources.gather import Gathering
from outlay.sources.inspect_samples import InspectLog, rolled_up, sample_facts, sample_id
from outlay.sources.jsons import list_in, mapping_in, parse_json
from outlay.sources.moments import zone_of
from outlay.sources.options import ReadOptions
from outlay.sources.reader import plain_name, zip_members
from outlay.sources.sample import Sample
from outlay.sources.tau2 import read_document

NAME = "inspect"


def recognises(sample: Sample) -> bool:
    """An archive with samples and a header, or an object with an evaluation, a plan and statistics."""
    if sample.is_zip:
        names = set(sample.member_names)
        return "header.json" in names or "_journal/start.json" in names
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
    log = mapping_in(read_document(path, gathering.problems))
    return log, (mapping_in(sample) for sample in list_in(log.get("samples")))


def _archive(path: Path, gathering: Gathering) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and samples of an archive; one that was interrupted has only its journal for a header."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            name = "header.json" if "header.json" in names else "_journal/start.json"
            header = mapping_in(parse_json(archive.read(name)))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise FormatError(f"{path.name} cannot be opened as an Inspect archive: {error}") from error
    return header, _members(path, gathering)


def _members(path: Path, gathering: Gathering) -> Iterator[dict[str, Any]]:
    for name, data in zip_members(path, gathering.problems, prefix="samples/"):
        try:
            yield mapping_in(parse_json(data))
        except ValueError as error:
            gathering.refuse(f"{path.name}!{name}", f"not JSON: {error}")
