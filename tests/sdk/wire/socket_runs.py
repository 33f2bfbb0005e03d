"""OpenAI's own client over real sockets against a fake server of this process, in an environment of its own.

`socket_runs.py` prints, for each run, the bill of the server, the steps that were metered, and what the client raised.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from client_runs import plain_of
from openai import AsyncOpenAI, OpenAI
from websockets.sync.server import ServerConnection, serve

from outlay.sdk import gate, recorder, wire

USER: Any = [{"role": "user", "content": "where is my parcel"}]
RUNS: dict[str, Callable[[int], Any]] = {}
BILL: list[dict[str, Any]] = []
CEILINGS: list[Any] = []
_numbers = itertools.count(1)


def run(function: Callable[[int], Any]) -> Callable[[int], Any]:
    """One run; it is given the server's port."""
    RUNS[function.__name__] = function
    return function


# ------------------------------------------------------------------------------------------------------- the server


def usage_of(number: int, *, realtime: bool) -> dict[str, Any]:
    """Figures of which no two are alike."""
    asked: dict[str, Any] = {"cached_tokens": 100 + number, "audio_tokens": 10 + number}
    if realtime:
        asked["cached_tokens_details"] = {"text_tokens": 98 + number, "audio_tokens": 2}
    made = {"audio_tokens": 5 + number} if realtime else {"reasoning_tokens": 5 + number}
    word = "token_details" if realtime else "tokens_details"
    usage = {"input_tokens": 1000 + number, "output_tokens": 50 + number, "total_tokens": 1050 + 2 * number}
    return usage | {f"input_{word}": asked, f"output_{word}": made}


def answer(number: int, plan: str, *, realtime: bool, model: str) -> Iterator[dict[str, Any]]:
    """The events of one answer; only what is charged is on the bill."""
    head: dict[str, Any] = {"id": f"resp_{number}", "object": "response"} | ({} if realtime else {"model": model})
    yield {"type": "response.created", "response": {**head, "status": "in_progress"}}
    yield {"type": "response.output_text.delta", "response_id": head["id"], "delta": 'on "its" way\n'}
    if plan == "drop":
        return
    usage = usage_of(number, realtime=realtime)
    BILL.append({"id": head["id"], "model": model, "input": usage["input_tokens"], "output": usage["output_tokens"]})
    if not realtime:
        yield {"type": "response.completed", "response": {**head, "status": "completed", "usage": usage}}
        return
    status = {"interrupt": "cancelled", "fail": "failed"}.get(plan, "completed")
    details = {"interrupt": {"type": "cancelled", "reason": "turn_detected"}}
    details["fail"] = {"type": "failed", "error": {"type": "server_error", "code": "overloaded"}}
    yield {
        "type": "response.done",
        "response": {**head, "status": status, "status_details": details.get(plan), "usage": usage},
    }


def refusal(event: dict[str, Any], *, realtime: bool) -> dict[str, Any]:
    """An error that names the event it is about, or, on the Responses API, a status."""
    error = {"type": "invalid_request_error", "code": "rate_limit_exceeded", "message": "no"}
    if realtime:
        return {"type": "error", "event_id": "e", "error": {**error, "event_id": event.get("event_id")}}
    return {"type": "error", "status": 429, "error": error}


def speak(connection: ServerConnection) -> None:
    """Serves one connection."""
    path = connection.request.path if connection.request else ""
    realtime = "/realtime" in path
    model = "gpt-realtime"

    def say(event: dict[str, Any]) -> None:
        connection.send(json.dumps(event, indent=1))

    if realtime:
        heard = {"model": "gpt-4o-transcribe"}
        say({"type": "session.created", "session": {"model": model, "audio": {"input": {"transcription": heard}}}})
    for message in connection:
        event = json.loads(message)
        plan = str(event.get("instructions") or (event.get("response") or {}).get("instructions") or "")
        if event["type"] == "input_audio_buffer.commit":
            BILL.append({"id": "heard", "model": "gpt-4o-transcribe", "input": 31, "output": 7})
            usage = {"type": "tokens", "input_tokens": 31, "output_tokens": 7, "total_tokens": 38}
            said = "conversation.item.input_audio_transcription.completed"
            say({"type": said, "item_id": "i", "content_index": 0, "transcript": "where", "usage": usage})
        elif event["type"] != "response.create":
            continue
        if plan == "refuse":
            say(refusal(event, realtime=realtime))
            continue
        CEILINGS.append(event.get("max_output_tokens"))
        for told in answer(next(_numbers), plan, realtime=realtime, model=model if realtime else event["model"]):
            say(told)
        if plan == "drop":
            connection.socket.close()
            return


