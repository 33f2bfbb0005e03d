"""The alias tables hold every name of the telemetry reference, and every one of them is really read."""

from __future__ import annotations

from pathlib import Path

import pytest

from otlp_wire import fact_of as fact
from otlp_wire import facts_said as read
from otlp_wire import request, span
from outlay.core.centre import Operation
from outlay.normalize.alias_text import door_text, page_text
from outlay.normalize.aliases import load, parse
from outlay.sources.otlp import decode

# ----------------------------------------------------------------------------- 2.2 to 2.9: concept → attributes

TEXTS: dict[str, tuple[str, ...]] = {
    # 2.2
    "provider": (
        *("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "decision.provider", "provider_name"),
        "ai.model.provider",
    ),
    "model_requested": ("gen_ai.request.model", "llm.request.model_name", "ai.model.id"),
    "model_served": (
        *(
            "gen_ai.response.model",
            "llm.response.model_name",
            "llm.model_name",
            "embedding.model_name",
            "reranker.model_name",
        ),
        *("langfuse.observation.model.name", "model", "slug", "model_name", "mlflow.llm.model"),
    ),
    # 2.6
    "service_tier": (
        *("openai.request.service_tier", "openai.response.service_tier", "gen_ai.openai.request.service_tier"),
        *("gen_ai.openai.response.service_tier", "langfuse.observation.model.parameters.service_tier"),
    ),
    "speed": ("speed",),
    # 2.7
    "session_id": (
        *("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id", "langfuse.session.id"),
        *("conversation.id", "mlflow.trace.session", "ai.telemetry.metadata.sessionId", "gen_ai.session.id"),
        "lmnr.association.properties.session_id",
    ),
    "user": (
        *(
            "enduser.id",
            "user.id",
            "gen_ai.user",
            "traceloop.association.properties.user_id",
            "llm.user",
            "langfuse.user.id",
        ),
        *(
            "user.email",
            "user.account_uuid",
            "user.account_id",
            "installation.id",
            "gen_ai.user.id",
            "mlflow.trace.user",
        ),
    ),
    "environment": (
        "langfuse.environment",
        "deployment.environment.name",
        "deployment.environment",
        "outlay.environment",
    ),
    # 2.8
    "agent": (
        *(
            "gen_ai.agent.name",
            "gen_ai.agent.id",
            "agent.name",
            "graph.node.name",
            "graph.node.id",
            "agent_id",
            "agent_name",
        ),
        "outlay.agent",
    ),
    # 2.9
    "error_type": ("error.type", "exception.type"),
    "response_id": ("gen_ai.response.id", "request_id", "client_request_id"),
    # Outlay's own
    "team": ("outlay.team", "service.namespace"),
    "feature": ("outlay.feature",),
    "user_tier": ("outlay.user_tier",),
    "product_line": ("outlay.product_line",),
    "customer": ("outlay.customer",),
    "cost_code": ("outlay.cost_code",),
    "task_id": ("outlay.task.id",),
    "parent_session_id": ("outlay.session.parent_id",),
    "retry_reason": ("outlay.retry.reason",),
    "finish_reason": ("gen_ai.response.finish_reasons",),
    "origin": ("service.name",),
}

COUNTS: dict[str, tuple[str, ...]] = {
    # 2.3
    "input_tokens": (
        *(
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "llm.token_count.prompt",
            "decision.token_count.input",
        ),
        *(
            "llm.usage.prompt_tokens",
            "input_tokens",
            "input_token_count",
            "ai.usage.inputTokens",
            "ai.usage.promptTokens",
        ),
    ),
    "output_tokens": (
        *("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
        *("decision.token_count.output", "output_tokens", "output_token_count", "ai.usage.outputTokens"),
        "ai.usage.completionTokens",
    ),
    # 2.4
    "cache_read_tokens": (
        *(
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.input_tokens.cached",
        ),
        *("gen_ai.usage.prompt_tokens_details.cached_tokens", "gen_ai.usage.details.cache_read_tokens"),
        *(
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_input",
            "cache_read_tokens",
        ),
        *("cached_token_count", "cached_content_token_count", "ai.usage.cachedInputTokens"),
    ),
    "cache_write_tokens": (
        *("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        *("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens"),
        *("llm.token_count.prompt_details.cache_write", "cache_creation_tokens"),
    ),
    "cache_write_5m_tokens": ("cache_creation_5m_tokens",),
    "cache_write_1h_tokens": ("cache_creation_1h_tokens",),
    # 2.5
    "reasoning_tokens": (
        *("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
        *(
            "llm.token_count.completion_details.reasoning",
            "codex.usage.reasoning_output_tokens",
            "reasoning_token_count",
        ),
        *("thoughts_token_count", "gen_ai.usage.thinking_tokens", "ai.usage.reasoningTokens"),
    ),
    "input_audio_tokens": ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
    "output_audio_tokens": ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"),
    "input_image_tokens": ("gen_ai.usage.image.input_tokens",),
    "output_image_tokens": ("gen_ai.usage.image.output_tokens",),
    # 2.9
    "attempt": ("outlay.retry.attempt",),
}

JSON_MEMBERS = {
    "langfuse.observation.usage_details": {
        "input": "input_tokens",
        "output": "output_tokens",
        "total": "total_tokens",
        "input_cached_tokens": "cache_read_tokens",
        "input_cache_read": "cache_read_tokens",
        "input_cache_creation": "cache_write_tokens",
        "input_cache_creation_5m": "cache_write_5m_tokens",
        "input_cache_creation_1h": "cache_write_1h_tokens",
        "output_reasoning_tokens": "reasoning_tokens",
        "input_audio_tokens": "input_audio_tokens",
    },
    "mlflow.chat.tokenUsage": {
        "input_tokens": "input_tokens",
        "output_tokens": "output_tokens",
        "total_tokens": "total_tokens",
        "cache_creation_input_tokens_above_1hr": "cache_write_1h_tokens",
    },
}

COSTS = (
    *("gen_ai.usage.cost", "gen_ai.usage.cost.amount", "llm.cost.total", "llm.cost.prompt", "llm.cost.completion"),
    *(
        "llm.cost.prompt_details.cache_read",
        "llm.cost.completion_details.reasoning",
        "cost_usd",
        "gen_ai.usage.input_cost",
    ),
    *(
        "gen_ai.usage.output_cost",
        "operation.cost",
        "gen_ai.usage.total_cost",
        "mlflow.llm.cost",
        "opencode.llm.cost.total",
    ),
    "outlay.tool.cost_usd",
)

TAGS = {
    "langfuse.release": "release",
    "prompt.id": "prompt_id",
    "prompt_id": "prompt_id",
    "workflow.run_id": "workflow_id",
    "workflow.name": "workflow",
    "gen_ai.workflow.name": "workflow",
    "traceloop.workflow.name": "workflow",
    "organization.id": "organization",
    "user.groups": "user_groups",
    "auth_mode": "auth_mode",
    "session_source": "session_source",
    "originator": "originator",
    "active_approval_mode": "approval_mode",
    "skill.name": "skill",
    "plugin.name": "plugin",
    "mcp_server.name": "mcp_server",
    "mcp_server": "mcp_server",
    "mcp_server_name": "mcp_server",
    "query_source": "query_source",
    "effort": "effort",
    "parent_agent_id": "parent_agent",
    "graph.node.parent_id": "parent_agent",
    "outlay.parent_agent": "parent_agent",
    "outlay.guardrail.verdict": "guardrail_verdict",
    "gen_ai.guardrail.result.value": "guardrail_verdict",
    "decision": "guardrail_verdict",
    "outlay.tag.squad": "squad",
    "langfuse.trace.metadata.squad": "squad",
    "langfuse.observation.metadata.squad": "squad",
    "traceloop.association.properties.squad": "squad",
    "ai.telemetry.metadata.squad": "squad",
    "vcs.ref.head.name": "vcs.ref.head.name",
}

TOOLS = ("gen_ai.tool.name", "tool.name", "tool_name", "function_name", "mcp_tool.name", "traceloop.entity.name")
GUARDRAILS = ("outlay.guardrail.name", "gen_ai.guardrail.component.name")

UNITS = {"pinecone.usage.read_units": "read_units", "db.client.usage.read_units": "read_units"}

KEPT = (
    *(
        "gen_ai.agent.version",
        "gen_ai.tool.type",
        "tool_type",
        "gen_ai.tool.call.id",
        "tool.id",
        "tool_use_id",
        "call_id",
    ),
    *(
        "traceloop.entity.path",
        "mcp_server_scope",
        "mcp.method.name",
        "gen_ai.guardrail.policy.id",
        "gen_ai.guardrail.risk.score",
    ),
    *(
        "gen_ai.guardrail.result.type",
        "tool_token_count",
        "gen_ai.usage.text.input_tokens",
        "gen_ai.usage.text.output_tokens",
    ),
    *("gen_ai.usage.image.cache_read.input_tokens", "server_fallback_hop", "gen_ai.aggregated_usage.input_tokens"),
    "pinecone.usage.write_units",
)


@pytest.mark.parametrize(("concept", "key"), [(concept, key) for concept, keys in TEXTS.items() for key in keys])
def test_every_text_is_read(concept: str, key: str) -> None:
    said = ["acme"] if concept == "finish_reason" else "acme"
    assert fact({key: said})[concept] == "acme"


@pytest.mark.parametrize(("concept", "key"), [(concept, key) for concept, keys in COUNTS.items() for key in keys])
def test_every_count_is_read(concept: str, key: str) -> None:
    assert fact({key: 41})[concept] == 41


@pytest.mark.parametrize(
    ("key", "member", "concept"),
    [(key, m, concept) for key, members in JSON_MEMBERS.items() for m, concept in members.items()],
)
def test_every_member_of_a_json_attribute_is_read(key: str, member: str, concept: str) -> None:
    assert fact({key: f'{{"{member}": 41}}'})[concept] == 41


@pytest.mark.parametrize(
    ("key", "member"),
    [
        ("llm.invocation_parameters", "service_tier"),
        ("langfuse.observation.usage_details", "service_tier"),
        ("langfuse.observation.model.parameters", "service_tier"),
    ],
)
def test_the_service_tier_inside_json_is_read(key: str, member: str) -> None:
    assert fact({key: f'{{"{member}": "flex"}}'})["service_tier"] == "flex"


@pytest.mark.parametrize("key", COSTS)
def test_every_cost_is_read(key: str) -> None:
    found = fact({key: 0.012345})
    assert (found["cost_nano"], found["currency"], found["cost_source"]) == (12_345_000, "USD", "emitter")


def test_costs_inside_json_and_in_other_units_are_read() -> None:
    assert fact({"langfuse.observation.cost_details": '{"total": 0.5, "input": 0.1}'})["cost_nano"] == 500_000_000
    assert fact({"langfuse.observation.cost_details": '{"input": 0.1, "output": 0.2}'})["cost_nano"] == 300_000_000
    assert (
        fact({"mlflow.llm.cost": '{"input_cost": 0.1, "output_cost": 0.2, "total_cost": 0.3}'})["cost_nano"]
        == 300_000_000
    )
    assert fact({"cost_usd_micros": 1_500})["cost_nano"] == 1_500_000
    assert fact({"gen_ai.usage.cost": "0.000000001"})["cost_nano"] == 1
    stated = fact(
        {"gen_ai.usage.cost.amount": 2, "gen_ai.usage.cost.currency": "EUR", "gen_ai.usage.cost.source": "provider"}
    )
    assert (stated["cost_nano"], stated["currency"], stated["cost_source"]) == (2 * 10**9, "EUR", "provider")
    assert fact({"github.copilot.nano_aiu": 1_500_000_000})["units"] == {"credits": 1500}


@pytest.mark.parametrize(("key", "tag"), TAGS.items())
def test_every_tag_is_read(key: str, tag: str) -> None:
    assert fact({key: "acme"})["tags"] == {tag: "acme"}


@pytest.mark.parametrize("key", ["tag.tags", "langfuse.trace.tags", "agentops.tags"])
def test_bare_tags_are_read(key: str) -> None:
    assert fact({key: ["red", "blue"]})["tags"] == {"red": "true", "blue": "true"}


@pytest.mark.parametrize("key", TOOLS)
def test_every_name_of_a_tool_is_read(key: str) -> None:
    assert fact({"gen_ai.operation.name": "execute_tool", key: "search"})["name"] == "search"


@pytest.mark.parametrize("key", GUARDRAILS)
def test_every_name_of_a_guardrail_is_read(key: str) -> None:
    assert fact({"outlay.step.kind": "guardrail", key: "pii"})["name"] == "pii"


@pytest.mark.parametrize("key", [*(f"outlay.units.{meter}" for meter in load().units), *UNITS])
def test_every_other_meter_is_read(key: str) -> None:
    assert fact({key: 5})["units"] == {UNITS.get(key, key.removeprefix("outlay.units.")): 5}


@pytest.mark.parametrize("key", KEPT)
def test_what_has_no_place_among_facts_stays_beside_them(key: str) -> None:
    decoded = decode([request([span(1, {key: 3})]).SerializeToString()], "protobuf")
    assert decoded.spans[key].to_pylist() == [3]


@pytest.mark.parametrize("key", ["gen_ai.request.attempt", "attempt", "attempt_number"])
def test_attempts_counted_from_one_are_counted_from_nought(key: str) -> None:
    assert [fact({key: number})["attempt"] for number in (1, 2)] == [0, 1]


@pytest.mark.parametrize(
    ("key", "value"), [("langfuse.observation.level", "ERROR"), ("http.response.status_code", 429)]
)
def test_what_says_failure_is_read(key: str, value: object) -> None:
    assert fact({key: value})["failed"] is True


@pytest.mark.parametrize("form", load().evaluation_forms)
def test_every_form_of_an_evaluation_is_read(form: str) -> None:
    stem = form.replace("*", "0")
    found = read({f"{stem}.name": "task completion", f"{stem}.label": "pass"}).outcomes.to_pylist()
    assert [outcome["status"] for outcome in found] == ["done"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("agentops.session.end_state", "Success"), ("terminate_reason", "GOAL"), ("outlay.task.outcome", "completed")],
)
def test_every_word_on_how_a_task_ended_is_read(key: str, value: str) -> None:
    assert [outcome["status"] for outcome in read({key: value}).outcomes.to_pylist()] == ["done"]


# --------------------------------------------------------------------------------------------- order and values

ORDER = (
    ("provider", "gen_ai.provider.name", "gen_ai.system"),
    ("provider", "llm.provider", "llm.system"),
    ("model_served", "llm.response.model_name", "llm.model_name"),
    ("session_id", "gen_ai.conversation.id", "session.id"),
    ("session_id", "traceloop.association.properties.session_id", "gen_ai.conversation.id"),
    ("session_id", "session.id", "langfuse.session.id"),
    ("user", "enduser.id", "user.id"),
    ("user", "gen_ai.user", "traceloop.association.properties.user_id"),
    ("service_tier", "openai.response.service_tier", "openai.request.service_tier"),
    ("agent", "gen_ai.agent.name", "gen_ai.agent.id"),
    ("response_id", "request_id", "client_request_id"),
    ("team", "outlay.team", "traceloop.association.properties.team"),
)


@pytest.mark.parametrize(("concept", "better", "worse"), ORDER)
def test_the_first_name_found_wins(concept: str, better: str, worse: str) -> None:
    assert fact({worse: "worse", better: "better"})[concept] == "better"
    assert fact({worse: "worse", better: ""})[concept] == "worse"


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        *(
            ("xai", "x_ai"),
            ("gemini", "gcp.gemini"),
            ("vertex_ai", "gcp.vertex_ai"),
            ("az.ai.openai", "azure.ai.openai"),
        ),
        *(
            ("az.ai.inference", "azure.ai.inference"),
            ("moonshot_ai", "moonshot_ai"),
            ("OpenAI", "openai"),
            ("acme", "acme"),
        ),
    ],
)
def test_providers_have_one_name(said: str, canonical: str) -> None:
    assert fact({"gen_ai.provider.name": said})["provider"] == canonical


@pytest.mark.parametrize(
    ("host", "provider", "region"),
    [
        ("api.openai.com", "openai", None),
        ("acme.openai.azure.com", "azure.ai.openai", None),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock", "eu-west-1"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai", "us-central1"),
        ("localhost", None, None),
    ],
)
def test_the_host_names_the_provider_where_nothing_else_does(
    host: str, provider: str | None, region: str | None
) -> None:
    found = fact({"server.address": host})
    assert (found["provider"], found["region"]) == (provider, region)
    assert fact({"server.address": host, "gen_ai.system": "acme"})["provider"] == "acme"


