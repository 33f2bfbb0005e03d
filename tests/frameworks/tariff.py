"""The fake server's own price list, in whole nano-dollars a token: written here by hand, apart from Outlay's book."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """Nano-dollars a token."""

    fresh: int
    cached: int
    out: int


RATES = {
    "gpt-4.1-mini": Rate(fresh=400, cached=100, out=1600),
    "gpt-4.1-nano": Rate(fresh=100, cached=25, out=400),
    "text-embedding-3-small": Rate(fresh=20, cached=20, out=0),
    "omni-moderation-latest": Rate(fresh=0, cached=0, out=0),
    "claude-haiku-4-5": Rate(fresh=1000, cached=100, out=5000),
    "gemini-2.5-flash": Rate(fresh=300, cached=30, out=2500),
    "gemini-2.5-flash-lite": Rate(fresh=100, cached=10, out=400),
}
DATED = {"gpt-4.1-mini": "gpt-4.1-mini-2025-04-14", "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14"}
"""What a model calls itself in its answers."""


@dataclass(frozen=True)
class Tokens:
    """What one exchange used; `fresh` and `cached` together are the input, `out` includes reasoning."""

    fresh: int = 0
    cached: int = 0
    out: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All input tokens."""
        return self.fresh + self.cached

    @property
    def total(self) -> int:
        """Input and output."""
        return self.input + self.out


def amount_nano(model: str, tokens: Tokens) -> int:
    """What an exchange costs."""
    rate = RATES[model]
    return tokens.fresh * rate.fresh + tokens.cached * rate.cached + tokens.out * rate.out


def tokens_of(number: int, kind: str) -> Tokens:
    """Figures for the exchange of this number: no two alike, every third from a cache, every fourth with reasoning.

    A check of a text is free and says nothing of tokens.
    """
    if kind != "chat":
        return Tokens(fresh=11 + number) if kind == "embedding" else Tokens()
    return Tokens(
        fresh=1000 + 17 * number,
        cached=0 if number % 3 else 256 + number,
        out=40 + 3 * number,
        reasoning=0 if number % 4 else 16,
    )
