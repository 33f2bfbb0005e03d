"""OTLP protobuf, written by hand: only what this SDK says, so that it needs nothing but the standard library.

Field numbers are those of opentelemetry-proto's trace.proto, common.proto and resource.proto. What repeats is encoded
once: a run is one resource, its trace and parent are one fragment, and so are the words that many steps share. A step
is encoded where it ends: its words are at hand there, and the bytes that wait are nothing the garbage collector visits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from struct import Struct
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.sdk.context import Run
from outlay.sdk.step import CHAT, RARE, Step

SCOPE = "outlay"
FRAGMENTS_MAX = 4_096
"""Distinct fragments kept; beyond that all are forgotten, so that words that never repeat cannot fill the memory."""

TOKEN_KEYS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "total_tokens": "gen_ai.usage.total_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "cache_write_5m_tokens": "outlay.usage.cache_write_5m_tokens",
    "cache_write_1h_tokens": "outlay.usage.cache_write_1h_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "input_audio_tokens": "gen_ai.usage.audio.input_tokens",
    "output_audio_tokens": "gen_ai.usage.audio.output_tokens",
    "input_image_tokens": "gen_ai.usage.image.input_tokens",
    "output_image_tokens": "gen_ai.usage.image.output_tokens",
}
"""Token columns of a fact → the attribute that says it."""

COUNTS_KEPT_BELOW = 4_096
"""Counts whose attribute is kept, by name: the small ones, which are the ones that come again."""

_WITHIN = Struct("<2s16s2s8s2s").pack
_OUTERMOST = Struct("<2s16s2s").pack
_TIMES = Struct("<8sBQBQ").pack
_TRACE, _SPAN, _PARENT = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
_START, _END = 0x39, 0x41
_COUNT_MAX = 2**63 - 1
_INTERNAL, _CLIENT = 1, 3
_CALLS = frozenset({CHAT, "embedding", "retrieval", "rerank", "guardrail"})
_RESPONSE_KEY = "gen_ai.response.id"
_RARE_WORDS = tuple(name for name in RARE if name not in {"units", "cost", "cost_source", "currency", "tags"})
"""What few steps say and many of those say alike."""
_FAILED = b"\x7a\x02\x18\x02"  # status { code: ERROR }


def varint(number: int) -> bytes:
    """A whole number of at most 64 bits, seven at a time; a negative one as its two's complement."""
    if 0 <= number < 1 << 21:  # nearly every one, in a third of the time
        if number < 1 << 7:
            return bytes((number,))
        if number < 1 << 14:
            return bytes((number & 0x7F | 0x80, number >> 7))
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(tag: int, payload: bytes) -> bytes:
    """A field of bytes, text or a message; `tag` is field × 8 + 2 (below 128: every field used here is small)."""
    size = len(payload)
    return bytes((tag, size)) + payload if size < 0x80 else bytes((tag,)) + varint(size) + payload


def attribute(tag: int, key: str, value: str | int) -> bytes:
    """A key with a text or a whole number."""
    inner = delimited(0x0A, value.encode("utf-8", "replace")) if isinstance(value, str) else b"\x18" + varint(value)
    return delimited(tag, delimited(0x0A, key.encode()) + delimited(0x12, inner))


_RESPONSE = [attribute(0x4A, _RESPONSE_KEY, "x" * size)[: -size or None] for size in range(80)]
"""What stands before an answer's id of that many bytes."""

_COUNT = {
    name: [b"", *(attribute(0x4A, key, 1 << 7 * place)[: -1 - place] for place in range(10))]
    for name, key in TOKEN_KEYS.items()
}
"""What stands before a count, by name and the number of bytes that it takes."""

_HEADS = [b"\x12" + varint(size) for size in range(1_024)]
"""What stands before a span of that many bytes."""


