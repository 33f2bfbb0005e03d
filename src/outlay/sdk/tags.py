"""Tags: what an application says about whose money it is, made safe before it is kept.

A tag names something, it does not carry content: what is longer than 256 characters or holds control characters is left
out, and said once in the log. The rest of the session is not touched by it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from outlay.core.envelope import ENVELOPE_KEYS, VALUE_CHARACTERS_MAX, Envelope

TAGS_MAX = 64
"""Tags beside the envelope in one session; more are left out."""

SPELLINGS = {"tier": "user_tier", "team_id": "team", "customer_id": "customer", "cost_center": "cost_code"}
"""Other names under which an envelope key may be said."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_log = logging.getLogger("outlay")
_said: set[str] = set()


def say_once(text: str) -> None:
    """A warning in the log, once a process: a loop must not fill the disk with it."""
    if text not in _said and len(_said) < 1_000:
        _said.add(text)
        _log.warning("outlay: %s", text)


def clean(key: str, value: object) -> str:
    """A value as text; empty where there is none or it cannot be a tag."""
    if value is None:
        return ""
    text = str(value).strip()
    if len(text) > VALUE_CHARACTERS_MAX or _CONTROL.search(text):
        what = f"{len(text):,} characters" if len(text) > VALUE_CHARACTERS_MAX else "control characters"
        say_once(f"the value of {key[:64]!r} is left out ({what}); valid: up to {VALUE_CHARACTERS_MAX} characters")
        return ""
    return text


def envelope_of(words: Mapping[str, object], tags: Mapping[str, object]) -> Envelope:
    """An envelope of what was said: known keys in any of their spellings, everything else a tag."""
    keys: dict[str, str] = {}
    others: dict[str, str] = {}
    for key, value in {**tags, **words}.items():
        name = SPELLINGS.get(key, key)
        text = clean(key, value)
        if not text:
            continue
        if name in ENVELOPE_KEYS:
            keys[name] = text
        elif len(key) > VALUE_CHARACTERS_MAX or _CONTROL.search(key) or len(others) >= TAGS_MAX:
            say_once(f"the tag {key[:64]!r} is left out; valid: up to {TAGS_MAX} tags with short names")
        else:
            others[key] = text
    return Envelope(**keys, tags=others)
