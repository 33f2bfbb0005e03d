"""Names as telemetry spells them."""

from __future__ import annotations

import pytest

from outlay.pricing.names import Alias, clean, provider_of


@pytest.mark.parametrize(
    ("spelling", "provider"),
    [
        ("x_ai", "x-ai"),
        ("xai", "x-ai"),
        ("gcp.gemini", "google"),
        ("gcp.vertex_ai", "google"),
        ("azure.ai.openai", "azure"),
        ("az.ai.inference", "azure"),
        ("aws.bedrock", "aws"),
        ("AWS.Bedrock ", "aws"),
        ("moonshot_ai", "moonshotai"),
        ("somebody-new", "somebody-new"),
        ("", ""),
    ],
)
def test_providers(spelling: str, provider: str) -> None:
    assert provider_of(spelling) == provider


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        (("anthropic", "claude-opus-5[1m]"), ("anthropic", "claude-opus-5", "")),
        (("google", "models/gemini-2.5-pro"), ("google", "gemini-2.5-pro", "")),
        (("google", "publishers/google/models/gemini-2.5-pro"), ("google", "gemini-2.5-pro", "")),
        (("", "openai/gpt-4o-mini"), ("openai", "gpt-4o-mini", "")),
        (("openai", "openai/gpt-4o-mini"), ("openai", "gpt-4o-mini", "")),
        (("", "azure/gpt-4o-2024-11-20"), ("azure", "gpt-4o-2024-11-20", "")),
        (("openai", "azure/eu/gpt-4o"), ("azure", "gpt-4o", "eu")),
        (("azure", "openai/gpt-4o"), ("azure", "gpt-4o", "")),
        (("", "bedrock/us-east-1/anthropic.claude-v2"), ("aws", "anthropic.claude-v2", "us-east-1")),
        (("", "bedrock/us.anthropic.claude-v2"), ("aws", "us.anthropic.claude-v2", "")),
        (("", "anthropic/claude-3-7-sonnet-20250219"), ("anthropic", "claude-3-7-sonnet-20250219", "")),
        (
            ("", "fireworks_ai/accounts/fireworks/models/deepseek-r1"),
            ("fireworks", "accounts/fireworks/models/deepseek-r1", ""),
        ),
        (("openrouter", "anthropic/claude-opus-5"), ("openrouter", "anthropic/claude-opus-5", "")),
        (("together", "meta-llama/Llama-Guard-4-12B"), ("together", "meta-llama/Llama-Guard-4-12B", "")),
        (("", "gpt-4.1"), ("openai", "gpt-4.1", "")),
        (("", "REDACTED"), ("", "REDACTED", "")),
        (("", "None"), ("", "None", "")),
        (
            ("aws", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-v2"),
            ("aws", "eu.anthropic.claude-v2", "eu-west-1"),
        ),
        (
            ("", "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1"),
            ("aws", "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x1", "eu-west-1"),
        ),
    ],
)
def test_cleaning(given: tuple[str, str], cleaned: tuple[str, str, str]) -> None:
    name = clean(*given)
    assert (name.provider, name.model, name.region) == cleaned
    assert name.raw == given[1]


def test_what_was_assumed_is_said() -> None:
    assert clean("", "gpt-4.1").notes == ("provider openai assumed from the model name",)
    assert clean("openai", "azure/gpt-4o").notes == ("provider azure read from the model name",)
    assert clean("openai", "gpt-4.1").notes == ()


def test_an_alias_comes_first_and_may_name_the_provider() -> None:
    aliases = [Alias("my-*", "gpt-5", provider="azure", to_provider="openai")]
    assert clean("azure.ai.openai", "my-prod", "", aliases).provider == "openai"
    assert clean("azure.ai.openai", "my-prod", "", aliases).model == "gpt-5"
    assert clean("openai", "my-prod", "", aliases).model == "my-prod"
