"""What the agent scripts share: where the models are, whose run it is, and a small office to work in."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import outlay

MODELS_URL = os.environ["MODELS_URL"]
OPENAI_URL = f"{MODELS_URL}/v1"
KEY = "not-a-key"
MAIN_MODEL, HELPER_MODEL, EMBEDDING_MODEL = "gpt-4.1-mini", "gpt-4.1-nano", "text-embedding-3-small"
QUESTION = "Where is my parcel?"
PAPERS = ("Parcels leave at nine.", "Refunds take a week.")


def session() -> AbstractContextManager[object]:
    """The line an application writes."""
    return outlay.session(team="support", feature="parcels", tier="pro", id=os.environ["RUN_ID"])


def signed(agent: str) -> str:
    """How an agent signs what it sends, so that the bill of the model server says who asked."""
    return f"[agent {agent}]"


def judging(agent: str) -> str:
    """How an agent signs what it asks a judge."""
    return f"[judge {agent}]"


def order(number: str) -> str:
    """What the office knows about an order."""
    return f"order {number}: on its way"
