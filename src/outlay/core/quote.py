"""Quote: how much to hold for a call, and what becomes of it when money is short.

Held is what calls of this kind usually cost (`estimate.py`), else the worst case from its `max_tokens`: never nothing,
never a flat sum. One call in twenty costs more than is usual. One that is metered while it streams may draw more; any
other holds its worst case while there is plenty, and else is clamped to what it holds.

Nothing here is changed once it is made; it is not frozen for the reason that `lease.py` gives.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlay.core.estimate import Estimate
from outlay.core.rate import Rate

OUTPUT_TOKENS_LEAST = 64
"""A shorter answer than this is not worth its input: money is waited for instead."""

OUTPUT_TOKENS_ASSUMED = 8_192
"""How long an answer may become for which the request names no ceiling."""

PLENTY = 16
"""So many worst cases must fit into what is free, then one is held whole."""


@dataclass(slots=True)
class Call:
    """One call that is about to be sent. `max_tokens` None names no ceiling; `answers` is how many are asked for.

    `metered` says that its stream is read on the way and can be cut; `can_clamp` and `can_swap` that its request can be
    changed to a lower ceiling, to another model of its provider.
    """

    provider: str
    model: str
    step: str = ""
    input_tokens: int = 0
    max_tokens: int | None = None
    answers: int = 1
    metered: bool = False
    can_clamp: bool = True
    can_swap: bool = True


@dataclass(slots=True)
class Quote:
    """What is wanted for a call with one model. `wanted_nano` None: nobody knows what it costs.

    `least_nano` would do at a pinch; `worst_nano` is the most it can cost with the tokens it names.
    """

    call: Call | None
    model: str
    rate: Rate | None
    wanted_nano: int | None
    least_nano: int = 0
    worst_nano: int | None = None

    def fit(self, free_nano: int | None) -> tuple[int, int | None] | None:
        """How much is held and the ceiling to clamp to, None for as it is; None where it does not fit at all.

        `free_nano` None is no limit.
        """
        wanted = self.wanted_nano
        if wanted == 0:
            return 0, None
        if wanted is None:  # let pass although nobody knows the price, but not where all is gone
            return None if free_nano is not None and free_nano <= 0 else (0, None)
        if free_nano is None:
            return wanted, None
        if free_nano <= 0 or free_nano < self.least_nano:
            return None
        amount, worst = min(wanted, free_nano), self.worst_nano
        if worst is None or self.call is None or amount >= worst:
            return amount, None
        if amount == wanted and (self.call.metered or not self.call.can_clamp):
            return amount, None
        if amount == wanted and worst * PLENTY <= free_nano:
            return (amount, None) if self.call.max_tokens is None else (worst, None)
        return amount, self._ceiling(self.call, amount)

    def _ceiling(self, call: Call, amount_nano: int) -> int | None:
        tokens = self.rate.output_tokens_for(amount_nano, call.input_tokens) if self.rate is not None else None
        if tokens is None:
            return None
        each = max(1, tokens // call.answers)
        return each if call.max_tokens is None or each < call.max_tokens else None


def quote_amount(amount_nano: int | None, least_nano: int | None) -> Quote:
    """The quote of an amount somebody names, for whatever it is."""
    wanted = amount_nano or 0
    least = wanted if least_nano is None else min(least_nano, wanted)
    return Quote(None, "", None, amount_nano, least)


def quote_call(call: Call, model: str, rate: Rate | None, usual: Estimate | None, said_nano: int | None) -> Quote:
    """The quote of a call with a model. `said_nano` is what the caller expects; it counts before what was learned."""
    if rate is not None and rate.free:
        return Quote(call, model, rate, 0)
    if rate is None:
        known = said_nano if said_nano is not None else usual.usual_nano if usual is not None else None
        return Quote(call, model, None, known, known or 0)
    named = call.max_tokens is not None
    most = (call.max_tokens if call.max_tokens is not None else OUTPUT_TOKENS_ASSUMED) * call.answers
    worst = rate.worst_nano(call.input_tokens, most)
    wanted = said_nano if said_nano is not None else usual.usual_nano if usual is not None else worst
    # What was billed may exceed the worst case of an input that was counted too low: then the bill is believed.
    wanted = min(wanted, worst) if named and said_nano is None and usual is None else wanted
    if not call.can_clamp:
        whole = wanted if call.metered or not named else max(wanted, worst)
        return Quote(call, model, rate, whole, whole, worst)
    least = rate.worst_nano(call.input_tokens, min(OUTPUT_TOKENS_LEAST * call.answers, most))
    if usual is not None:  # hardly a call cost less: so little would not do, whatever the input was counted at
        least = max(least, usual.least_nano)
    return Quote(call, model, rate, wanted, min(least, wanted), worst)
