"""What an OTLP sender is told: an Export…ServiceResponse, empty when everything was taken without a remark."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from outlay.core.errors import Problem

if TYPE_CHECKING:
    from outlay.ledger.signals import Encoding, Signal

PROBLEMS_SHOWN_MAX = 5
_REJECTED = {"traces": "rejectedSpans", "logs": "rejectedLogRecords", "metrics": "rejectedDataPoints"}


def answer_of(signal: Signal, encoding: Encoding, refused: int, problems: Iterable[Problem]) -> bytes:
    """The response to a body of which so many rows were refused."""
    told = list(problems)
    if not refused and not told:
        return b"" if encoding == "protobuf" else b"{}"
    message = message_of(told)
    if encoding == "json":
        rows = _REJECTED[signal]
        return json.dumps({"partialSuccess": {rows: str(refused), "errorMessage": message}}).encode()
    return _protobuf(signal, refused, message).SerializeToString()


def message_of(problems: list[Problem]) -> str:
    """The first problems in one line."""
    shown = [f"{item.where}: {item.what}" for item in problems[:PROBLEMS_SHOWN_MAX]]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        shown.append(f"and {len(problems) - PROBLEMS_SHOWN_MAX} more")
    return "; ".join(shown)


def _protobuf(signal: Signal, refused: int, message: str) -> Any:
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

        spans = otlp.ExportTracePartialSuccess(rejected_spans=refused, error_message=message)
        return otlp.ExportTraceServiceResponse(partial_success=spans)
    if signal == "metrics":
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics

        points = metrics.ExportMetricsPartialSuccess(rejected_data_points=refused, error_message=message)
        return metrics.ExportMetricsServiceResponse(partial_success=points)
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs

    records = logs.ExportLogsPartialSuccess(rejected_log_records=refused, error_message=message)
    return logs.ExportLogsServiceResponse(partial_success=records)
