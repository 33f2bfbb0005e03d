"""One step, four ways to say it: OpenTelemetry GenAI, OpenInference, OpenLLMetry and Langfuse.

Real companies run all of them at once. The page shows one company only because Outlay reads each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache

from outlay.demo.wire import Value
from outlay.demo.work import ROOT, Run, Step

Spelled = tuple[tuple[str, str], dict[str, Value]]
"""The instrumentation scope (name, version) and the attributes."""

_NANO = 1_000_000_000
_OPERATION = {
    "agent": "invoke_agent",
    "chat": "chat",
    "embedding": "embeddings",
    "search": "retrieval",
    "rerank": "rerank",
    "guardrail": "apply_guardrail",
    "judge": "chat",
    "tool": "execute_tool",
}
_OPENINFERENCE = {
    "agent": "AGENT",
    "chat": "LLM",
    "embedding": "EMBEDDING",
    "search": "RETRIEVER",
    "rerank": "RERANKER",
    "guardrail": "GUARDRAIL",
    "judge": "EVALUATOR",
    "tool": "TOOL",
}
_TRACELOOP = {"agent": "agent", "tool": "tool", "search": "task"}
_LANGFUSE = {
    "agent": "agent",
    "chat": "generation",
    "embedding": "embedding",
    "search": "retriever",
    "rerank": "retriever",
    "guardrail": "guardrail",
    "judge": "evaluator",
    "tool": "tool",
}
_SDK = ("outlay.sdk", "0.1.0")
_OPENAI = ("opentelemetry.instrumentation.openai_v2", "2.4b0")
_HANDLER = ("opentelemetry.util.genai.handler", "1.3b0")
_TRACER = ("traceloop.tracer", "0.62.4")
_ANTHROPIC = ("opentelemetry.instrumentation.anthropic", "0.62.4")


def _dollars(cost_nano: int) -> float:
    """Emitters state a cost as a binary number of dollars, so the demo's do as well."""
    return cost_nano / _NANO


def _outcome(run: Run, step: Step) -> dict[str, Value]:
    """How the task ended stands on the agent's own span; a value only where something was achieved."""
    if step is not run.steps[ROOT]:
        return {}
    said: dict[str, Value] = {"outlay.task.id": run.task_id, "outlay.task.type": run.feature.task_type}
    said["outlay.task.outcome"] = run.status
    if run.status == "done":
        dollars, cents = divmod(run.feature.value_cents, 100)
        said["outlay.task.value"] = f"{dollars}.{cents:02d}"
    return said


def _answered(step: Step) -> dict[str, Value]:
    """Who was asked and who answered, in the names that OpenTelemetry and OpenLLMetry share."""
    if step.model is None or not step.model.asked:
        return {}
    return {"gen_ai.request.model": step.model.asked, "gen_ai.response.model": step.model.served}


def _attempt(step: Step) -> dict[str, Value]:
    said: dict[str, Value] = {}
    if step.attempt:
        said["outlay.retry.attempt"] = step.attempt
    if step.retry_reason:
        said["outlay.retry.reason"] = step.retry_reason
    if step.error:
        said["error.type"] = step.error
    return said


def _units(step: Step) -> dict[str, Value]:
    return {f"outlay.units.{step.unit}": step.quantity} if step.unit else {}


def otel(run: Run, step: Step) -> Spelled:
    """OpenTelemetry GenAI, input tokens with everything that caches served."""
    said: dict[str, Value] = {
        "gen_ai.operation.name": _OPERATION[step.kind],
        "gen_ai.conversation.id": run.id,
        "session.id": run.id,
        "gen_ai.agent.name": run.feature.agent,
    }
    said |= {f"outlay.{key}": value for key, value in run.envelope.items() if key not in ("agent", "environment")}
    scope = _SDK
    if step.model is not None:
        said["gen_ai.provider.name"] = step.model.provider
        scope = _OPENAI if step.model.provider == "openai" else _HANDLER
    said |= _answered(step)
    if step.input_tokens or step.output_tokens:
        said |= {
            "gen_ai.usage.input_tokens": step.input_tokens,
            "gen_ai.usage.output_tokens": step.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": step.cached_tokens,
            "gen_ai.usage.cache_write.input_tokens": step.written_tokens,
            "gen_ai.usage.reasoning.output_tokens": step.reasoning_tokens,
        }
    if step.kind == "guardrail":
        said |= {"outlay.step.kind": "guardrail", "outlay.guardrail.name": step.name}
        said["outlay.guardrail.verdict"] = step.verdict
    elif step.kind == "judge":
        said |= {"outlay.step.kind": "evaluation"}
    elif step.kind in ("search", "rerank"):
        said |= {"outlay.step.kind": "retrieval" if step.kind == "search" else "rerank"}
    elif step.kind == "tool":
        said |= {"gen_ai.tool.name": step.name, "gen_ai.tool.type": "function"}
    if step.cost_nano is not None:
        said["outlay.tool.cost_usd" if step.kind == "tool" else "gen_ai.usage.cost"] = _dollars(step.cost_nano)
    return scope, said | _units(step) | _attempt(step) | _outcome(run, step)


