"""Every row of the token-basis table, the fallback by numbers, and the two emitters that lose counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from normalizing import clean, meters, usage
from outlay.normalize.basis import rule_for, rules, version_numbers
from strategies import stated_counts, token_counts

INCLUSIVE = {"input_tokens": 1_000, "cache_read_tokens": 600, "cache_write_tokens": 100, "output_tokens": 50}
EXCLUSIVE = {"input_tokens": 300, "cache_read_tokens": 600, "cache_write_tokens": 100, "output_tokens": 50}
SPLIT = {"in_uncached": 300, "in_cache_read": 600, "in_cache_write_unspec": 100}
INSIDE = {"output_tokens": 50, "reasoning_tokens": 20}
BESIDE = {"output_tokens": 30, "reasoning_tokens": 20}
THOUGHT = {"out_text": 30, "out_reasoning": 20}

# row of the table: how a fact of that source is recognised, its input basis, whether output holds the reasoning
TABLE = {
    "OTel semconv-genai": ({"scope_name": "opentelemetry.util.genai.handler"}, "inclusive", True),
    "OpenAI API": ({"source": "body", "provider": "openai"}, "inclusive", True),
    "Anthropic API raw": ({"source": "body", "provider": "anthropic"}, "exclusive", True),
    "Bedrock Converse raw": ({"source": "body", "provider": "aws.bedrock"}, "exclusive", None),
    "Gemini API": ({"source": "body", "provider": "gcp.gemini"}, "inclusive", False),
    "Google ADK": ({"scope_name": "gcp.vertex.agent"}, "inclusive", True),
    "OpenInference Anthropic": ({"scope_name": "openinference.instrumentation.anthropic"}, "inclusive", True),
    "OpenInference LangChain": ({"scope_name": "openinference.instrumentation.langchain"}, "inclusive", True),
    "OpenInference OpenAI-Agents": ({"scope_name": "openinference.instrumentation.openai_agents"}, "inclusive", True),
    "OpenLLMetry anthropic": (
        {"scope_name": "opentelemetry.instrumentation.anthropic", "scope_version": "0.62.4"},
        "inclusive",
        True,
    ),
    "OpenLLMetry anthropic, older": (
        {"scope_name": "opentelemetry.instrumentation.anthropic", "scope_version": "0.50.1"},
        "inclusive",
        True,
    ),
    "Pydantic AI": ({"scope_name": "pydantic-ai", "scope_version": "2.68.0"}, "inclusive", True),
    "Agent Framework, OpenAI client": ({"scope_name": "agent_framework", "provider": "openai"}, "inclusive", True),
    "Agent Framework, Anthropic client": (
        {"scope_name": "agent_framework", "provider": "Anthropic"},
        "exclusive",
        True,
    ),
    "Strands": ({"scope_name": "strands.telemetry.tracer", "scope_version": "1.62.0"}, "inclusive", None),
    "Claude Code transcript": ({"source": "claude_code"}, "exclusive", True),
    "Claude Code spans": ({"scope_name": "com.anthropic.claude_code.tracing"}, "exclusive", True),
    "Claude Code events": ({"scope_name": "com.anthropic.claude_code.events", "signal": "log"}, "exclusive", True),
    "Claude Code metrics": ({"scope_name": "com.anthropic.claude_code", "signal": "metric"}, "exclusive", True),
    "Codex": ({"scope_name": "codex_otel"}, "inclusive", True),
    "Gemini CLI": ({"scope_name": "gemini-cli"}, "inclusive", False),
    "Vercel AI SDK": ({"scope_name": "ai"}, "inclusive", True),
}


ROWS = {
    "OTel semconv-genai (all)": ("OTel semconv-genai",),
    "OTel emitters of the ≤1.36 era": (),  # TestEmittersOfTheOldEra: nothing is known of them
    "OpenAI API": ("OpenAI API",),
    "Anthropic API raw": ("Anthropic API raw",),
    "Bedrock Converse raw": ("Bedrock Converse raw",),
    "Gemini API": ("Gemini API", "Google ADK"),
    "OpenInference Anthropic / LangChain": ("OpenInference Anthropic", "OpenInference LangChain"),
    "OpenInference OpenAI-Agents, Chat-Completions path": ("OpenInference OpenAI-Agents",),
    "OpenLLMetry anthropic 0.62.4": ("OpenLLMetry anthropic", "OpenLLMetry anthropic, older"),
    "Pydantic AI 2.68": ("Pydantic AI",),
    "Microsoft Agent Framework 1.23": ("Agent Framework, OpenAI client", "Agent Framework, Anthropic client"),
    "Strands 1.62": ("Strands",),
    "AG2 1.2": (),  # TestAg2
    "Claude Code spans, events, metrics": (
        *("Claude Code transcript", "Claude Code spans", "Claude Code events", "Claude Code metrics"),
    ),
    "Codex": ("Codex",),
    "Gemini CLI": ("Gemini CLI",),
    "Vercel AI SDK": ("Vercel AI SDK",),
}
"""The rows of the reference, and which of the cases above are theirs."""


def test_every_row_of_the_reference_is_a_case(shared: Path) -> None:
    text = (shared / "spec" / "telemetry.md").read_text(encoding="utf-8")
    section = text.partition("## 4. Token basis by source")[2].partition("**Normalise rule.**")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert set(rows) - {"source"} == ROWS.keys()
    assert {case for cases in ROWS.values() for case in cases} == TABLE.keys()


@pytest.mark.parametrize(("who", "input_basis", "_"), TABLE.values(), ids=TABLE)
def test_input_is_read_as_its_source_counts_it(who: dict[str, str], input_basis: str, _: bool | None) -> None:
    row = usage(**who, **(INCLUSIVE if input_basis == "inclusive" else EXCLUSIVE))
    assert meters(row) == {**SPLIT, "out_text": 50}
    assert row["basis"] == input_basis


@pytest.mark.parametrize(
    ("who", "inside"),
    [(who, inside) for who, _, inside in TABLE.values() if inside is not None],
    ids=[name for name, (_, _, inside) in TABLE.items() if inside is not None],
)
def test_output_is_read_as_its_source_counts_it(who: dict[str, str], inside: bool) -> None:
    row = usage(**who, input_tokens=1_000, cache_read_tokens=0, cache_write_tokens=0, **(INSIDE if inside else BESIDE))
    assert {name: row[name] for name in THOUGHT} == THOUGHT


@pytest.mark.parametrize(("who", "input_basis", "_"), TABLE.values(), ids=TABLE)
def test_an_inclusive_source_whose_cache_exceeds_its_input_is_refused(
    who: dict[str, str], input_basis: str, _: bool | None
) -> None:
    done = clean({**who, "input_tokens": 5, "cache_read_tokens": 20, "output_tokens": 1})
    if input_basis == "exclusive":
        assert done.refused == 0
        return
    assert done.refused == 1
    assert "cache tokens 20 exceed input_tokens 5" in done.problems[0].what


class TestEmittersOfTheOldEra:
    """Nothing is known of them, so the numbers decide, and the result says so."""

    def test_total_proves_exclusive(self) -> None:
        row = usage(**EXCLUSIVE, total_tokens=1_050)
        assert meters(row) == {**SPLIT, "out_text": 50}
        assert row["basis"] == "inferred"

    def test_cache_larger_than_input_proves_exclusive(self) -> None:
        row = usage(**EXCLUSIVE)
        assert meters(row) == {**SPLIT, "out_text": 50}
        assert row["basis"] == "inferred"

    def test_else_inclusive(self) -> None:
        row = usage(**INCLUSIVE)
        assert meters(row) == {**SPLIT, "out_text": 50}
        assert row["basis"] == "inferred"

    def test_total_of_input_and_output_is_inclusive(self) -> None:
        assert meters(usage(**INCLUSIVE, total_tokens=1_050)) == {**SPLIT, "out_text": 50}

    def test_cache_without_input_stands_alone(self) -> None:
        row = usage(cache_read_tokens=600, output_tokens=50)
        assert meters(row) == {"in_cache_read": 600, "out_text": 50}
        assert row["basis"] == "inferred"

    def test_an_unknown_provider_of_agent_framework_is_inferred(self) -> None:
        assert usage(scope_name="agent_framework", provider="own", **INCLUSIVE)["basis"] == "inferred"


class TestAg2:
    """Prompt tokens as the provider counts them; thinking tokens stand beside the output."""

    def test_input_is_inferred_and_thinking_added(self) -> None:
        row = usage(scope_name="ag2.middleware", **{**EXCLUSIVE, **BESIDE})
        assert meters(row) == {**SPLIT, **THOUGHT}
        assert row["basis"] == "inferred"


class TestWhatTheFactSays:
    """A source that states its basis is believed before the table."""

    def test_exclusive(self) -> None:
        row = usage(basis="exclusive", scope_name="pydantic-ai", **EXCLUSIVE)
        assert (meters(row), row["basis"]) == ({**SPLIT, "out_text": 50}, "exclusive")

    def test_inclusive(self) -> None:
        row = usage(basis="inclusive", source="claude_code", **INCLUSIVE)
        assert (meters(row), row["basis"]) == ({**SPLIT, "out_text": 50}, "inclusive")

    @pytest.mark.parametrize(("beside", "stated"), [(True, BESIDE), (False, INSIDE)])
    def test_reasoning(self, beside: bool, stated: dict[str, int]) -> None:
        row = usage(input_tokens=10, output_excludes_reasoning=beside, scope_name="gemini-cli", **stated)
        assert {name: row[name] for name in THOUGHT} == THOUGHT


class TestTheStatedTotalDecidesAboutReasoning:
    def test_inside(self) -> None:
        row = usage(
            scope_name="gemini-cli",
            input_tokens=5_955,
            output_tokens=29_244,
            reasoning_tokens=28_544,
            total_tokens=35_199,
        )
        assert (row["out_text"], row["out_reasoning"]) == (700, 28_544)

    def test_beside(self) -> None:
        row = usage(scope_name="pydantic-ai", input_tokens=100, **BESIDE, total_tokens=150)
        assert (row["out_text"], row["out_reasoning"]) == (30, 20)

    def test_beside_with_cache_outside_the_input(self) -> None:
        row = usage(**EXCLUSIVE | BESIDE, total_tokens=1_050)
        assert meters(row) == {**SPLIT, **THOUGHT}

    def test_reasoning_larger_than_output_is_beside_it_where_nothing_is_known(self) -> None:
        row = usage(input_tokens=10, output_tokens=5, reasoning_tokens=50)
        assert (row["out_text"], row["out_reasoning"]) == (5, 50)

    def test_reasoning_larger_than_output_is_refused_where_it_must_be_inside(self) -> None:
        done = clean({"scope_name": "pydantic-ai", "input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 50})
        assert done.refused == 1
        assert "reasoning_tokens 50 exceed output_tokens 5" in done.problems[0].what


class TestLostCounts:
    """Two instrumentations lose cache counts: the usage stays, its basis is `inferred`, and a problem says it."""

    def test_chat_completions_of_openai_agents(self) -> None:
        done = clean(
            {"scope_name": "openinference.instrumentation.openai_agents", "input_tokens": 900, "output_tokens": 9}
        )
        row = done.usages.to_pylist()[0]
        assert (row["in_uncached"], row["basis"], done.refused) == (900, "inferred", 0)
        assert "drops the cached count" in done.problems[0].what

    def test_second_write_of_openllmetry_anthropic(self) -> None:
        scope = {"scope_name": "opentelemetry.instrumentation.anthropic", "scope_version": "0.62.4"}
        done = clean(*[{**scope, "input_tokens": 4, "output_tokens": 9}] * 3)
        row = done.usages.to_pylist()[0]
        assert (row["in_uncached"], row["basis"], done.refused) == (4, "inferred", 0)
        assert [problem.what[:10] for problem in done.problems] == ["3 usages: "]

    def test_a_cache_count_of_zero_is_no_loss(self) -> None:
        scope = {"scope_name": "opentelemetry.instrumentation.anthropic", "scope_version": "0.62.4"}
        done = clean({**scope, "input_tokens": 4, "output_tokens": 9, "cache_read_tokens": 0, "cache_write_tokens": 0})
        assert (done.usages["basis"].to_pylist(), done.problems) == (["inclusive"], [])


def test_version_ranges_are_compared_as_numbers() -> None:
    scope = "opentelemetry.instrumentation.anthropic"
    found = {version: rule_for("otlp", scope, version, "") for version in ("0.62.3", "0.62.4", "0.100.0", "", "dev")}
    ids = {version: rule.id if rule else "" for version, rule in found.items()}
    assert ids == {
        "0.62.3": "openllmetry-anthropic",
        "0.62.4": "openllmetry-anthropic-overwriting",
        "0.100.0": "openllmetry-anthropic-overwriting",
        "": "openllmetry-anthropic",
        "dev": "openllmetry-anthropic",
    }
    assert version_numbers("v1.2.3rc1") == (1, 2, 3)


def test_every_rule_speaks_the_words_of_the_table_and_names_its_proof() -> None:
    for rule in rules():
        assert rule.input in {"inclusive", "exclusive", "provider", "undefined"}, rule.id
        assert rule.output in {"includes", "excludes", "undefined"}, rule.id
        assert rule.without_cache in {"", "inclusive", "exclusive"}, rule.id
        assert rule.proof, rule.id
        assert bool(rule.without_cache) == bool(rule.fault), rule.id
    assert len({rule.id for rule in rules()}) == len(rules())


@given(fresh=token_counts(), read=token_counts(), write=token_counts(), text=token_counts(), thought=token_counts())
def test_both_ways_of_counting_end_in_the_same_meters(
    fresh: int, read: int, write: int, text: int, thought: int
) -> None:
    cached = {"cache_read_tokens": read, "cache_write_tokens": write, "reasoning_tokens": thought}
    inside = usage(scope_name="pydantic-ai", input_tokens=fresh + read + write, output_tokens=text + thought, **cached)
    beside = usage(
        source="body",
        provider="anthropic",
        input_tokens=fresh,
        output_tokens=text,
        output_excludes_reasoning=True,
        **cached,
    )
    assert meters(inside) == meters(beside)
    assert sum(meters(inside).values()) == fresh + read + write + text + thought


@given(stated_counts())
def test_no_meter_is_ever_negative_and_a_refusal_always_speaks(stated: dict[str, int]) -> None:
    done = clean(stated)
    assert done.refused <= len(done.problems)
    assert done.refused + done.usages.num_rows == 1
    for row in done.usages.to_pylist():
        assert all(count > 0 for count in meters(row).values())


def test_the_docs_name_every_rule(root: Path) -> None:
    text = (root / "docs" / "normalize.md").read_text(encoding="utf-8")
    assert [rule.id for rule in rules() if f"`{rule.id}`" not in text] == []
