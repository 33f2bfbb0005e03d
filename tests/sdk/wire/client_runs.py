"""Real clients against the fake provider, in an environment of their own: `client_runs.py PORT GROUP` prints what was
metered.

Every run sends to an address of its own, so that the provider's bill says what it cost. A run may raise; what it raised
is printed beside its steps, never a traceback.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from outlay.sdk import gate, recorder, wire

PATIENCE_SECONDS = 0.25
MESSAGES = [{"role": "user", "content": "where is my parcel"}]
CONVERSE = [{"role": "user", "content": [{"text": "where is my parcel"}]}]
USAGE = {"include_usage": True}

RUNS: dict[str, dict[str, tuple[str, Callable[[str], Any]]]] = {}


def run(group: str, plan: str) -> Callable[[Callable[[str], Any]], Callable[[str], Any]]:
    """A run of a group: sent to `/<group>-<name>/<plan>`."""

    def take(function: Callable[[str], Any]) -> Callable[[str], Any]:
        RUNS.setdefault(group, {})[function.__name__] = (plan, function)
        return function

    return take


# ------------------------------------------------------------------------------------------------------------- openai


def openai(url: str, **more: Any) -> Any:
    return importlib.import_module("openai").OpenAI(api_key="k", base_url=f"{url}/v1", **more).chat.completions


def openai_async(url: str, **more: Any) -> Any:
    return importlib.import_module("openai").AsyncOpenAI(api_key="k", base_url=f"{url}/v1", **more).chat.completions


@run("openai", "ok")
def plain(url: str) -> None:
    openai(url).create(model="gpt-4o", messages=MESSAGES)


@run("openai", "zip")
def packed(url: str) -> None:
    openai(url).create(model="gpt-4o", messages=MESSAGES)


@run("openai", "429.500.ok")
def retried(url: str) -> None:
    openai(url).create(model="gpt-4o", messages=MESSAGES)


@run("openai", "500")
def three_by_three(url: str) -> None:
    """An application that tries three times over a client that tries three times."""
    library = importlib.import_module("openai")
    for _ in range(3):
        try:
            openai(url).create(model="gpt-4o", messages=MESSAGES)
        except library.InternalServerError:
            continue


@run("openai", "ok")
def streamed(url: str) -> None:
    assert list(openai(url).create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=USAGE))


@run("openai", "zip")
def streamed_packed(url: str) -> None:
    assert list(openai(url).create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=USAGE))


@run("openai", "ok")
def streamed_unasked(url: str) -> None:
    assert list(openai(url).create(model="gpt-4o", messages=MESSAGES, stream=True))


@run("openai", "slow.ok")
def timed_out(url: str) -> None:
    openai(url, timeout=PATIENCE_SECONDS).create(model="gpt-4o", messages=MESSAGES)


@run("openai", "drop")
def dropped(url: str) -> None:
    list(openai(url, max_retries=0).create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=USAGE))


@run("openai", "wait")
def closed(url: str) -> None:
    with openai(url).create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=USAGE) as stream:
        next(iter(stream))


@run("openai", "wait")
def forgotten(url: str) -> None:
    """A stream that nobody reads, closes or holds."""
    openai(url).create(model="gpt-4o", messages=MESSAGES, stream=True)


@run("openai", "ok")
def in_threads(url: str) -> None:
    chat = openai(url)
    threads = [threading.Thread(target=lambda: chat.create(model="gpt-4o", messages=MESSAGES)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@run("openai", "ok")
async def side_by_side(url: str) -> None:
    chat = openai_async(url)
    await asyncio.gather(*(chat.create(model="gpt-4o", messages=MESSAGES) for _ in range(8)))


@run("openai", "ok")
async def streamed_async(url: str) -> None:
    async for _ in await openai_async(url).create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=USAGE):
        pass


@run("openai", "wait")
async def cancelled(url: str) -> None:
    began = asyncio.Event()

    async def read() -> None:
        async for _ in await openai_async(url).create(model="gpt-4o", messages=MESSAGES, stream=True):
            began.set()

    reading = asyncio.create_task(read())
    await began.wait()  # on a busy machine patience would run out before anything was sent
    await asyncio.wait_for(reading, PATIENCE_SECONDS)


@run("openai", "ok")
def embedded(url: str) -> None:
    library = importlib.import_module("openai")
    library.OpenAI(api_key="k", base_url=f"{url}/v1").embeddings.create(model="text-embedding-3-small", input="parcel")


@run("openai", "ok")
def with_raw_response(url: str) -> None:
    with openai(url).with_streaming_response.create(model="gpt-4o", messages=MESSAGES) as response:
        assert "usage" in "".join(response.iter_text())


@run("openai", "ok")
async def over_aiohttp(url: str) -> None:
    """The client over another library's transport: two layers, one fact."""
    library = importlib.import_module("openai")
    async with library.DefaultAioHttpClient() as http:
        client = library.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", http_client=http)
        await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)


