"""Charging a whole batch: what the ledger relies on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import charging
from charging import amounts, batch, charge, charges, usage
from outlay.core.charge import PROVENANCE_CODE
from outlay.core.errors import PriceError
from outlay.core.meters import METER_NAMES
from outlay.core.usage import Estimated
from outlay.normalize.usages import USAGES
from outlay.pricing.book import COURSES_MAX, PriceBook
from outlay.pricing.charges import AMOUNTS, CHARGES
from outlay.pricing.ratecard import default_card
from strategies import token_quantities

BOOK = PriceBook.load(None)
MODELS = ["gpt-4.1", "gpt-5.4", "ft:gpt-4.1-2025-04-14:a::b", "nobody-knows-me", "o3"]


def any_usage() -> st.SearchStrategy[dict[str, Any]]:
    costs = st.none() | st.integers(-5, 10**12)
    return st.builds(
        lambda model, tokens, cost, source, currency, bears, searches, basis: usage(
            "openai",
            model,
            cost_nano=cost,
            cost_source=source,
            currency=currency,
            bears=bears,
            basis=basis,
            web_searches=searches,
            **tokens,
        ),
        st.sampled_from(MODELS),
        st.just({}) | token_quantities(),
        costs,
        st.sampled_from(["", "emitter", "billed"]),
        st.sampled_from(["", "USD", "EUR"]),
        st.booleans(),
        st.integers(0, 3),
        st.sampled_from(["", "inclusive", *(word.value for word in Estimated)]),
    )


@given(st.lists(any_usage(), max_size=12))
def test_charges_add_up_to_the_usages(rows: list[dict[str, Any]]) -> None:
    charged = BOOK.charge(batch(*rows))
    assert charged.charges.schema == CHARGES
    assert charged.usages.schema.names == [*USAGES.names, *AMOUNTS.names]
    said = charged.charges.to_pylist()
    for number, row in enumerate(charged.usages.to_pylist()):
        own = [each for each in said if each["row"] == number]
        by = {
            name: sum(each["amount_nano"] or 0 for each in own if each["provenance"] == code)
            for name, code in PROVENANCE_CODE.items()
        }
        assert row["amount_nano"] == sum(by.values())
        assert (row["recorded_nano"], row["priced_nano"], row["estimated_nano"]) == (
            by["recorded"],
            by["priced"],
            by["estimated"],
        )
        assert row["unpriced_meters"] == sum(each["amount_nano"] is None for each in own)
        assert all((each["amount_nano"] is None) == (each["provenance"] == PROVENANCE_CODE["unpriced"]) for each in own)
        if any(each["provenance"] == PROVENANCE_CODE["recorded"] for each in own):
            assert len(own) == 1
        if not row["bears"]:
            assert own == []


@pytest.mark.parametrize(
    ("basis", "estimated"),
    [
        ("inclusive", set()),
        ("estimated", {"in_uncached", "out_text"}),
        ("estimated input", {"in_uncached"}),
        ("estimated output", {"out_text"}),
    ],
)
def test_tokens_that_were_estimated_make_an_estimated_charge(basis: str, estimated: set[str]) -> None:
    row = usage("openai", "gpt-4o", in_uncached=1_000, out_text=100, basis=basis)
    charged = BOOK.charge(batch(row))
    (said,) = charged.usages.to_pylist()
    lines = charged.charges.to_pylist()
    marked = {METER_NAMES[line["meter"]] for line in lines if line["provenance"] == PROVENANCE_CODE["estimated"]}
    assert marked == estimated
    assert said["amount_nano"] == 2_500_000 + 1_000_000
    assert said["estimated_nano"] == sum({"in_uncached": 2_500_000, "out_text": 1_000_000}[name] for name in estimated)


def test_a_stated_cost_is_no_estimate_whatever_the_tokens_are() -> None:
    row = usage("openai", "gpt-4o", in_uncached=1_000, basis="estimated", cost_nano=7, cost_source="provider")
    (said,) = BOOK.charge(batch(row)).usages.to_pylist()
    assert (said["recorded_nano"], said["estimated_nano"]) == (7, 0)


@given(rows=st.lists(any_usage(), min_size=2, max_size=8), order=st.randoms(use_true_random=False))
def test_a_usage_costs_the_same_in_any_company(rows: list[dict[str, Any]], order: Any) -> None:
    alone = [amounts(BOOK, row)[0]["amount_nano"] for row in rows]
    places = list(range(len(rows)))
    order.shuffle(places)
    together = amounts(BOOK, *(rows[place] for place in places))
    assert [each["amount_nano"] for each in together] == [alone[place] for place in places]


def test_text_columns_may_be_encoded_and_chunked() -> None:
    rows = [usage("openai", "gpt-4.1", in_uncached=10), usage("anthropic", "claude-opus-4-6", in_uncached=10)]
    plain = pa.concat_tables([batch(rows[0]), batch(rows[1]), batch(*rows)])
    encoded = pa.concat_tables(
        [
            table.set_column(table.schema.get_field_index(name), name, table.column(name).dictionary_encode())
            for name in ("model",)
            for table in (batch(rows[0]), batch(rows[1]), batch(*rows))
        ]
    )
    assert encoded.column("model").num_chunks == 3
    for table in (plain, encoded):
        assert BOOK.charge(table).usages.column("amount_nano").to_pylist() == [20_000, 50_000, 20_000, 50_000]


def test_a_batch_without_rows() -> None:
    charged = BOOK.charge(USAGES.empty_table())
    assert (charged.usages.num_rows, charged.charges.num_rows, charged.gaps) == (0, 0, ())


def test_charging_again_replaces_the_amounts() -> None:
    once = BOOK.charge(batch(usage("openai", "gpt-4.1", in_uncached=10))).usages
    assert BOOK.charge(once).usages.equals(once)


@pytest.mark.parametrize(
    ("tokens", "provenance"), [({"in_uncached": 10}, "priced"), ({"web_searches": 1}, "priced"), ({}, "recorded")]
)
def test_a_recorded_zero_beside_work_is_unknown(tokens: dict[str, int], provenance: str) -> None:
    (found,) = charges(BOOK, usage("openai", "gpt-4.1", cost_nano=0, currency="USD", cost_source="emitter", **tokens))
    assert found["provenance"] == provenance


def test_a_billed_zero_is_zero() -> None:
    (found,) = charges(BOOK, usage("openai", "gpt-4.1", in_uncached=10, cost_nano=0, cost_source="billed"))
    assert (found["provenance"], found["amount_nano"]) == ("recorded", 0)


def test_a_recorded_zero_of_an_unknown_model_is_unpriced() -> None:
    row = usage(
        "openai",
        "ft:gpt-4.1-2025-04-14:sierra:tau2-full-sft:BzrYdMNm",
        in_uncached=9,
        cost_nano=0,
        cost_source="emitter",
    )
    (found,) = charges(BOOK, row)
    assert (found["provenance"], found["amount_nano"]) == ("unpriced", None)


def test_another_currency_enters_no_total_in_dollars() -> None:
    row = usage("openai", "gpt-4.1", in_uncached=1_000, cost_nano=1_250_000_000, currency="eur", cost_source="billed")
    (found,) = charges(BOOK, row)
    assert (found["currency"], found["provenance"], found["amount_nano"]) == ("EUR", "unpriced", None)
    assert found["variant_applied"] == "recorded 1.25 EUR: no exchange rate"
    (sums,) = amounts(BOOK, row)
    assert (sums["amount_nano"], sums["unpriced_meters"], sums["unpriced_tokens"]) == (0, 1, 1_000)
    assert (sums["list_nano"], sums["band_low_nano"], sums["band_high_nano"]) == (2_000_000, 2_000_000, 2_000_000)
    (problem,) = BOOK.charge(batch(row)).problems
    assert problem.what == "1 recorded costs in EUR, 1.25 in all"


def test_an_amount_too_large_to_be_true_is_not_known() -> None:
    (found,) = charges(BOOK, usage("openai", "gpt-4.1", in_uncached=2**62))
    assert (found["provenance"], found["amount_nano"], found["variant_applied"]) == (
        "unpriced",
        None,
        "amount out of range",
    )


def test_every_unpriced_charge_says_why() -> None:
    rows = [
        usage("", "", in_uncached=1),
        usage("openai", "nobody-knows-me", in_uncached=1),
        usage("openai", "text-embedding-3-small", out_text=1),
    ]
    assert [each["variant_applied"] for each in charges(BOOK, *rows)] == [
        "no provider given",
        "no price in the book",
        "the book prices other meters of this model only",
    ]


def test_a_fee_a_call_is_not_charged_twice() -> None:
    counted = usage("perplexity", "sonar-pro", in_uncached=1, requests=2)
    assert charge(BOOK, counted, "requests")["quantity"] == 2
    assert charge(BOOK, usage("perplexity", "sonar-pro", in_uncached=1), "requests")["quantity"] == 1
    assert charges(BOOK, usage("perplexity", "sonar-pro")) == []


def test_runtime_is_a_gap_until_there_is_a_rate_card(tmp_path: Path) -> None:
    rows = [usage(agent="researcher", runtime_ms=3_000), usage(agent="researcher", runtime_ms=2_000, vcpu_ms=1_000)]
    charged = BOOK.charge(batch(*rows))
    assert charged.charges.num_rows == 0
    assert [(gap.meter, gap.quantity, gap.usages) for gap in charged.gaps] == [
        ("runtime_ms", 5_000, 2),
        ("vcpu_ms", 1_000, 1),
    ]
    book = PriceBook.load(tmp_path)
    book.add_runtime_rate({"agent": "research*", "session_second": "0.00006", "vcpu_second": "0.000024861"})
    found = charges(book, *rows)
    assert [(each["meter"], each["amount_nano"]) for each in found] == [
        ("runtime_ms", 180_000),
        ("runtime_ms", 120_000),
        ("vcpu_ms", 24_861),
    ]
    assert found[0]["variant_applied"] == "agent research*, environment *"
    assert book.charge(batch(*rows)).gaps == ()
    assert [gap.meter for gap in book.charge(batch(usage(agent="other", runtime_ms=1))).gaps] == ["runtime_ms"]


def test_the_rate_card_by_environment_and_date(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    (tmp_path / "rate_card.toml").write_text(
        '[[rate]]\nsession_second = "0.001"\n'
        '[[rate]]\nenvironment = "production"\nfrom = 2026-11-01\nsession_second = "0.002"\n'
    )
    book.reload()
    rows = [
        usage(environment="production", runtime_ms=1_000, time=datetime(2026, 10, 31, tzinfo=UTC)),
        usage(environment="production", runtime_ms=1_000, time=datetime(2026, 11, 1, tzinfo=UTC)),
        usage(environment="staging", runtime_ms=1_000, time=datetime(2026, 11, 1, tzinfo=UTC)),
    ]
    assert [each["amount_nano"] for each in charges(book, *rows)] == [1_000_000, 2_000_000, 1_000_000]


def test_the_documented_defaults_are_a_valid_card(tmp_path: Path) -> None:
    (tmp_path / "rate_card.toml").write_text(default_card())
    found = charges(PriceBook.load(tmp_path), usage(runtime_ms=1_000, vcpu_ms=1_000, memory_gib_ms=1_000))
    assert [each["amount_nano"] for each in found] == [60_000, 24_861, 2_625]


def test_a_card_without_rates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rate_card.toml").write_text('[[rate]]\nagent = "*"\n[[rate]]\nsession_second = "much"\n')
    with pytest.raises(PriceError) as caught:
        PriceBook.load(tmp_path)
    assert [line.split(": ")[0] for line in caught.value.detail] == ["rate_card.toml:1", "rate_card.toml:3"]


def test_ever_new_model_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.pricing.book.COURSES_MAX", 10)
    book = PriceBook.load(None)
    for number in range(5):
        book.charge(batch(*(usage("openai", f"new-{number}-{each}", in_uncached=1) for each in range(4))))
    assert len(book._open.courses) <= 10 < COURSES_MAX


def test_many_rows_of_few_models_share_their_vectors() -> None:
    random = np.random.default_rng(7)
    counts = random.integers(1, 20_000, 3_000).tolist()
    rows = [
        usage("openai", ("gpt-4.1", "gpt-4.1-mini")[place % 2], in_uncached=count) for place, count in enumerate(counts)
    ]
    book = PriceBook.load(None)
    found = book.charge(batch(*rows)).usages.column("amount_nano").to_pylist()
    assert found == [count * (2_000, 400)[place % 2] for place, count in enumerate(counts)]
    assert len(book._open.courses) == 2


def test_the_helper_says_what_it_does_not_know() -> None:
    with pytest.raises(AssertionError):
        charging.usage("openai", "gpt-4.1", tokens=1)


def any_name() -> st.SearchStrategy[str]:
    words = [
        "openai",
        "aws",
        "azure/",
        "bedrock/",
        "us.",
        "anthropic.",
        "claude-opus-5",
        "[1m]",
        "ft:",
        "gpt-4.1",
        "*",
        "arn:aws:bedrock:",
    ]
    return st.text(max_size=8) | st.lists(st.sampled_from(words) | st.text(max_size=3), max_size=4).map("".join)


@given(
    provider=any_name(),
    model=any_name(),
    region=any_name(),
    asked=st.tuples(any_name(), any_name(), any_name()),
    tokens=token_quantities(),
    time=st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
)
def test_no_spelling_breaks_charging_and_no_token_gets_lost(
    provider: str, model: str, region: str, asked: tuple[str, str, str], tokens: dict[str, int], time: datetime
) -> None:
    tier, processing, speed = asked
    row = usage(
        provider, model, region=region, service_tier=tier, processing=processing, speed=speed, time=time, **tokens
    )
    found = [each for each in charges(BOOK, row) if each["meter"] in tokens]
    assert {each["meter"]: each["quantity"] for each in found} == tokens
    for each in found:
        assert (each["amount_nano"] is None) == (each["price"] == "(unpriced)")
        assert each["variant_applied"]
