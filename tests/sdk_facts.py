"""What the SDK wrote, read by the product: spooled requests through the real decoder and normaliser."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from outlay.normalize.spans import facts_of_spans
from outlay.sources.facts import Batch
from outlay.sources.otlp import decode

Fact = dict[str, Any]


def batch_of(bodies: Iterable[bytes]) -> Batch:
    """Facts and outcomes of requests that nothing is wrong with."""
    decoded = decode(list(bodies), "protobuf")
    for body in decoded.bodies:
        assert not body.malformed, body.problems
        assert not body.problems, body.problems
    return facts_of_spans(decoded.spans)


def bodies_in(spool: Path) -> list[bytes]:
    """The spooled requests, the oldest first."""
    return [path.read_bytes() for path in sorted(spool.glob("*.otlp"))]


def facts_in(spool: Path) -> list[Fact]:
    """The facts in a spool, in order of time; tags and units as mappings."""
    bodies = bodies_in(spool)
    if not bodies:
        return []
    facts = batch_of(bodies).facts.to_pylist()
    for fact in facts:
        fact["tags"] = dict(fact["tags"] or ())
        fact["units"] = {unit["meter"]: unit["quantity"] for unit in fact["units"] or ()}
    return sorted(facts, key=lambda fact: fact["start_ns"])


def outcomes_in(spool: Path) -> list[Fact]:
    """The outcomes in a spool, in order of time."""
    bodies = bodies_in(spool)
    return sorted(batch_of(bodies).outcomes.to_pylist(), key=lambda outcome: outcome["at_ns"]) if bodies else []
