"""Installing: clients are patched where they are and when they come, and are as they were afterwards."""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fake_provider import FakeProvider

from conftest import BODY, CHAT, STREAM
from outlay.sdk import wire
from outlay.sdk.wire import fetched
from outlay.sdk.wire.attempts import REMEMBERED_MAX, Failures, Identity
from outlay.sdk.wire.exchange import kind_of
from outlay.sdk.wire.patching import patch, restore

SOURCE = Path(__file__).resolve().parents[3] / "src"


def run_alone(script: str) -> str:
    """What a script prints in a fresh interpreter."""
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n" + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_nothing_is_imported_for_the_sake_of_patching() -> None:
    script = """
        from outlay.sdk import wire
        wire.install()
        heavy = {"httpx", "httpx2", "aiohttp", "urllib3", "requests", "botocore", "asyncio", "tomllib", "importlib.abc"}
        print(sorted(heavy & set(sys.modules)))
    """
    assert run_alone(script) == "[]"


def test_a_client_that_comes_later_is_patched_and_keeps_its_loader() -> None:
    script = """
        from outlay.sdk import wire
        wire.install()
        import httpx2
        client = sys.modules["httpx2._client"]
        print(hasattr(httpx2.HTTPTransport.handle_request, "__outlay_wire__"), type(client.__spec__.loader).__name__)
        wire.uninstall()
        print(hasattr(httpx2.HTTPTransport.handle_request, "__outlay_wire__"), wire._watcher in sys.meta_path)
    """
    assert run_alone(script).split("\n") == ["True SourceFileLoader", "False False"]


def test_installing_twice_meters_once(provider: FakeProvider, steps: list[Any]) -> None:
    wire.install(hosts={"127.0.0.1": "openai"})
    httpx2.post(f"http://127.0.0.1:{provider.port}/twice/ok{CHAT}", json=BODY)
    assert len(steps) == 1


def test_after_uninstalling_nothing_is_metered(provider: FakeProvider, steps: list[Any]) -> None:
    wire.uninstall()
    httpx2.post(f"http://127.0.0.1:{provider.port}/gone/ok{CHAT}", json=BODY)
    assert not steps


def test_the_bytes_are_the_callers_own(provider: FakeProvider, steps: list[Any]) -> None:
    address = f"http://127.0.0.1:{provider.port}/bytes/zip{CHAT}"
    with httpx2.stream("POST", address, json=STREAM) as metered:
        raw = b"".join(metered.iter_raw())
    assert metered.headers["content-encoding"] == "gzip"
    assert raw[:2] == b"\x1f\x8b"
    assert metered.elapsed.total_seconds() > 0
    with httpx2.stream("POST", address, json=STREAM) as metered:
        lines = list(metered.iter_lines())
    assert lines[-2:] == ["data: [DONE]", ""]
    assert len(steps) == 2


def test_an_answer_can_still_be_pickled(provider: FakeProvider, steps: list[Any]) -> None:
    response = httpx2.post(f"http://127.0.0.1:{provider.port}/pickle/ok{CHAT}", json=BODY)
    assert pickle.loads(pickle.dumps(response)).json() == response.json()


def test_an_answer_nobody_holds_is_written_down_as_cut(provider: FakeProvider, steps: list[Any]) -> None:
    client = httpx2.Client()
    request = client.build_request("POST", f"http://127.0.0.1:{provider.port}/dropped/wait{CHAT}", json=STREAM)
    client.send(request, stream=True)
    gc.collect()
    assert [step.error_type for step in steps] == ["closed_early"]
    client.close()


def test_a_transport_of_ones_own_is_metered(steps: list[Any]) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.25}
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, json={"id": "m", "model": "z", "usage": usage})
    )
    with httpx2.Client(transport=transport) as client:
        assert client.post("https://openrouter.ai/api/v1/chat/completions", json=BODY).json()["usage"] == usage
        client.post("https://example.org/v1/orders", json=BODY)
    (step,) = steps
    assert (step.provider, step.tokens, str(step.cost), step.currency, step.cost_source) == (
        "openrouter",
        {"input_tokens": 3, "output_tokens": 4},
        "0.25",
        "USD",
        "provider",
    )


def answering(content: dict[str, Any]) -> httpx2.MockTransport:
    """A transport that always gives this answer."""
    return httpx2.MockTransport(lambda request: httpx2.Response(200, json=content))


def test_a_form_names_its_model(steps: list[Any]) -> None:
    with httpx2.Client(transport=answering({"text": "x", "usage": {"type": "duration", "seconds": 3}})) as client:
        files = {"file": ("speech.wav", b"RIFF" * 100)}
        client.post("https://api.openai.com/v1/audio/transcriptions", files=files, data={"model": "whisper-1"})
    assert [(step.model_requested, step.units) for step in steps] == [("whisper-1", {"audio_ms": 3000})]


def test_speech_is_counted_in_characters(steps: list[Any]) -> None:
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, content=b"ID3", headers={"content-type": "audio/mpeg"})
    )
    with httpx2.Client(transport=transport) as client:
        client.post("https://api.openai.com/v1/audio/speech", json={"model": "tts-1", "input": "hello world"})
    assert [(step.model_requested, step.units) for step in steps] == [("tts-1", {"characters": 11})]