@run("openai", "ok")
def unreachable(url: str) -> None:
    openai("http://127.0.0.1:9", max_retries=1).create(model="gpt-4o", messages=MESSAGES)


# ---------------------------------------------------------------------------------------------------------- anthropic


def anthropic(url: str, **more: Any) -> Any:
    return importlib.import_module("anthropic").Anthropic(api_key="k", base_url=url, **more).messages


ASKED: dict[str, Any] = {"model": "claude-opus-5", "max_tokens": 64, "messages": MESSAGES}


@run("anthropic", "529.ok")
def message(url: str) -> None:
    anthropic(url).create(**ASKED)


@run("anthropic", "zip")
def message_streamed(url: str) -> None:
    with anthropic(url).stream(**ASKED) as stream:
        assert stream.get_final_message().usage.output_tokens


@run("anthropic", "wait")
def message_closed(url: str) -> None:
    """The input is known from the first event on."""
    with anthropic(url).create(**ASKED, stream=True) as stream:
        next(iter(stream))


@run("anthropic", "ok")
async def message_async(url: str) -> None:
    client = importlib.import_module("anthropic").AsyncAnthropic(api_key="k", base_url=url)
    async with client.messages.stream(**ASKED) as stream:
        await stream.get_final_message()


# ------------------------------------------------------------------------------------------------------------- google


def google(url: str) -> Any:
    options = {"base_url": url, "retry_options": {"attempts": 3, "initial_delay": 0.01}}
    return importlib.import_module("google.genai").Client(api_key="k", http_options=options)


@run("google", "503.ok")
def generated(url: str) -> None:
    client = google(url)
    client.models.generate_content(model="gemini-2.5-pro", contents="parcel")


@run("google", "ok")
def generated_stream(url: str) -> None:
    client = google(url)
    assert list(client.models.generate_content_stream(model="gemini-2.5-pro", contents="parcel"))


@run("google", "ok")
async def generated_async(url: str) -> None:
    await google(url).aio.models.generate_content(model="gemini-2.5-pro", contents="parcel")


@run("google", "zip")
async def generated_stream_async(url: str) -> None:
    async for _ in await google(url).aio.models.generate_content_stream(model="gemini-2.5-pro", contents="parcel"):
        pass


# -------------------------------------------------------------------------------------------------------------- boto3


def bedrock(url: str) -> Any:
    config = importlib.import_module("botocore.config").Config(retries={"max_attempts": 4, "mode": "standard"})
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "eu-west-1"}
    return importlib.import_module("boto3").client("bedrock-runtime", endpoint_url=url, config=config, **keys)


@run("boto3", "429.500.ok")
def conversed(url: str) -> None:
    bedrock(url).converse(modelId="amazon.nova-pro-v1:0", messages=CONVERSE)


@run("boto3", "ok")
def conversed_stream(url: str) -> None:
    assert list(bedrock(url).converse_stream(modelId="amazon.nova-pro-v1:0", messages=CONVERSE)["stream"])


