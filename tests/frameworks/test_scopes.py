"""Scopes around a framework's methods: what kind of function it is, who sees what, and that nothing of ours escapes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import pytest

from outlay.core.envelope import Envelope
from outlay.sdk import context
from outlay.sdk.context import Context, Run, attached
from outlay.sdk.frameworks import hooking, scopes
from outlay.sdk.frameworks.around import wrap
from outlay.sdk.frameworks.families import FAMILIES_MAX, Families
from outlay.sdk.step import Step


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """What was recorded."""
    kept: list[Step] = []
    monkeypatch.setattr(scopes.recorder, "record", kept.append)
    monkeypatch.setattr(scopes, "families", Families())
    return kept


def run(session_id: str = "run-1") -> attached:
    """A session of the application."""
    return attached(Context(Run(Envelope(team="support", user_tier="pro"), session_id=session_id)))


def agent_here() -> str:
    return context.current().agent


class Agent:
    """A framework's agent, in every kind of function."""

    name = "concierge"

    def call(self, *, fails: bool = False) -> str:
        if fails:
            raise ValueError("secret words")
        return agent_here()

    async def acall(self) -> str:
        await asyncio.sleep(0)
        return agent_here()

    def items(self) -> Iterator[str]:
        sent = yield agent_here()
        try:
            yield f"{sent} {agent_here()}"
        finally:
            self.last = agent_here()

    async def aitems(self) -> AsyncIterator[str]:
        yield agent_here()
        await asyncio.sleep(0)
        yield await asyncio.create_task(self.inner())

    async def inner(self) -> str:
        return agent_here()


