"""Files that people write: everything wrong is said at once, with its line, and nothing is half used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging import charge, usage
from outlay.core.errors import PriceError
from outlay.core.money import PICO_PER_NANO
from outlay.pricing import userfiles
from outlay.pricing.book import PriceBook
from outlay.pricing.rows import rate_pico, read_prices

BAD = """[[contract]]
name = "one"
provider = "openai"
discount_percent = "120"

[[contract]]
name = "two"
modle = "gpt-4.1"
input = "cheap"
from = 2026-02-01
to = 2026-01-01

[[contract]]
provider = "openai"
"""


def test_every_problem_is_listed_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "contracts.toml").write_text(BAD)
    with pytest.raises(PriceError) as caught:
        PriceBook.load(tmp_path)
    lines = "\n".join(caught.value.detail)
    assert caught.value.hint
    for part in (
        "contracts.toml:1: discount_percent is '120', not 0 to 100",
        "contracts.toml:6: unknown key 'modle' (did you mean \"model\"?)",
        "contracts.toml:6: input: not a rate: 'cheap'",
        "contracts.toml:6: ends (2026-01-01) before it begins (2026-02-01)",
        "contracts.toml:13: name must be a text, not None",
        "contracts.toml:13: has no rate",
    ):
        assert part in lines


@pytest.mark.parametrize("file", ["contracts.toml", "overrides.toml", "aliases.toml", "rate_card.toml", "tiers.toml"])
def test_broken_toml_and_foreign_bytes_are_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text("[[price\n")
    with pytest.raises(PriceError) as caught:
        PriceBook.load(tmp_path)
    assert file in caught.value.detail[0]
    (tmp_path / file).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PriceError):
        PriceBook.load(tmp_path)


def test_a_bad_addition_changes_nothing(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_override({"provider": "vllm", "model": "*", "source": "ours", "input": "0.1 per 1M"})
    before, version = (tmp_path / "overrides.toml").read_bytes(), book.version
    with pytest.raises(PriceError):
        book.add_override({"provider": "vllm", "model": "*", "input": "a lot"})
    assert (tmp_path / "overrides.toml").read_bytes() == before
    assert book.version == version
    assert {path.name for path in tmp_path.iterdir()} == {"overrides.toml"}


def test_a_bad_edit_leaves_the_open_book_as_it_was(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_override({"provider": "vllm", "model": "*", "source": "ours", "input": "0.1 per 1M"})
    (tmp_path / "overrides.toml").write_text("[[price]]\ninput = 3\n")
    assert [problem.where for problem in book.check()] == ["overrides.toml:1"]
    with pytest.raises(PriceError):
        book.reload()
    assert charge(book, usage("vllm", "qwen", in_uncached=1_000), "in_uncached")["rate_pico"] == 100_000


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "contracts.toml"
    userfiles.write(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(userfiles.os, "fsync", full)
    with pytest.raises(PriceError, match="No space left"):
        userfiles.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "pico"),
    [
        ("2.50 per 1M", 2_500_000),
        ("$2.50 / 1M", 2_500_000),
        ("2.00 per 1k", 2_000_000_000),
        ("0.03", 30_000_000_000),
        ("1e-6", 1_000_000),
        ("5 per 1_000", 5_000_000_000),
        ("0", 0),
    ],
)
def test_rates_as_people_write_them(text: str, pico: int) -> None:
    assert rate_pico(text) == pico


@pytest.mark.parametrize("text", ["", "free", "-1", "1 per 0", "1 per M2", 0.1, None, True, "nan", "1 EUR"])
def test_what_is_not_a_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        rate_pico(text)


@given(st.integers(0, 10**9))
def test_a_rate_survives_being_written(nano_per_million: int) -> None:
    whole, part = divmod(nano_per_million, 10**9)
    assert rate_pico(f"{whole}.{part:09d} per 1k") == nano_per_million * PICO_PER_NANO // 1_000 or nano_per_million % 1


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    rows, problems = read_prices("prices.toml", text)
    assert isinstance(rows, list)
    assert all(problem.where.startswith("prices.toml") for problem in problems)


def test_names_with_quotes_survive_being_written(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_contract({"name": 'the "big" deal \\ ümläut', "provider": "openai", "input": "1 per 1M"})
    found = charge(book, usage("openai", "gpt-4.1", in_uncached=1), "in_uncached")
    assert found["price"] == 'contract: the "big" deal \\ ümläut'


def test_a_missing_folder_says_nothing(tmp_path: Path) -> None:
    assert PriceBook.load(tmp_path / "none").version == PriceBook.load(None).version


def test_the_examples_of_the_documentation_are_valid(root: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (root / "docs" / "prices.md").read_text(encoding="utf-8"), re.DOTALL)
    files = dict(
        zip(("contracts.toml", "overrides.toml", "aliases.toml", "tiers.toml", "rate_card.toml"), blocks, strict=True)
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    book = PriceBook.load(tmp_path)
    assert (len(book.user.contracts), len(book.user.overrides), len(book.user.aliases), len(book.user.card)) == (
        2,
        3,
        1,
        1,
    )
    fine_tune = usage("openai", "ft:gpt-4.1-2025-04-14:acme:x:1", in_uncached=1_000)
    assert (
        charge(book, fine_tune, "in_uncached")["rate_pico"] == 2_625_000
    )  # the override, less the contract's percentage
