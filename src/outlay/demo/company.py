"""The company: who runs which agent, on which models, for whom, how often, and what a finished task is worth.

Everything here is invented. Days count backwards from the moment the demo ends: day 0 is today.
Rates are nano-dollars per token: what the company's gateway believed when it stated a cost of its own.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

HISTORY_DAYS = 396
"""Thirteen months."""
FULL_DEPTH_DAYS = 60
"""The last days, told span by span; before them the gateway kept one summary per session and kind of work."""

WEEKEND_PERCENT = {"office": 12, "always": 70, "night": 90}
HOURS = {
    "office": (1, 1, 1, 1, 1, 2, 5, 14, 30, 42, 46, 44, 34, 40, 46, 46, 42, 30, 16, 9, 6, 4, 2, 1),
    "always": (9, 7, 6, 5, 6, 8, 13, 20, 28, 33, 35, 34, 31, 33, 35, 35, 33, 30, 27, 24, 21, 18, 14, 11),
    "night": (46, 44, 40, 30, 22, 14, 8, 6, 5, 5, 5, 5, 5, 5, 5, 6, 7, 9, 12, 16, 22, 30, 38, 44),
}
"""How sessions spread over the hours of a day (UTC), in arbitrary weights."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as asked for and as answered, with what a token costs in nano-dollars."""

    provider: str
    asked: str
    served: str
    input_nano: int = 0
    cached_nano: int = 0
    written_nano: int = 0
    output_nano: int = 0
    known: bool = True  # False: the gateway has no price either, and states none


