"""What a month will have cost when it is over, for every face: the parts beside their budgets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from outlay.core.errors import InputError, QueryError
from outlay.faces.plain import Reply, plain, reply
from outlay.govern.allotments import COMPANY, Allotment, allotments, allotted, judged
from outlay.govern.forecast import LEVELS
from outlay.govern.outlook import Outlook, month_of, outlooks
from outlay.metrics.answer import Answer
from outlay.metrics.filters import parse_filters
from outlay.metrics.query import Query

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

PARAMETERS = ("by", "month", "where")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def month_named(text: str, now: datetime) -> tuple[datetime, datetime]:
    """The month of a text such as 2026-11, the present one for an empty text. Raises InputError."""
    if not text:
        return month_of(now)
    if not _MONTH.fullmatch(text) or text.startswith("0000"):
        raise InputError(f'"{text}" is no month', hint=f"like {now:%Y-%m}")
    return month_of(datetime.fromisoformat(f"{text}-01T00:00:00+00:00"))


def forecast_reply(
    ask: Callable[[Query], Answer], control: Callable[[], ControlStore], params: Mapping[str, Sequence[str]]
) -> Reply:
    """A row for each part of the month, dearest first, and the whole as total; budgets stand beside teams."""
    now = datetime.now(UTC)
    by = one_of(params, "by")
    window = month_named(one_of(params, "month"), now)
    if window[0] > now:
        raise QueryError(f"{window[0]:%Y-%m} has not begun", hint=f"like {now:%Y-%m}")
    where = tuple(item for text in params.get("where", ()) for item in parse_filters(text))
    found = outlooks(ask, window, now, by, where)
    budgets = {} if where or by not in {"", "team"} else allotments(control(), [window], now)[0]
    parts = sorted(found.parts.items(), key=lambda part: (-part[1].spent_nano, part[0]))
    rows = [
        {by: name, **_row(outlook, allotted(budgets, name), window)}
        for name, outlook in parts
        if outlook.spent_nano or outlook.forecast_nano
    ]
    asked = {"month": f"{window[0]:%Y-%m}", "by": [by] if by else [], "where": [str(item) for item in where]}
    return reply(asked, rows, _row(found.total, allotted(budgets, COMPANY), window), found.answer.coverage)


def _row(outlook: Outlook, allotment: Allotment | None, window: tuple[datetime, datetime]) -> dict[str, Any]:
    verdict = judged(outlook, allotment, window[0].date())
    ends = {percent: outlook.ends(percent) for percent in LEVELS}
    limit = None if allotment is None else allotment.limit_nano
    chance = None if limit is None else outlook.chance_within(limit)
    return {
        "spent_nano": outlook.spent_nano,
        "forecast_nano": outlook.forecast_nano,
        **{
            f"{end}_{percent}": None if pair is None else plain({"x_nano": pair[place]})["x"]
            for percent, pair in ends.items()
            for place, end in enumerate(("low", "high"))
        },
        "limit_nano": limit,
        "verdict": verdict.word,
        "beyond_nano": verdict.beyond_nano,
        "passed": verdict.day,
        "chance_within": None if chance is None else f"{chance:.4f}",
        "basis": "actual" if outlook.state == "over" else "prior" if outlook.is_prior else "record",
        "days_known": outlook.days_known,
    }


def one_of(params: Mapping[str, Sequence[str]], name: str) -> str:
    """The one text given for a name, empty where there is none. Raises InputError for several."""
    texts = [text.strip() for text in params.get(name, ()) if text.strip()]
    if len(texts) > 1 or any("," in text for text in texts):
        raise InputError(f"{name} takes one value here", hint="--by team, then --where to look inside")
    return texts[0] if texts else ""
