"""Cost centres: where in an agent's work the money went. A closed set; every Usage has exactly one."""

from __future__ import annotations

from enum import StrEnum


class CostCentre(StrEnum):
    """The six cost centres, in the order in which every chart stacks them."""

    INFERENCE = "inference"
    RETRIES = "retries"
    RETRIEVAL = "retrieval"
    GUARDRAILS = "guardrails"
    TOOLS = "tools"
    ORCHESTRATION = "orchestration"


class Operation(StrEnum):
    """What a Usage did. `AGENT`, `WORKFLOW` and `STEP` give structure; they bear runtime, never tokens of their own."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RETRIEVAL = "retrieval"
    RERANK = "rerank"
    GUARDRAIL = "guardrail"
    EVALUATION = "evaluation"
    TOOL = "tool"
    MEMORY = "memory"
    AGENT = "agent"
    WORKFLOW = "workflow"
    STEP = "step"
    RUNTIME = "runtime"


CENTRE_OF: dict[Operation, CostCentre] = {
    Operation.CHAT: CostCentre.INFERENCE,
    Operation.EMBEDDING: CostCentre.RETRIEVAL,
    Operation.RETRIEVAL: CostCentre.RETRIEVAL,
    Operation.RERANK: CostCentre.RETRIEVAL,
    Operation.GUARDRAIL: CostCentre.GUARDRAILS,
    Operation.EVALUATION: CostCentre.GUARDRAILS,
    Operation.TOOL: CostCentre.TOOLS,
    Operation.MEMORY: CostCentre.ORCHESTRATION,
    Operation.AGENT: CostCentre.ORCHESTRATION,
    Operation.WORKFLOW: CostCentre.ORCHESTRATION,
    Operation.STEP: CostCentre.ORCHESTRATION,
    Operation.RUNTIME: CostCentre.ORCHESTRATION,
}
"""The centre of a Usage that went well; a failed or repeated one goes to `retries` instead."""

STRUCTURE = frozenset({Operation.AGENT, Operation.WORKFLOW, Operation.STEP})
"""Operations that hold others: totals stated on them repeat what their descendants state."""