MEMBERS = [(concept, member) for concept, members in load().members.items() for member in members]


@pytest.mark.parametrize(("concept", "member"), MEMBERS)
def test_envelope_inside_metadata(concept: str, member: str) -> None:
    assert fact({"metadata": f'{{"{member}": "acme", "other": 3}}'})[concept] == "acme"
    assert fact({f"langfuse.trace.metadata.{member}": "acme"})[concept] == "acme"
    assert fact({f"traceloop.association.properties.{member}": "acme"})[concept] == "acme"
    assert fact({"metadata": {"other": 3}})["tags"] == {"other": "3"}


def test_the_resource_says_the_envelope_after_the_span() -> None:
    resource = {
        "team": "platform",
        "service.namespace": "shop",
        "deployment.environment.name": "prod",
        "outlay.tag.squad": "a",
    }
    found = fact({"outlay.feature": "refunds"}, resource)
    assert (found["team"], found["environment"], found["feature"]) == ("platform", "prod", "refunds")
    assert found["tags"] == {"squad": "a"}
    assert fact({"outlay.team": "risk"}, resource)["team"] == "risk"
    assert fact({}, {"gen_ai.usage.input_tokens": 5})["input_tokens"] is None


# --------------------------------------------------------------------------------------------- the texts made from it


def test_the_door_and_the_page_are_up_to_date(root: Path) -> None:
    hint = "run: python -m outlay.normalize.alias_text --write"
    assert (root / "src/outlay/sources/data/otlp_door.toml").read_text("utf-8") == door_text(load()), hint
    assert (root / "docs/telemetry.md").read_text("utf-8") == page_text(load()), hint


def test_the_page_names_every_key_and_every_convention() -> None:
    aliases, page = load(), page_text(load())
    assert all(
        f"`{key}`" in page
        for key in aliases.spellings()
        if "#" not in key and not key.startswith(tuple(c[:-1] for forms in aliases.carriers.values() for c in forms))
    )
    assert all(name in page for name in aliases.conventions.values())


def test_tables_are_whole() -> None:
    aliases = load()
    spoken = {c for concept in aliases.concepts.values() for c in concept.conventions} | {
        kind.convention for kind in aliases.kinds
    }
    assert spoken <= aliases.conventions.keys()
    known = set(aliases.spellings()) | {key for concept in aliases.concepts.values() for key in concept.keys}
    assert aliases.legacy <= known
    assert not set(aliases.refused) & known
    assert {step.operation for kind in aliases.kinds for step in kind.values.values()} <= set(Operation)
    assert aliases.version
    assert parse((Path(parse.__code__.co_filename).parent / "data/aliases.toml").read_text("utf-8")) == aliases
