"""Outlay: FinOps for AI agents. What did this session really cost, whose money was it, and what did it achieve?

import outlay

with outlay.session(team="search", feature="answers", tier="pro") as session:
answer = agent.run(question)
session.complete("done", value="2.50")
"""

from __future__ import annotations

TYPE_CHECKING = False  # what `typing` calls so, without the milliseconds of importing it
if TYPE_CHECKING:
    from outlay.core.envelope import Envelope
    from outlay.sdk.context import Context, attached, carrier, current, current_envelope
    from outlay.sdk.exceeded import BudgetExceeded
    from outlay.sdk.guard import guard, guard_status, wrap_up
    from outlay.sdk.headers import asgi, attached_headers, headers, wsgi
    from outlay.sdk.lease import Lease
    from outlay.sdk.outcome import complete
    from outlay.sdk.processes import environment
    from outlay.sdk.recorder import Status, record
    from outlay.sdk.runtime import runtime
    from outlay.sdk.session import Session, agent, session
    from outlay.sdk.setup import flush, init, shutdown, status
    from outlay.sdk.step import Step
    from outlay.sdk.steps import step, usage

__version__ = "0.1.0"
__all__ = [
    "BudgetExceeded",
    "Context",
    "Envelope",
    "Lease",
    "Session",
    "Status",
    "Step",
    "__version__",
    "agent",
    "asgi",
    "attached",
    "attached_headers",
    "carrier",
    "complete",
    "current",
    "current_envelope",
    "environment",
    "flush",
    "guard",
    "guard_status",
    "headers",
    "init",
    "record",
    "runtime",
    "session",
    "shutdown",
    "status",
    "step",
    "usage",
    "wrap_up",
    "wsgi",
]

_PLACES = {
    "BudgetExceeded": "outlay.sdk.exceeded",
    "Context": "outlay.sdk.context",
    "Envelope": "outlay.core.envelope",
    "Lease": "outlay.sdk.lease",
    "Session": "outlay.sdk.session",
    "Status": "outlay.sdk.recorder",
    "Step": "outlay.sdk.step",
    "agent": "outlay.sdk.session",
    "asgi": "outlay.sdk.headers",
    "attached": "outlay.sdk.context",
    "attached_headers": "outlay.sdk.headers",
    "carrier": "outlay.sdk.context",
    "complete": "outlay.sdk.outcome",
    "current": "outlay.sdk.context",
    "current_envelope": "outlay.sdk.context",
    "environment": "outlay.sdk.processes",
    "flush": "outlay.sdk.setup",
    "guard": "outlay.sdk.guard",
    "guard_status": "outlay.sdk.guard",
    "headers": "outlay.sdk.headers",
    "init": "outlay.sdk.setup",
    "record": "outlay.sdk.recorder",
    "runtime": "outlay.sdk.runtime",
    "session": "outlay.sdk.session",
    "shutdown": "outlay.sdk.setup",
    "status": "outlay.sdk.setup",
    "step": "outlay.sdk.steps",
    "usage": "outlay.sdk.steps",
    "wrap_up": "outlay.sdk.guard",
    "wsgi": "outlay.sdk.headers",
}
"""Where each name lives; its module is loaded when the name is first asked for."""


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'outlay' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(place), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
