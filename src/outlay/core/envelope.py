"""Envelope: whose money it was. A missing value is the value `(untagged)`, never None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

UNTAGGED = "(untagged)"

VALUE_CHARACTERS_MAX = 256
"""A longer value is refused: a tag names something, it does not carry content."""


def _no_tags() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Envelope:
    """The tags on every Usage; `tags` holds whatever else a company wants to split by."""

    team: str = UNTAGGED
    feature: str = UNTAGGED
    user_tier: str = UNTAGGED
    agent: str = UNTAGGED
    product_line: str = UNTAGGED
    environment: str = UNTAGGED
    customer: str = UNTAGGED
    cost_code: str = UNTAGGED
    tags: Mapping[str, str] = field(default_factory=_no_tags)

    def inherit(self, outer: Envelope) -> Envelope:
        """This envelope with every missing value taken from `outer`; its own values win."""
        taken = {key: getattr(outer, key) for key in ENVELOPE_KEYS if getattr(self, key) == UNTAGGED}
        return replace(self, **taken, tags={**outer.tags, **self.tags})


ENVELOPE_KEYS: tuple[str, ...] = tuple(item.name for item in fields(Envelope) if item.name != "tags")

KEY_TAGS: tuple[str, ...] = tuple(key for key in ENVELOPE_KEYS if key != "agent")
"""What the key that facts are sent with may say of those that do not say it: all but the agent, who names itself."""
