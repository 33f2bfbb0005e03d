"""One session as data: what it cost and where that went, whose it was, how it ended, and a page of its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlay.core.centre import CostCentre, Operation
from outlay.core.money import DEFAULT_CURRENCY, decimal_text
from outlay.core.session import SessionState
from outlay.ledger.store import Snapshot
from outlay.metrics.outcomes import OutcomeRow, outcomes_of_session
from outlay.metrics.parts import USAGE
from outlay.metrics.relatives import Branch, sessions_above, tree_below
from outlay.metrics.session_rows import BEARS, COUNTED, SessionRows, rows_of_session
from outlay.metrics.sessions import OPENING, state_of
from outlay.metrics.steps import ONLY, StepsAsked, StepsPage, UsageRow, cost_of, steps_page
from outlay.metrics.tag_notes import TagNote, tag_notes
from outlay.metrics.why import Reason, reasons_of, usual_cost_nano

OUTCOMES_TOLD = 100
MODELS_TOLD = 20
CENTRES = tuple(CostCentre)

_ENVELOPE = ("team", "feature", "agent", "environment")


@dataclass(frozen=True, slots=True)
class ModelShare:
    """What a session asked of one model: calls, and their known cost."""

    model: str
    calls: int
    cost_nano: int


@dataclass(frozen=True, slots=True)
class SessionDetail:
    """A session with everything under it. `cost_nano` is its own known cost; `unpriced_usages` says what it lacks.

    Every figure covers the whole session; of lists a part is told: `steps` is the page of steps that was asked for,
    `usages_left_out` counts the others, `branches` are the sessions
    under it that stand nearest, of `sessions_below` in all, `models` the dearest, `outcomes` the latest of
    `outcomes_count`.

    Amounts of several currencies are never added: the costs are then None and `cost_by_centre` is empty.
    `tree_cost_nano` adds the known cost of the sessions it started, and of those they started. `usual_cost_nano` is
    what a session of this feature cost on average in the thirty days before it began; `reasons` say where it went;
    `tags` say which values its steps carry, and where each came from.
    """

    session: str
    state: SessionState
    parent_session: str
    root_session: str
    child_sessions: tuple[str, ...]
    child_count: int
    sessions_below: int
    branches: tuple[Branch, ...]
    envelope: Mapping[str, str]
    first_seen_ns: int
    last_seen_ns: int
    cost_nano: int | None
    tree_cost_nano: int | None
    cost_by_centre: Mapping[str, str | None]
    currencies: tuple[str, ...]
    tree_currencies: tuple[str, ...]
    usages_count: int
    failed_steps: int
    retries: int
    unpriced_usages: int
    models: tuple[ModelShare, ...]
    outcomes: tuple[OutcomeRow, ...]
    outcomes_count: int
    steps: StepsPage
    usages_left_out: int
    usual_cost_nano: int | None
    reasons: tuple[Reason, ...]
    tags: tuple[TagNote, ...] = ()

    @property
    def usages(self) -> tuple[UsageRow, ...]:
        """The steps of the page that was asked for."""
        return self.steps.steps


def session_detail(reader: Snapshot, session: str, asked: StepsAsked | None = None) -> SessionDetail:
    """One session from the books; QueryError where no usage carries that id."""
    rows = rows_of_session(reader, session)
    sums = _sums(rows)
    counted = [row for row in sums if row["counted"]]
    outcomes, outcomes_count = outcomes_of_session(reader, session, limit=OUTCOMES_TOLD)
    above, tree = sessions_above(reader, session), tree_below(reader, session)
    currencies = tuple(sorted({row["currency"] for row in counted if row["spent"]}))
    own = _cost(counted) if len(currencies) < 2 else None
    in_all = {*currencies, *tree.currencies}
    first_seen_ns = min(int(row["first"]) for row in sums) * 1_000
    envelope = _envelope(rows)
    steps = steps_page(rows, asked or StepsAsked())
    told = COUNTED if counted else "true"
    return SessionDetail(
        session=session,
        state=state_of(
            {name: sum(row[name] for row in counted) for name in ("calls", "closed")}, has_outcome=bool(outcomes_count)
        ),
        parent_session=above[0] if above else "",
        root_session=above[-1] if above else session,
        child_sessions=tuple(branch.session for branch in tree.branches if branch.generation == 1),
        child_count=tree.children,
        sessions_below=tree.sessions,
        branches=tree.branches,
        envelope=envelope,
        first_seen_ns=first_seen_ns,
        last_seen_ns=max(int(row["last"]) for row in sums) * 1_000,
        cost_nano=own,
        tree_cost_nano=_known([own, tree.cost_nano]) if len(in_all) < 2 else None,
        cost_by_centre=_by_centre(counted) if len(currencies) < 2 else {},
        currencies=currencies,
        tree_currencies=tuple(sorted(in_all)),
        usages_count=sum(row["usages"] for row in counted),
        failed_steps=sum(row["failed"] for row in sums),
        retries=sum(row["retries"] for row in counted),
        unpriced_usages=sum(row["unpriced"] for row in counted),
        models=_models(rows),
        outcomes=tuple(outcomes),
        outcomes_count=outcomes_count,
        steps=steps,
        usages_left_out=sum(row["n"] for row in sums) - len(steps.steps),
        usual_cost_nano=usual_cost_nano(reader, envelope["feature"], first_seen_ns),
        reasons=reasons_of(rows, own, tree.cost_nano or 0 if len(in_all) < 2 else 0),
        tags=tuple(tag_notes(rows, told)),
    )


def _sums(rows: SessionRows) -> list[dict[str, Any]]:
    """What the engine adds up, a row for each centre and currency of what counts and of what does not."""
    dialect = rows.dialect
    opening = ", ".join(f"'{item}'" for item in OPENING)
    closed = f"{USAGE}.operation IN ({opening}) AND {USAGE}.duration_ms IS NOT NULL AND {USAGE}.parent_key IS NULL"
    selected = [
        f"{COUNTED} AS counted",
        f"{USAGE}.centre AS centre",
        f"coalesce(nullif({USAGE}.currency, ''), '{DEFAULT_CURRENCY}') AS currency",
        f"min({dialect.us(f'{USAGE}.time')}) AS first",
        f"max({dialect.end_of(f'{USAGE}.time', f'{USAGE}.duration_ms')}) AS last",
        f"sum({USAGE}.amount_nano) AS cost",
        *(
            f"count(*) FILTER (WHERE {condition}) AS {name}"
            for name, condition in {
                "n": "true",
                "spent": f"{USAGE}.amount_nano <> 0",
                "usages": BEARS,
                "retries": ONLY["retries"],
                "failed": ONLY["failed"],
                "unpriced": f"{USAGE}.unpriced_meters > 0",
                "calls": f"{USAGE}.bears AND {USAGE}.operation = '{Operation.CHAT}'",
                "closed": closed,
            }.items()
        ),
    ]
    return rows.summed(selected, "true", "GROUP BY 1, 2, 3")


def _envelope(rows: SessionRows) -> dict[str, str]:
    """Whose it was: what the first step that counts says."""
    names = ", ".join(f"{USAGE}.{key}" for key in _ENVELOPE)
    statement, source = rows.start()
    order = f"ORDER BY {COUNTED} DESC, {USAGE}.time, {USAGE}.seq LIMIT 1"
    (row,) = rows.read(statement, f"SELECT {names} {source} {order}")
    return row


def _models(rows: SessionRows) -> tuple[ModelShare, ...]:
    """The models of a session by what was spent on them, the dearest first."""
    selected = [f"{USAGE}.model_id AS model", "count(*) AS calls", f"sum({USAGE}.amount_nano) AS cost"]
    tail = f"GROUP BY 1 ORDER BY cost DESC NULLS LAST, model LIMIT {MODELS_TOLD}"
    found = rows.summed(selected, f"{COUNTED} AND {USAGE}.model_id <> ''", tail)
    return tuple(ModelShare(row["model"], row["calls"], int(row["cost"] or 0)) for row in found)


def _cost(sums: Sequence[Mapping[str, Any]]) -> int | None:
    return cost_of(sum(int(row["cost"] or 0) for row in sums), unpriced=any(row["unpriced"] for row in sums))


def _by_centre(sums: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for centre in CENTRES:
        if part := [row for row in sums if row["centre"] == centre]:
            cost = _cost(part)
            found[centre.value] = None if cost is None else decimal_text(cost)
    return found


def _known(amounts: Iterable[int | None]) -> int | None:
    """The sum of the amounts that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
