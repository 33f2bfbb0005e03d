"""Opening files: packed, cut, damaged, in several members."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.errors import FormatError, Problem
from outlay.sources.jsons import count_in, parse_cut_json, parse_json
from outlay.sources.reader import document, head_of, lines, read_json
from strategies import json_values


def test_gzip_of_several_members_is_one_content(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n") + b"\0\0\0")
    assert document(path, []) == b"one\ntwo\n"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_of_a_cut_gzip_whole_lines_are_kept_and_the_cut_is_named(tmp_path: Path, share: float) -> None:
    text = b"".join(b"line %06d of this file\n" % number for number in range(50_000))
    packed = gzip.compress(text, mtime=0)
    path = tmp_path / "cut.gz"
    path.write_bytes(packed[: int(len(packed) * share)])
    problems: list[Problem] = []
    kept = [line for _, line in lines(path, problems)]
    assert all(line == b"line %06d of this file" % number for number, line in enumerate(kept))
    assert len(kept) > 50_000 * share * 0.5
    assert len(problems) == 1
    assert problems[0].where == "cut.gz"
    assert "cut or damaged" in problems[0].what


def test_a_damaged_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"".join(b"%d\n" % (number**7) for number in range(90_000)), mtime=0))
    packed[len(packed) // 2 : len(packed) // 2 + 64] = b"\xff" * 64
    path = tmp_path / "bad.gz"
    path.write_bytes(bytes(packed))
    problems: list[Problem] = []
    assert len(list(lines(path, problems))) > 10_000
    assert problems


def test_the_head_of_a_packed_file_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(b"a" * 5_000_000))
    assert head_of(path, 10) == b"a" * 10


def test_lines_have_numbers_and_empty_ones_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a\n\n  \nb")
    assert list(lines(path, [])) == [(1, b"a"), (4, b"b")]


def test_numbers_are_exact_and_what_is_not_json_but_common_is_nothing() -> None:
    assert parse_json(b'{"a": 0.1, "b": NaN, "c": 1e-7}') == {"a": Decimal("0.1"), "b": None, "c": Decimal("1e-7")}
    with pytest.raises(ValueError, match="nested"):
        parse_json(b"[" * 200_000)


@given(value=json_values(), share=st.floats(0, 1))
def test_a_cut_document_gives_its_beginning_or_an_error(value: Any, share: float) -> None:
    data = json.dumps({"first": value, "second": value}).encode()
    part = data[: int(len(data) * share)]
    try:
        kept = parse_cut_json(part)
    except ValueError:
        assert not part.strip(b"{ ")
        return
    assert set(kept) <= {"first", "second"}
    if "second" in kept:
        assert kept["first"] == parse_json(json.dumps(value).encode())


def test_a_document_that_is_no_json_says_where(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"hello")
    with pytest.raises(FormatError, match=r"x\.json is not readable JSON"):
        read_json(path, [])


@pytest.mark.parametrize("odd", [True, -1, 1.5, "7", Decimal("1.5"), 2**63, [], Decimal("NaN")])
def test_a_count_is_a_whole_number(odd: object) -> None:
    with pytest.raises(ValueError, match="tokens cannot be"):
        count_in(odd, "tokens")


def test_a_count_may_be_written_with_a_point() -> None:
    assert (count_in(Decimal("7.0"), "x"), count_in(None, "x"), count_in(0, "x")) == (7, None, 0)
