"""Amazon's guardrails: a call of their own, a check inside a model's call, or the stand-alone checks.

Every policy has its own price for each text unit, so every policy is an Aside of its own. Word filters and regular
expressions are free and are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.reading import Aside, Reading, count, part, parts
from outlay.sdk.bodies.shape import Shape

MODEL = "bedrock-guardrails"

POLICIES: Mapping[str, tuple[str, str]] = {
    "topicPolicyUnits": ("topic", "policy_units"),
    "contentPolicyUnits": ("content", "policy_units"),
    "contentPolicyImageUnits": ("content-image", "images"),
    "wordPolicyUnits": ("word", "free_policy_units"),
    "sensitiveInformationPolicyUnits": ("sensitive-information", "policy_units"),
    "sensitiveInformationPolicyFreeUnits": ("sensitive-information-regex", "free_policy_units"),
    "contextualGroundingPolicyUnits": ("contextual-grounding", "policy_units"),
    "automatedReasoningPolicyUnits": ("automated-reasoning", "policy_units"),
    "contentFilter": ("content", "policy_units"),
    "promptAttack": ("prompt-attack", "policy_units"),
    "sensitiveInformation": ("sensitive-information", "policy_units"),
}
"""Amazon's word for the units of a policy = our name for the policy, and the meter its units are counted in."""


def units_of(usage: Mapping[str, Any], check: str) -> Iterator[Aside]:
    """One Aside for each policy that did some work; `check` says what was looked at: input, output or text."""
    for key, (policy, meter) in POLICIES.items():
        stated = usage.get(key)
        number = count(part(usage, key).get("textUnits") if isinstance(stated, dict) else stated)
        if number:
            yield Aside(Operation.GUARDRAIL, f"{MODEL} {check} {policy}", f"{MODEL}-{policy}", {meter: number})


def read_trace(trace: Mapping[str, Any], reading: Reading) -> None:
    """The guardrail's part of a trace, in the words of Converse (`inputAssessment`) or of InvokeModel (`input`)."""
    guardrail = part(trace, "guardrail")
    if not guardrail:
        return
    found: list[Aside] = []
    for key in ("inputAssessment", "input"):
        found += _assessed(part(guardrail, key), "input")
    for each in parts(guardrail, "outputs"):
        found += _assessed(each, "output")
    found += _assessed(part(guardrail, "outputAssessments"), "output")
    reading.asides[:] = found


def _assessed(by_guardrail: Mapping[str, Any], check: str) -> Iterator[Aside]:
    for key, value in by_guardrail.items():
        for assessment in parts(by_guardrail, key) if isinstance(value, list) else [part(by_guardrail, key)]:
            yield from units_of(part(part(assessment, "invocationMetrics"), "usage"), check)


def read(data: Mapping[str, Any], reading: Reading) -> None:
    """The answer of ApplyGuardrail and of InvokeGuardrailChecks: units for each policy, and what was decided."""
    reading.say("finish_reason", data.get("action"))
    usage = part(data, "usage")
    if usage:
        reading.asides[:] = units_of(usage, "text")
        reading.complete = reading.ended = True


APPLY = Shape("bedrock_guardrail", Operation.GUARDRAIL, read)
