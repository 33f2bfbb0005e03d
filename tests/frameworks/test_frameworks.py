"""Each framework, for real: what the model server billed is what the books say, fact by fact, in the right hands.

A script runs with its framework's own packages against the fake model server. Two requests are turned away and come
again. Then every exchange on the bill must be one fact, in its cost centre, in the session of the agent that sent it;
every tool call one fact; and the sums must agree to the nano-dollar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from e2e.processes import Server, up
from frameworks.fake_models import Exchange
from frameworks.runs import Done, Scenario, run

SCENARIOS = {
    "langgraph": Scenario("langgraph_agent", "agents", "front desk > concierge > researcher"),
    "openai-agents": Scenario(
        "openai_agents",
        "agents",
        "concierge > researcher, concierge > clerk",
        handovers=frozenset({"transfer_to_clerk"}),
    ),
    "autogen": Scenario("autogen_agent", "agents", "office > concierge > researcher, office > reviewer"),
    "pydantic-ai": Scenario("pydantic_ai_agent", "agents", "concierge > researcher"),
    "crewai": Scenario("crewai_agent", "crewai", "office > researcher, office > concierge > researcher"),
    "agent-framework": Scenario("maf", "agents", "office > concierge > researcher, office > reviewer"),
    "google-adk": Scenario("adk", "llamaindex-adk", "concierge > researcher, concierge > clerk"),
    "llamaindex": Scenario("llamaindex", "llamaindex-adk", "concierge > researcher"),
    "ag2": Scenario("ag2_agent", "agents", "concierge > researcher"),
    "plain clients": Scenario("plain_clients", "clients", "concierge > researcher"),
}
ENVELOPE = {
    "team": "support",
    "feature": "parcels",
    "user_tier": "pro",
    "product_line": "shop",
    "environment": "production",
    "customer": "acme",
    "cost_code": "K7",
    "user": "user-5",
}
CENTRES = {"chat": "inference", "embedding": "retrieval", "guardrail": "guardrails"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with up(tmp_path_factory.mktemp("frameworks") / "home") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_call_is_one_fact(name: str, server: Server, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    done = run(scenario, server, f"run of {name}", tmp_path)
    assert_whole(done, scenario)
    assert_same_facts(done, scenario)
    assert_tools(done, scenario)
    assert_family(done, scenario)
    assert_envelope(done, server)
    assert_sum(done, server)


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True], ids=["", "named"])
def test_a_command_line_that_reports_by_itself(named: bool, tmp_path: Path) -> None:
    """The Claude Agent SDK: what its process bills is what its own events say, in a child of the application's session.

    Attempts that it repeats by itself are told by their number on the span of the call; they cost nothing. It calls
    every sub-agent and every foreign tool by a general name, unless it is allowed to tell their own. What a tool of the
    application asks a model is the application's: it happens in its process.
    """
    settings = {"NAMED": "1"} if named else {}
    refusals = {2: 429, 4: 500}  # no embedding comes so early
    scenario = Scenario("claude_agent", "claude", "concierge > researcher", settings=settings, refusals=refusals)
    with up(tmp_path / "house") as server:  # its own: the ids that the model server makes up begin anew
        done = run(scenario, server, "run of claude", tmp_path)
        assert_whole(done, scenario)
        root, child = done.sessions
        assert (child["parent_session"], child["root_session"]) == (root["session"], done.run_id)
        assert_told(done, child)
        assert_sum(done, server)
        made = [step for step in root["usages"] if step["model"]]
        assert Counter(map(amounts_of, made)) == Counter(
            amounts_on(line) for line in done.bill if line.kind == "embedding"
        )
        assert {step["centre"] for step in made} == {"retrieval"}
        assert_whole_envelope(done, server)
        answered = [line for line in done.bill if line.status == 200 and line.kind == "chat"]
        helped = sum(line.amount_nano for line in answered if line.agent == "researcher")
        rows = server.get(f"spend?by=agent&measures=cost&where=session:{quoted(child)}")["rows"]
        assert {row["agent"]: nano(row["cost"]) for row in rows} == {
            "claude-agent": sum(line.amount_nano for line in answered) - helped,
            "researcher" if named else "custom": helped,
        }


def assert_told(done: Done, child: Mapping[str, Any]) -> None:
    """Each chat on the bill is a usage of the command line's session, refused ones are retries; so is each tool."""
    chats = [usage for usage in child["usages"] if usage["operation"] == "chat" and usage["counted"]]
    lines = [line for line in done.bill if line.kind == "chat"]
    answered = Counter(amounts_on(line) for line in lines if line.status == 200)
    assert Counter(amounts_of(usage) for usage in chats if usage["centre"] == "inference") == answered
    retries = [usage for usage in chats if usage["centre"] == "retries"]
    assert len(retries) == sum(line.status != 200 for line in lines) == len(chats) - answered.total() > 0
    assert not any(nano(usage["cost"]) for usage in retries)
    tools = [usage for usage in child["usages"] if usage["operation"] == "tool" and usage["counted"]]
    assert len(tools) == sum(bool(line.tool) for line in done.bill)
    assert {usage["centre"] for usage in tools} == {"tools"}


