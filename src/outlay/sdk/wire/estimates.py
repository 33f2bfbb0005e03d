"""Estimates: what a call is taken to have used where its answer was cut off, or did not say.

An answer that was not read to its end was paid for all the same. What is known then is how long the request was and how
much text had arrived. Nothing that was stated is replaced, and what is estimated is marked as such: the fact says which
side it is (`outlay.usage.basis`), the tag `usage_estimate` says how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlay.core.centre import Operation
from outlay.core.usage import Estimated
from outlay.sdk.bodies.asked import BYTES_PER_TOKEN
from outlay.sdk.bodies.reading import Reading

if TYPE_CHECKING:
    from outlay.sdk.wire.exchange import Exchange

CHARACTERS_PER_TOKEN = 4
USAGE_ESTIMATE = "usage_estimate"
BASIS = "outlay.usage.basis"

_FROM_TEXT = f"output: characters / {CHARACTERS_PER_TOKEN}"
_FROM_BODY = f"input: bytes of the request / {BYTES_PER_TOKEN}"
_ESTIMATED_SHAPES = frozenset({Operation.CHAT, Operation.EMBEDDING})


def tokens_of(characters: int) -> int:
    """Tokens that so many characters of text are taken for."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def estimate(exchange: Exchange, reading: Reading, gap: str) -> dict[str, str]:
    """Fills `reading` where the answer was silent, and returns the tags that say so; {} where nothing is estimated."""
    if not gap or exchange.route.fetches or exchange.route.shape.operation not in _ESTIMATED_SHAPES:
        return {}
    output = tokens_of(reading.characters)
    has_output = output > (reading.output_tokens or 0)
    if has_output:
        reading.output_tokens = output
    input_ = exchange.asked.input_tokens_estimate if exchange.asked.is_json else 0
    has_input = reading.input_tokens is None and input_ > 0 and (exchange.error_type != "" or has_output)
    if has_input:
        reading.input_tokens = input_
    if not (has_input or has_output):
        return {}
    side = Estimated.ALL if has_input and has_output else Estimated.INPUT if has_input else Estimated.OUTPUT
    how = [text for text, said in ((_FROM_TEXT, has_output), (_FROM_BODY, has_input)) if said]
    return {BASIS: side.value, USAGE_ESTIMATE: "; ".join(how)}
