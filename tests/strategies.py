"""Every Hypothesis strategy of the test-suite, so that one idea of "any usage" serves all rooms.

Each strategy says in its docstring what it promises and what it deliberately includes (edges, ties, hostile spellings).
Simple things first, compositions of them below.
"""

from __future__ import annotations

from typing import Any

from datetime import datetime

from hypothesis import strategies as st

from outlay.core.money import AMOUNT_NANO_MAX


def nanos(*, signed: bool = True) -> st.SearchStrategy[int]:
    """Nano-units that fit the store: mostly everyday amounts, also zero, one nano-unit and the largest."""
    everyday = st.integers(0, 1_000_000_000_000)
    edges = st.sampled_from([0, 1, 999, 1_000, 999_999_999, 1_000_000_000, AMOUNT_NANO_MAX])
    amounts = everyday | edges
    return (amounts | amounts.map(lambda nano: -nano)) if signed else amounts


def rates_pico() -> st.SearchStrategy[int]:
    """Pico-units a unit: from a tenth of a nano-unit a token to a dollar a call, ties of the rounding included."""
    return st.integers(0, 1_000_000_000_000) | st.sampled_from([1, 499, 500, 501, 1_500, 2_500_000])


def token_counts() -> st.SearchStrategy[int]:
    """Counts a provider may report for one call, zero and a context of two million included."""
    return st.integers(0, 20_000) | st.sampled_from([0, 1, 200_000, 2_000_000])


def stated_counts() -> st.SearchStrategy[dict[str, int]]:
    """Token counts as a stranger may state them: any of them missing, and nothing that makes them agree."""
    names = (
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "reasoning_tokens",
        "input_audio_tokens",
        "output_image_tokens",
    )
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, token_counts()))


@st.composite
def related_facts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Facts of a few traces and sessions that hang together in every way, good and bad.

    Parents of any kind, missing ones and loops of parents; answers reported twice, by several signals; attempts,
    failures, aggregates, calls within calls; envelopes stated here and there; times that tie.
    """
    names = draw(st.lists(st.integers(0, 14), min_size=1, max_size=12, unique=True))
    return [
        {
            "fact_id": f"fact {name}",
            "parent_id": draw(st.sampled_from([None, *(f"fact {place}" for place in range(16))])),
            "tree_id": draw(st.sampled_from([None, "one", "one", "two"])),
            "response_id": draw(st.sampled_from([None, None, "chatcmpl-aaaaaaaaaaaa", "chatcmpl-bbbbbbbbbbbb"])),
            "start_ns": 1_788_264_000_000_000_000 + draw(st.integers(0, 3)) * 1_000_000_000,
            "operation": draw(st.sampled_from(["chat", "chat", "embedding", "agent", "step", "tool", "guardrail"])),
            "signal": draw(st.sampled_from(["span", "span", "log", "metric", "file"])),
            "model_served": draw(st.sampled_from(["small", "large"])),
            "attempt": draw(st.sampled_from([0, 0, 1, 2])),
            "failed": draw(st.sampled_from([False, False, True])),
            "input_tokens": draw(st.sampled_from([None, 10, 20])),
            "output_tokens": draw(st.sampled_from([None, 0, 5])),
            "session_id": draw(st.sampled_from([None, None, "run 1", "run 2"])),
            "parent_session_id": draw(st.sampled_from([None, None, "run 1"])),
            "team": draw(st.sampled_from([None, None, "search", "support"])),
            "user": draw(st.sampled_from([None, "u1"])),
        }
        for name in names
    ]


def book_rows() -> st.SearchStrategy[tuple[list[dict[str, object]], list[dict[str, object]]]]:
    """Usages and outcomes of a small company, in the words of `metrics.books.usage` and `outcome`.

    Few values, so that groups meet; missing tags, unpriced, recorded, superseded and structural usages, sub-agents,
    sessions that several tasks share, outcomes without a session, and hostile spellings are all in it.
    """
    teams = st.sampled_from(["onboarding", "billing", "(untagged)", "it's; DROP TABLE usages --"])
    sessions = st.sampled_from(["s1", "s2", "s3", "s4", "(no session)"])
    usage = st.fixed_dictionaries(
        {
            "cost": st.none() | nanos(signed=False),
            "team": teams,
            "model_id": st.sampled_from(["gpt-4.1", "claude-opus-4-6", ""]),
            "centre": st.sampled_from(["inference", "retries", "tools", "guardrails"]),
            "operation": st.sampled_from(["chat", "tool", "embedding", "agent"]),
            "provenance": st.sampled_from(["recorded", "priced", "estimated"]),
            "session_id": sessions,
            "parent_session_id": st.sampled_from(["", "", "s1", "s2"]),
            "task_id": st.sampled_from(["", "", "t1", "t9"]),
            "time": st.datetimes(datetime(2025, 12, 28), datetime(2026, 1, 6)),  # noqa: DTZ001 - as books hold it
            "duration_ms": st.none() | st.integers(0, 100_000),
            "in_uncached": token_counts(),
            "out_text": token_counts(),
            "bears": st.sampled_from([True, True, True, False]),
            "counted": st.sampled_from([True, True, True, False]),
            "failed": st.booleans(),
            "tags": st.sampled_from(["", '{"region":"eu"}', '{"a.b":"x","region":"us"}']),
        }
    )
    outcome = st.fixed_dictionaries(
        {
            "task": st.sampled_from(["t1", "t2", "t3", "t4", "t5"]),
            "status": st.sampled_from(["done", "done", "failed", "abandoned", "unknown"]),
            "sessions": st.lists(st.sampled_from(["s1", "s2", "s3"]), max_size=2, unique=True),
            "team": teams,
            "time": st.datetimes(datetime(2025, 12, 28), datetime(2026, 1, 6)),  # noqa: DTZ001 - as books hold it
            "value_nano": st.none() | st.integers(0, 10**12),
        }
    )
    return st.tuples(st.lists(usage, max_size=25), st.lists(outcome, max_size=5, unique_by=lambda row: row["task"]))
