"""Charging: a batch of usages against the book, column by column. No Python runs per row on the plain path.

Rows that ask for the same thing in the same stretch of time share one Vector of rates; a row's rates are a `take`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from outlay.core.meters import METER_CODE, METER_NAMES, TOKEN_METERS
from outlay.core.period import NS_PER_US
from outlay.pricing import columns
from outlay.pricing.charges import Charged, Gap
from outlay.pricing.columns import Loose
from outlay.pricing.lines import Lines, recorded_lines
from outlay.pricing.posting import charges_of, with_amounts
from outlay.pricing.ratecard import RUNTIME_METERS, CardRow, card_rates
from outlay.pricing.rates import UNKNOWN_RATE, Vector
from outlay.pricing.recorded import Recorded, recorded_of
from outlay.pricing.rounding import OUT_OF_RANGE, amounts_nano

DAY_US = 86_400_000_000
TOKEN_COUNT = len(TOKEN_METERS)
RUNTIME_CODES = np.array([METER_CODE[meter] for meter in RUNTIME_METERS.values()], np.int64)
REQUESTS = METER_CODE["requests"]

VectorAt = Callable[[tuple[str, ...], int], Vector]
"""(the six asked texts, a moment in epoch microseconds) → rates."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Moments at which any price may change: days (epoch microseconds) and times of day (microseconds)."""

    days_us: NDArray[np.int64]
    hours_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stack:
    """The vectors of one batch on top of each other; `place[row]` is the row of the stack that prices a usage."""

    vectors: Sequence[Vector]
    which: NDArray[np.int64]
    place: NDArray[np.int64]
    pico: NDArray[np.int64]
    price_code: NDArray[np.int64]
    variant_code: NDArray[np.int64]
    estimated: NDArray[np.bool_]
    prices: list[str]
    variants: list[str]


def charge(usages: pa.Table, vector_at: VectorAt, edges: Edges, card: Sequence[CardRow]) -> Charged:
    """Charges a batch (normalize USAGES); see `charges.Charged` for what comes out."""
    quantity = columns.tokens(usages)
    bears = columns.flags(usages, "bears")
    stack = _stacked(usages, quantity, vector_at, edges)
    loose = _with_requests(columns.loose(usages), quantity, bears, stack)
    recorded = recorded_of(usages, bears, quantity, loose)
    book = _book_lines(stack, quantity, bears)
    book = _marked(book, usages).joined(*_loose_lines(usages, loose, bears, stack, card))
    gaps = _gaps(book, recorded)
    book = book.keep(~book.gap)
    posted = book.keep(~recorded.stated[book.row]).joined(recorded_lines(recorded))
    table = with_amounts(usages, quantity, stack, book, posted, recorded)
    return Charged(table, charges_of(posted, recorded), gaps, recorded.problems)


def _stacked(usages: pa.Table, quantity: NDArray[np.int64], vector_at: VectorAt, edges: Edges) -> Stack:
    asked = [columns.words(usages, name) for name in columns.ASKED_COLUMNS]
    times = columns.times_us(usages)
    key = np.zeros(usages.num_rows, np.int64)
    for each in asked:
        key = key * max(len(each.values), 1) + each.codes
        if len(each.values) > 1:
            key = _dense(key)
    slots = np.searchsorted(edges.days_us, times, "right") * (len(edges.hours_us) + 1)
    slots += np.searchsorted(edges.hours_us, times % DAY_US, "right")
    key = key * ((len(edges.days_us) + 1) * (len(edges.hours_us) + 1)) + slots
    first, which = columns.distinct(key)
    vectors = [vector_at(tuple(each.values[each.codes[row]] for each in asked), int(times[row])) for row in first]
    return _stack(vectors, which, quantity)


