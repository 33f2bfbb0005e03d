"""OpenAPI 3.1, made from the endpoints and the catalogue of measures: it cannot say what the API does not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlay import __version__
from outlay.faces.api import otlp
from outlay.faces.api.endpoints import JSON_TYPE, Endpoint, Parameter
from outlay.faces.api.problems import PROBLEM_TYPE
from outlay.faces.desk import catalogue

_TEXT: dict[str, Any] = {"type": "string"}
_OBJECT: dict[str, Any] = {"type": "object"}

_REPLY = {
    "type": "object",
    "description": "What was asked, the rows, their total, and how far to trust them. Amounts are exact decimal texts.",
    "required": ["query", "rows", "total", "coverage"],
    "additionalProperties": False,
    "properties": {
        "query": _OBJECT,
        "rows": {"type": "array", "items": _OBJECT},
        "total": _OBJECT,
        "coverage": _OBJECT,
    },
}

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` and `message` are those of google.rpc.Status.",
    "required": ["type", "title", "status", "detail", "instance", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": {"type": "string", "format": "uri-reference"},
        "errors": {"type": "array", "items": {"type": "object", "properties": {"detail": _TEXT}}},
        "hint": {"type": "string", "description": "the next step"},
        "request_id": _TEXT,
        "code": {"type": "integer"},
        "message": _TEXT,
    },
}


def openapi_of(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The description of the whole API."""
    words = _words()
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, words)
    paths["/healthz"] = {"get": _plain("Whether the server is up", "health", "health", _OBJECT)}
    paths["/openapi.json"] = {"get": _plain("This description", "openapi", "health", _OBJECT)}
    paths |= {path: {"post": _otlp(signal)} for path, signal in otlp.PATHS.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Outlay",
            "version": __version__,
            "summary": "What did this session really cost, whose money was it, and what did it achieve?",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {"Reply": _REPLY, "Problem": _PROBLEM},
            "responses": {"Problem": _refused("refused")},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "needed beyond loopback"}},
        },
        "security": [{}, {"key": []}],
    }


def _words() -> dict[str, list[str]]:
    rows = catalogue()["rows"]
    return {
        "by": [row["name"] for row in rows if row["kind"] == "dimension"],
        "measures": [row["name"] for row in rows if row["kind"] == "measure"],
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _refused(text: str) -> dict[str, Any]:
    return {"description": text, "content": {PROBLEM_TYPE: {"schema": _ref("Problem")}}}


def _operation(endpoint: Endpoint, words: Mapping[str, list[str]]) -> dict[str, Any]:
    operation = _plain(endpoint.summary, _operation_id(endpoint), endpoint.room, endpoint.reply or _ref("Reply"))
    if endpoint.parameters:
        operation["parameters"] = [_parameter(item, words) for item in endpoint.parameters]
    if endpoint.body is not None:
        content = {endpoint.body.content_type: {"schema": dict(endpoint.body.schema)}}
        operation["requestBody"] = {"required": True, "description": endpoint.body.text, "content": content}
    if endpoint.path == "/api/v1/decide":
        operation["responses"]["402"] = _refused("refused: `refusal` says what bound, and whether to try again")
    return operation


def _plain(summary: str, operation_id: str, room: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": operation_id,
        "tags": [room],
        "responses": {
            "200": {"description": "answered", "content": {JSON_TYPE: {"schema": dict(schema)}}},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _operation_id(endpoint: Endpoint) -> str:
    words = endpoint.path.removeprefix("/api/v1/").replace("{", "").replace("}", "").replace("/", "_")
    return f"{endpoint.method.lower()}_{words}"


def _parameter(item: Parameter, words: Mapping[str, list[str]]) -> dict[str, Any]:
    schema: dict[str, Any] = dict(_TEXT)
    if item.choices:
        schema["enum"] = list(item.choices)
    text = item.text
    if item.name in words:
        text = f"{text}. Valid: {', '.join(words[item.name])}"
    if item.repeated:
        schema = {"type": "array", "items": schema}
    said: dict[str, Any] = {"name": item.name, "in": item.place, "description": text, "schema": schema}
    if item.place == "path" or item.needed:
        said["required"] = True
    if item.repeated:
        said["explode"] = True
    return said


_OTLP = {
    "traces": ("ExportTraceServiceRequest", "ExportTraceServiceResponse; refused spans in partial_success"),
    "logs": ("ExportLogsServiceRequest", "ExportLogsServiceResponse; refused records in partial_success"),
    "metrics": ("ExportMetricsServiceRequest", "ExportMetricsServiceResponse; refused points in partial_success"),
}


def _otlp(signal: str) -> dict[str, Any]:
    request, response = _OTLP[signal]
    body = {
        "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
        JSON_TYPE: {"schema": _OBJECT},
    }
    operation = _plain(f"OTLP {signal} over HTTP; durable when answered", f"otlp_{signal}", "facts", _OBJECT)
    operation["requestBody"] = {"description": f"{request}, plain or gzip", "content": body}
    responses = operation["responses"]
    responses["200"] = {"description": response, "content": body}
    for status, text in (("413", "over the limit"), ("503", "queue full: Retry-After"), ("507", "disk full")):
        responses[status] = _refused(text)
    return operation
