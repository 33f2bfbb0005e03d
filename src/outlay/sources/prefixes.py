"""Prefixes: how much of a request trace's input a prefix cache could have served.

Some traces say for each request which blocks its prompt begins with, as numbers: the same number is the same text after
the same beginning. A block that an earlier request of the file had, with every block before it, could have come from a
cache that forgets nothing. That is the most any cache can do, and what one does with the real prices is another matter.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pyarrow as pa

from outlay.core.errors import FormatError, Problem
from outlay.sources.facts import Batch
from outlay.sources.mapping import Source, TableMapping
from outlay.sources.options import ReadOptions
from outlay.sources.sample import Sample
from outlay.sources.table_files import mapping_of, read_with

_BLOCKS = "prefix blocks"
"""The tag that carries a request's blocks from the reader to here; it goes no further."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """What a trace says: requests and their tokens, blocks and how many were there before.

    `cacheable_tokens` is the part of each request's input that its known blocks are of all its blocks, cut to whole
    tokens; `requests_at_once_max` is how many requests share the fullest of the `moments` at which requests came.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    blocks: int
    blocks_seen_before: int
    cacheable_tokens: int
    moments: int
    requests_at_once_max: int
    problems: tuple[Problem, ...] = ()

    @property
    def cacheable_share(self) -> Fraction | None:
        """Blocks that were there before, of all blocks; None where the trace has none."""
        return Fraction(self.blocks_seen_before, self.blocks) if self.blocks else None


def prefixes_of(path: Path, options: ReadOptions) -> Prefixes:
    """The prefixes of a trace, its requests in the order of the file.

    Raises FormatError where no mapping fits the file, or where its mapping does not say which column holds the blocks.
    """
    sample = Sample.of(path)
    mapping = mapping_of(sample, options)
    if mapping.prefix_blocks is None:
        raise FormatError(
            f"the mapping {mapping.name} does not say which column of {sample.name} holds prefix blocks",
            hint='name it in the mapping: [prefix] blocks = "column" (see docs/prefixes.md)',
        )
    told = _Told()
    for batch in read_with(_with_blocks(mapping), sample, options):
        told.add(batch)
    return told.whole()


def _with_blocks(mapping: TableMapping) -> TableMapping:
    blocks = Source((mapping.prefix_blocks,)) if mapping.prefix_blocks else Source()
    return replace(mapping, tags={_BLOCKS: blocks}, outcome={})


class _Told:
    """What was read so far."""

    def __init__(self) -> None:
        self._seen: set[object] = set()
        self._moments: Counter[int] = Counter()
        self._blocks = self._known = self._cacheable_tokens = 0
        self._tokens = [0, 0]
        self._problems: list[Problem] = []

    def add(self, batch: Batch) -> None:
        """Count the requests of a batch."""
        self._problems += batch.problems
        facts = batch.facts
        self._moments.update(facts.column("start_ns").to_pylist())
        inputs = _numbers(facts, "input_tokens")
        self._tokens[0] += sum(inputs)
        self._tokens[1] += sum(_numbers(facts, "output_tokens"))
        for tags, tokens in zip(facts.column("tags").to_pylist(), inputs, strict=True):
            self._request(dict(tags or ()).get(_BLOCKS), tokens)

    def _request(self, text: str | None, tokens: int) -> None:
        """Count the blocks of one request, up to the first that nobody had before."""
        blocks = _list_in(text)
        known = next((place for place, block in enumerate(blocks) if block not in self._seen), len(blocks))
        self._seen.update(blocks)
        self._blocks += len(blocks)
        self._known += known
        self._cacheable_tokens += tokens * known // len(blocks) if blocks else 0

    def whole(self) -> Prefixes:
        """The figures of everything that was added."""
        return Prefixes(
            requests=sum(self._moments.values()),
            input_tokens=self._tokens[0],
            output_tokens=self._tokens[1],
            blocks=self._blocks,
            blocks_seen_before=self._known,
            cacheable_tokens=self._cacheable_tokens,
            moments=len(self._moments),
            requests_at_once_max=max(self._moments.values(), default=0),
            problems=tuple(self._problems),
        )


def _numbers(facts: pa.Table, name: str) -> list[int]:
    return [number or 0 for number in facts.column(name).to_pylist()]


def _list_in(text: str | None) -> list[object]:
    """The blocks in a cell: a list of numbers or texts; anything else says nothing."""
    try:
        blocks = json.loads(text) if text else []
    except ValueError:
        return []
    return [block for block in blocks if isinstance(block, (int, str))] if isinstance(blocks, list) else []
