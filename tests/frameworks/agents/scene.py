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


def session(**more: str) -> AbstractContextManager[object]:
    """The line an application writes, with everything that an envelope may hold."""
    tags = {"team": "support", "feature": "parcels", "tier": "pro", "product_line": "shop", "environment": "production"}
    tags |= {"customer": "acme", "cost_code": "K7", "shift": "night"}
    return outlay.session(**tags, id=os.environ["RUN_ID"], task="parcel 17", user="user-5", **more)


def signed(agent: str) -> str:
    """How an agent signs what it sends, so that the bill of the model server says who asked."""
    return f"[agent {agent}]"


def judging(agent: str) -> str:
    """How an agent signs what it asks a judge."""
    return f"[judge {agent}]"


def order(number: str) -> str:
    """What the office knows about an order."""
    return f"order {number}: on its way"
