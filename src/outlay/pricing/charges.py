"""Charges: what `pricing/` hands to the ledger. One row is one quantity of one usage at one dated rate.

Amounts are whole nano-units. An amount that is not known is null with provenance `unpriced`; it is never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from outlay.core.errors import Problem

TEXT = pa.dictionary(pa.int32(), pa.string())
"""Text that repeats: stored once a batch, named by number in each row."""

CHARGES = pa.schema(
    [
        ("row", pa.int32()),  # index of the usage in the batch
        ("meter", pa.uint8()),  # core METER_CODE
        ("quantity", pa.int64()),
        ("rate_pico", pa.int64()),  # pico-units per unit; null where recorded or not known
        ("amount_nano", pa.int64()),  # null where not known
        ("currency", TEXT),
        ("provenance", pa.uint8()),  # core PROVENANCE_CODE
        ("price", TEXT),  # which row of which source
        ("variant_applied", TEXT),  # what was in force, and what was asked for in vain
    ]
)
"""Schema of the charges of one batch of usages."""

AMOUNTS = pa.schema(
    [
        ("model_id", TEXT),  # the book's name for the model, else the cleaned name
        ("model_tier", TEXT),  # frontier, mid, efficient, (unknown)
        ("amount_nano", pa.int64()),  # sum of the known charges
        ("recorded_nano", pa.int64()),
        ("priced_nano", pa.int64()),
        ("estimated_nano", pa.int64()),
        ("list_nano", pa.int64()),  # what the book says, also where a cost was recorded; null where it cannot say
        ("unpriced_meters", pa.int32()),  # charges without an amount
        ("unpriced_tokens", pa.int64()),
        (
            "band_low_nano",
            pa.int64(),
        ),  # what the unpriced part would cost by the family's lowest rates; null if unknown
        ("band_high_nano", pa.int64()),
    ]
)
"""Columns that charging adds to a batch of usages. A band is a hint beside a total, it never enters one."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Runtime that nobody has put a price on: `quantity` of `meter` over `usages` usages. No charge stands for it."""

    meter: str
    quantity: int
    usages: int


@dataclass(frozen=True, slots=True)
class Charged:
    """A charged batch: `usages` with the AMOUNTS columns, `charges` (CHARGES) in the order of the usages.

    `gaps` is runtime without a rate card, `problems` recorded costs that could not be taken as they stand.
    """

    usages: pa.Table
    charges: pa.Table
    gaps: tuple[Gap, ...] = ()
    problems: tuple[Problem, ...] = ()
