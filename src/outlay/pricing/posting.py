"""Posting: finished lines as the tables that leave the room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from outlay.core.charge import PROVENANCE_CODE, UNPRICED, Provenance
from outlay.core.meters import METER_NAMES, TOKEN_METERS
from outlay.pricing.charges import AMOUNTS, CHARGES
from outlay.pricing.lines import Lines
from outlay.pricing.rates import UNKNOWN_RATE
from outlay.pricing.recorded import Recorded
from outlay.pricing.rounding import CHARGE_NANO_MAX, amounts_nano

if TYPE_CHECKING:
    from outlay.pricing.charging import Stack

_RECORDED, _PRICED = PROVENANCE_CODE[Provenance.RECORDED], PROVENANCE_CODE[Provenance.PRICED]
_ESTIMATED, _UNPRICED = PROVENANCE_CODE[Provenance.ESTIMATED], PROVENANCE_CODE[Provenance.UNPRICED]
TOKEN_COUNT = len(TOKEN_METERS)


def charges_of(lines: Lines, recorded: Recorded) -> pa.Table:
    """The charges in the order of the usages, then of the meters."""
    place = lines.row * len(METER_NAMES) + lines.meter
    if (place[1:] < place[:-1]).any():
        lines = lines.in_order(np.argsort(place, kind="stable"))
    known = lines.known
    provenance = np.full(len(known), _PRICED, np.uint8)
    provenance[lines.estimated] = _ESTIMATED
    provenance[lines.recorded] = _RECORDED
    provenance[~known] = _UNPRICED
    prices, variants = [*lines.prices, UNPRICED], [*lines.variants, "amount out of range"]
    too_large = ~known & (lines.rate_pico != UNKNOWN_RATE)
    return pa.table(
        [
            pa.array(lines.row.astype(np.int32)),
            pa.array(lines.meter.astype(np.uint8)),
            pa.array(lines.quantity),
            pa.array(lines.rate_pico, mask=lines.rate_pico == UNKNOWN_RATE),
            pa.array(lines.amount_nano, mask=~known),
            _texts(lines.foreign, recorded.currencies),
            pa.array(provenance),
            _texts(np.where(known, lines.price, len(prices) - 1), prices),
            _texts(np.where(too_large, len(variants) - 1, lines.variant), variants),
        ],
        schema=CHARGES,
    )


def with_amounts(
    usages: pa.Table, tokens: NDArray[np.int64], stack: Stack, book: Lines, posted: Lines, recorded: Recorded
) -> pa.Table:
    """The usages with the AMOUNTS columns; columns of an earlier charging are replaced."""
    height = usages.num_rows
    known, unknown = posted.known, ~posted.known
    total, recorded_sum = posted.sums(height, known), posted.sums(height, known & posted.recorded)
    estimated_sum = posted.sums(height, posted.estimated)
    token = posted.meter < TOKEN_COUNT
    unpriced_tokens = np.zeros(height, np.int64)
    if unknown.any():
        np.add.at(unpriced_tokens, posted.row[unknown & token], posted.quantity[unknown & token])
    whole = np.zeros(height, np.bool_)
    whole[book.row] = True
    whole[book.row[~book.known]] = False
    listed = total if posted is book else book.sums(height, book.known)
    low, high, banded = _bands(stack, posted, height)
    abroad = recorded.stated & (recorded.foreign > 0)
    unpriced_tokens[abroad] += tokens[abroad].sum(axis=1)
    low, high = np.where(abroad & whole, listed, low), np.where(abroad & whole, listed, high)
    banded |= abroad & whole
    names = [vector.model_id for vector in stack.vectors]
    tiers = [vector.tier for vector in stack.vectors]
    columns = [
        _texts(stack.which, names),
        _texts(stack.which, tiers),
        pa.array(total),
        pa.array(recorded_sum),
        pa.array(total - recorded_sum - estimated_sum),
        pa.array(estimated_sum),
        pa.array(listed, mask=~whole),
        pa.array(posted.counts(height, unknown).astype(np.int32)),
        pa.array(unpriced_tokens),
        pa.array(low, mask=~banded),
        pa.array(high, mask=~banded),
    ]
    kept = usages.drop_columns([name for name in AMOUNTS.names if name in usages.schema.names])
    for name, column in zip(AMOUNTS.names, columns, strict=True):
        kept = kept.append_column(name, column)
    return kept


def _bands(stack: Stack, posted: Lines, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """What the unpriced tokens would cost by the lowest and highest rates of their families."""
    low, high = np.zeros(height, np.int64), np.zeros(height, np.int64)
    open_ = posted.keep(~posted.known & (posted.meter < TOKEN_COUNT))
    banded = np.zeros(height, np.bool_)
    if not (~open_.known).any():
        return low, high, banded
    which = stack.which[open_.row]
    banded[open_.row] = True
    for number in np.unique(which):
        here = which == number
        band = stack.vectors[number].band
        if band is None or (band[0, open_.meter[here]] == UNKNOWN_RATE).any():
            banded[open_.row[here]] = False
            continue
        for edge, total in zip(band, (low, high), strict=True):
            amounts = np.clip(amounts_nano(open_.quantity[here], edge[open_.meter[here]]), 0, CHARGE_NANO_MAX)
            np.add.at(total, open_.row[here], amounts)
    return low, high, banded


def _texts(codes: NDArray[np.int64], texts: list[str]) -> pa.Array:
    """Codes into texts as a dictionary column whose dictionary holds each text once."""
    pool: dict[str, int] = {}
    lut = np.array([pool.setdefault(text, len(pool)) for text in texts] or [0], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(lut[codes]), pa.array(list(pool), pa.string()))
