"""Fetched answers: an answer made in the background is charged once, however often it is looked up.

A background response says nothing of its usage when it is asked for; the look-up that finds it finished does. So does
that of a stream which was cut: it has the same id, so its usage takes the place of the estimate. Only answers this
process started are taken: what somebody else made, or what was read to its end, was metered there.
"""

from __future__ import annotations

from collections import OrderedDict

from outlay.sdk.bodies.asked import Asked
from outlay.sdk.bodies.reading import Reading
from outlay.sdk.bodies.routes import Route

WAITING_MAX = 10_000

_waiting: OrderedDict[str, None] = OrderedDict()
"""Ids that wait; each step on it is atomic, so it needs no lock."""


def is_news(route: Route, asked: Asked, reading: Reading) -> bool:
    """Whether this exchange is a call of its own, or the end of one that had been waited for."""
    if route.shape.name.endswith("_batch"):
        return False  # its lines are the calls
    if not route.fetches:
        if reading.response_id and not reading.complete:
            _waiting[reading.response_id] = None
            while len(_waiting) > WAITING_MAX:
                _waiting.popitem(last=False)
            return not asked.background
        return True
    return reading.complete and _waiting.pop(reading.response_id, 0) is None
