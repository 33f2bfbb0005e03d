"""Completion: how a task ended, said by the application that knows."""

from __future__ import annotations

import time
from decimal import Decimal

from outlay.core.outcome import OutcomeStatus
from outlay.sdk.context import Context, current
from outlay.sdk.recorder import record
from outlay.sdk.step import STEP, Step
from outlay.sdk.steps import amount_of
from outlay.sdk.tags import clean, say_once

_KNOWN = frozenset(item.value for item in OutcomeStatus)


def complete(
    outcome: str = OutcomeStatus.DONE.value,
    *,
    value: Decimal | float | str | None = None,
    currency: str = "",
    task: str = "",
    type: str = "",  # noqa: A002 - the word of the outcome
    context: Context | None = None,
) -> None:
    """Say how a task ended: done, failed or abandoned, and what the result is worth.

    The task is `task`, else the session's, else the session itself. Said again, the later word stands; several tasks of
    one session are told apart by `task`, and several sessions of one task by the same `task`. It never raises.
    """
    try:
        context = context or current()
        name = clean("task", task) or context.run.task_id or context.run.session_id
        if not name:
            say_once("complete() outside any session and without task= says nothing about anything")
            return
        status = clean("outcome", outcome).lower() or OutcomeStatus.UNKNOWN.value
        if status not in _KNOWN:
            say_once(f"{status!r} may be no outcome the server knows; valid: {', '.join(sorted(_KNOWN))}")
        said = {"outlay.task.outcome": status, "outlay.task.id": name, "outlay.task.type": clean("type", type)}
        amount = amount_of(value, "value")
        if amount is not None:
            said["outlay.task.value"] = format(amount, "f")
            said["outlay.task.currency"] = clean("currency", currency).upper() or "USD"
        now = time.time_ns()
        tags = {key: text for key, text in said.items() if text}
        record(Step(STEP, "complete", now, now, tags=tags, context=context))
    except Exception as problem:  # noqa: BLE001 - metering must never be the reason that an agent fails
        say_once(f"an outcome could not be recorded: {problem!r}")
