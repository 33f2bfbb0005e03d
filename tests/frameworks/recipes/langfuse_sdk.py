"""The recipe of Langfuse: its client for OpenAI, under tags that it propagates."""

from __future__ import annotations

import os

from langfuse import get_client, observe, propagate_attributes
from langfuse.openai import OpenAI

client = OpenAI(base_url=os.environ["MODELS_URL"] + "/v1", api_key="not-a-key")


@observe()
def answer() -> None:
    """Two calls in one session."""
    with propagate_attributes(session_id="recipe-langfuse", metadata={"team": "langfuse"}):
        for model in ("gpt-4.1-mini", "gpt-4.1-nano"):
            said = [{"role": "user", "content": "Where is my parcel?"}]
            client.chat.completions.create(model=model, messages=said)


answer()
get_client().flush()
