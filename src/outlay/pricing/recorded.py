"""Recorded costs: what somebody else stated, and whether it can be taken as it stands.

A recorded cost wins over the book. Two kinds do not count as stated in dollars:
a 0 beside tokens or other quantities, unless a bill says so — emitters write 0 for "unknown" —,
and an amount in another currency, which no total in dollars may contain: it is kept as an unpriced charge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from outlay.core.charge import CostSource
from outlay.core.errors import Problem
from outlay.core.meters import METER_CODE
from outlay.core.money import DEFAULT_CURRENCY, decimal_text
from outlay.pricing import columns
from outlay.pricing.columns import Loose
from outlay.pricing.ratecard import RUNTIME_METERS
from outlay.pricing.rounding import CHARGE_NANO_MAX

_RUNTIME = np.array([METER_CODE[meter] for meter in RUNTIME_METERS.values()], np.int64)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Per usage: is a cost `stated`, how much, by whom (`sources`), in which `currencies` (0 is USD), why not taken.

    `reason` points into `reasons` counted from 1; 0 is none.
    """

    stated: NDArray[np.bool_]
    cost_nano: NDArray[np.int64]
    source: NDArray[np.int64]
    sources: list[str]
    foreign: NDArray[np.int64]
    currencies: list[str]
    reason: NDArray[np.int64]
    reasons: list[str]
    problems: tuple[Problem, ...]


def recorded_of(usages: pa.Table, bears: NDArray[np.bool_], tokens: NDArray[np.int64], loose: Loose) -> Recorded:
    """Reads the recorded costs of a batch."""
    cost = columns.numbers(usages, "cost_nano")
    stated = columns.present(usages, "cost_nano") & bears
    source, currency = columns.words(usages, "cost_source"), columns.words(usages, "currency")
    worked = np.asarray(tokens.any(axis=1))
    worked[loose.row[~np.isin(loose.meter, _RUNTIME)]] = True
    billed = np.array([value == CostSource.BILLED for value in source.values] or [False])[source.codes]
    stated &= (cost != 0) | ~worked | billed
    currencies, abroad = _currencies(currency)
    foreign = np.where(stated, abroad, 0)
    reason, reasons, problems = _reasons(stated, cost, foreign, currencies)
    sources = [value or CostSource.EMITTER.value for value in source.values]
    return Recorded(stated, cost, source.codes, sources, foreign, currencies, reason, reasons, problems)


def _currencies(words: columns.Words) -> tuple[list[str], NDArray[np.int64]]:
    found = [DEFAULT_CURRENCY]
    numbers: list[int] = []
    for value in words.values:
        name = value.strip().upper() or DEFAULT_CURRENCY
        if name not in found:
            found.append(name)
        numbers.append(found.index(name))
    return found, np.array(numbers or [0], np.int64)[words.codes]


def _reasons(
    stated: NDArray[np.bool_], cost: NDArray[np.int64], foreign: NDArray[np.int64], currencies: list[str]
) -> tuple[NDArray[np.int64], list[str], tuple[Problem, ...]]:
    reason = np.zeros(len(cost), np.int64)
    reasons: dict[str, int] = {}
    for row in np.nonzero(stated & (foreign > 0))[0]:
        text = f"recorded {decimal_text(int(cost[row]))} {currencies[foreign[row]]}: no exchange rate"
        reason[row] = reasons.setdefault(text, len(reasons) + 1)
    problems: list[Problem] = []
    for number, name in enumerate(currencies[1:], start=1):
        here = stated & (foreign == number)
        if here.any():
            what = f"{int(here.sum())} recorded costs in {name}, {decimal_text(int(cost[here].sum()))} in all"
            problems.append(Problem(f"currency {name}", what, "no total in USD contains them; import them in USD"))
    if (np.abs(cost[stated]) > CHARGE_NANO_MAX).any():
        problems.append(Problem("cost_nano", "a recorded cost is beyond what one charge may be", "check its unit"))
    return reason, list(reasons), tuple(problems)
