"""BudgetExceeded: the refusal as the agent's code gets it, for a program, a person and a model to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from outlay.core.budget import Refusal
from outlay.core.lease import refusal_text
from outlay.core.money import decimal_text, nano_of
from outlay.sdk.gate import RefusedError

_AMOUNTS = ("asked", "limit", "spent", "held", "left")
_CHAIN_MAX = 16


class BudgetExceeded(RefusedError):  # noqa: N818 - it says what happened, and `except outlay.BudgetExceeded` reads well
    """Work was not begun, or its stream was cut, because a budget, a cap or a stop said so.

    `refusal` has what a program decides by: what bound, how much is left, when it begins anew, whether to try again and
    whom to ask. `str(error)` says the same in a sentence that may be handed to a model.
    """

    code = "budget-exceeded"

    def __init__(self, refusal: Refusal, *, said: str = "") -> None:
        self.refusal = refusal
        super().__init__(said or refusal_text(refusal), detail=_details(refusal), hint=_hint(refusal))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.refusal, self.message)

    def as_answer(self) -> tuple[int, dict[str, str], bytes]:
        """See RefusedError; the problem carries the fields of the refusal, amounts as exact decimals."""
        status, headers, body = super().as_answer()
        problem = {**json.loads(body), "refusal": fields_of(self.refusal)}
        if self.refusal.retryable:
            headers["retry-after"] = str(max(1, self.refusal.retry_after_s))
        return status, headers, json.dumps(problem, ensure_ascii=False).encode()

    @classmethod
    def of(cls, error: BaseException | None) -> BudgetExceeded | None:
        """The refusal behind an exception, whatever a model's client made of it; None where there is none.

        Clients answer a refused call with an exception of their own (402 is an `APIStatusError` to them); a `with
        outlay.guard(…)` or `outlay.session(…)` around it turns that into this one by itself.
        """
        for _ in range(_CHAIN_MAX):
            if error is None:
                return None
            if isinstance(error, cls):
                return error
            found = _in_answer(getattr(error, "response", None))
            if found is not None:
                return found
            error = error.__cause__ or error.__context__
        return None


def fields_of(refusal: Refusal) -> dict[str, Any]:
    """A refusal as JSON: amounts of money as exact decimals of its currency, moments in ISO 8601."""
    said: dict[str, Any] = {name: getattr(refusal, name) for name in Refusal.__slots__}
    if refusal.what == "usd":
        said |= {name: decimal_text(said[name]) for name in _AMOUNTS}
    ends = said.pop("resets_ns")
    said["resets"] = None if ends is None else datetime.fromtimestamp(ends // 10**9, UTC).isoformat()
    return said


def refusal_from(said: Mapping[str, Any]) -> Refusal:
    """The refusal that `fields_of` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    known = {name: said[name] for name in Refusal.__slots__ if name in said}
    if known["what"] == "usd":
        known |= {name: nano_of(known[name]) for name in _AMOUNTS}
    resets = said.get("resets")
    known["resets_ns"] = int(datetime.fromisoformat(resets).timestamp()) * 10**9 if resets else None
    return Refusal(**known)


def _in_answer(response: object) -> BudgetExceeded | None:
    """The refusal in an answer that a gate gave in a provider's place."""
    headers = getattr(response, "headers", None)
    try:
        if headers is None or headers.get("x-outlay-refused") != "true":
            return None
        body = cast("Any", response).content
        said = json.loads(body)
        return BudgetExceeded(refusal_from(said["refusal"]), said=str(said["title"]))
    except Exception:  # noqa: BLE001 - an answer of whatever make, of which nothing is promised
        return None


def _again(refusal: Refusal, said: str) -> BudgetExceeded:
    return BudgetExceeded(refusal, said=said)


def _details(refusal: Refusal) -> list[str]:
    lines: list[str] = []
    if refusal.resets_ns is not None:
        lines.append(f"it begins anew at {datetime.fromtimestamp(refusal.resets_ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC")
    if refusal.retryable:
        lines.append("money that is held may come back soon: trying again in a moment may work")
    return lines


def _hint(refusal: Refusal) -> str:
    if refusal.reason == "unpriced":
        return f"give the model a price, or ask {refusal.ask}"
    return f"ask {refusal.ask}"