def amounts_of(usage: Mapping[str, Any]) -> tuple[int, int, int]:
    """What a usage in the books says: input, output, nano-dollars."""
    return usage["input_tokens"], usage["output_tokens"] or 0, nano(usage["cost"])


def amounts_on(line: Exchange) -> tuple[int, int, int]:
    """The same of a line of the bill."""
    return line.tokens.input, line.tokens.out, line.amount_nano


def assert_whole(done: Done, scenario: Scenario) -> None:
    """The run was one that proves something: models, an embedding, tools, a sub-agent, and two attempts turned away."""
    assert sorted(line.status for line in done.bill if line.status != 200) == sorted(scenario.refusals.values())
    assert {line.kind for line in done.bill if line.status == 200} >= {"chat", "embedding"}
    assert len({line.agent for line in done.bill if line.tool}) >= 2, "an agent and its helper use tools"
    assert len(done.sessions) >= 2


def assert_same_facts(done: Done, scenario: Scenario) -> None:
    """Every exchange of the bill is one usage of the agent that sent it, and there is no other."""

    def billed(line: Exchange) -> tuple[object, ...]:
        kind = line.purpose or line.kind
        centre = CENTRES[kind] if line.status == 200 else "retries"
        tokens = line.tokens
        agent = line.agent or scenario.main
        return (agent, kind, centre, line.status != 200, tokens.input, tokens.out, line.amount_nano)

    booked = Counter(
        (
            agent_of(session),
            usage["operation"],
            usage["centre"],
            usage["failed"],
            usage["input_tokens"],
            usage["output_tokens"],
            nano(usage["cost"]),
        )
        for session, usage in done.steps()
        if usage["model"]
    )
    assert booked == Counter(billed(line) for line in done.bill)


def assert_tools(done: Done, scenario: Scenario) -> None:
    """Every tool that the model asked for is one tool call of the agent that was asked."""
    asked = Counter((line.agent, line.tool) for line in done.bill if line.tool and line.tool not in scenario.handovers)
    called = Counter(
        (agent_of(session), usage["name"].lower().replace(" ", "_"))
        for session, usage in done.steps()
        if usage["operation"] == "tool"
    )
    assert called == asked
    assert {usage["centre"] for _, usage in done.steps() if usage["operation"] == "tool"} == {"tools"}


def assert_family(done: Done, scenario: Scenario) -> None:
    """The root session is the application's; every sub-agent has sessions of its own, with parent and root."""
    root = done.sessions[0]
    assert root["session"] == root["root_session"] == done.run_id
    assert agent_of(root) == scenario.main
    agents = {session["session"]: agent_of(session) for session in done.sessions}
    found = {(agents[session["parent_session"]], agent_of(session)) for session in done.sessions[1:]}
    assert found == scenario.pairs()
    assert {session["root_session"] for session in done.sessions} == {done.run_id}


def assert_envelope(done: Done, server: Server) -> None:
    """Everything of the run carries the whole envelope; every session the one agent that works in it."""
    assert_whole_envelope(done, server)
    asked = f"measures=operations,usages&where=session:{'|'.join(map(quoted, done.sessions))}"
    rows = server.get(f"spend?by=session,agent&{asked}")["rows"]
    assert {(row["session"], row["agent"]) for row in rows} == {
        (session["session"], agent_of(session)) for session in done.sessions
    }


def assert_whole_envelope(done: Done, server: Server) -> None:
    """Everything of the run carries the whole envelope."""
    asked = f"measures=operations,usages&where=session:{'|'.join(map(quoted, done.sessions))}"
    for keys in batched(ENVELOPE):
        rows = server.get(f"spend?by={','.join(keys)}&{asked}")["rows"]
        assert [{key: row[key] for key in keys} for row in rows] == [{key: ENVELOPE[key] for key in keys}]


def assert_sum(done: Done, server: Server) -> None:
    """To the last unit."""
    billed = sum(line.amount_nano for line in done.bill)
    assert billed > 0
    assert sum(nano(session["cost"]) for session in done.sessions) == billed
    assert nano(done.sessions[0]["tree_cost"]) == billed
    assert not any(session["unpriced_usages"] for session in done.sessions)


def batched(keys: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """A few at a time, as a question takes them."""
    names = tuple(keys)
    return (names[place : place + 3] for place in range(0, len(names), 3))


def agent_of(session: Mapping[str, Any]) -> str:
    """The agent of a session."""
    agent: str = session["envelope"]["agent"]
    return agent


def nano(text: str | None) -> int:
    """An amount in nano-dollars, exact."""
    whole, _, rest = (text or "0").partition(".")
    return int(whole + rest.ljust(9, "0"))


def quoted(session: Mapping[str, Any]) -> str:
    """The id of a session as a question takes it."""
    return quote(session["session"], safe="")
