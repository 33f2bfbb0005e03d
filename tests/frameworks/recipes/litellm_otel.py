"""The recipe of LiteLLM: its own callback."""

from __future__ import annotations

import os

import litellm

litellm.callbacks = ["otel"]

where = {"api_base": os.environ["MODELS_URL"] + "/v1", "api_key": "not-a-key", "num_retries": 2}
asked = [{"role": "user", "content": "Where is my parcel?"}]
litellm.completion(model="openai/gpt-4.1-mini", messages=asked, **where)
litellm.completion(model="openai/gpt-4.1-nano", messages=asked, **where)