def opener(agent: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Any:
    return scopes.agent(agent.name)


class TestAround:
    def test_a_function(self, steps: list[Step]) -> None:
        with run():
            assert wrap(Agent.call, opener)(Agent()) == "concierge"
            assert agent_here() == ""
        assert [(step.operation, step.name, step.error_type) for step in steps] == [("agent", "concierge", "")]

    def test_a_failure_is_named_by_its_kind_never_by_its_text(self, steps: list[Step]) -> None:
        with pytest.raises(ValueError, match="secret"):
            wrap(Agent.call, opener)(Agent(), fails=True)
        assert steps[0].error_type == "ValueError"

    def test_a_result_that_says_it_failed(self, steps: list[Step]) -> None:
        wrap(Agent.call, opener, lambda result: f"no {result}")(Agent())
        assert steps[0].error_type == "no concierge"

    def test_a_coroutine(self, steps: list[Step]) -> None:
        assert asyncio.run(wrap(Agent.acall, opener)(Agent())) == "concierge"
        assert len(steps) == 1

    def test_a_generator_keeps_its_scope_from_its_consumer(self, steps: list[Step]) -> None:
        agent = Agent()
        made = wrap(Agent.items, opener)(agent)
        assert not steps
        assert next(made) == "concierge"
        assert agent_here() == ""
        assert made.send("hello") == "hello concierge"
        assert agent_here() == ""
        assert list(made) == []
        assert (agent.last, len(steps)) == ("concierge", 1)

    def test_a_generator_that_is_left_ends_well(self, steps: list[Step]) -> None:
        agent = Agent()
        made = wrap(Agent.items, opener)(agent)
        next(made)
        next(made)
        made.close()
        assert (agent.last, [step.error_type for step in steps]) == ("concierge", [""])

    def test_what_is_thrown_at_a_generator_arrives(self, steps: list[Step]) -> None:
        made = wrap(Agent.items, opener)(Agent())
        next(made)
        with pytest.raises(KeyError):
            made.throw(KeyError("k"))
        assert [step.error_type for step in steps] == ["KeyError"]

    def test_an_async_generator(self, steps: list[Step]) -> None:
        async def consume() -> list[str]:
            seen: list[str] = []
            async for item in wrap(Agent.aitems, opener)(Agent()):
                seen.append(f"{item} {agent_here()}")
            return seen

        assert asyncio.run(consume()) == ["concierge ", "concierge "]
        assert len(steps) == 1

    def test_an_opener_that_breaks_breaks_nothing(self, steps: list[Step]) -> None:
        def broken(*_: object) -> Any:
            raise RuntimeError("ours")

        assert wrap(Agent.call, broken)(Agent()) == ""
        assert asyncio.run(wrap(Agent.acall, broken)(Agent())) == ""
        assert next(wrap(Agent.items, broken)(Agent())) == ""
        assert steps == []

    def test_a_verdict_that_breaks_breaks_nothing(self, steps: list[Step]) -> None:
        assert wrap(Agent.call, opener, lambda result: result.missing)(Agent()) == "concierge"
        assert [step.error_type for step in steps] == [""]


class TestFamily:
    def within(self, *names: str) -> Run:
        """The run in which the last of nested agents works."""
        if not names:
            return context.current().run
        scope = scopes.agent(names[0])
        if scope is None:
            return self.within(*names[1:])
        scope.open()
        with scope.current():
            return self.within(*names[1:])

    def ids(self, found: Run) -> tuple[str, str, str, str]:
        return found.session_id, found.parent_session_id, found.root_session_id, found.envelope.agent

    def test_the_first_agent_takes_the_session(self, steps: list[Step]) -> None:
        with run():
            assert self.ids(self.within("concierge")) == ("run-1", "", "", "concierge")
            assert self.ids(self.within("concierge")) == ("run-1", "", "", "concierge")

    def test_every_other_one_has_its_own_and_says_whose(self, steps: list[Step]) -> None:
        with run():
            clerk = self.within("concierge", "clerk")
            helper = self.within("concierge", "clerk", "helper")
            again = self.within("clerk")
        assert self.ids(clerk) == ("run-1~clerk", "run-1", "run-1", "clerk")
        assert self.ids(helper) == ("run-1~clerk~helper", "run-1~clerk", "run-1", "helper")
        assert self.ids(again) == self.ids(clerk)
        assert (helper.envelope.team, helper.envelope.user_tier) == ("support", "pro")

    def test_a_tool_call_is_a_run_of_its_own(self, steps: list[Step]) -> None:
        def asked() -> str:
            step = scopes.tool("ask")
            step.open()
            with step.current():
                return self.within("helper").session_id

        with run():
            self.within("concierge")
            assert [asked(), asked()] == ["run-1~helper", "run-1~helper~2"]

    def test_an_agent_that_calls_itself_as_a_tool_is_its_own_sub_agent(self, steps: list[Step]) -> None:
        with run():
            outer, step = scopes.agent("concierge"), scopes.tool("again")
            assert outer is not None
            outer.open()
            with outer.current():
                step = scopes.tool("again")
                step.open()
                with step.current():
                    assert self.within("concierge").session_id == "run-1~concierge"

    def test_the_same_run_is_not_opened_twice(self, steps: list[Step]) -> None:
        with run():
            outer = scopes.agent("concierge")
            assert outer is not None
            outer.open()
            with outer.current():
                assert scopes.agent("concierge") is None

    def test_a_name_the_application_gave_stays(self, steps: list[Step]) -> None:
        with attached(Context(Run(Envelope(agent="bot"), session_id="run-2"))):
            assert self.within("concierge").envelope.agent == "bot"
            assert self.within("concierge", "clerk").envelope.agent == "clerk"

    def test_without_a_session_an_agent_opens_one(self, steps: list[Step]) -> None:
        first, second = self.within("concierge"), self.within("concierge")
        assert first.session_id != second.session_id
        assert len(first.session_id) == 36

    def test_a_turn_belongs_to_the_group_whoever_spoke_before(self, steps: list[Step]) -> None:
        with run():
            team = scopes.agent("office", is_group=True)
            assert team is not None
            team.open()
            with team.current():
                first = scopes.participant("concierge")
                first.open()
                with first.current():
                    step = scopes.tool("publish")
                    step.open()
                    with step.current():
                        carried = scopes.carried()
                        with scopes.group().current():
                            assert context.current().session_id == "run-1"
            with carried.current():
                second = scopes.participant("reviewer")
                second.open()
                with second.current():
                    assert self.ids(context.current().run) == ("run-1~reviewer", "run-1", "run-1", "reviewer")

    def test_memory_is_bounded(self) -> None:
        many = Families()
        for number in range(FAMILIES_MAX + 10):
            many.session_of(f"run-{number}", "concierge", b"")
        assert len(many._families) == FAMILIES_MAX


class TestHooking:
    def test_a_method_is_replaced_once(self, steps: list[Step]) -> None:
        class Owner:
            name = "concierge"

            def call(self) -> str:
                return agent_here()

        hooking.inside(Owner, "call", opener)
        once = Owner.call
        hooking.inside(Owner, "call", opener)
        assert Owner.call is once
        assert Owner().call() == "concierge"

    def test_a_hook_point_that_moved_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        module = ModuleType("framework.gone")
        with caplog.at_level(logging.WARNING, "outlay.frameworks"):
            for _ in range(2):
                hooking.inside(module, "run", opener)
        assert [record.getMessage().split(" is not")[0] for record in caplog.records] == ["outlay: framework.gone.run"]
