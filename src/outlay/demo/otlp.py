"""Runs become OTLP export requests, batched as a collector in front of the company's processes would send them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import cache

from outlay.demo.company import SERVICES
from outlay.demo.spellings import SPELLINGS
from outlay.demo.wire import SPAN_KIND_CLIENT, SPAN_KIND_INTERNAL, Value, resource_spans, span
from outlay.demo.work import Run, Step

SPANS_PER_REQUEST = 2_000
"""A request goes out with the run that fills it."""

_MS = 1_000_000
_GUARDIAN = "safety-gateway"
_CLIENT = frozenset({"chat", "embedding", "search", "rerank", "guardrail", "judge"})


@cache
def _resource(service: str, environment: str) -> tuple[tuple[str, Value], ...]:
    facts: dict[str, Value] = {
        "service.name": service,
        "service.version": SERVICES[service].version,
        "deployment.environment.name": environment,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.2",
    }
    return tuple(facts.items())


class _Outbox:
    """What a collector has gathered from the company's processes and not exported yet."""

    def __init__(self) -> None:
        self.scopes: dict[tuple[str, str], dict[tuple[str, str], list[bytes]]] = {}
        self.size = 0

    def put(self, process: tuple[str, str], scope: tuple[str, str], encoded: bytes) -> None:
        self.scopes.setdefault(process, {}).setdefault(scope, []).append(encoded)
        self.size += 1

    def take(self) -> tuple[bytes, int]:
        told = [resource_spans(dict(_resource(*process)), scopes) for process, scopes in self.scopes.items()]
        size = self.size
        self.scopes, self.size = {}, 0
        return b"".join(told), size


def requests_of(runs: Iterable[Run], rng: random.Random) -> Iterator[tuple[bytes, int]]:
    """Bodies for `POST /v1/traces` and the number of spans in each; span ids come from `rng`."""
    outbox = _Outbox()
    for run in runs:
        trace_id = rng.randbytes(16)
        ids = [rng.randbytes(8) for _ in run.steps]
        for place, step in enumerate(run.steps):
            service = _GUARDIAN if step.kind == "guardrail" else run.feature.service
            scope, encoded = _encoded(run, step, service, (trace_id, ids[place], ids[step.parent] if place else b""))
            outbox.put((service, run.envelope["environment"]), scope, encoded)
        if outbox.size >= SPANS_PER_REQUEST:
            yield outbox.take()
    if outbox.size:
        yield outbox.take()


def _encoded(run: Run, step: Step, service: str, ids: tuple[bytes, bytes, bytes]) -> tuple[tuple[str, str], bytes]:
    scope, values = SPELLINGS[SERVICES[service].spelling](run, step)
    start_ns = run.opened_ns + step.start_ms * _MS
    kind = SPAN_KIND_CLIENT if step.kind in _CLIENT else SPAN_KIND_INTERNAL
    name = f"invoke_agent {step.name}" if step.kind == "agent" else step.name
    return scope, span(ids, name, kind, start_ns, start_ns + step.length_ms * _MS, values, failed=bool(step.error))
