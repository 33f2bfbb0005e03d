"""The work that every SDK is measured on, in the interpreter of whoever is measured: one JSON line on stdout.

One session under four tags; inside it model calls with provider, model, answer id and two token counts. An arm is a
function that does one such call. Standard library only, because it runs in the environments of the peers too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

TAGS = {"team": "search", "feature": "answers", "user_tier": "pro", "environment": "production"}
MODEL = "gpt-4.1"

Arm = tuple[AbstractContextManager[object], Callable[[int], None], Callable[[], object]]


def outlay_step() -> Arm:
    """`with outlay.step(…)`: what an application writes."""
    import outlay

    outlay.init(instrument=False)

    def call(number: int) -> None:
        with outlay.step("chat", kind="chat", provider="openai", model=MODEL) as step:
            step.response_id = f"chatcmpl-{number:016d}"
            step.tokens = {"input_tokens": 1000 + number % 500, "output_tokens": 100 + number % 50}

    words = {"team": "search", "feature": "answers", "tier": "pro", "environment": "production"}
    return outlay.session(**words), call, lambda: outlay.flush(60)


def outlay_record() -> Arm:
    """`outlay.record(Step(…))`: what interception below a client writes."""
    import outlay

    outlay.init(instrument=False)
    step, record = outlay.Step, outlay.record

    def call(number: int) -> None:
        record(
            step(
                "chat",
                "chat",
                time.time_ns(),
                provider="openai",
                model_requested=MODEL,
                response_id=f"chatcmpl-{number:016d}",
                tokens={"input_tokens": 1000 + number % 500, "output_tokens": 100 + number % 50},
            )
        )

    words = {"team": "search", "feature": "answers", "tier": "pro", "environment": "production"}
    return outlay.session(**words), call, lambda: outlay.flush(60)


def opentelemetry() -> Arm:
    """The OpenTelemetry SDK: baggage for the four tags, batch processor, OTLP over HTTP."""
    from opentelemetry import baggage, context, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
    exporter = OTLPSpanExporter(endpoint=os.environ["BENCH_ENDPOINT"] + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=1_000_000))
    trace.set_tracer_provider(provider)
    tracer = trace.get_tracer("bench")
    held = context.get_current()
    for key, value in TAGS.items():
        held = baggage.set_baggage(f"outlay.{key}", value, held)
    context.attach(held)

    def call(number: int) -> None:
        with tracer.start_as_current_span("chat") as span:
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.provider.name", "openai")
            span.set_attribute("gen_ai.request.model", MODEL)
            span.set_attribute("gen_ai.response.id", f"chatcmpl-{number:016d}")
            span.set_attribute("gen_ai.usage.input_tokens", 1000 + number % 500)
            span.set_attribute("gen_ai.usage.output_tokens", 100 + number % 50)

    return nullcontext(), call, lambda: provider.force_flush(120_000)


def langfuse() -> Arm:
    """The Langfuse SDK: a generation under propagated attributes."""
    from langfuse import Langfuse, propagate_attributes

    client = Langfuse(public_key="pk-bench", secret_key="sk-bench", host=os.environ["BENCH_ENDPOINT"])
    around = propagate_attributes(session_id="bench", metadata=TAGS)

    def call(number: int) -> None:
        with client.start_as_current_observation(as_type="generation", name="chat", model=MODEL) as generation:
            generation.update(usage_details={"input": 1000 + number % 500, "output": 100 + number % 50})

    return around, call, client.flush


def nothing() -> Arm:
    """The loop itself, with the words that a call comes with."""
    kept: dict[str, object] = {}

    def call(number: int) -> None:
        kept["id"] = f"chatcmpl-{number:016d}"
        kept["tokens"] = {"input_tokens": 1000 + number % 500, "output_tokens": 100 + number % 50}

    return nullcontext(), call, lambda: None


ARMS: dict[str, Callable[[], Arm]] = {
    "nothing": nothing,
    "outlay step": outlay_step,
    "outlay record": outlay_record,
    "opentelemetry": opentelemetry,
    "langfuse": langfuse,
}


def main() -> int:
    """`python sdk_work.py ARM SPANS ROUNDS PAUSE_S`: figures of each round, in microseconds of CPU a span."""
    name, spans, rounds, pause_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    around, call, flush = ARMS[name]()
    told: dict[str, list[float]] = {"caller_us": [], "process_us": []}
    with around:
        for place in range(rounds + 1):
            if place == 1:
                held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            process, thread = time.process_time_ns(), time.thread_time_ns()
            for number in range(place * spans, (place + 1) * spans):
                call(number)
                if pause_s and not number % 100:
                    time.sleep(pause_s)
            caller = time.thread_time_ns() - thread
            flush()
            whole = time.process_time_ns() - process
            if place:
                told["caller_us"].append(caller / spans / 1e3)
                told["process_us"].append(whole / spans / 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**told, "first_mb": held / 1024, "peak_mb": peak / 1024}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
