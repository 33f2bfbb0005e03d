"""Words that every face uses for the terms of the books."""

from __future__ import annotations

from collections.abc import Mapping

from outlay.core.centre import CostCentre

CENTRES: Mapping[str, str] = {
    CostCentre.INFERENCE: "Inference",
    CostCentre.RETRIES: "Retries & recovery",
    CostCentre.RETRIEVAL: "Embedding & retrieval",
    CostCentre.GUARDRAILS: "Guardrails",
    CostCentre.TOOLS: "Tools",
    CostCentre.ORCHESTRATION: "Orchestration",
}
"""Cost centres in words, in stacking order."""
