"""Other processes and services: the session is told to one's own, by environment or header, and to nobody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

import pytest

import outlay
from outlay.core.errors import InputError
from outlay.sdk import headers, processes
from outlay.sdk.context import HEADER
from sdk_facts import Fact

Recorded = Callable[[], list[Fact]]

CHILD = "import outlay\nwith outlay.agent('child'):\n    pass\n"


def test_a_child_process_opens_child_sessions(recorded: Recorded) -> None:
    with outlay.session(team="a", id="parent", task="t"):
        subprocess.run([sys.executable, "-c", CHILD], env={**os.environ, **outlay.environment()}, check=True)
    facts = {fact["name"]: fact for fact in recorded()}
    child, parent = facts["child"], facts["session"]
    assert (child["team"], child["parent_session_id"], child["task_id"]) == ("a", "parent", "t")
    assert child["parent_key"] == parent["fact_key"]


def test_popen_tells_it_by_itself_where_that_was_asked_for(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_fitted", [])
    monkeypatch.setattr(subprocess.Popen, "__init__", subprocess.Popen.__init__)
    outlay.init(instrument=False, runtime=False, subprocesses=True)
    show = "import os; print(os.environ.get('OUTLAY_CONTEXT', ''))"
    command = [sys.executable, "-c", show]
    with outlay.session(team="a", id="parent"):
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        own = {**os.environ, "OUTLAY_CONTEXT": "session=mine"}
        kept = subprocess.run(command, capture_output=True, text=True, check=True, env=own).stdout
    outside = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "session=parent" in told
    assert (kept.strip(), outside.strip()) == ("session=mine", "")


def test_what_else_reports_by_opentelemetry_is_told_too(spool: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=1,outlay.team=old")
    with outlay.session(team="a, b", id="s1", user="u 5"):
        said = outlay.environment()["OTEL_RESOURCE_ATTRIBUTES"]
    assert said == "service.version=1,outlay.team=a%2C%20b,outlay.session.parent_id=s1,outlay.user=u%205"
    assert "session" not in outlay.environment()["OUTLAY_CONTEXT"]


def test_a_process_without_tags_or_session_tells_nothing(spool: object) -> None:
    assert outlay.environment() == {}


def test_the_environment_tags_a_process_without_a_line_of_code(spool: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from outlay.sdk import setup

    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team.id=weak,deployment.environment.name=prod")
    monkeypatch.setenv("OUTLAY_TAGS", "team=strong, tier=pro,region=eu%2C1,nonsense")
    setup.forget()
    envelope = outlay.current_envelope()
    assert (envelope.team, envelope.user_tier, envelope.environment) == ("strong", "pro", "prod")
    assert envelope.tags == {"region": "eu,1"}


# ---- headers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def allowed(spool: object) -> Iterable[None]:
    headers.allow(["tools.example.com", "*.internal", "localhost:9000", "https://mcp.example.com/mcp"])
    yield
    headers.allow(())


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://tools.example.com/x", True),
        ("http://tools.example.com:8080/x", True),
        ("https://a.b.internal", True),
        ("http://localhost:9000/", True),
        ("https://user@MCP.example.com/mcp?x=1", True),
        ("http://localhost:9001/", False),
        ("https://example.com/tools.example.com", False),
        ("https://tools.example.com.evil.net", False),
        ("https://api.openai.com/v1/chat/completions", False),
        ("", False),
    ],
)
def test_only_named_destinations_are_told(allowed: None, address: str, told: bool) -> None:
    assert outlay.headers(address) == {}
    with outlay.session(team="a", id="s1"):
        assert (HEADER in outlay.headers(address)) is told


def test_no_vendor_is_ever_told_whatever_is_allowed(spool: object) -> None:
    aliases = tomllib.loads((files("outlay.normalize") / "data" / "aliases.toml").read_text(encoding="utf-8"))
    headers.allow(["*"])
    try:
        with outlay.session(team="a"):
            assert outlay.headers("https://own.example.com")
            assert not [host for host in aliases["hosts"] if outlay.headers(f"https://{host}/v1")]
    finally:
        headers.allow(())
    for wrong in ("api.openai.com", "https://bedrock-runtime.eu-central-1.amazonaws.com", " "):
        with pytest.raises(InputError):
            outlay.init(instrument=False, destinations=[wrong])


def test_a_service_goes_on_in_the_session_of_its_caller(recorded: Recorded) -> None:
    with outlay.session(team="a", id="s1"):
        text = outlay.carrier()

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(0)
        outlay.usage("asgi", "tool")

    def wsgi(_environ: Any, _start: Any) -> Iterable[bytes]:
        outlay.usage("wsgi", "tool")
        yield b"part"
        outlay.usage("wsgi later", "tool")

    asyncio.run(outlay.asgi(app)({"headers": [(HEADER.encode(), text.encode())]}, None, None))  # type: ignore[arg-type]
    asyncio.run(outlay.asgi(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert list(outlay.wsgi(wsgi)({"HTTP_OUTLAY_CONTEXT": text}, None)) == [b"part"]
    with outlay.attached_headers({"Outlay-Context": text}):
        outlay.usage("by hand", "tool")
    outlay.usage("outside", "tool")
    facts = [fact for fact in recorded() if fact["operation"] == "tool"]
    assert [(fact["name"], fact["session_id"]) for fact in facts] == [
        ("asgi", "s1"),
        ("asgi", None),
        ("wsgi", "s1"),
        ("wsgi later", "s1"),
        ("by hand", "s1"),
        ("outside", None),
    ]