def _dense(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumbers a key so that the next column cannot make it overflow."""
    return key if key.size == 0 or int(key.max()) < 2**20 else columns.distinct(key)[1]


def _stack(vectors: Sequence[Vector], which: NDArray[np.int64], quantity: NDArray[np.int64]) -> Stack:
    prices: dict[str, int] = {}
    variants: dict[str, int] = {}
    starts = np.zeros(len(vectors), np.int64)
    price_code: list[NDArray[np.int64]] = []
    variant_code: list[NDArray[np.int64]] = []
    height = 0
    for number, vector in enumerate(vectors):
        starts[number] = height
        height += vector.pico.shape[0]
        pooled = np.array([prices.setdefault(text, len(prices)) for text in vector.prices], np.int64)
        price_code.append(pooled[vector.price_code])
        pooled = np.array([variants.setdefault(text, len(variants)) for text in vector.variants], np.int64)
        variant_code.append(pooled[vector.variant_code])
    wide = (0, len(METER_NAMES))
    place = starts[which] if len(vectors) else np.zeros(0, np.int64)
    for number, vector in enumerate(vectors):
        if len(vector.thresholds):  # long context: the segment follows from the input tokens of each call
            rows = np.nonzero(which == number)[0]
            total = quantity[rows][:, columns.INPUT_COLUMNS].sum(axis=1)
            place[rows] += np.searchsorted(vector.thresholds, total, "left")
    return Stack(
        vectors,
        which,
        place,
        np.concatenate([each.pico for each in vectors] or [np.zeros(wide, np.int64)]),
        np.concatenate(price_code or [np.zeros(wide, np.int64)]),
        np.concatenate(variant_code or [np.zeros(wide, np.int64)]),
        np.concatenate([each.estimated for each in vectors] or [np.zeros(wide, np.bool_)]),
        list(prices),
        list(variants),
    )


def _with_requests(loose: Loose, quantity: NDArray[np.int64], bears: NDArray[np.bool_], stack: Stack) -> Loose:
    """Adds one request to calls of models that charge a fee a call, where the source did not count requests itself."""
    feed = np.array([vector.implicit_request for vector in stack.vectors], np.bool_)
    if not feed.any():
        return loose
    called = feed[stack.which] & bears & (quantity.sum(axis=1) > 0)
    called[loose.row[loose.meter == REQUESTS]] = False
    rows = np.nonzero(called)[0]
    ones = np.ones(len(rows), np.int64)
    return Loose(
        np.concatenate([loose.row, rows]),
        np.concatenate([loose.meter, ones * REQUESTS]),
        np.concatenate([loose.quantity, ones]),
    )


def _marked(lines: Lines, usages: pa.Table) -> Lines:
    """The lines of tokens, those marked as estimates whose quantity is one in the words of whoever reported it."""
    basis = columns.words(usages, "basis")
    meters = [columns.ESTIMATED_METERS.get(word, columns.NO_METERS) for word in basis.values]
    if not np.any(meters):
        return lines
    guessed = np.array(meters)[basis.codes[lines.row], lines.meter]
    return replace(lines, estimated=lines.estimated | (guessed & lines.known))


def _book_lines(stack: Stack, quantity: NDArray[np.int64], bears: NDArray[np.bool_]) -> Lines:
    cells = np.flatnonzero(quantity)
    row, meter = np.divmod(cells, TOKEN_COUNT)
    if not bears.all():
        some = bears[row]
        cells, row, meter = cells[some], row[some], meter[some]
    return _lines(stack, row, meter, quantity.ravel()[cells])


def _lines(stack: Stack, row: NDArray[np.int64], meter: NDArray[np.int64], quantity: NDArray[np.int64]) -> Lines:
    cells = stack.place[row] * len(METER_NAMES) + meter
    rate = stack.pico.ravel()[cells]
    known = rate != UNKNOWN_RATE
    amount = amounts_nano(quantity, np.maximum(rate, 0))
    known &= amount != OUT_OF_RANGE
    return Lines(
        row=row,
        meter=meter,
        quantity=quantity,
        rate_pico=rate,
        amount_nano=amount * known,
        known=known,
        estimated=stack.estimated.ravel()[cells] & known,
        price=stack.price_code.ravel()[cells],
        variant=stack.variant_code.ravel()[cells],
        prices=stack.prices,
        variants=stack.variants,
    )


def _loose_lines(
    usages: pa.Table, loose: Loose, bears: NDArray[np.bool_], stack: Stack, card: Sequence[CardRow]
) -> list[Lines]:
    """Lines of everything that is not a token. Being alive costs by the rate card, whatever else a usage bears."""
    runtime = np.isin(loose.meter, RUNTIME_CODES)
    plain = bears[loose.row] & ~runtime if len(loose.row) else runtime
    if not (plain | runtime).any():
        return []
    found = [_lines(stack, loose.row[plain], loose.meter[plain], loose.quantity[plain])]
    if runtime.any():
        found.append(_runtime_lines(usages, loose.row[runtime], loose.meter[runtime], loose.quantity[runtime], card))
    return found


def _runtime_lines(
    usages: pa.Table,
    row: NDArray[np.int64],
    meter: NDArray[np.int64],
    quantity: NDArray[np.int64],
    card: Sequence[CardRow],
) -> Lines:
    """Runtime at the company's own rate card; what the card does not cover is marked as a gap."""
    rate = np.full(len(row), UNKNOWN_RATE, np.int64)
    price, variant = np.zeros(len(row), np.int64), np.zeros(len(row), np.int64)
    prices, variants = {"": 0}, {"": 0}
    if card:
        agent, environment = columns.words(usages, "agent"), columns.words(usages, "environment")
        times = columns.times_us(usages)
        edges = sorted(
            {edge // NS_PER_US for each in card for edge in (each.start_ns, each.end_ns) if edge is not None}
        )
        slot = np.searchsorted(np.array(edges, np.int64), times[row], "right")
        who = _dense(agent.codes[row] * max(len(environment.values), 1) + environment.codes[row])
        key = who * (len(edges) + 1) + slot
        first, which = columns.distinct(key)
        for number, usage in enumerate(row[first].tolist()):
            who_is = agent.values[agent.codes[usage]], environment.values[environment.codes[usage]]
            said = card_rates(card, *who_is, int(times[usage]) * NS_PER_US)
            for name, found in said.items():
                here = (which == number) & (meter == METER_CODE[name])
                rate[here] = found.pico
                price[here] = prices.setdefault(found.price, len(prices))
                variant[here] = variants.setdefault(found.variant, len(variants))
    known = rate != UNKNOWN_RATE
    amount = amounts_nano(quantity, np.where(known, rate, 0))
    gap = ~known
    known &= amount != OUT_OF_RANGE
    return Lines(
        row=row,
        meter=meter,
        quantity=quantity,
        rate_pico=rate,
        amount_nano=np.where(known, amount, 0),
        known=known,
        estimated=np.zeros(len(row), np.bool_),
        price=price,
        variant=variant,
        prices=list(prices),
        variants=list(variants),
        gap=gap,
    )


def _gaps(book: Lines, recorded: Recorded) -> tuple[Gap, ...]:
    open_ = book.keep(book.gap & ~recorded.stated[book.row])
    found: list[Gap] = []
    for code in sorted(set(open_.meter.tolist())):
        here = open_.meter == code
        found.append(Gap(METER_NAMES[code], int(open_.quantity[here].sum()), len(np.unique(open_.row[here]))))
    return tuple(found)
