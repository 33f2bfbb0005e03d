"""How a session unfolds: guards, retrieval, a loop of model calls and tools, sub-agents, what goes wrong, and the end.

A run is told in neutral steps; `otlp.py` gives them a spelling. Everything random comes from the one generator that is
handed in, so a run is a function of the seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from outlay.demo.company import (
    COST_CODES,
    CUSTOMERS,
    EMBED_LARGE,
    EMBED_VOYAGE,
    ENVIRONMENTS,
    FINE_TUNE,
    GUARDRAIL,
    HISTORY_DAYS,
    MODERATION,
    RERANK,
    UNTAGGED_PERCENT,
    VECTOR_STORE,
    WEB_SEARCH,
    Feature,
    Model,
    model_of,
)

ROOT = 0
FEES_NANO = {"searches": 2_000_000, "web_searches": 8_000_000, "policy_units": 150_000, "read_units": 16_000}
"""What the gateway paid a unit: reranks, web searches, guardrail text units, vector store read units."""

CONTEXT_TOKENS_MAX = 186_000
"""Agents compact their context before a long-context price begins."""
ATTEMPTS_MAX = 4
LOOPING_RETRY_PERCENT = 55
TOOL_PERCENT = 60
"""How many turns end in a tool call."""
TOOL_ERROR_PERCENT = 8
FAILURES = {"rate_limit_exceeded": 24, "timeout": 24, "output_rejected": 38, "server_error": 14}
"""Why an attempt fails, in per cent; a rate limit costs time only."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(slots=True)
class Step:
    """One thing an agent did; times are milliseconds after the run opened, tokens include what caches served."""

    kind: str  # agent, chat, embedding, search, rerank, guardrail, judge, tool
    name: str
    start_ms: int
    length_ms: int
    parent: int = ROOT
    model: Model | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    attempt: int = 0
    error: str = ""
    retry_reason: str = ""  # what this call recovers from, as the agent itself reports it
    unit: str = ""  # the meter of `quantity`
    quantity: int = 0
    cost_nano: int | None = None  # stated by the emitter
    verdict: str = ""


@dataclass(slots=True)
class Run:
    """One session from its opening to its end; `steps[0]` is the agent itself."""

    id: str
    feature: Feature
    opened_ns: int
    days_ago: int
    envelope: Mapping[str, str]
    steps: list[Step] = field(default_factory=list[Step])
    status: str = "done"
    task_id: str = ""


def token_id(rng: random.Random, characters: int) -> str:
    """A random id that reads aloud well."""
    return "".join(rng.choices(_ALPHABET, k=characters))


def cost_nano_of(step: Step) -> int | None:
    """What the gateway would state for a step; None where it has no price."""
    if step.cost_nano is not None:
        return step.cost_nano
    if step.unit:
        return FEES_NANO[step.unit] * step.quantity
    if step.model is None or not step.model.known:
        return None
    model, fresh = step.model, step.input_tokens - step.cached_tokens - step.written_tokens
    return (
        fresh * model.input_nano
        + step.cached_tokens * model.cached_nano
        + step.written_tokens * model.written_nano
        + step.output_tokens * model.output_nano
    )


def unfold(
    feature: Feature,
    opened_ns: int,
    days_ago: int,
    rng: random.Random,
    *,
    looping: bool = False,
    whole_documents: bool = False,
) -> Run:
    """One session of a feature; `looping` is the agent that cannot stop, `whole_documents` the router that sent all."""
    run = Run(
        f"{feature.agent.split('-')[0]}-{token_id(rng, 10)}", feature, opened_ns, days_ago, _envelope(feature, rng)
    )
    run.task_id = f"{feature.task_type}-{token_id(rng, 8)}"
    _Unfolding(run, rng, looping=looping, whole_documents=whole_documents).tell()
    return run


def _envelope(feature: Feature, rng: random.Random) -> dict[str, str]:
    tier = rng.choice(feature.tiers)
    envelope = {"environment": rng.choice(ENVIRONMENTS), "agent": feature.agent}
    if rng.randrange(100) < UNTAGGED_PERCENT.get(feature.name, 0):
        return envelope
    envelope |= {
        "team": feature.team,
        "feature": feature.name,
        "user_tier": tier,
        "product_line": feature.product_line,
        "cost_code": COST_CODES[feature.team],
    }
    if tier == "enterprise":
        envelope["customer"] = rng.choice(CUSTOMERS)
    return envelope