def test_a_model_that_judges_is_a_check(steps: list[Any]) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    with httpx2.Client(transport=answering({"model": "meta-llama/Llama-Guard-4-12B", "usage": usage})) as client:
        client.post("https://api.together.xyz/v1/chat/completions", json={"model": "meta-llama/Llama-Guard-4-12B"})
    assert [(step.operation, step.provider) for step in steps] == [("guardrail", "together")]


class Wrapped:
    """How tracing libraries wrap methods: an object that must be bound before it is called."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def __get__(self, instance: Any, owner: Any) -> Any:
        return lambda *args: self.method(instance, *args)


def test_a_method_somebody_else_has_wrapped_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        send = Wrapped(lambda self, request: (type(self).__name__, request))

    patch(Client, "send", lambda original: lambda self, request: ("metered", *original(self, request)))
    assert Client().send("x") == ("metered", "Client", "x")
    restore()
    assert Client().send("x") == ("Client", "x")


def test_guardrails_inside_a_call_are_facts_of_their_own(steps: list[Any]) -> None:
    usage = {"topicPolicyUnits": 1, "wordPolicyUnits": 2}
    trace = {"guardrail": {"inputAssessment": {"gr": {"invocationMetrics": {"usage": usage}}}}}
    answer = {"usage": {"inputTokens": 1, "outputTokens": 2}, "stopReason": "end_turn", "trace": trace}
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=answer))
    with httpx2.Client(transport=transport) as client:
        client.post("https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-pro/converse", content=b"{}")
    assert [(step.operation, step.model_served, step.units, step.region) for step in steps] == [
        ("chat", "", {}, "eu-west-1"),
        ("guardrail", "bedrock-guardrails-topic", {"policy_units": 1}, "eu-west-1"),
        ("guardrail", "bedrock-guardrails-word", {"free_policy_units": 2}, "eu-west-1"),
    ]


def test_batch_results_are_calls_at_the_batch_price(steps: list[Any]) -> None:
    body = {
        "id": "c1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "usage": {"prompt_tokens": 2, "completion_tokens": 3},
    }
    lines = [{"custom_id": str(n), "response": {"status_code": 200, "body": {**body, "id": f"c{n}"}}} for n in range(3)]
    content = "\n".join(json.dumps(line) for line in lines)
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text=content))
    with httpx2.Client(transport=transport) as client:
        client.get("https://api.openai.com/v1/files/file-1/content")
    assert [(step.processing, step.response_id, step.tokens["input_tokens"]) for step in steps] == [
        ("batch", f"c{n}", 2) for n in range(3)
    ]


def test_a_background_answer_is_charged_once_when_it_is_found_finished(steps: list[Any]) -> None:
    fetched._waiting.clear()
    usage = {"input_tokens": 5, "output_tokens": 6}
    answers = [
        {"id": "resp_1", "status": "queued", "model": "gpt-5"},
        {"id": "resp_1", "status": "in_progress", "model": "gpt-5"},
        *[{"id": "resp_1", "status": "completed", "model": "gpt-5", "usage": usage}] * 2,
    ]
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=answers.pop(0)))
    with httpx2.Client(transport=transport) as client:
        client.post("https://api.openai.com/v1/responses", json={"model": "gpt-5", "input": "x", "background": True})
        for _ in range(3):
            client.get("https://api.openai.com/v1/responses/resp_1")
    assert [step.tokens for step in steps] == [{"input_tokens": 5, "output_tokens": 6}]


def identity(session: str, body: str) -> Identity:
    return Identity(session, "POST", "h:443/p", body.encode())


def test_a_failure_explains_one_repetition() -> None:
    failures, one = Failures(), identity("s", "body")
    assert failures.take(one) == (0, "")
    failures.remember(one, 0, "429")
    assert failures.take(identity("other", "body")) == (0, "")
    assert failures.take(identity("s", "other")) == (0, "")
    assert failures.take(one) == (1, "429")
    assert failures.take(one) == (0, "")
    for number in range(2 * REMEMBERED_MAX):
        failures.remember(identity("s", str(number)), 0, "500")
    assert len(failures._held) == REMEMBERED_MAX
    assert failures.take(identity("s", "0")) == (0, ""), "the oldest is forgotten first"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (httpx2.ReadTimeout("x"), "timeout"),
        (httpx2.ConnectError("x"), "connection"),
        (httpx2.RemoteProtocolError("x"), "connection"),
        (ConnectionResetError(), "connection"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_errors_have_stable_words(error: BaseException, kind: str) -> None:
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    "part",
    [
        "outlay.sdk.wire.layers.request_of",
        "outlay.sdk.wire.exchange.write",
        "outlay.sdk.wire.exchange.rewriting.asks_usage",
        "outlay.sdk.wire.httpx_client.wanted",
        "outlay.sdk.bodies.reader.headers.read",
        "outlay.sdk.bodies.reader.Reader._take",
    ],
)
def test_a_fault_of_ours_is_not_the_agents(
    provider: FakeProvider, steps: list[Any], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(part, broken)
    wire.install(hosts={"127.0.0.1": "openai"}, include_usage=True)
    address = f"http://127.0.0.1:{provider.port}/fault/ok{CHAT}"
    assert httpx2.post(address, json=BODY).json()["id"]
    with httpx2.stream("POST", address, json={**BODY, "stream": True}) as response:
        assert list(response.iter_lines())[-2:] == ["data: [DONE]", ""]
