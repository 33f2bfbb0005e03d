"""OTLP protobuf, written by hand: only what this SDK says, so that it needs nothing but the standard library.

Field numbers are those of opentelemetry-proto's trace.proto, common.proto and resource.proto. What repeats is encoded
once: a run is one resource, and the words of a step that many steps share are one fragment that is looked up whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from struct import Struct

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.sdk.context import Run
from outlay.sdk.step import CHAT, Step

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

_WITHIN = Struct("<2s16s2s8s2s8sBQBQ").pack
_OUTERMOST = Struct("<2s16s2s8sBQBQ").pack
_TRACE, _SPAN, _PARENT = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
_COUNT_MAX = 2**63 - 1
_INTERNAL, _CLIENT = 1, 3
_CALLS = frozenset({CHAT, "embedding", "retrieval", "rerank", "guardrail"})
_RESPONSE_KEY = "gen_ai.response.id"
_KEY = attrgetter(
    *("operation", "name", "provider", "model_requested", "model_served", "service_tier", "processing", "speed"),
    *("region", "server_address", "http_status", "error_type", "finish_reason", "attempt", "retry_reason"),
)
"""The words of a step that others are likely to share."""
_REST = attrgetter(
    *("context", "trace_id", "span_id", "parent_span_id", "start_ns", "end_ns"),
    *("response_id", "tokens", "units", "cost", "tags"),
)
_FAILED = b"\x7a\x02\x18\x02"  # status { code: ERROR }


def varint(number: int) -> bytes:
    """A whole number of at most 64 bits, seven at a time; a negative one as its two's complement."""
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


_RESPONSE = {size: attribute(0x4A, _RESPONSE_KEY, "x" * size)[:-size] for size in range(1, 80)}
"""What stands before an answer's id of that many bytes."""

_HEADS = [b"\x12" + varint(size) for size in range(1_024)]
"""What stands before a span of that many bytes."""


class Encoder:
    """Steps to bytes; used by one thread at a time. `resource` stands on every run."""

    def __init__(self, resource: Mapping[str, str], version: str) -> None:
        self._resource = b"".join(attribute(0x0A, key, value) for key, value in resource.items())
        self._scope = delimited(0x0A, delimited(0x0A, SCOPE.encode()) + delimited(0x12, version.encode()))
        self._fragments: dict[tuple[object, ...], bytes] = {}
        self._counts: dict[tuple[str, int], bytes] = {}

    def request(self, steps: Iterable[Step]) -> bytes:
        """An ExportTraceServiceRequest. Requests may be put end to end: together they are one request."""
        by_run: dict[Run, list[bytes]] = {}
        fragments, counts = self._fragments, self._counts
        last_key, head, last_run, spans = None, b"", None, []
        for step in steps:
            key = _KEY(step)
            if key != last_key:
                head, last_key = fragments.get(key) or self._keep(key, _words(step)), key
            context, trace_id, span_id, parent, start_ns, end_ns, answer, tokens, units, cost, tags = _REST(step)
            if parent:
                body = _WITHIN(_TRACE, trace_id, _SPAN, span_id, _PARENT, parent, 0x39, start_ns, 0x41, end_ns) + head
            else:
                body = _OUTERMOST(_TRACE, trace_id, _SPAN, span_id, 0x39, start_ns, 0x41, end_ns) + head
            if answer:
                text = answer.encode("utf-8", "replace")
                known = _RESPONSE.get(len(text))
                body += attribute(0x4A, _RESPONSE_KEY, answer) if known is None else known + text
            for item in tokens.items():
                body += counts.get(item) or self._count(*item)
            if units or tags or cost is not None:
                body += _details(step)
            run = context.run
            if run is not last_run:
                last_run, spans = run, by_run.setdefault(run, [self._scope])
            size = len(body)
            spans.append(_HEADS[size] if size < 1_024 else b"\x12" + varint(size))
            spans.append(body)
        return b"".join([self._of_run(run, spans) for run, spans in by_run.items()])

    def _of_run(self, run: Run, spans: list[bytes]) -> bytes:
        resource = run.encoded
        if not resource:
            resource = run.encoded = delimited(0x0A, self._resource + _run(run))
        return delimited(0x0A, resource + delimited(0x12, b"".join(spans)))

    def _keep(self, key: tuple[object, ...], fragment: bytes) -> bytes:
        if len(self._fragments) >= FRAGMENTS_MAX:
            self._fragments.clear()
        self._fragments[key] = fragment
        return fragment

    def _count(self, name: str, count: int) -> bytes:
        key = TOKEN_KEYS.get(name)
        if key is None:
            return b""
        encoded = attribute(0x4A, key, _whole(count))
        if len(self._counts) >= FRAGMENTS_MAX:
            self._counts.clear()
        self._counts[name, count] = encoded
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


def _details(step: Step) -> bytes:
    """What few steps have: other meters, a cost of their own, tags. A tag named `outlay.…` is an attribute as it is."""
    said: dict[str, str | int] = {f"outlay.units.{name}": _whole(count) for name, count in step.units.items()}
    if step.cost is not None:
        said["gen_ai.usage.cost.amount"] = format(step.cost, "f")
        said["gen_ai.usage.cost.currency"] = step.currency
        said["gen_ai.usage.cost.source"] = step.cost_source
    for name, value in step.tags.items():
        said[name if name.startswith("outlay.") else f"outlay.tag.{name}"] = str(value)
    return b"".join([attribute(0x4A, key, value) for key, value in said.items() if value != ""])
