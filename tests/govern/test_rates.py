"""The rates that decisions go by are those of the price book: contracts, files of one's own, and what is free."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from outlay.control.budgets import Wanted, set_budget
from outlay.control.leases import book_of
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.rate import Rate
from outlay.govern.rates import refresh, refresh_if_needed
from outlay.pricing.book import PriceBook
from outlay.pricing.today import rate_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def find(store: ControlStore, provider: str, model: str) -> Rate | None:
    with store.reading() as connection:
        return book_of(connection).rate(provider, model)


def test_what_the_catalogue_knows_is_found_as_requests_spell_it(control: ControlStore) -> None:
    book = PriceBook.load(None)
    assert refresh(control, book, NOW) > 2_000
    assert refresh(control, book, NOW) == 0, "the same book on the same day is not filled again"
    for provider, model in (
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-4o-mini-2024-07-18"),
        ("openai", "gpt-4o-2024-05-13"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("anthropic", "claude-3-5-haiku-20241022"),
        ("google", "gemini-2.5-pro"),
        ("google", "models/gemini-2.5-flash"),
    ):
        found = find(control, provider, model)
        assert found is not None, model
        assert found == rate_of(book, provider, model.removeprefix("models/"), NOW), model
    long = find(control, "google", "gemini-2.5-pro")
    assert long is not None
    assert long.worst_nano(200_001, 0) > long.worst_nano(390_000, 0) // 2 > long.worst_nano(200_000, 0) // 2
    assert find(control, "openai", "no-such-model") is None
    assert find(control, "openrouter", "anyone/anything:free") == Rate(0, 0, 0)


def test_contracts_overrides_and_aliases_are_in_it_and_free_is_by_declaration(
    control: ControlStore, tmp_path: Path
) -> None:
    book = PriceBook.load(tmp_path)
    listed = rate_of(book, "openai", "gpt-4o-mini")
    assert rate_of(book, "ollama", "llama3.1:8b") is None, "nobody said that it costs nothing"
    book.add_override({"provider": "ollama", "model": "*", "input": "0", "output": "0", "source": "our own machine"})
    book.add_contract({"name": "deal", "provider": "openai", "model": "gpt-4o*", "discount_percent": "50"})
    book.add_alias({"model": "house-model", "to": "gpt-4o-mini", "provider": "openai"})
    refresh(control, book, NOW)
    assert find(control, "ollama", "llama3.1:8b") == Rate(0, 0, 0)
    halved = find(control, "openai", "gpt-4o-mini")
    assert listed is not None
    assert halved is not None
    assert halved.output_nano_per_mtok * 2 == listed.output_nano_per_mtok
    assert find(control, "openai", "house-model") == halved


def test_nothing_is_filled_where_nothing_is_decided(control: ControlStore) -> None:
    book = PriceBook.load(None)
    assert refresh_if_needed(control, book) == 0
    set_budget(control, Wanted(Budget(0, "all", {}), 10**9), "me")
    assert refresh_if_needed(control, book) > 0