class _Unfolding:
    """The state of one run while it is told: where the clock stands, how large the context has grown."""

    def __init__(self, run: Run, rng: random.Random, *, looping: bool, whole_documents: bool) -> None:
        self.run, self.feature, self.rng = run, run.feature, rng
        self.looping, self.whole_documents = looping, whole_documents
        self.clock_ms = 0
        self.recovers_from = ""  # the tool whose failure the next call has to work around
        self.size_percent = 100 + (self.feature.tokens_then - 100) * run.days_ago // HISTORY_DAYS
        self.main = model_of(self.feature.role, run.days_ago)
        self.helper = model_of(self.feature.helper, run.days_ago)

    def tell(self) -> None:
        """Fill the run with its steps, in the order in which they began."""
        feature, rng = self.feature, self.rng
        self._add("agent", feature.agent, 0)
        self._guard("input", feature.policy_units // 2)
        self._retrieve()
        calls = max(1, self._around(feature.calls))
        if self.looping:
            calls += rng.randint(14, 34)
        hand_over = {rng.randrange(calls) for _ in range(feature.subagents)}
        context = self._around(feature.context * self.size_percent // 100) * (3 if self.whole_documents else 1)
        for turn in range(calls):
            model = self.helper if rng.randrange(100) < feature.helper_percent else self.main
            self._turn(model, min(context, CONTEXT_TOKENS_MAX), feature.output, ROOT, warm=turn > 0)
            context += self._around(feature.growth * self.size_percent // 100)
            if self.looping or rng.randrange(100) < TOOL_PERCENT:
                self._tool()
            if turn in hand_over:
                self._hand_over()
        if feature.fine_tune:
            self._add(
                "chat",
                "classify",
                900,
                model=FINE_TUNE,
                input_tokens=self._around(5_200),
                output_tokens=rng.randint(4, 30),
            )
        self._judge()
        self._guard("output", feature.policy_units - feature.policy_units // 2)
        self._end()

    def _around(self, middle: int) -> int:
        return middle * self.rng.randint(62, 138) // 100

    def _add(self, kind: str, name: str, length_ms: int, parent: int = ROOT, **facts: object) -> int:
        step = Step(kind, name, self.clock_ms, length_ms, parent)
        for key, value in facts.items():
            setattr(step, key, value)
        self.run.steps.append(step)
        self.clock_ms += length_ms + self.rng.randint(5, 60)
        return len(self.run.steps) - 1

    def _turn(self, model: Model, context: int, output: int, parent: int, *, warm: bool) -> None:
        """One model call with the attempts that failed before it; a failed attempt may still be billed."""
        rng, attempt = self.rng, 0
        percent = self.feature.retry_percent * (78 + 44 * self.run.days_ago // HISTORY_DAYS) // 100
        while attempt < ATTEMPTS_MAX and rng.randrange(100) < (LOOPING_RETRY_PERCENT if self.looping else percent):
            error = rng.choices(tuple(FAILURES), tuple(FAILURES.values()))[0]
            billed = error != "rate_limit_exceeded"
            share = rng.randint(10, 60) if error == "timeout" else 100
            read, said = (context, output * share // 100) if billed else (0, 0)
            self._chat(model, read, said, parent, warm=warm, attempt=attempt, error=error)
            attempt, warm = attempt + 1, warm or billed
            self.clock_ms += 400 * 2**attempt + rng.randint(0, 300)
        self._chat(model, context, output, parent, warm=warm, attempt=attempt, reason=self.recovers_from)
        self.recovers_from = ""

    def _chat(
        self,
        model: Model,
        context: int,
        output: int,
        parent: int,
        *,
        warm: bool,
        attempt: int = 0,
        error: str = "",
        reason: str = "",
    ) -> None:
        written = output_tokens = cached = 0
        if context:
            cached = context * self.rng.randint(48, 74) // 100 if warm else 0
            written = (context - cached) // 3 if model.provider in ("anthropic", "aws.bedrock") else 0
            output_tokens = self._around(output)
        thinking = output_tokens * self.rng.randint(20, 55) // 100 if model.provider in ("openai", "gcp.gemini") else 0
        length_ms = 350 + output_tokens * self.rng.randint(9, 16) if context else self.rng.randint(40, 200)
        self._add(
            "chat",
            f"chat {model.asked}",
            length_ms,
            parent,
            model=model,
            input_tokens=context,
            cached_tokens=cached,
            written_tokens=written,
            output_tokens=output_tokens,
            reasoning_tokens=thinking,
            attempt=attempt,
            error=error,
            retry_reason=reason,
        )

    def _retrieve(self) -> None:
        feature, rng = self.feature, self.rng
        model = EMBED_VOYAGE if feature.team == "documents" else EMBED_LARGE
        for _ in range(feature.embed_calls):
            tokens = max(1, self._around(feature.embed_tokens) // feature.embed_calls)
            self._add("embedding", f"embeddings {model.asked}", 120 + tokens // 400, model=model, input_tokens=tokens)
        for _ in range(feature.searches):
            units = rng.randint(400, 1_900)
            length_ms = rng.randint(18, 90)
            self._add("search", "vector_search", length_ms, model=VECTOR_STORE, unit="read_units", quantity=units)
        if feature.reranks:
            asked = max(1, self._around(feature.reranks))
            self._add("rerank", "rerank", rng.randint(90, 260), model=RERANK, unit="searches", quantity=asked)

    def _guard(self, side: str, units: int) -> None:
        rng = self.rng
        verdict = "block" if rng.randrange(1000) < 15 else "pass"
        if side == "input":
            tokens, length_ms = rng.randint(200, 3_000), rng.randint(60, 180)
            self._add("guardrail", "moderation", length_ms, model=MODERATION, input_tokens=tokens, verdict="pass")
        if units:
            checked = max(1, self._around(units))
            length_ms = rng.randint(80, 400)
            self._add(
                "guardrail",
                f"pii_{side}",
                length_ms,
                model=GUARDRAIL,
                unit="policy_units",
                quantity=checked,
                verdict=verdict,
            )

    def _tool(self) -> None:
        feature, rng = self.feature, self.rng
        if feature.web_searches and rng.randrange(100) < 45:
            found = max(1, feature.web_searches * 5 // max(feature.calls, 1))
            length_ms = rng.randint(400, 1_800)
            self._add("tool", "web_search", length_ms, model=WEB_SEARCH, unit="web_searches", quantity=found)
            return
        name = feature.tools[0] if self.looping else rng.choice(feature.tools)
        error = "ToolError" if self.looping or rng.randrange(100) < TOOL_ERROR_PERCENT else ""
        self.recovers_from = f"{name} failed" if error else ""
        fee = feature.tool_fee_micro * 1_000 if feature.tool_fee_micro and name != feature.tools[0] else None
        self._add("tool", name, rng.randint(30, 6_000), error=error, cost_nano=fee)

    def _hand_over(self) -> None:
        """A sub-agent with a context of its own, on a smaller model."""
        place = self._add("agent", f"{self.feature.agent}-helper", 0)
        began_ms = self.clock_ms
        context = self._around(30_000)
        for turn in range(self.rng.randint(2, 4)):
            self._turn(self.helper, context, 1_200, place, warm=turn > 0)
            context += self._around(6_000)
        self.run.steps[place].length_ms = self.clock_ms - began_ms

    def _judge(self) -> None:
        """Another model reads the work before it goes out: safety, not inference."""
        judge = model_of("mid-anthropic", self.run.days_ago)
        read = min(90_000, self.feature.context + self.feature.calls * self.feature.growth // 2)
        for _ in range(self.feature.judges):
            tokens, said = self._around(read), self.rng.randint(60, 700)
            length_ms = self.rng.randint(900, 4_000)
            self._add("judge", "policy_judge", length_ms, model=judge, input_tokens=tokens, output_tokens=said)

    def _end(self) -> None:
        feature, rng = self.feature, self.rng
        done = 12 if self.looping else feature.done_percent
        drawn = rng.randrange(100)
        self.run.status = "done" if drawn < done else "failed" if drawn < done + (100 - done) * 3 // 5 else "abandoned"
        alive_ms = self._around(feature.minutes) * 60_000
        self.run.steps[ROOT].length_ms = max(alive_ms, self.clock_ms)


def summarised(run: Run) -> Run:
    """The same run as the gateway's summary told it: one step for each kind of work and model, with its cost.

    Failed attempts stay apart from the work that went well; what cost nothing and the sub-agents' frames fall away.
    Where checks or searches of several models are told as one, it carries the name of the dearest of them.
    """
    steps: dict[tuple[object, ...], Step] = {}
    dearest: dict[tuple[object, ...], int] = {}
    for step in run.steps[1:]:
        cost_nano = cost_nano_of(step)
        tokens = step.input_tokens + step.output_tokens
        if step.kind == "agent" or not (cost_nano or tokens):
            continue
        key = _summary_key(step)
        known = steps.get(key)
        if known is None:
            known = steps[key] = Step(step.kind, step.name, step.start_ms, 0, model=step.model, verdict=step.verdict)
            known.attempt, known.error, known.retry_reason = step.attempt, step.error, step.retry_reason
        if (cost_nano or 0) > dearest.get(key, 0):
            known.name, known.model, dearest[key] = step.name, step.model, cost_nano or 0
        known.error = known.error or step.error
        known.length_ms += step.length_ms
        for part in ("input_tokens", "cached_tokens", "written_tokens", "output_tokens", "reasoning_tokens"):
            setattr(known, part, getattr(known, part) + getattr(step, part))
        if cost_nano is not None:
            known.cost_nano = (known.cost_nano or 0) + cost_nano
    short = Run(run.id, run.feature, run.opened_ns, run.days_ago, run.envelope, [run.steps[ROOT], *steps.values()])
    short.status, short.task_id = run.status, run.task_id
    return short


_SUMMARY_GROUPS = {"search": "retrieval", "rerank": "retrieval", "judge": "guardrail"}


def _summary_key(step: Step) -> tuple[object, ...]:
    group = _SUMMARY_GROUPS.get(step.kind, step.kind)
    return group, step.model if group == "chat" else None, bool(step.error or step.retry_reason)
