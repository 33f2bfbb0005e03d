"""Evaluations of files: what a score says of its task the rules decide when it is posted, not when it is read.

So `outcomes.toml` holds for a score as for an evaluation that came by OpenTelemetry, and a rebuild judges again.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.normalize.columns import whole
from outlay.normalize.outcome_rules import OutcomeRules
from outlay.sources.facts import EVALUATED, EVALUATION_LABEL, EVALUATION_NAME, EVALUATION_SCORE


def judged(outcomes: pa.Table, rules: OutcomeRules) -> tuple[pa.Table, int]:
    """Outcomes (OUTCOMES) with the status of each evaluation, and how many said nothing of their task and are gone."""
    status = whole(outcomes, "status").cast(pa.string())
    rows = np.flatnonzero(np.asarray(pc.equal(status, EVALUATED)))
    if not len(rows):
        return outcomes, 0
    words: list[str | None] = list(status.to_pylist())
    tags = whole(outcomes, "tags").take(pa.array(rows)).to_pylist()
    for row, pairs in zip(rows.tolist(), tags, strict=True):
        said = dict(pairs or ())
        found = rules.judge(said.get(EVALUATION_NAME, ""), said.get(EVALUATION_LABEL), _number(said))
        words[row] = None if found is None else found.value
    place = outcomes.schema.get_field_index("status")
    table = outcomes.set_column(place, outcomes.schema.field(place), pa.array(words, pa.string()))
    table = table.filter(pc.is_valid(table.column(place)))
    return table, outcomes.num_rows - table.num_rows


def _number(said: dict[str, str]) -> float | None:  # not money: a score
    try:
        return float(said[EVALUATION_SCORE])  # not money: a score
    except (KeyError, ValueError):
        return None
