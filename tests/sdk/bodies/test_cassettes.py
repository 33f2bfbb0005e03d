"""Recorded exchanges with real providers give exactly the figures that were counted from them by other means."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from outlay.sdk.bodies.reader import Reader
from outlay.sdk.bodies.reading import Reading
from outlay.sdk.bodies.routes import Route, Routes

ABSENT = "–"


@dataclass
class Exchange:
    """One recorded exchange and what we read of it."""

    cassette: str
    number: int
    path: str
    status: int
    route: Route | None
    reading: Reading


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def _read(path: Path, size: int) -> Iterator[Exchange]:
    cassette = path.name.removesuffix(".yaml.gz").rpartition("__")[2].removeprefix("test_")
    with gzip.open(path) as file:
        interactions: list[dict[str, Any]] = yaml.safe_load(file)["interactions"]
    for number, item in enumerate(interactions, 1):
        url = urlsplit(item["request"]["uri"])
        route = Routes().find(item["request"]["method"], url.hostname or "", url.port, url.path)
        status = item["response"]["status"]["code"]
        reading = Reading()
        if route is not None:
            text = item["response"]["body"]["string"]
            body = text if isinstance(text, bytes) else text.encode()
            fields = {name.lower(): values[0] for name, values in item["response"]["headers"].items()}
            if not body.startswith(b"\x1f\x8b"):
                fields.pop("content-encoding", None)  # the recorder kept the header and unpacked the body
            reader = Reader(route.shape, fields)
            for piece in _pieces(body, size):
                reader.feed(piece)
            reading = reader.end()
        yield Exchange(cassette, number, url.path, status, route, reading)


@pytest.fixture(scope="module", params=[1 << 20, 61], ids=["whole", "in pieces"])
def exchanges(request: pytest.FixtureRequest, shared_data: Path) -> dict[tuple[str, int], Exchange]:
    paths = sorted((shared_data / "provider_cassettes").rglob("*.yaml.gz"))
    read = [exchange for path in paths for exchange in _read(path, request.param)]
    return {(item.cassette, item.number): item for item in read}


def _stated(value: int | None) -> int | str:
    return ABSENT if value is None else value


def test_every_exchange_gives_its_figures(exchanges: dict[tuple[str, int], Exchange], figures: dict[str, Any]) -> None:
    rows = figures["cassettes"]["Exchanges (– = not in the answer)"]
    assert len(rows) == len(exchanges) == 21
    for row in rows:
        ours = exchanges[row["cassette"], row["no."]]
        reading = ours.reading
        assert (ours.path, ours.status) == (row["path"], row["status"])
        beside = 0
        if ours.route is not None and ours.route.provider in {
            "anthropic",
            "aws.bedrock",
        }:  # they count the cache beside the input
            beside = (reading.cache_read_tokens or 0) + (reading.cache_write_tokens or 0)
        fresh = None if reading.input_tokens is None else reading.input_tokens - beside
        assert _stated(fresh) == row["in"], row
        assert _stated(reading.output_tokens) == row["out"], row
        assert _stated(reading.cache_read_tokens) == row["cache read"], row
        assert _stated(reading.cache_write_tokens) == row["cache write"], row
        assert not reading.unreadable


def test_what_is_no_model_call_has_no_route(exchanges: dict[tuple[str, int], Exchange]) -> None:
    unrouted = {item.path for item in exchanges.values() if item.route is None}
    assert unrouted == {"/v1/traces/ingest"}


def test_guardrail_units_by_check_and_policy(
    exchanges: dict[tuple[str, int], Exchange], figures: dict[str, Any]
) -> None:
    words = {
        "topicPolicyUnits": ("topic", "policy_units"),
        "contentPolicyUnits": ("content", "policy_units"),
        "wordPolicyUnits": ("word", "free_policy_units"),
        "sensitiveInformationPolicyUnits": ("sensitive-information", "policy_units"),
        "sensitiveInformationPolicyFreeUnits": ("sensitive-information-regex", "free_policy_units"),
        "contextualGroundingPolicyUnits": ("contextual-grounding", "policy_units"),
    }
    rows = figures["cassettes"]["Guardrail units in an answer"]
    assert {row["check"] for row in rows} == {"input", "output"}
    for row in rows:
        asides = exchanges[row["cassette"], 1].reading.asides
        for column, (policy, meter) in words.items():
            name = f"bedrock-guardrails {row['check']} {policy}"
            assert sum(item.units[meter] for item in asides if item.name == name) == row[column], (row["check"], column)


def test_a_missing_model_is_named(exchanges: dict[tuple[str, int], Exchange]) -> None:
    assert exchanges["chat_completion_404", 1].reading.error_type == "model_not_found"
