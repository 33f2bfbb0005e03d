"""What a span did, in the words of every convention (section 2.1 of the telemetry reference)."""

from __future__ import annotations

import pytest

from otlp_wire import fact_of as fact
from outlay.core.centre import Operation

KINDS = {
    "gen_ai.operation.name": {
        **dict.fromkeys(("chat", "generate_content", "text_completion"), "chat"),
        "embeddings": "embedding",
        "retrieval": "retrieval",
        "execute_tool": "tool",
        "invoke_agent": "agent",
        "create_agent": "step",
        "invoke_workflow": "workflow",
        "plan": "step",
        "fetch_response": "step",
        **{
            f"{verb}_memory{end}": "memory"
            for verb in ("search", "create", "update", "upsert", "delete")
            for end in ("", "_store")
        },
        "apply_guardrail": "guardrail",
    },
    "openinference.span.kind": {
        "LLM": "chat",
        "CHAIN": "step",
        "AGENT": "agent",
        "TOOL": "tool",
        "RETRIEVER": "retrieval",
        "EMBEDDING": "embedding",
        "RERANKER": "rerank",
        "GUARDRAIL": "guardrail",
        "EVALUATOR": "evaluation",
        "PROMPT": "step",
        "DECISION": "chat",
        "UNKNOWN": "step",
    },
    "traceloop.span.kind": {"workflow": "workflow", "task": "step", "agent": "agent", "tool": "tool"},
    "llm.request.type": {"chat": "chat", "completion": "chat", "embedding": "embedding", "rerank": "rerank"},
    "langfuse.observation.type": {
        "span": "step",
        "generation": "chat",
        "event": "step",
        "embedding": "embedding",
        "agent": "agent",
        "tool": "tool",
        "chain": "step",
        "retriever": "retrieval",
        "guardrail": "guardrail",
        "evaluator": "evaluation",
    },
    "span.type": {
        "interaction": "agent",
        "llm_request": "chat",
        "tool": "tool",
        "tool.execution": "step",
        "tool.blocked_on_user": "step",
        "subagent.spawn": "agent",
        "hook": "step",
        "compaction": "step",
        "mcp.rpc": "step",
        "claude_code.llm_request": "chat",
    },
    "event.name": {
        "claude_code.api_request": "chat",
        "claude_code.api_error": "chat",
        "claude_code.tool_result": "tool",
        "codex.conversation_starts": "step",
        "codex.api_request": "chat",
        "codex.sse_event": "chat",
        "codex.websocket_request": "chat",
        "codex.websocket_whatever": "step",
        "codex.user_prompt": "step",
        "codex.tool_decision": "step",
        "codex.tool_result": "tool",
        "codex.sandbox_outcome": "step",
        "gemini_cli.api_request": "step",
        "gemini_cli.api_response": "chat",
        "gemini_cli.api_error": "chat",
        "gemini_cli.tool_call": "tool",
        "gemini_cli.agent.start": "step",
        "gemini_cli.agent.finish": "agent",
        "gemini_cli.chat.content_retry": "step",
        "gemini_cli.chat.content_retry_failure": "step",
        "gemini_cli.agent.recovery_attempt": "step",
        "gemini_cli.conseca.verdict": "guardrail",
        "gen_ai.client.inference.operation.details": "chat",
    },
    "ai.operationId": {
        "ai.generateText": "agent",
        "ai.generateText.doGenerate": "chat",
        "ai.streamText.doStream": "chat",
        "ai.embed.doEmbed": "embedding",
        "ai.toolCall": "tool",
    },
    "operation.name": {"ai.generateText.doGenerate my-function": "chat", "ai.streamText": "agent"},
    "genkit:metadata:subtype": {"model": "chat", "embedder": "embedding", "tool": "tool", "flow": "workflow"},
    "mlflow.spanType": {
        "LLM": "chat",
        '"CHAT_MODEL"': "chat",
        "EMBEDDING": "embedding",
        "AGENT": "agent",
        "CHAIN": "step",
    },
    "agentops.span.kind": {"session": "workflow", "agent": "agent", "operation": "step", "llm": "chat", "tool": "tool"},
    "lmnr.span.type": {"LLM": "chat", "TOOL": "tool", "DEFAULT": "step", "CACHED": "step"},
    "outlay.step.kind": {operation.value: operation.value for operation in Operation},
}


@pytest.mark.parametrize(
    ("key", "value", "operation"), [(k, v, o) for k, values in KINDS.items() for v, o in values.items()]
)
def test_kind_of_step(key: str, value: str, operation: str) -> None:
    assert fact({key: value})["operation"] == operation


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("claude_code.interaction", "agent"),
        ("claude_code.llm_request", "chat"),
        ("claude_code.tool", "tool"),
        ("tool", "step"),
    ],
)
def test_kind_by_the_name_of_the_span(name: str, operation: str) -> None:
    assert fact({}, name=name)["operation"] == operation