OPUS_4_5 = Model("anthropic", "claude-opus-4-5", "claude-opus-4-5-20251101", 5000, 500, 6250, 25000)
OPUS_5 = Model("anthropic", "claude-opus-5", "claude-opus-5", 5000, 500, 6250, 25000)
SONNET_4_5 = Model("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 3000, 300, 3750, 15000)
SONNET_5 = Model("anthropic", "claude-sonnet-5", "claude-sonnet-5", 2000, 200, 2500, 10000)
HAIKU_4_5 = Model("anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", 1000, 100, 1250, 5000)
GPT_5 = Model("openai", "gpt-5", "gpt-5-2025-08-07", 1250, 125, 1250, 10000)
GPT_5_4 = Model("openai", "gpt-5.4", "gpt-5.4", 2500, 250, 2500, 15000)
GPT_5_MINI = Model("openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", 250, 25, 250, 2000)
GPT_5_4_MINI = Model("openai", "gpt-5.4-mini", "gpt-5.4-mini", 750, 75, 750, 4500)
GEMINI_2_5_PRO = Model("gcp.gemini", "gemini-2.5-pro", "gemini-2.5-pro", 1250, 125, 1250, 10000)
GEMINI_3_1_PRO = Model("gcp.gemini", "gemini-3.1-pro-preview", "gemini-3.1-pro-preview", 2000, 200, 2000, 12000)
GEMINI_2_5_FLASH = Model("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash", 300, 30, 300, 2500)
GEMINI_3_FLASH = Model("gcp.gemini", "gemini-3-flash-preview", "gemini-3-flash-preview", 500, 50, 500, 3000)
_BEDROCK_SONNET = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
BEDROCK_SONNET = Model("aws.bedrock", _BEDROCK_SONNET, _BEDROCK_SONNET, 3300, 330, 4125, 16500)
_TUNED = "ft:gpt-4.1-mini-2025-04-14:lumen:kyc-docs:B7k2Qx"
FINE_TUNE = Model("openai", _TUNED, _TUNED, known=False)
EMBED_LARGE = Model("openai", "text-embedding-3-large", "text-embedding-3-large", 130)
EMBED_VOYAGE = Model("voyageai", "voyage-3.5", "voyage-3.5", 60)
RERANK = Model("cohere", "rerank-v3.5", "rerank-v3.5")
MODERATION = Model("openai", "omni-moderation-latest", "omni-moderation-latest")
GUARDRAIL = Model("aws.bedrock", "bedrock-guardrails", "bedrock-guardrails")
VECTOR_STORE = Model("pinecone", "", "")
WEB_SEARCH = Model("tavily", "", "")

LINEAGES: dict[str, tuple[tuple[int, Model], ...]] = {
    "frontier-anthropic": ((150, OPUS_5), (HISTORY_DAYS, OPUS_4_5)),
    "frontier-openai": ((230, GPT_5_4), (HISTORY_DAYS, GPT_5)),
    "mid-anthropic": ((75, SONNET_5), (HISTORY_DAYS, SONNET_4_5)),
    "mid-bedrock": ((HISTORY_DAYS, BEDROCK_SONNET),),
    "frontier-google": ((120, GEMINI_3_1_PRO), (HISTORY_DAYS, GEMINI_2_5_PRO)),
    "efficient-anthropic": ((HISTORY_DAYS, HAIKU_4_5),),
    "efficient-openai": ((160, GPT_5_4_MINI), (HISTORY_DAYS, GPT_5_MINI)),
    "efficient-google": ((190, GEMINI_3_FLASH), (HISTORY_DAYS, GEMINI_2_5_FLASH)),
}
"""Which model a role runs on: the first entry whose days-ago is not yet reached. A company migrates, role by role."""


def model_of(role: str, days_ago: int) -> Model:
    """The model a role ran on, that many days ago."""
    return next(model for until, model in LINEAGES[role] if days_ago <= until)


@dataclass(frozen=True, slots=True)
class Service:
    """A process that exports spans, and the convention its instrumentation spells them in."""

    name: str
    version: str
    spelling: str


SERVICES = {
    service.name: service
    for service in (
        Service("onboarding-agents", "2026.11.3", "otel"),
        Service("support-agents", "5.18.0", "openinference"),
        Service("document-agents", "3.2.1", "openllmetry"),
        Service("sales-agents", "1.9.4", "langfuse"),
        Service("platform-agents", "0.41.0", "otel"),
        Service("labs-notebooks", "0.3.0", "openinference"),
        Service("safety-gateway", "2.7.0", "otel"),
    )
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One product feature and the agent behind it; token figures are those of today.

    Percentages ending in `_then` compare thirteen months ago with today: 130 means that it was 30 % more.
    """

    name: str
    team: str
    product_line: str
    service: str
    agent: str
    task_type: str
    value_cents: int  # what a completed task is worth
    sessions: int  # on a weekday
    rhythm: str
    done_percent: int
    role: str  # of the main agent
    helper: str  # of sub-agents and small steps
    calls: int
    context: int  # input tokens of the first call
    growth: int  # and how many each call adds
    output: int
    minutes: int
    retry_percent: int
    embed_calls: int = 0
    embed_tokens: int = 0
    searches: int = 0
    reranks: int = 0
    policy_units: int = 0
    judges: int = 0
    subagents: int = 0
    helper_percent: int = 0  # turns that a router gives to the helper's model
    web_searches: int = 0
    tools: tuple[str, ...] = ()
    tool_fee_micro: int = 0  # micro-dollars a paid tool call, stated by the emitter
    tokens_then: int = 140
    sessions_then: int = 55
    tiers: tuple[str, ...] = ("pro", "enterprise", "enterprise", "free")
    fine_tune: bool = False


def _features() -> tuple[Feature, ...]:
    text = resources.files("outlay.demo").joinpath("features.toml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)["feature"]
    for row in rows:
        row.update({key: tuple(row[key]) for key in ("tools", "tiers") if key in row})
    return tuple(Feature(**row) for row in rows)


FEATURES = _features()

CUSTOMERS = (
    "Alder & Finch",
    "Brightwater Energy",
    "Cobalt Freight",
    "Dunmore Bank",
    "Elm Street Clinics",
    "Fjordline",
    "Granite Insurance",
    "Harbour Foods",
    "Ilex Legal",
    "Juniper Retail",
    "Kestrel Air",
    "Larkspur Homes",
    "Meridian Telecom",
    "Nordhavn",
    "Orchard Health",
    "Pinnacle Motors",
    "Quayside Media",
    "Rosewood Hotels",
    "Saltmarsh Capital",
    "Tern Logistics",
)

ENVIRONMENTS = ("production",) * 91 + ("staging",) * 7 + ("ci",) * 2
COST_CODES = {
    "onboarding": "CC-4100",
    "support": "CC-4200",
    "documents": "CC-4300",
    "sales-assist": "CC-5100",
    "platform": "CC-6100",
    "labs": "CC-7000",
}

UNTAGGED_PERCENT = {"research-synthesis": 9, "market-scout": 14, "code-migrator": 4}
"""Sessions started from a bare thread, where the tags were lost: nobody's money until somebody claims it."""

LOOP_FEATURE = "kyc-onboarding"
LOOP_STARTED_HOURS_AGO = 29
LOOP_HOURS = 2
"""The loop that runs away: `verify_address` answers an error that the agent does not understand, so it tries again."""

FALLBACK_FEATURE = "contract-review"
FALLBACK_DAY = 9
"""The day on which a router sent whole documents instead of clauses."""