@run("boto3", "wait")
def conversed_closed(url: str) -> None:
    stream = bedrock(url).converse_stream(modelId="amazon.nova-pro-v1:0", messages=CONVERSE)["stream"]
    next(iter(stream))
    stream.close()


# ------------------------------------------------------------------------------------------------------------ litellm


@run("litellm", "500.ok")
def completed(url: str) -> None:
    litellm = importlib.import_module("litellm")
    litellm.completion(model="openai/gpt-4o", messages=MESSAGES, api_key="k", base_url=f"{url}/v1", num_retries=2)


@run("litellm", "ok")
def completed_anthropic(url: str) -> None:
    litellm = importlib.import_module("litellm")
    asked = {"model": "anthropic/claude-opus-5", "messages": MESSAGES, "api_key": "k", "api_base": url}
    assert list(litellm.completion(**asked, stream=True))


@run("litellm", "ok")
async def completed_async(url: str) -> None:
    litellm = importlib.import_module("litellm")
    await litellm.acompletion(model="openai/gpt-4o", messages=MESSAGES, api_key="k", base_url=f"{url}/v1")


@run("litellm", "ok")
async def completed_anthropic_async(url: str) -> None:
    """LiteLLM's own transport: httpx above, aiohttp below."""
    litellm = importlib.import_module("litellm")
    asked = {"model": "anthropic/claude-opus-5", "messages": MESSAGES, "api_key": "k", "api_base": url}
    async for _ in await litellm.acompletion(**asked, stream=True):
        pass


# ------------------------------------------------------------------------------------------------------ plain clients

CHAT = "/v1/chat/completions"
BODY = {"model": "gpt-4o", "messages": MESSAGES}
STREAM = {**BODY, "stream": True, "stream_options": USAGE}


@run("plain", "ok")
def requests_plain(url: str) -> None:
    assert importlib.import_module("requests").post(url + CHAT, json=BODY).json()["id"]


@run("plain", "zip")
def requests_stream(url: str) -> None:
    with importlib.import_module("requests").post(url + CHAT, json=STREAM, stream=True) as response:
        assert list(response.iter_lines())[-2] == b"data: [DONE]"


@run("plain", "wait")
def requests_closed(url: str) -> None:
    with importlib.import_module("requests").post(url + CHAT, json=STREAM, stream=True) as response:
        next(response.iter_content(50))


@run("plain", "drop")
def requests_dropped(url: str) -> None:
    list(importlib.import_module("requests").post(url + CHAT, json=STREAM, stream=True).iter_lines())


@run("plain", "slow")
def requests_timed_out(url: str) -> None:
    importlib.import_module("requests").post(url + CHAT, json=STREAM, timeout=PATIENCE_SECONDS)


@run("plain", "429.500.ok")
def urllib3_retries(url: str) -> None:
    urllib3 = importlib.import_module("urllib3")
    retry = urllib3.Retry(3, status_forcelist=[429, 500], allowed_methods=None, backoff_factor=0)
    assert urllib3.PoolManager(retries=retry).request("POST", url + CHAT, json=BODY).json()["id"]


@run("plain", "zip")
def urllib3_text(url: str) -> None:
    """Read as a file, as many libraries do."""
    io = importlib.import_module("io")
    urllib3 = importlib.import_module("urllib3")
    response = urllib3.PoolManager().request("POST", url + CHAT, json=STREAM, preload_content=False)
    assert list(io.TextIOWrapper(response))[-2] == "data: [DONE]\n"


@run("plain", "ok")
def httpx_stream(url: str) -> None:
    with importlib.import_module("httpx").stream("POST", url + CHAT, json=STREAM) as response:
        assert list(response.iter_lines())[-2] == "data: [DONE]"


