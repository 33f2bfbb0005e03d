"""The door of OTLP metrics: what comes in, what is refused and why, and that three decoders agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otlp_wire import START_NS, counter, json_of, metrics_request
from outlay.sources import otlp_protobuf
from outlay.sources.otlp_metrics import decode_metrics
from outlay.sources.otlp_records import Decoded
from strategies import otlp_metrics_requests

TOKENS = "claude_code.token.usage"
SAID = {"type": "input", "session.id": "s"}


@pytest.fixture(scope="module", autouse=True)
def by_columns() -> Iterator[None]:
    """Few attributes are read one by one, and what is tried is how many are read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(otlp_protobuf, "FEW_PAIRS_MAX", 0)
        yield


def rows(decoded: Decoded) -> dict[str, list[object]]:
    """Columns as plain values; a number that is none equals itself here."""
    plain = {name: decoded.rows[name].to_pylist() for name in sorted(decoded.rows.column_names)}
    return {
        name: ["nan" if isinstance(v, float) and math.isnan(v) else v for v in values] for name, values in plain.items()
    }


def by_reference(bodies: Sequence[bytes]) -> Decoded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "outlay.sources.otlp_metrics_protobuf", None)
        return decode_metrics(bodies, "protobuf")


def problems(decoded: Decoded) -> list[list[tuple[str, str]]]:
    """What is said of each body; NaN is spelled the same everywhere."""
    return [[(item.where, item.what) for item in body.problems] for body in decoded.bodies]


@given(st.lists(otlp_metrics_requests(), max_size=3))
def test_three_decoders_agree(requests: list[ExportMetricsServiceRequest]) -> None:
    bodies = [made.SerializeToString() for made in requests]
    columnar, reference = decode_metrics(bodies, "protobuf"), by_reference(bodies)
    told = decode_metrics([json_of(made) for made in requests], "json")
    assert rows(columnar) == rows(reference) == rows(told)
    assert problems(columnar) == problems(reference) == problems(told)


@given(otlp_metrics_requests())
def test_what_is_received_is_kept_or_refused_and_said_why(made: ExportMetricsServiceRequest) -> None:
    decoded = decode_metrics([made.SerializeToString()], "protobuf")
    report = decoded.bodies[0]
    assert report.received == decoded.rows.num_rows + report.refused
    assert bool(report.refused) == any("refused" in problem.what for problem in report.problems)


def gauge(made: Metric) -> None:
    made.gauge.data_points.extend(made.sum.data_points)


def histogram_without_sum(made: Metric) -> None:
    points = list(made.sum.data_points)
    made.histogram.aggregation_temporality = 1
    for point in points:
        made.histogram.data_points.add(time_unix_nano=point.time_unix_nano, count=3)


@pytest.mark.parametrize(
    ("value", "spoil", "why"),
    [
        (5, gauge, "a gauge or a summary cannot be added up"),
        (5, lambda made: setattr(made.sum, "is_monotonic", False), "a sum that may fall"),
        (5, lambda made: setattr(made.sum, "aggregation_temporality", 0), "neither delta nor cumulative"),
        (5, histogram_without_sum, "a histogram without a sum"),
        (None, lambda _: None, "no value"),
        (math.nan, lambda _: None, "not a number, or infinite: nan"),
        (math.inf, lambda _: None, "not a number, or infinite: inf"),
        (-1, lambda _: None, "a negative count: -1.0"),
    ],
)
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_a_bad_point_refuses_only_itself(
    value: object, spoil: Callable[[Metric], object], why: str, encoding: str
) -> None:
    bad = counter(TOKENS, (value, SAID))
    spoil(bad)
    made = metrics_request([counter(TOKENS, (1, SAID)), bad, counter("http.server.duration", (value, {}))])
    body = made.SerializeToString() if encoding == "protobuf" else json_of(made)
    decoded = decode_metrics([body], encoding)
    report = decoded.bodies[0]
    assert (report.received, report.refused, decoded.rows["amount"].to_pylist()) == (2, 1, [1.0])
    assert why in report.problems[0].what
    assert report.problems[0].where == f"{TOKENS} point number 2"


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ({"at_ns": 0}, "a time that is missing"),
        ({"at_ns": 2**63}, "a time that is missing"),
        ({"start_ns": START_NS + 1}, "begins after it ends"),
        ({"start_ns": 0, "cumulative": True}, "a cumulative value without a start"),
    ],
)
def test_times_that_cannot_be_are_refused(times: dict[str, int], why: str) -> None:
    made = metrics_request([counter(TOKENS, (1, SAID), **times)])  # type: ignore[arg-type]
    report = decode_metrics([made.SerializeToString()], "protobuf").bodies[0]
    assert report.refused == 1
    assert why in report.problems[0].what


@pytest.mark.parametrize("form", ["histogram", "exponential_histogram"])
def test_of_a_histogram_the_sum_is_taken(form: str) -> None:
    made = Metric(name="gen_ai.client.token.usage")
    holder = getattr(made, form)
    holder.aggregation_temporality = 2
    holder.data_points.add(start_time_unix_nano=START_NS, time_unix_nano=START_NS, count=3, sum=700)
    decoded = decode_metrics([metrics_request([made]).SerializeToString()], "protobuf")
    assert decoded.rows["amount"].to_pylist() == [700.0]
    assert decoded.rows["cumulative"].to_pylist() == [True]


def test_a_point_that_recorded_nothing_is_passed_over() -> None:
    made = counter(TOKENS, (5, SAID), (6, SAID))
    made.sum.data_points[0].flags = 1
    decoded = decode_metrics([metrics_request([made]).SerializeToString()], "protobuf")
    assert (decoded.bodies[0].received, decoded.rows["amount"].to_pylist()) == (1, [6.0])


@given(otlp_metrics_requests(), st.binary(min_size=1, max_size=20))
def test_a_malformed_body_refuses_only_itself(made: ExportMetricsServiceRequest, noise: bytes) -> None:
    good = made.SerializeToString()
    decoded = decode_metrics([good, b"\x0a\xff\xff" + noise, good], "protobuf")
    assert [report.malformed for report in decoded.bodies] == [False, True, False]