class Encoder:
    """Steps to bytes. `resource` stands on every run.

    `span` may be called by any thread at any time: what it remembers is put in place whole, and forgetting costs time
    only.
    """

    def __init__(self, resource: Mapping[str, str], version: str) -> None:
        self._resource = b"".join(attribute(0x0A, key, value) for key, value in resource.items())
        self._scope = delimited(0x0A, delimited(0x0A, SCOPE.encode()) + delimited(0x12, version.encode()))
        self._fragments: dict[tuple[object, ...], bytes] = {}
        self._counts: dict[str, dict[int, bytes]] = {name: {} for name in TOKEN_KEYS}
        self._latest: tuple[tuple[object, ...], bytes] = ((), b"")
        self._place = (b"", b"", _OUTERMOST(_TRACE, b"", _SPAN))

    def span(self, step: Step, run: Run) -> bytes:
        """A step of a run as a Span. Raises what a value of a wrong type raises."""
        if not run.encoded:
            run.encoded = delimited(0x0A, self._resource + _run(run))
        trace_id, parent = step.trace_id, step.parent_span_id
        place = self._place
        if place[0] is not trace_id or place[1] is not parent:
            place = self._place = (trace_id, parent, _place(trace_id, parent))
        more = step.more
        key: tuple[object, ...] = (step.operation, step.name, step.provider, step.model_requested, step.error_type)
        has_details = False
        if more is not None:
            has_details = "units" in more or "tags" in more or "cost" in more
            key += tuple([more.get(name) for name in _RARE_WORDS]) if has_details else (*more, *more.values())
        latest = self._latest
        if key != latest[0]:
            latest = self._latest = (key, self._fragments.get(key) or self._keep(key, _words(step)))
        parts = [place[2], _TIMES(step.span_id, _START, step.start_ns, _END, step.end_ns), latest[1]]
        if answer := step.response_id:
            text = answer.encode() if answer.isascii() else answer.encode("utf-8", "replace")
            known = len(text) < len(_RESPONSE)
            parts.append(_RESPONSE[len(text)] + text if known else attribute(0x4A, _RESPONSE_KEY, answer))
        counts = self._counts
        for name, count in step.tokens.items():
            kept = counts.get(name)
            if kept is not None:
                parts.append(kept.get(count) or _count(kept, name, count))
        if more is not None and has_details:
            parts.append(_details(more))
        return b"".join(parts)

    def request(self, batch: Iterable[tuple[Run, list[bytes]]]) -> bytes:
        """An ExportTraceServiceRequest. Requests may be put end to end: together they are one request."""
        return b"".join([self._of_run(run, spans) for run, spans in batch])

    def _of_run(self, run: Run, spans: list[bytes]) -> bytes:
        sizes = list(map(len, spans))
        heads = [_HEADS[size] if size < len(_HEADS) else b"\x12" + varint(size) for size in sizes]
        size = len(self._scope) + sum(sizes) + sum(map(len, heads))
        before = b"\x12" + varint(size)
        size += len(before) + len(run.encoded)
        # Joined once: what is copied here is megabytes.
        start = (b"\x0a" + varint(size), run.encoded, before, self._scope)
        return b"".join(chain(start, chain.from_iterable(zip(heads, spans, strict=True))))

    def _keep(self, key: tuple[object, ...], fragment: bytes) -> bytes:
        if len(self._fragments) >= FRAGMENTS_MAX:
            self._fragments.clear()
        self._fragments[key] = fragment
        return fragment


def _place(trace_id: bytes, parent: bytes) -> bytes:
    """Where a span stands, up to its own id."""
    return _WITHIN(_TRACE, trace_id, _PARENT, parent, _SPAN) if parent else _OUTERMOST(_TRACE, trace_id, _SPAN)


def _count(kept: dict[int, bytes], name: str, count: int) -> bytes:
    """A count of tokens as an attribute, kept where it is likely to come again."""
    whole = _whole(count)
    number = varint(whole)
    encoded = _COUNT[name][len(number)] + number
    if 0 <= whole < COUNTS_KEPT_BELOW:
        kept[whole] = encoded
    return encoded


def _whole(count: object) -> int:
    """A count that fits the wire; the server refuses what cannot be true and says so."""
    number = int(count)  # type: ignore[call-overload]
    return max(-1, min(number, _COUNT_MAX))


def _run(run: Run) -> bytes:
    said = {f"outlay.{key}": value for key in ENVELOPE_KEYS if (value := getattr(run.envelope, key)) != UNTAGGED}
    said |= {
        "outlay.session.id": run.session_id,
        "outlay.session.parent_id": run.parent_session_id,
        "outlay.task.id": run.task_id,
        "outlay.user": run.user,
    }
    said |= {f"outlay.tag.{key}": value for key, value in run.envelope.tags.items()}
    return b"".join([attribute(0x0A, key, value) for key, value in said.items() if value])


def _words(step: Step) -> bytes:
    """Everything about a step that other steps are likely to say too."""
    said: dict[str, str | int] = {
        "outlay.step.kind": step.operation,
        "gen_ai.provider.name": step.provider,
        "gen_ai.request.model": step.model_requested,
        "gen_ai.response.model": step.model_served,
        "outlay.service_tier": step.service_tier,
        "outlay.processing": step.processing,
        "outlay.speed": step.speed,
        "outlay.region": step.region,
        "server.address": step.server_address,
        "http.response.status_code": step.http_status,
        "error.type": step.error_type,
        "gen_ai.response.finish_reasons": step.finish_reason,
        "outlay.retry.attempt": step.attempt,
        "outlay.retry.reason": step.retry_reason,
    }
    kind = _CLIENT if step.operation in _CALLS else _INTERNAL
    head = delimited(0x2A, step.name.encode("utf-8", "replace")) + bytes((0x30, kind))
    body = b"".join([attribute(0x4A, key, value) for key, value in said.items() if value])
    return head + body + (_FAILED if step.error_type else b"")


def _details(more: Mapping[str, Any]) -> bytes:
    """What few steps have: other meters, a cost of their own, tags. A tag named `outlay.…` is an attribute as it is."""
    said: dict[str, str | int] = {
        f"outlay.units.{name}": _whole(count) for name, count in more.get("units", {}).items()
    }
    if (cost := more.get("cost")) is not None:
        said["gen_ai.usage.cost.amount"] = format(cost, "f")
        said["gen_ai.usage.cost.currency"] = more.get("currency", "")
        said["gen_ai.usage.cost.source"] = more.get("cost_source", "")
    for name, value in more.get("tags", {}).items():
        said[name if name.startswith("outlay.") else f"outlay.tag.{name}"] = str(value)
    return b"".join([attribute(0x4A, key, value) for key, value in said.items() if value != ""])
