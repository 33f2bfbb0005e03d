"""The messages of OTLP logs and metrics as they stand in JSON; only the fields that Outlay looks at."""

from __future__ import annotations

import msgspec

from outlay.core.errors import FormatError
from outlay.sources.otlp_json import AnyValue, Pair, Resource, Scope, Struct


class LogRecord(Struct):
    """One record."""

    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    event_name: str | None = None
    body: AnyValue | None = None
    trace_id: str | None = None
    span_id: str | None = None
    attributes: list[Pair] | None = None


class ScopeLogs(Struct):
    """The records of one scope."""

    scope: Scope | None = None
    log_records: list[LogRecord] | None = None


class ResourceLogs(Struct):
    """The records of one resource."""

    resource: Resource | None = None
    scope_logs: list[ScopeLogs] | None = None


class LogsRequest(Struct):
    """A whole request."""

    resource_logs: list[ResourceLogs] | None = None


_LOGS = msgspec.json.Decoder(LogsRequest)


def logs_request(body: bytes) -> LogsRequest:
    """A log request. FormatError if it is none."""
    try:
        return _LOGS.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FormatError(f"not OTLP JSON: {error}") from error
