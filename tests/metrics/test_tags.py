"""What is said of tags as a whole is what the facts say one by one."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.house import House
from outlay.metrics.query import Query
from outlay.metrics.tags import CONFLICTS_MAX, tag_conflicts, tag_values
from outlay.sources.facts import Batch, facts_of, outcomes_of

KEYS = tuple(key for key in ENVELOPE_KEYS if key != "agent")
EVERYTHING = Query(("cost",))

said = st.lists(
    st.fixed_dictionaries(
        {"session_id": st.sampled_from(("a", "b", "c"))},
        optional={key: st.sampled_from(("x", "y")) for key in KEYS},
    ),
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said)
def test_sessions_that_contradict_themselves(tmp_path_factory: Any, told: list[dict[str, Any]]) -> None:
    home: Path = tmp_path_factory.mktemp("home")
    facts = [
        {"fact_id": f"fact {place}", "source": "test", "operation": "chat", "start_ns": (1_763_000_000 + place) * 10**9}
        | {"cost_nano": 10**9, "cost_source": "emitter"}
        | row
        for place, row in enumerate(told)
    ]
    values = defaultdict[tuple[str, str], dict[str, int]](dict)
    for row in told:
        for key in KEYS:
            if key in row:
                held = values[row["session_id"], key]
                held[row[key]] = held.get(row[key], 0) + 10**9
    expected = {place: held for place, held in values.items() if len(held) > 1}
    with House.open(home) as house:
        house.post_facts(Batch(facts_of(facts), outcomes_of([]), received=len(facts)))
        house.intake.settle()
        with house.books.reading() as reader:
            count, found = tag_conflicts(reader, EVERYTHING)
            different = tag_values(reader, EVERYTHING)
            stored = reader.records(f"SELECT {', '.join(KEYS)} FROM usages")
    assert count == len({session for session, _ in expected})
    assert {(row.session, row.key): dict(row.values) for row in found}.items() <= expected.items()
    assert len(found) == min(len(expected), CONFLICTS_MAX)
    assert all(row.winner == next(iter(values[row.session, row.key])) for row in found)
    assert {key: different[key] for key in KEYS} == {key: len({row[key] for row in stored}) for key in KEYS}
    assert UNTAGGED not in {value for row in found for value in row.values}
