"""Disjoint meters: the stated counts cut into quantities that never hold a token twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from outlay.core.meters import TOKEN_METERS
from outlay.normalize.basis import INFERRED, Basis, Stated, decide
from outlay.normalize.columns import Ints, Mask, counts_of, whole
from outlay.normalize.refusals import Refusals

TOKENS_MAX = 10**12
"""More tokens than any one answer, day or month can hold: a count beyond this is a broken counter."""

STATED_COUNTS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
)


@dataclass(frozen=True, slots=True)
class Metered:
    """Token meters of a batch by name, which rows hold any token, which say that nothing came out, and their basis."""

    meters: dict[str, Ints]
    tokens: Mask
    no_output: Mask
    basis: Basis | None


def metered(facts: pa.Table, refusals: Refusals) -> Metered:
    """Disjoint token meters of every row; rows whose counts cannot be true are refused."""
    columns = {name: whole(facts, name) for name in STATED_COUNTS}
    nothing = np.zeros(facts.num_rows, np.int64)
    if all(column.null_count == len(column) for column in columns.values()):
        never = np.zeros(facts.num_rows, np.bool_)
        return Metered(dict.fromkeys(TOKEN_METERS, nothing), never, never, None)

    counts = {name: counts_of(column) for name, column in columns.items()}
    for name, (values, _) in counts.items():
        refusals.refuse(
            (values < 0) | (values > TOKENS_MAX),
            lambda row, name=name, values=values: f"{name} is {values[row]:,}",
            f"a count lies between 0 and {TOKENS_MAX:,}",
        )
    writes = _cache_writes(counts, refusals)
    stated = _with_totals(counts, counts["cache_read_tokens"][0] + writes, refusals)
    basis = decide(facts, stated)
    for fault, lost in basis.faults:
        refusals.note(lost, fault, f"these usages are marked `{INFERRED}`")
    inputs = _input_side(counts, stated, basis, refusals)
    outputs = _output_side(counts, stated, basis, refusals)
    meters = {
        **inputs,
        **outputs,
        "in_cache_read": counts["cache_read_tokens"][0],
        "in_cache_write_5m": counts["cache_write_5m_tokens"][0],
        "in_cache_write_1h": counts["cache_write_1h_tokens"][0],
        "in_cache_write_unspec": writes - counts["cache_write_5m_tokens"][0] - counts["cache_write_1h_tokens"][0],
    }
    tokens = np.logical_or.reduce([values > 0 for values in meters.values()])
    silent = stated.output_known & (stated.output == 0) & (stated.reasoning == 0)
    return Metered(meters, tokens, silent & tokens, basis)


def _cache_writes(counts: dict[str, tuple[Ints, Mask]], refusals: Refusals) -> Ints:
    """All cache writes; where only their parts are stated, the sum of the parts."""
    writes, known = counts["cache_write_tokens"]
    parts = counts["cache_write_5m_tokens"][0] + counts["cache_write_1h_tokens"][0]
    refusals.refuse(
        known & (parts > writes),
        lambda row: f"cache writes by lifetime add up to {parts[row]:,}, cache_write_tokens is {writes[row]:,}",
        "the two lifetimes are parts of cache_write_tokens",
    )
    return np.where(known, writes, parts)


def _with_totals(counts: dict[str, tuple[Ints, Mask]], cached: Ints, refusals: Refusals) -> Stated:
    """The stated counts, with a side that is missing taken from the total where that leaves no choice."""
    input_, input_known = counts["input_tokens"]
    output, output_known = counts["output_tokens"]
    total, total_known = counts["total_tokens"]
    cache_known = counts["cache_read_tokens"][1] | counts["cache_write_tokens"][1]
    if not (total_known.any() and (total_known & ~(input_known & output_known)).any()):
        reasoning = counts["reasoning_tokens"][0]
        return Stated(input_, input_known, output, output_known, total, total_known, cached, cache_known, reasoning)

    only_input = total_known & input_known & ~output_known & (cached == 0) & (total >= input_)
    only_output = total_known & output_known & ~input_known & (cached == 0) & (total >= output)
    neither = total_known & ~input_known & ~output_known & (total > 0) & (cached == 0)
    refusals.note(
        neither & (total > counts["reasoning_tokens"][0]),
        "only a total of tokens is stated: it is counted as input",
        "state input_tokens and output_tokens; output costs more",
    )
    return Stated(
        input=np.where(only_output, total - output, np.where(neither, total, input_)),
        input_known=input_known | only_output | neither,
        output=np.where(only_input, total - input_, output),
        output_known=output_known | only_input,
        total=total,
        total_known=total_known & input_known & output_known,
        cache=cached,
        cache_known=cache_known,
        reasoning=np.where(neither, 0, counts["reasoning_tokens"][0]),
    )


def _input_side(
    counts: dict[str, tuple[Ints, Mask]], stated: Stated, basis: Basis, refusals: Refusals
) -> dict[str, Ints]:
    """Uncached, audio and image input. Audio that a cache served is counted as a cache read, never twice."""
    refusals.refuse(
        ~basis.exclusive & (stated.cache > stated.input),
        lambda row: f"cache tokens {stated.cache[row]:,} exceed input_tokens {stated.input[row]:,}",
        "this source counts cache tokens inside the input",
    )
    audio, image = counts["input_audio_tokens"][0], counts["input_image_tokens"][0]
    refusals.refuse(
        stated.input_known & (audio + image > stated.input),
        lambda row: f"audio and image input {audio[row] + image[row]:,} exceed input_tokens {stated.input[row]:,}",
        "audio and image tokens are parts of input_tokens",
    )
    fresh = np.where(basis.exclusive, stated.input, stated.input - stated.cache)
    fresh = np.where(stated.input_known, fresh, audio + image)
    in_audio = np.minimum(audio, fresh)
    in_image = np.minimum(image, fresh - in_audio)
    return {"in_uncached": fresh - in_audio - in_image, "in_audio": in_audio, "in_image": in_image}


def _output_side(
    counts: dict[str, tuple[Ints, Mask]], stated: Stated, basis: Basis, refusals: Refusals
) -> dict[str, Ints]:
    """Text, reasoning, audio and image output."""
    audio, image = counts["output_audio_tokens"][0], counts["output_image_tokens"][0]
    inside = np.where(basis.beside, 0, stated.reasoning)
    refusals.refuse(
        inside > stated.output,
        lambda row: f"reasoning_tokens {stated.reasoning[row]:,} exceed output_tokens {stated.output[row]:,}",
        "this source counts reasoning inside the output",
    )
    refusals.refuse(
        stated.output_known & (audio + image > stated.output - inside),
        lambda row: f"audio and image output {audio[row] + image[row]:,} exceed output_tokens {stated.output[row]:,}",
        "audio and image tokens are parts of output_tokens",
    )
    text = np.where(stated.output_known, stated.output - inside - audio - image, 0)
    return {"out_text": text, "out_reasoning": stated.reasoning, "out_audio": audio, "out_image": image}
