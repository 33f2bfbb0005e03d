"""The recipe of OpenLIT: one line, spans, events and metrics of the same calls."""

from __future__ import annotations

import os

import openlit
from openai import OpenAI

openlit.init(application_name="shop", environment="production")

client = OpenAI(base_url=os.environ["MODELS_URL"] + "/v1", api_key="not-a-key")
said = [{"role": "user", "content": "Where is my parcel?"}]
for model in ("gpt-4.1-mini", "gpt-4.1-nano"):
    client.chat.completions.create(model=model, messages=said)
