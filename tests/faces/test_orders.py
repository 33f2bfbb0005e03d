"""What orders have in common: fields, texts, amounts, and ends that lie ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from outlay.core.errors import InputError
from outlay.core.money import NANO
from outlay.core.period import ns_of
from outlay.faces.orders import amount_of, end_ns, known_fields, text_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ahead"), [("24h", timedelta(days=1)), ("7d", timedelta(days=7)), ("2w", timedelta(days=14))]
)
def test_a_length_is_counted_from_now_into_the_future(text: str, ahead: timedelta) -> None:
    assert end_ns(text, NOW) == ns_of(NOW + ahead)


def test_an_end_may_be_a_day_or_left_out_and_nothing_else() -> None:
    assert end_ns("2026-12-01", NOW) == ns_of(datetime(2026, 12, 1, tzinfo=UTC))
    assert end_ns("", NOW) is None
    for text in ("soon", "7 days", "2026-13-01"):
        with pytest.raises(InputError, match="is no end"):
            end_ns(text, NOW)


def test_amounts_texts_and_fields_say_what_is_valid() -> None:
    assert amount_of("12.50", "") == 12_500_000_000
    for value in (0, -1, 10**10, "much", None):
        with pytest.raises(InputError, match="amount"):
            amount_of(value, "more than 0")
    assert amount_of(1, "") == NANO
    assert text_of({"reason": " x "}, "reason", needed=True) == "x"
    assert text_of({}, "reason") == ""
    for said in ({"reason": " "}, {"reason": "a\x00b"}, {"reason": 5}, {"reason": "x" * 501}):
        with pytest.raises(InputError, match="reason"):
            text_of(said, "reason", needed=True)
    with pytest.raises(InputError, match="no field") as refused:
        known_fields({"amont": 1}, ("amount", "reason"), "a request")
    assert "amount" in str(refused.value.hint)
