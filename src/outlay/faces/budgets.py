"""Questions and orders about budgets, for every face."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from outlay.control import budgets as stored
from outlay.control.store import ControlStore
from outlay.core.budget import EACH, Budget, Standing
from outlay.core.errors import InputError, nearest
from outlay.faces.orders import amount_of, end_ns, known_fields, text_of
from outlay.faces.plain import Reply, plain, reply
from outlay.govern import budgets as govern
from outlay.govern.budget_words import read_budget, read_budgets, scope_text

BALANCES_SHOWN = 50
"""Of a budget for each of something, those of which most is used."""

WINDOWS_SHOWN = 500
"""Of a budget's past, the newest balances."""

NO_PART = "(none yet)"
"""In place of a value, where a budget for each of something has met none."""

GRANT_FIELDS = ("amount", "reason", "until", "from", "part", "to")


def list_reply(store: ControlStore) -> Reply:
    """Every budget as it stands, a row a balance; of a budget for each of something the fullest."""
    now_ns = time.time_ns()
    held = stored.list_budgets(store)
    rows = [row for budget in held for row in _rows(store, budget, now_ns)]
    left_out = sum(_left_out(store, budget, now_ns) for budget in held)
    return reply({}, rows, {"budgets": len(held), "balances_left_out": left_out})


def show_reply(store: ControlStore, name: str) -> Reply:
    """One budget: how it stands, what it is, and its live grants. Raises InputError (404) for one that is not there."""
    now_ns = time.time_ns()
    budget = _named(store, name)
    wanted = stored.wanted_of(store, budget, now_ns)
    live = [_grant(row) for row in stored.grants_of(store, budget) if row.ends_ns > max(now_ns, row.starts_ns)]
    told = stored.described(budget, wanted.amount_nano, wanted.plans)
    total = {**told, "grants": live, "version": stored.version_of(told)}
    total["balances_left_out"] = _left_out(store, budget, now_ns)
    return reply({"budget": name}, _rows(store, budget, now_ns), _with_plan(total))


def history_reply(store: ControlStore, name: str) -> Reply:
    """The windows a budget has had, oldest first, and every grant; the newest `WINDOWS_SHOWN` balances."""
    budget = _named(store, name)
    rows = [
        {
            "window": budget.calendar.label(row["start_ns"]),
            "part": _part(row["part"]),
            **{key: row[key] for key in ("limit_nano", "carried_nano", "spent_nano", "held_nano", "presumed_nano")},
            "steps": row["steps"],
        }
        for row in stored.past_balances(store, budget, newest=WINDOWS_SHOWN)
    ]
    return reply({"budget": name}, rows, {"grants": [_grant(row) for row in stored.grants_of(store, budget)]})


def set_budget(store: ControlStore, said: object, actor: str, expect: str = "") -> Reply:
    """Makes a budget or changes the one of its name; with `expect` only if that is still its version, or `none`."""
    wanted = read_budget(said)
    changed = stored.set_budget(store, wanted, actor, expect=expect)
    told = show_reply(store, wanted.budget.name)
    told["total"]["changed"] = changed
    return told


def remove_budget(store: ControlStore, name: str, actor: str) -> Reply:
    """Takes a budget out of force."""
    _named(store, name)
    stored.remove_budget(store, name, actor)
    return reply({"budget": name}, (), {"removed": 1})


def apply_budgets(store: ControlStore, said: object, actor: str, *, dry_run: bool, prune: bool) -> Reply:
    """Puts a file of budgets into force, all or none. Raises InputError that lists every one that cannot be used."""
    wanted, problems = read_budgets(said)
    if problems:
        detail = [f"{item.where}: {item.what} ({item.hint})" for item in problems]
        raise InputError(
            f"{len(problems)} of {len(wanted) + len(problems)} budgets cannot be used",
            detail=detail,
            hint="nothing was changed; correct them and apply again",
        )
    changes = govern.apply(store, wanted, actor, dry_run=dry_run, prune=prune)
    rows = [{"name": item.name, "what": item.what, "differences": item.differences()} for item in changes]
    counts = {what: sum(item.what == what for item in changes) for what in ("add", "change", "remove", "keep")}
    return reply({"dry_run": dry_run, "prune": prune}, rows, counts)