# --------------------------------------------------------------------------------------------------------- the client


def client(port: int) -> OpenAI:
    return OpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)


def until(connection: Any, *kinds: str) -> Any:
    """Reads until an event of these kinds."""
    for event in connection:
        if event.type in kinds:
            return event
    raise AssertionError(f"there was no {kinds}")


def talk(port: int, *plans: str) -> None:
    with client(port).realtime.connect(model="gpt-realtime", max_retries=0) as connection:
        for number, plan in enumerate(plans):
            connection.send(
                {"type": "response.create", "event_id": f"mine-{number}", "response": {"instructions": plan}}
            )
            until(connection, "response.done", "error")


@run
def realtime(port: int) -> None:
    talk(port, "ok", "ok")


@run
def realtime_interrupted(port: int) -> None:
    talk(port, "interrupt", "ok")


@run
def realtime_failed(port: int) -> None:
    talk(port, "fail", "refuse", "ok")


@run
def realtime_by_the_server(port: int) -> None:
    """The server hears that the user has ended, and answers by itself."""
    with client(port).realtime.connect(model="gpt-realtime", max_retries=0) as connection:
        connection.input_audio_buffer.append(audio="AAAA")
        connection.input_audio_buffer.commit()
        until(connection, "response.done")


@run
def realtime_dropped(port: int) -> None:
    talk(port, "drop")


@run
def realtime_closed(port: int) -> None:
    with client(port).realtime.connect(model="gpt-realtime", max_retries=0) as connection:
        connection.response.create(response={"instructions": "drop"})
        until(connection, "response.created")


@run
async def realtime_async(port: int) -> None:
    library = AsyncOpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    async with library.realtime.connect(model="gpt-realtime", max_retries=0) as connection:
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done":
                break


@run
def responses(port: int) -> None:
    with client(port).responses.connect(max_retries=0) as connection:
        for plan in ("ok", "refuse", "ok"):
            connection.response.create(model="gpt-4.1", input=USER, instructions=plan)
            until(connection, "response.completed", "error")


@run
async def responses_async(port: int) -> None:
    library = AsyncOpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    async with library.responses.connect(max_retries=0) as connection:
        await connection.response.create(model="gpt-4.1", input=USER)
        async for event in connection:
            if event.type == "response.completed":
                break


class Closed:
    """A budget that is used up."""

    def before(self, call: Any) -> None:
        raise gate.RefusedError("team support has 0.00 USD left this month", hint="ask for an exception")

    def on_chunk(self, call: Any, output_tokens: int) -> bool:
        return True

    def settle(self, call: Any, steps: Any) -> None:
        """Nothing was sent."""


class Lowering(Closed):
    """A budget that lets pass what is short."""

    def before(self, call: Any) -> None:
        assert call.clamp(17)


@run
def refused(port: int) -> None:
    unregister = gate.register(Closed())
    try:
        responses(port)
    finally:
        unregister()


@run
def lowered(port: int) -> None:
    unregister = gate.register(Lowering())
    try:
        with client(port).responses.connect(max_retries=0) as connection:
            connection.response.create(model="gpt-4.1", input=USER)
            until(connection, "response.completed")
    finally:
        unregister()


def main() -> None:
    """Runs them all."""
    steps: list[Any] = []
    recorder.record = steps.append
    wire.install(hosts={"127.0.0.1": "openai"})
    found: dict[str, Any] = {}
    with serve(speak, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        for name, function in RUNS.items():
            raised = ""
            try:
                made = function(port)
                if inspect.iscoroutine(made):
                    asyncio.run(made)
            except Exception as error:  # noqa: BLE001 - a run may raise
                raised = f"{type(error).__name__}: {error}"
            gc.collect()
            told = {"raised": raised, "bill": list(BILL), "ceilings": list(CEILINGS)}
            found[name] = told | {"steps": [plain_of(step) for step in steps]}
            for kept in (steps, BILL, CEILINGS):
                kept.clear()
    sys.stdout.write("\n" + json.dumps(found, default=str) + "\n")


if __name__ == "__main__":
    main()
