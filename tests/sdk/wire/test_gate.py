"""The gate: asked before every attempt, may change it, refuse it or cut its stream, is told the end exactly once."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from fake_provider import FakeProvider
from hypothesis import given
from hypothesis import strategies as st

from conftest import BODY, CHAT, STREAM, Watcher
from outlay.sdk import gate, wire
from outlay.sdk.gate import PendingCall, RefusedError
from outlay.sdk.wire.hiding import Hiding
from strategies import piece_sizes


def url(provider: FakeProvider, run: str, plan: str = "ok", rest: str = CHAT) -> str:
    return f"http://127.0.0.1:{provider.port}/{run}/{plan}{rest}"


def test_a_call_is_announced_before_it_is_sent_and_settled_once(
    provider: FakeProvider, steps: list[Any], watcher: Watcher
) -> None:
    httpx2.post(url(provider, "announced"), json={**BODY, "max_tokens": 50, "n": 2})
    (call,) = watcher.asked
    assert (call.operation, call.provider, call.model, call.max_tokens, call.answers) == (
        "chat",
        "openai",
        "gpt-4o",
        50,
        2,
    )
    assert 10 < call.input_tokens_estimate < 60
    assert call.can_clamp
    assert watcher.settled == [(call, steps)]
    assert len(steps) == 1


@pytest.mark.parametrize("plan", ["ok", "500", "drop", "429"])
@pytest.mark.parametrize("body", [BODY, STREAM], ids=["plain", "stream"])
def test_however_it_ends_it_is_settled_once(
    provider: FakeProvider, steps: list[Any], watcher: Watcher, plan: str, body: dict[str, Any]
) -> None:
    try:
        with httpx2.stream("POST", url(provider, f"ends-{plan}-{len(body)}", plan), json=body) as response:
            response.read()
    except httpx2.RemoteProtocolError:
        assert plan == "drop"
    assert [call for call, _ in watcher.settled] == watcher.asked
    assert [told for _, told in watcher.settled] == [steps]


def test_an_unreachable_provider_and_a_cancelled_task_settle_too(
    provider: FakeProvider, steps: list[Any], watcher: Watcher
) -> None:
    with pytest.raises(httpx2.ConnectError):
        httpx2.post("http://127.0.0.1:9" + CHAT, json=BODY)

    async def impatient() -> None:
        async with httpx2.AsyncClient() as client:
            await asyncio.wait_for(client.post(url(provider, "impatient", "slow"), json=BODY), 0.1)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert [step.error_type for step in steps] == ["connection", "cancelled"]
    assert len(watcher.settled) == len(watcher.asked) == 2


def test_a_lower_ceiling_and_another_model_are_what_is_sent(
    provider: FakeProvider, steps: list[Any], watcher: Watcher
) -> None:
    sent: list[dict[str, Any]] = []
    transport = httpx2.MockTransport(
        lambda request: sent.append(json.loads(request.content)) or httpx2.Response(200, json={})
    )
    watcher.clamp, watcher.swap = 7, "gpt-4o-mini"
    with httpx2.Client(transport=transport) as client:
        client.post("https://gateway.example" + CHAT, json={**BODY, "max_tokens": 50})
        client.post("https://gateway.example" + CHAT, json={**BODY, "max_tokens": 3})
        client.post("https://gateway.example/v1/responses", json={"model": "gpt-5", "input": "parcel"})
    assert [body.get("max_tokens", body.get("max_output_tokens")) for body in sent] == [7, 3, 7]
    assert {body["model"] for body in sent} == {"gpt-4o-mini"}
    assert sent[0]["messages"] == BODY["messages"]
    assert [step.model_requested for step in steps] == ["gpt-4o-mini"] * 3


def test_a_signed_request_cannot_be_changed(steps: list[Any], watcher: Watcher) -> None:
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, json={"usage": {"inputTokens": 1, "outputTokens": 2}})
    )
    with httpx2.Client(transport=transport) as client:
        client.post(
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-pro/converse", json={"messages": []}
        )
    (call,) = watcher.asked
    assert (call.can_clamp, call.can_swap, call.clamp(5), call.swap("x")) == (False, False, False, False)


def test_a_refused_call_is_never_sent_and_its_client_is_answered(
    provider: FakeProvider, steps: list[Any], watcher: Watcher
) -> None:
    watcher.refusal = RefusedError("team search has 0.00 USD left this month", hint="ask for an exception")
    response = httpx2.post(url(provider, "refused"), json=BODY)
    assert response.status_code == 402
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["content-type"] == "application/problem+json"
    said = response.json()
    assert (said["title"], said["hint"]) == ("team search has 0.00 USD left this month", "ask for an exception")
    assert not provider.of("refused")
    assert (steps, watcher.settled) == ([], [])


def test_those_who_let_a_refused_call_pass_get_it_back(
    provider: FakeProvider, steps: list[Any], watcher: Watcher
) -> None:
    second = Watcher(refusal=RefusedError("no"))
    unregister = gate.register(second)
    try:
        assert httpx2.post(url(provider, "second"), json=BODY).status_code == 402
    finally:
        unregister()
    assert watcher.settled == [(watcher.asked[0], [])]
    assert second.settled == []


def test_a_stream_is_cut_where_the_gate_says_and_the_text_so_far_stays(
    provider: FakeProvider, steps: list[Any], watcher: Watcher
) -> None:
    watcher.cut_above = 2
    with httpx2.stream("POST", url(provider, "cut"), json=STREAM) as response:
        text = "".join(response.iter_text())
    assert 1 <= text.count("hello") < 6
    (step,) = steps
    assert (step.error_type, step.http_status, step.tags["usage_gap"]) == ("budget", 200, "cut")
    assert step.tags["outlay.usage.basis"] == "estimated"
    assert step.tokens["output_tokens"] == watcher.settled[0][0].output_tokens_seen, "what it was settled by"
    assert watcher.settled[0][0].output_tokens_seen > 2


class Patient(Watcher):
    """A gate that waits for its answer without holding up anybody else."""

    async def before_async(self, call: PendingCall) -> None:
        await asyncio.sleep(0.05)
        self.before(call)


def test_an_async_client_waits_without_blocking_the_loop(provider: FakeProvider, steps: list[Any]) -> None:
    patient = Patient()
    unregister = gate.register(patient)
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.005)
            ticks.append(1)

    async def send() -> int:
        ticking = asyncio.create_task(tick())
        async with httpx2.AsyncClient() as client:
            response = await client.post(url(provider, "patient"), json=BODY)
            waited = len(ticks)
            waiting = asyncio.create_task(client.post(url(provider, "patient"), json=BODY))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        ticking.cancel()
        assert waited > 2
        return response.status_code

    try:
        assert asyncio.run(send()) == 200
    finally:
        unregister()
    assert len(steps) == len(patient.settled) == len(patient.asked) == 1, (
        "a call cancelled while it waits is never sent"
    )


def test_a_broken_gate_stops_no_agent(provider: FakeProvider, steps: list[Any], watcher: Watcher) -> None:
    watcher.refusal = ZeroDivisionError()
    assert httpx2.post(url(provider, "broken"), json=BODY).status_code == 200
    assert len(steps) == 1
    assert watcher.settled == []


def test_usage_is_asked_for_only_where_the_settings_say_so(provider: FakeProvider, steps: list[Any]) -> None:
    unasked = {**BODY, "stream": True}
    texts: list[str] = []
    for run, wanted in (("unasked", False), ("asked", True)):
        wire.install(hosts={"127.0.0.1": "openai"}, include_usage=wanted)
        with httpx2.stream("POST", url(provider, run), json=unasked) as response:
            texts.append("".join(response.iter_text()))
    assert [line.include_usage for run in ("unasked", "asked") for line in provider.of(run)] == [False, True]
    assert [step.tags.get("usage_gap") for step in steps] == ["not asked for", None]
    assert steps[1].tokens["input_tokens"] == provider.of("asked")[0].input_tokens
    unlike = [re.sub(r'chatcmpl-\d+|, "usage": null', "", text) for text in texts]
    assert unlike[0] == unlike[1], "the agent sees the stream it asked for"


def test_usage_an_agent_asked_for_stays_in_its_stream(provider: FakeProvider, steps: list[Any]) -> None:
    wire.install(hosts={"127.0.0.1": "openai"}, include_usage=True)
    with httpx2.stream("POST", url(provider, "own"), json=STREAM) as response:
        assert '"usage": {' in "".join(response.iter_text())


@given(sizes=piece_sizes(), ending=st.sampled_from([b"\n\n", b"\r\n\r\n"]))
def test_only_the_event_with_nothing_but_usage_is_hidden(sizes: list[int], ending: bytes) -> None:
    shown = [b'data: {"choices":[{"delta":{"content":"\\"usage\\":{ \\"choices\\":[]"}}],"usage":null}', b": ping"]
    last = [b'data: {"choices":[{"delta":{}}],"usage":{"total_tokens":3}}', b"data: [DONE]", b"data: half an event"]
    hidden = b'data: {"id":"x","choices": [],"usage": {"total_tokens":3}}'
    body = ending.join([*shown, hidden, *last])
    hiding, given_on, at, turn = Hiding(), b"", 0, 0
    while at < len(body):
        given_on += hiding.pass_on(body[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    assert given_on + hiding.rest() == ending.join([*shown, *last])
