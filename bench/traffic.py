"""OTLP traffic for the benches: bodies that look like agents at work, every one of them new.

Building half a thousand spans takes longer in Python than a server should need to swallow them. So a few dozen bodies
are built once from the official messages, with a nonce in every trace id and session id, and each request swaps the
nonce: the ids are new, the bytes are as many, and the spans inside one body differ as much as real ones do.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

NONCE = b"0utl4y!!"
"""Eight printable bytes: they stand in trace ids as they are and in session ids as text, and both are swapped."""
TEMPLATES = 24
_ALPHABET = b"0123456789abcdefghijklmnopqrstuvwxyz"

_MODELS = (
    ("openai", "gpt-5", "gpt-5-2025-08-07"),
    ("openai", "gpt-5-mini", "gpt-5-mini-2025-08-07"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash"),
)
_TEAMS = ("claims", "lending", "helpdesk", "catalogue", "fraud", "people")
_FEATURES = ("intake", "quote", "reply", "search", "screening", "onboarding")
_TOOLS = ("lookup_customer", "query_ledger", "send_letter", "read_document")
_QUESTION = "Please compare the two policies the customer attached and say which of them covers water damage. "

Value = str | int | float | bool | list[str]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    held = AnyValue()
    held.array_value.values.extend(_value(item) for item in value)
    return held


def _attributes(values: dict[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


class Agents:
    """Agents at work, seeded: one session after the other, as spans of one process."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._now_ns = time.time_ns() - 3_600 * 10**9

    def session(self) -> list[Span]:
        """One session: the agent above model calls with their retries, retrieval, tools and a guardrail."""
        pick = self._random
        trace = NONCE + pick.randbytes(8)
        root = pick.randbytes(8)
        shared: dict[str, Value] = {
            "session.id": f"run-{NONCE.decode()}-{pick.getrandbits(40):010x}",
            "outlay.team": pick.choice(_TEAMS),
            "outlay.feature": pick.choice(_FEATURES),
            "outlay.user_tier": pick.choice(("free", "plus", "business")),
            "outlay.environment": "production",
            "outlay.customer": f"customer-{pick.randint(1, 400):03d}",
            "app.release": f"2026.{pick.randint(1, 11)}.{pick.randint(0, 9)}",
            "app.region": pick.choice(("eu-west", "eu-north", "us-east")),
            "gen_ai.agent.name": f"{pick.choice(_FEATURES)}-agent",
        }
        began_ns = self._now_ns
        spans: list[Span] = []
        for turn in range(pick.randint(2, 7)):
            spans += self._turn(trace, root, shared, turn)
        agent = {"gen_ai.operation.name": "invoke_agent", **shared}
        spans.append(self._span(trace, b"", root, f"invoke_agent {shared['gen_ai.agent.name']}", began_ns, agent))
        return spans

    def _turn(self, trace: bytes, parent: bytes, shared: dict[str, Value], turn: int) -> list[Span]:
        pick = self._random
        made = [self._chat(trace, parent, shared, turn, failed=True)] if pick.random() < 0.08 else []
        made.append(self._chat(trace, parent, shared, turn, failed=False))
        if pick.random() < 0.35:
            embedding: dict[str, Value] = {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "text-embedding-3-large",
                "gen_ai.usage.input_tokens": pick.randint(20, 900),
                "gen_ai.embeddings.dimension.count": 3072,
            }
            made.append(self._step(trace, parent, "embeddings text-embedding-3-large", {**shared, **embedding}))
        if pick.random() < 0.6:
            tool = pick.choice(_TOOLS)
            called: dict[str, Value] = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": tool,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": f"call_{pick.getrandbits(64):016x}",
            }
            made.append(self._step(trace, parent, f"execute_tool {tool}", {**shared, **called}))
        return made

    def _chat(self, trace: bytes, parent: bytes, shared: dict[str, Value], turn: int, *, failed: bool) -> Span:
        pick = self._random
        provider, asked, served = pick.choice(_MODELS)
        cached = pick.randint(0, 4_000)
        values: dict[str, Value] = {
            **shared,
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": asked,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.max_tokens": 2_048,
            "server.address": f"api.{provider}.example",
            "server.port": 443,
            "app.turn": turn,
        }
        if failed:
            values["error.type"] = "429"
            span = self._step(trace, parent, f"chat {asked}", values)
            span.status.code = Status.STATUS_CODE_ERROR
            return span
        values |= {
            "gen_ai.response.model": served,
            "gen_ai.response.id": f"resp-{NONCE.decode()}-{pick.getrandbits(48):012x}",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": cached + pick.randint(200, 9_000),
            "gen_ai.usage.output_tokens": pick.randint(20, 900),
            "gen_ai.usage.cache_read.input_tokens": cached,
        }
        if pick.random() < 0.1:
            values["gen_ai.input.messages"] = _QUESTION * pick.randint(1, 12)
        return self._step(trace, parent, f"chat {asked}", values)

    def _step(self, trace: bytes, parent: bytes, name: str, values: dict[str, Value]) -> Span:
        began_ns = self._now_ns
        self._now_ns += self._random.randint(1, 40) * 10**6
        return self._span(trace, parent, self._random.randbytes(8), name, began_ns, values)

    def _span(
        self, trace: bytes, parent: bytes, own: bytes, name: str, began_ns: int, values: dict[str, Value]
    ) -> Span:
        return Span(
            trace_id=trace,
            span_id=own,
            parent_span_id=parent,
            name=name,
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=began_ns,
            end_time_unix_nano=self._now_ns,
            attributes=_attributes(values),
        )

    def request(self, spans: int) -> bytes:
        """One export request of exactly this many spans, serialised."""
        message = ExportTraceServiceRequest()
        held = message.resource_spans.add()
        held.resource.attributes.extend(_attributes({"service.name": "bench-agents", "service.version": "1.4.2"}))
        scope = held.scope_spans.add()
        scope.scope.name, scope.scope.version = "opentelemetry.instrumentation.genai", "2.0"
        while len(scope.spans) < spans:
            scope.spans.extend(self.session())
        del scope.spans[spans:]
        return message.SerializeToString()


class Traffic:
    """An endless stream of new bodies; equal seeds give equal streams."""

    def __init__(self, seed: int, spans_per_request: int) -> None:
        self._random = random.Random(seed)
        self._templates = [Agents(seed + place).request(spans_per_request) for place in range(TEMPLATES)]

    def bodies(self, count: int) -> Iterator[bytes]:
        """So many bodies nobody has seen before."""
        for place in range(count):
            nonce = bytes(self._random.choices(_ALPHABET, k=len(NONCE)))
            yield self._templates[place % TEMPLATES].replace(NONCE, nonce)