_PLAIN_PROVIDER = {"gcp.gemini": "google", "aws.bedrock": "aws"}
_MODEL_NAMES = {"embedding": "embedding.model_name", "rerank": "reranker.model_name"}


@lru_cache(maxsize=4_096)
def _metadata(envelope: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(envelope), separators=(",", ":"))


def openinference(run: Run, step: Step) -> Spelled:
    """OpenInference: the tags are one JSON text, an attempt has no number, only a failed status."""
    said: dict[str, Value] = {"openinference.span.kind": _OPENINFERENCE[step.kind], "session.id": run.id}
    said["agent.name"] = run.feature.agent
    tags = tuple(item for item in run.envelope.items() if item[0] not in ("agent", "environment"))
    said["metadata"] = _metadata(tags)
    if step.model is not None:
        said["llm.provider"] = _PLAIN_PROVIDER.get(step.model.provider, step.model.provider)
        if step.model.served:
            said[_MODEL_NAMES.get(step.kind, "llm.model_name")] = step.model.served
    if step.input_tokens or step.output_tokens:
        said |= {
            "llm.token_count.prompt": step.input_tokens,
            "llm.token_count.completion": step.output_tokens,
            "llm.token_count.total": step.input_tokens + step.output_tokens,
            "llm.token_count.prompt_details.cache_read": step.cached_tokens,
            "llm.token_count.prompt_details.cache_write": step.written_tokens,
            "llm.token_count.completion_details.reasoning": step.reasoning_tokens,
        }
    if step.kind == "tool":
        said["tool.name"] = step.name
    if step.cost_nano is not None:
        said["llm.cost.total"] = _dollars(step.cost_nano)
    if step.error:
        said["error.type"] = step.error
    return ("openinference.instrumentation.langchain", "0.1.63"), said | _units(step) | _outcome(run, step)


def openllmetry(run: Run, step: Step) -> Spelled:
    """OpenLLMetry: the older GenAI names, tags as association properties."""
    said: dict[str, Value] = {"traceloop.association.properties.session_id": run.id}
    said["traceloop.workflow.name"] = run.feature.agent
    said |= {
        f"traceloop.association.properties.{key}": value for key, value in run.envelope.items() if key != "environment"
    }
    kind = _TRACELOOP.get(step.kind)
    if kind:
        said |= {"traceloop.span.kind": kind, "traceloop.entity.name": step.name}
    else:
        said["gen_ai.operation.name"] = _OPERATION[step.kind]
    if step.model is not None:
        said["gen_ai.system"] = step.model.provider
    said |= _answered(step)
    if step.input_tokens or step.output_tokens:
        said |= {
            "gen_ai.usage.prompt_tokens": step.input_tokens,
            "gen_ai.usage.completion_tokens": step.output_tokens,
            "gen_ai.usage.cache_read_input_tokens": step.cached_tokens,
            "gen_ai.usage.cache_creation_input_tokens": step.written_tokens,
        }
    if step.kind in ("search", "rerank", "judge"):
        said["outlay.step.kind"] = {"search": "retrieval", "judge": "evaluation"}.get(step.kind, step.kind)
    if step.cost_nano is not None:
        said["outlay.tool.cost_usd" if step.kind == "tool" else "gen_ai.usage.cost"] = _dollars(step.cost_nano)
    scope = _ANTHROPIC if step.kind in ("chat", "judge") else _TRACER
    return scope, said | _units(step) | _attempt(step) | _outcome(run, step)


def langfuse(run: Run, step: Step) -> Spelled:
    """Langfuse: usage and cost as JSON, its buckets disjoint, tags as trace metadata."""
    said: dict[str, Value] = {"langfuse.observation.type": _LANGFUSE[step.kind], "session.id": run.id}
    said["langfuse.environment"] = run.envelope["environment"]
    said |= {f"langfuse.trace.metadata.{key}": value for key, value in run.envelope.items() if key != "environment"}
    if step.model is not None:
        said["gen_ai.provider.name"] = step.model.provider
        if step.model.served:
            said["langfuse.observation.model.name"] = step.model.served
    if step.input_tokens or step.output_tokens:
        usage = {
            "input": step.input_tokens - step.cached_tokens - step.written_tokens,
            "input_cached_tokens": step.cached_tokens,
            "output": step.output_tokens - step.reasoning_tokens,
            "output_reasoning_tokens": step.reasoning_tokens,
            "total": step.input_tokens + step.output_tokens,
        }
        if step.written_tokens:
            usage["input_cache_creation"] = step.written_tokens
        said["langfuse.observation.usage_details"] = json.dumps(usage, separators=(",", ":"))
    if step.kind == "rerank":
        said["outlay.step.kind"] = "rerank"
    if step.cost_nano is not None:
        said["langfuse.observation.cost_details"] = json.dumps({"total": _dollars(step.cost_nano)})
    if step.error:
        said["langfuse.observation.level"] = "ERROR"
    return ("langfuse-sdk", "5.0.4"), said | _units(step) | _attempt(step) | _outcome(run, step)


SPELLINGS: Mapping[str, Callable[[Run, Step], Spelled]] = {
    "otel": otel,
    "openinference": openinference,
    "openllmetry": openllmetry,
    "langfuse": langfuse,
}
