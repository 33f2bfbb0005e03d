"""Questions to the audit log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.core.errors import InputError, OutlayError
from outlay.faces.plain import Reply, reply

SHOWN = 50
"""How many of the newest lines are shown when nothing is said."""


class AuditBrokenError(OutlayError):
    """The audit log is not what was written."""

    code = "audit-broken"
    status = 500


def audit_lines(store: ControlStore, params: Mapping[str, Sequence[str]]) -> Reply:
    """The newest lines, oldest first; `subject` chooses one, `after` and `top` page through all."""
    asked = {name: _one(params, name) for name in ("subject", "after", "top")}
    after, top = _count(asked["after"], "after", 0), _count(asked["top"], "top", SHOWN)
    with store.reading() as connection:
        rows = list(audit.lines(connection, after=after, subject=asked["subject"], newest=max(1, top)))
    return reply(
        {"subject": asked["subject"], "after": after, "top": top}, [line_row(row) for row in rows], {"lines": len(rows)}
    )


def audit_verdict(store: ControlStore, expect: str = "") -> Reply:
    """Verifies the chain. Raises AuditBrokenError where it does not hold."""
    if expect and not re.fullmatch(r"[0-9a-f]{64}", expect):
        raise InputError(f'"{expect}" is no hash of the log', hint="64 hexadecimal digits, as verify prints them")
    with store.reading() as connection:
        verdict = audit.verify(connection, expect)
    if not verdict.ok:
        raise AuditBrokenError(
            f"the audit log does not hold: {verdict.broken}",
            detail=[f"{verdict.lines} lines before it are as they were written"],
            hint="compare with an export or a backup; outlay audit export",
        )
    return reply({"expect": expect}, (), {"lines": verdict.lines, "hash": verdict.hash, "holds": True})


def line_row(line: audit.AuditLine) -> dict[str, Any]:
    """A line as a row; before and after stay as they were said."""
    return {
        "number": line.number,
        "at_ns": line.at_ns,
        "actor": line.actor,
        "action": line.action,
        "subject": line.subject,
        "before": line.before,
        "after": line.after,
        "hash": line.hash,
    }


def _one(params: Mapping[str, Sequence[str]], name: str) -> str:
    given = params.get(name, ())
    if len(given) > 1:
        raise InputError(f'"{name}" is given {len(given)} times', hint="give it once")
    return given[0] if given else ""


def _count(text: str, name: str, otherwise: int) -> int:
    if not text:
        return otherwise
    if not text.isdecimal() or len(text) > 18:
        raise InputError(f'{name} is a whole number, not "{text}"', hint=f"{name}=100")
    return int(text)