@run("plain", "500.ok")
def httpx_own_retries(url: str) -> None:
    """A transport that tries again by itself."""
    httpx = importlib.import_module("httpx")

    class Again(httpx.BaseTransport):
        def __init__(self) -> None:
            self.below = httpx.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            response = self.below.handle_request(request)
            while response.status_code >= 500:
                response.close()
                response = self.below.handle_request(request)
            return response

    assert httpx.Client(transport=Again()).post(url + CHAT, json=BODY).json()["id"]


@run("plain", "zip")
async def aiohttp_lines(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession() as session, session.post(url + CHAT, json=STREAM) as response:
        assert [line async for line in response.content][-2] == b"data: [DONE]\n"


@run("plain", "ok")
async def aiohttp_json(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with (
        aiohttp.ClientSession(url + "/") as session,
        session.post("v1/chat/completions", data=json.dumps(BODY)) as response,
    ):
        assert (await response.json())["id"]


@run("plain", "drop")
async def aiohttp_dropped(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession() as session, session.post(url + CHAT, json=STREAM) as response:
        await response.read()


@run("plain", "wait")
async def aiohttp_cancelled(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession() as session, session.post(url + CHAT, json=STREAM) as response:
        await asyncio.wait_for(response.read(), PATIENCE_SECONDS)


@run("plain", "slow")
async def aiohttp_timed_out(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_SECONDS)) as session:
        await session.post(url + CHAT, json=BODY)


@run("plain", "500")
async def aiohttp_unread(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession() as session, session.post(url + CHAT, json=BODY):
        pass


# ------------------------------------------------------------------------------------------------- a gate that refuses


class Closed:
    """A budget that is used up."""

    def before(self, call: Any) -> None:
        raise gate.RefusedError("team support has 0.00 USD left this month", hint="ask for an exception")

    def on_chunk(self, call: Any, output_tokens: int) -> bool:
        return True

    def settle(self, call: Any, steps: Any) -> None:
        """Nothing was sent."""


@run("refused", "ok")
def refused_openai(url: str) -> None:
    openai(url).create(model="gpt-4o", messages=MESSAGES)


@run("refused", "ok")
async def refused_anthropic(url: str) -> None:
    await importlib.import_module("anthropic").AsyncAnthropic(api_key="k", base_url=url).messages.create(**ASKED)


@run("refused", "ok")
def refused_google(url: str) -> None:
    client = google(url)
    client.models.generate_content(model="gemini-2.5-pro", contents="parcel")


@run("refused", "ok")
def refused_boto3(url: str) -> None:
    bedrock(url).converse(modelId="amazon.nova-pro-v1:0", messages=CONVERSE)


@run("refused", "ok")
def refused_requests(url: str) -> None:
    importlib.import_module("requests").post(url + CHAT, json=BODY).raise_for_status()


@run("refused", "ok")
async def refused_aiohttp(url: str) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession() as session:
        await session.post(url + CHAT, json=BODY)


def plain_of(step: Any) -> dict[str, Any]:
    """A step without its context and ids."""
    apart = {"context", "trace_id", "span_id", "parent_span_id"}
    return {name: value for name, value in step.fields().items() if name not in apart}


def main(port: str, group: str) -> None:
    """Runs one group and prints `{run: {"steps": […], "raised": "…"}}`."""
    found: dict[str, Any] = {}
    steps: list[Any] = []
    recorder.record = steps.append
    wire.install(hosts={"127.0.0.1": "aws.bedrock" if group == "rerank" else "openai"})
    if group == "refused":
        gate.register(Closed())
    for name, (plan, function) in RUNS[group].items():
        raised = ""
        try:
            made = function(f"http://127.0.0.1:{port}/{group}-{name}/{plan}")
            if inspect.iscoroutine(made):
                asyncio.run(made)
        except Exception as error:  # noqa: BLE001 - a run may raise, see above
            raised = f"{type(error).__name__}: {error}"
        gc.collect()
        found[name] = {"raised": raised, "steps": [plain_of(step) for step in steps]}
        steps.clear()
    sys.stdout.write("\n" + json.dumps(found, default=str) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
