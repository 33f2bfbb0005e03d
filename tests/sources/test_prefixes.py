"""Prefixes: blocks that were there before, counted as a cache that forgets nothing would have them."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking import Books
from outlay.core.errors import FormatError
from outlay.sources.mapping import parse_mapping
from outlay.sources.options import ReadOptions
from outlay.sources.prefixes import Prefixes, prefixes_of

REQUESTS = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=12)


def trace(path: Path, requests: Sequence[Sequence[object]], tokens: int = 1000) -> Path:
    """A trace in Mooncake's shape, two requests a millisecond."""
    rows = [
        {"timestamp": place // 2, "input_length": tokens, "output_length": 10, "hash_ids": list(blocks)}
        for place, blocks in enumerate(requests)
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path


def test_a_block_counts_where_all_before_it_were_known(tmp_path: Path) -> None:
    asked = [[1, 2, 3], [1, 2, 4], [9, 2, 3], [1, 2, 4, 7]]
    found = prefixes_of(trace(tmp_path / "t.jsonl.gz", asked), ReadOptions())
    assert found == Prefixes(4, 4000, 40, 13, 5, 666 + 750, 2, 2)
    assert found.cacheable_share == Fraction(5, 13)


@given(REQUESTS)
def test_a_share_is_never_more_than_all_and_the_first_of_each_is_new(requests: list[list[int]]) -> None:
    path = Path(tempfile.mkdtemp()) / "t.jsonl.gz"
    whole = [[place, *blocks] for place, blocks in enumerate(requests, 100)] or [[1]]
    fresh = prefixes_of(trace(path, whole), ReadOptions())
    assert (fresh.blocks_seen_before, fresh.cacheable_tokens) == (0, 0)
    twice = prefixes_of(trace(path, [*whole, *whole]), ReadOptions())
    assert twice.blocks_seen_before == fresh.blocks == sum(map(len, whole))
    assert twice.cacheable_share == Fraction(1, 2)
    assert twice.cacheable_tokens * 2 == twice.input_tokens


@pytest.mark.parametrize("cell", ["no list", {"a": 1}, None, 5])
def test_a_cell_that_is_no_list_has_no_blocks(tmp_path: Path, cell: object) -> None:
    path = tmp_path / "t.jsonl"
    rows = [
        {"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [1]},
        {"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": cell},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = prefixes_of(path, ReadOptions())
    assert (found.requests, found.blocks, found.blocks_seen_before) == (2, 1, 0)


def test_a_table_that_names_no_blocks_is_told_how_to(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2026-01-01 10:00:00,5,1\n", encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        prefixes_of(path, ReadOptions())
    assert "[prefix] blocks" in caught.value.hint
    with pytest.raises(FormatError, match=r"\[prefix\]"):
        parse_mapping('[prefix]\nblock = "x"\n[fact]\nstart = "t"\n', "mine")


def test_a_mapping_of_ones_own_and_nothing_in_the_books(tmp_path: Path) -> None:
    table, mapping = tmp_path / "mine.csv", tmp_path / "mine.toml"
    table.write_text('at,tokens,chain\n1,100,"[1, 2]"\n2,100,"[1, 3]"\n,100,"[1]"\n', encoding="utf-8")
    mapping.write_text(
        '[time]\nunit = "s"\n[prefix]\nblocks = "chain"\n[fact]\nstart = "at"\ninput_tokens = "tokens"\n',
        encoding="utf-8",
    )
    books = Books(tmp_path / "home")
    reply = books.command("prefixes", str(table), "--mapping", str(mapping))
    (row,) = reply["rows"]
    assert (row["requests"], row["blocks"], row["blocks_seen_before"]) == (2, 4, 1)
    assert (row["cacheable_share"], row["cacheable_tokens"]) == ("0.25", 50)
    assert "no start" in reply["coverage"]["problems"][0]["what"]
    assert not books.home.exists()
