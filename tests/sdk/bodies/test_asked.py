"""What a request asks for, and whose address it goes to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.sdk.bodies.asked import PARSED_BYTES_MAX, read_request
from outlay.sdk.bodies.members import Members, members_of
from outlay.sdk.bodies.routes import Routes
from strategies import json_objects, piece_sizes


@pytest.mark.parametrize("padding", [0, 2 * PARSED_BYTES_MAX], ids=["small", "large"])
@pytest.mark.parametrize(
    ("body", "ceiling"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ({"max_output_tokens": 9}, 9),
        ({"generationConfig": {"maxOutputTokens": 10}}, 10),
        ({"inferenceConfig": {"maxTokens": 11}}, 11),
        ({"options": {"num_predict": 12}}, 12),
        ({}, None),
    ],
)
def test_a_ceiling_is_found_wherever_it_stands(body: dict[str, object], ceiling: int | None, padding: int) -> None:
    messages = [{"role": "user", "content": 'x"model":"no"' * padding + "\\"}]
    asked = read_request(json.dumps({"messages": messages, "model": "m", **body, "stream": True}).encode())
    assert (asked.model, asked.max_tokens, asked.stream, asked.is_json) == ("m", ceiling, True, True)


def test_a_form_names_its_model() -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
    assert read_request(form, "multipart/form-data; boundary=b").model == "whisper-1"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b"\xff\xfe", b'"x"', b'{"model": 3, "stream": "yes", "n": -1}']
)
def test_an_unreadable_request_asks_for_nothing(body: bytes) -> None:
    asked = read_request(body)
    assert (asked.model, asked.max_tokens, asked.stream, asked.answers) == ("", None, False, 1)


@given(data=json_objects(), sizes=piece_sizes(), indent=st.sampled_from([None, 1]))
def test_members_are_what_a_parser_finds(data: dict[str, object], sizes: list[int], indent: int | None) -> None:
    body = json.dumps(data, indent=indent).encode()
    wanted = frozenset(list(data)[::2])
    expected = {key: data[key] for key in data if key in wanted}
    plain = {key: value for key, value in expected.items() if json.dumps(key) == f'"{key}"'}
    found = members_of(body, wanted)
    assert {key: found[key] for key in plain} == plain
    reader = Members(wanted)
    at = turn = 0
    while at < len(body):
        reader.feed(body[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    assert reader.found() == found


@pytest.mark.parametrize(
    ("method", "host", "port", "path", "expected"),
    [
        ("POST", "api.openai.com", None, "/v1/chat/completions", ("openai", "openai_chat", "")),
        ("POST", "api.openai.com", None, "/v1/batches", None),
        ("GET", "api.openai.com", None, "/v1/models", None),
        ("POST", "api.openai.com", None, "/v1/traces/ingest", None),
        ("POST", "api.anthropic.com", None, "/v1/messages/count_tokens", None),
        ("POST", "api.anthropic.com", None, "/v1/messages/batches", None),
        ("POST", "generativelanguage.googleapis.com", None, "/v1beta/models/gemini-2.5-pro:countTokens", None),
        (
            "POST",
            "generativelanguage.googleapis.com",
            None,
            "/v1beta/openai/chat/completions",
            ("gcp.gemini", "openai_chat", ""),
        ),
        (
            "POST",
            "europe-west4-aiplatform.googleapis.com",
            None,
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-5:streamRawPredict",
            ("gcp.vertex_ai", "anthropic_messages", "claude-opus-5"),
        ),
        (
            "POST",
            "my.openai.azure.com",
            None,
            "/openai/deployments/prod/chat/completions",
            ("azure.ai.openai", "openai_chat", "prod"),
        ),
        (
            "POST",
            "bedrock-runtime.us-west-2.amazonaws.com",
            None,
            "/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A1%3Aapplication-inference-profile%2Fx/converse",
            ("aws.bedrock", "bedrock_converse", "arn:aws:bedrock:us-west-2:1:application-inference-profile/x"),
        ),
        ("POST", "bucket.s3.amazonaws.com", None, "/model/x/converse", None),
        ("POST", "api.groq.com", None, "/openai/v1/chat/completions", ("groq", "openai_chat", "")),
        ("POST", "gateway.example", None, "/v1/chat/completions", ("", "openai_chat", "")),
        ("POST", "gateway.example", None, "/survey/responses", None),
        ("POST", "gateway.example", 8080, "/v1/messages", ("", "anthropic_messages", "")),
        ("PUT", "api.openai.com", None, "/v1/chat/completions", None),
    ],
)
def test_addresses(method: str, host: str, port: int | None, path: str, expected: tuple[str, str, str] | None) -> None:
    route = Routes().find(method, host, port, path)
    assert (route and (route.provider, route.shape.name, route.model)) == expected


def test_own_hosts_speak_for_whoever_they_belong_to() -> None:
    routes = Routes({"llm.internal": "openai", "localhost:8000": "vllm", "claude.internal": "anthropic"})
    owner = {
        (host, port): route.provider
        for host, port, path in [
            ("llm.internal", 443, "/openai/v1/responses"),
            ("LLM.internal", None, "/v1/messages"),
            ("localhost", 8000, "/v1/completions"),
            ("claude.internal", None, "/v1/messages"),
        ]
        if (route := routes.find("POST", host, port, path)) is not None
    }
    assert list(owner.values()) == ["openai", "openai", "vllm", "anthropic"]


def test_the_region_stands_in_the_host() -> None:
    regions = [
        (Routes().find("POST", host, None, path) or pytest.fail(host)).region
        for host, path in [
            ("bedrock-runtime.eu-west-1.amazonaws.com", "/model/m/converse"),
            ("us-central1-aiplatform.googleapis.com", "/v1/x/models/gemini-2.5-pro:generateContent"),
            ("api.openai.com", "/v1/responses"),
        ]
    ]
    assert regions == ["eu-west-1", "us-central1", ""]
