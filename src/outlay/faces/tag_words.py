"""A tag policy in words: what it asks, one sentence a point, for people who do not read its file."""

from __future__ import annotations

from outlay.normalize.policy.model import INVALID, KeyRule, Mode, Policy, Require, Unknown

_CASES = {"lower": "in lower case", "upper": "in upper case"}
_UNKNOWN = {
    Unknown.WARN: "Free tags that are not named here are told.",
    Unknown.DROP: "Free tags that are not named here are dropped.",
}
ALIASES_SHOWN = 6


def asked_of(policy: Policy) -> list[str]:
    """What is required of which usages, and what becomes of one that lacks it."""
    return [_require(require) for require in policy.requires]


def valid_under(policy: Policy) -> list[tuple[str, str]]:
    """Each key that the policy speaks of, with what is valid under it and how it may be spelled."""
    return [(key, _key(rule)) for key, rule in policy.keys.items()]


def unknown_tags(policy: Policy) -> str:
    """What becomes of free tags without a name in the policy; empty where they are let in."""
    return _UNKNOWN.get(policy.unknown, "")


def _require(require: Require) -> str:
    words = " and ".join(f"{'an' if key[0] in 'aei' else 'a'} {key}" for key in require.keys)
    globs = {"environment": require.environment, "source": require.source}
    where = [f"{name} {glob}" for name, glob in globs.items() if glob != "*"]
    of = f"Usages of {' and '.join(where)} need" if where else "Every usage needs"
    reject = "; one that lacks it and stands alone is refused" if require.mode is Mode.REJECT else ""
    return f"{of} {words}{reject}."


def _key(rule: KeyRule) -> str:
    parts: list[str] = [f"valid: {rule.expected()}"] if rule.restricts else ["any value"]
    if rule.case in _CASES:
        parts.append(_CASES[rule.case])
    if rule.aliases:
        shown = [f"{said} means {meant}" for said, meant in list(rule.aliases.items())[:ALIASES_SHOWN]]
        left = len(rule.aliases) - len(shown)
        parts.append(", ".join(shown) + (f" and {left} more" if left > 0 else ""))
    if rule.spellings:
        parts.append(f"also spelled {', '.join(rule.spellings)}")
    if rule.restricts:
        kept = f"becomes {INVALID}" if rule.folds else "is kept and told"
        parts.append("another value is refused" if rule.mode is Mode.REJECT else f"another value {kept}")
    return "; ".join(parts)
