"""Remembered: what was made of answers, as long as the very same answers come again.

An answer about hours that nobody wrote to is the same object at each look (see `pieces.py`), and is never
changed. So what follows from it alone need not be worked out anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

from outlay.metrics.answer import Answer

KEPT = 16
"""Results of one function: a few pages, each narrowed in a few ways."""

Rest = ParamSpec("Rest")
Made = TypeVar("Made")


class _Same:
    """An answer as a key: equal to itself only. Holding it keeps its identity from being given to another."""

    __slots__ = ("answer",)

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __hash__(self) -> int:
        return id(self.answer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.answer is self.answer


def remembered(make: Callable[Concatenate[Answer, Rest], Made]) -> Callable[Concatenate[Answer, Rest], Made]:
    """A function of an answer, and of values that can be compared, that is asked once; what it gives is not changed."""

    @lru_cache(maxsize=KEPT)
    def kept(same: _Same, *args: Rest.args, **named: Rest.kwargs) -> Made:
        return make(same.answer, *args, **named)

    @wraps(make)
    def found(answer: Answer, *args: Rest.args, **named: Rest.kwargs) -> Made:
        return kept(_Same(answer), *args, **named)

    return found
