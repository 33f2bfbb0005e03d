"""How often a property is tried whose single example takes a good part of a second, as it opens books of its own."""

from __future__ import annotations

from hypothesis import settings

EXAMPLES_MIN = 5


def costly(share: int = 4) -> settings:
    """A fraction of what the profile tries of a cheap property; `OUTLAY_HYPOTHESIS=thorough` makes both long.

    The examples are other ones in every run, so that what one run leaves out the next may find.
    """
    return settings(max_examples=max(EXAMPLES_MIN, settings().max_examples // share))
