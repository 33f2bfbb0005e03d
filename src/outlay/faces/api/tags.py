"""Tags: the score and its causes, the policy, the rules that attribute late."""

from __future__ import annotations

from outlay.core.errors import InputError
from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.orders import known_fields
from outlay.faces.plain import Reply

TOML_TYPE = "application/toml"
POLICY_BYTES_MAX = 2 * 1024 * 1024

_PERIOD = (
    Parameter("since", "from this moment (2026-11-01, 2026-11, 30d, today), included"),
    Parameter("until", "up to this moment, not included"),
)
_PART = (
    *_PERIOD,
    Parameter("where", "filters like team:search|billing or team!=search, all of which must hold", repeated=True),
)
_SCORE = (
    Parameter("by", "dimensions to split by, team if left out; see /api/v1/metrics", repeated=True),
    Parameter("grain", "buckets of time", choices=("minute", "hour", "day", "week", "month", "quarter", "year")),
    *_PART,
    Parameter("top", "only the first rows; the rest is one row (other)"),
    Parameter("order", "a figure or dimension to sort by, like noncompliant_cost:desc"),
)
_CAUSES = (*_PART, Parameter("key", "the tag that lacks, team if left out"), Parameter("top", "how many, 20"))
_STRETCH = (
    Parameter("from", "the usages it is for: from this moment, now if left out, always for all time"),
    Parameter("to", "up to this moment, not included; open if left out"),
    Parameter("trial", "yes: change nothing, tell what would move", choices=("yes", "no")),
)
_WORDS = ("from", "to", "trial")


def _score(call: Call) -> Reply:
    return call.desk.tags(call.params)


def _causes(call: Call) -> Reply:
    return call.desk.tag_causes(call.params)


def _policy(call: Call) -> Reply:
    return call.desk.tag_policy()


def _set(call: Call) -> Reply:
    return call.desk.set_tag_policy(call.body, call.params)


def _check(call: Call) -> Reply:
    return call.desk.check_tag_policy(call.body)


def _apply(call: Call) -> Reply:
    said = call.json_object()
    known_fields(said, _WORDS, "the period")
    for name, value in said.items():
        if not isinstance(value, str):
            raise InputError(f"{name} is a text", hint="like 2026-11-01; trial is yes or no")
    return call.desk.apply_tags({name: [value] for name, value in said.items() if value})


def _rules(call: Call) -> Reply:
    return call.desk.tag_rules(call.params)


def _add_rule(call: Call) -> Reply:
    return call.desk.add_tag_rule(call.json_object())


def _remove_rule(call: Call) -> Reply:
    return call.desk.remove_tag_rule(call.path["id"])


_APPLY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["from"],
    "properties": {item.name: {"type": "string", "description": item.text} for item in _STRETCH},
}
_RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "match", "set"],
    "properties": {
        "name": {"type": "string"},
        "match": {"type": "object", "description": "what to look at → a glob, or a list of globs"},
        "set": {"type": "object", "description": "key of the envelope → value"},
        "override": {"type": "boolean", "description": "speak before the usage itself does"},
        "from": {"type": "string", "format": "date"},
        "to": {"type": "string", "format": "date"},
    },
}
_FILE = {"type": "string", "description": "the text of tags.toml"}

ENDPOINTS = (
    Endpoint("GET", "/api/v1/tags", "How much of the cost is tagged as the policy asks", _score, _SCORE, room="tags"),
    Endpoint("GET", "/api/v1/tags/causes", "Why cost has no valid tag, by code path", _causes, _CAUSES, room="tags"),
    Endpoint("GET", "/api/v1/tags/policy", "The tag policy and its adoptions", _policy, room="tags"),
    Endpoint(
        "PUT",
        "/api/v1/tags/policy",
        "Adopt a policy for a stretch of time; usages in the books that lie in it follow",
        _set,
        _STRETCH,
        Body("the policy", TOML_TYPE, _FILE, POLICY_BYTES_MAX),
        room="tags",
    ),
    Endpoint(
        "POST",
        "/api/v1/tags/policy/check",
        "What is wrong with a policy; nothing is changed",
        _check,
        body=Body("the policy", TOML_TYPE, _FILE, POLICY_BYTES_MAX),
        needs="read",
        room="tags",
    ),
    Endpoint(
        "POST",
        "/api/v1/tags/apply",
        "Let the present policy hold for a period that has passed",
        _apply,
        body=Body("the period", schema=_APPLY),
        room="tags",
    ),
    Endpoint(
        "GET", "/api/v1/tags/rules", "The rules in force, and the cost each spoke for", _rules, _PERIOD, room="tags"
    ),
    Endpoint(
        "POST",
        "/api/v1/tags/rules",
        "Append a rule to the policy; it holds from now on",
        _add_rule,
        body=Body("the rule", schema=_RULE),
        room="tags",
    ),
    Endpoint(
        "DELETE",
        "/api/v1/tags/rules/{id}",
        "Take a rule out of the policy; it ends now",
        _remove_rule,
        (Parameter("id", "the name of the rule", place="path", needed=True),),
        room="tags",
    ),
)