def grant_budget(store: ControlStore, name: str, said: Mapping[str, Any], actor: str) -> Reply:
    """Gives a budget more until a moment, or moves money to another with `to`."""
    known_fields(said, GRANT_FIELDS, "a grant")
    _named(store, name)
    amount = amount_of(said.get("amount"), "more than 0; to take money away move it with --to")
    reason, part, to = (text_of(said, field) for field in ("reason", "part", "to"))
    until, start = (end_ns(text_of(said, field), datetime.now(UTC)) for field in ("until", "from"))
    options: dict[str, Any] = {"actor": actor, "reason": reason, "starts_ns": start, "ends_ns": until}
    if not to:
        part_key = json.dumps(part.split("/"), ensure_ascii=False) if part else ""
        given = stored.grant(store, name, "override", amount, part=part_key, **options)
        return reply({"budget": name}, [_grant(given)], {"grants": 1})
    _named(store, to)
    if to == name:
        raise InputError("money cannot be moved from a budget to itself", hint="--to another budget")
    made = stored.transfer(store, name, to, amount, **options)
    return reply({"budget": name, "to": to}, [_grant(item) for item in made], {"grants": 2})


def end_grant(store: ControlStore, number: str, actor: str) -> Reply:
    """Ends a grant now."""
    if not number.isdecimal() or len(number) > 18:
        raise InputError(f'"{number}" is no number of a grant', hint="outlay budgets show NAME lists them")
    stored.end_grant(store, int(number), actor)
    return reply({"grant": int(number)}, (), {"ended": 1})


def _rows(store: ControlStore, budget: Budget, now_ns: int) -> list[dict[str, Any]]:
    """A row a balance; a budget for each of something that nothing was asked of yet has one all the same."""
    rows = [_row(standing) for standing in stored.standings(store, budget, now_ns, most=BALANCES_SHOWN)]
    if rows:
        return rows
    start_ns, end_ns = budget.calendar.window(now_ns)
    amount_nano = stored.wanted_of(store, budget, now_ns).amount_nano
    return [{**_row(Standing(budget, "", start_ns, end_ns, amount_nano, 0, 0)), "part": NO_PART}]


def _left_out(store: ControlStore, budget: Budget, now_ns: int) -> int:
    if EACH not in budget.scope.values():
        return 0
    return max(0, stored.balances_now(store, budget, now_ns) - BALANCES_SHOWN)


def _row(standing: Standing) -> dict[str, Any]:
    budget = standing.budget
    over = standing.left_nano < 0 or (standing.left_nano == 0 and standing.limit_nano > 0)
    return {
        "name": budget.name,
        "scope": scope_text(budget.scope),
        "part": _part(standing.part),
        "window": budget.calendar.label(standing.start_ns),
        "mode": budget.mode,
        "limit_nano": standing.limit_nano,
        "spent_nano": standing.spent_nano,
        "held_nano": standing.held_nano,
        "presumed_nano": standing.presumed_nano,
        "left_nano": standing.left_nano,
        "used_percent": 100 * (standing.limit_nano - standing.left_nano) // standing.limit_nano
        if standing.limit_nano
        else None,
        "state": "over" if over else "ok",
        "resets_ns": None if budget.calendar.period == "life" else standing.end_ns,
        "currency": budget.currency,
    }


def _with_plan(total: dict[str, Any]) -> dict[str, Any]:
    plans = {label: plain({"amount_nano": amount})["amount"] for label, amount in total.pop("plans").items()}
    return {**total, "plan": plans}


def _grant(row: stored.GrantRow) -> dict[str, Any]:
    shown: dict[str, Any] = plain(row)
    forever = row.ends_ns >= stored.FOREVER_NS
    return {
        **shown,
        "part": _part(row.part),
        "starts": None if row.starts_ns == 0 else shown["starts"],
        "ends": None if forever else shown["ends"],
    }


def _part(part: str) -> str:
    return "/".join(json.loads(part)) if part else ""


def _named(store: ControlStore, name: str) -> Budget:
    held = {budget.name: budget for budget in stored.list_budgets(store)}
    if name in held:
        return held[name]
    missing = InputError(
        f'no budget is called "{name}"',
        hint=nearest(name, held) if held else "outlay budgets set --team NAME --month 1",
    )
    missing.status = 404
    raise missing
