"""The tree of sub-agents on a session's page: who started whom, and what each of them cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from outlay.core.charge import UNPRICED
from outlay.faces import formats
from outlay.faces.web.steps import INDENT_MAX
from outlay.metrics.relatives import Branch
from outlay.metrics.session import SessionDetail

BRANCHES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class BranchLine:
    """One row of the tree."""

    session: str
    href: str
    indent: int
    agent: str
    steps: str
    failed: str
    cost: str


@dataclass(frozen=True, slots=True)
class TreeTold:
    """The rows of the tree in depth, and in words how many sessions it has and how many are not listed."""

    rows: Sequence[BranchLine]
    words: str


def tree_of(detail: SessionDetail) -> TreeTold:
    """The sessions under one, those nearest to it listed, each below the one that started it."""
    shown = detail.branches[:BRANCHES_SHOWN]
    under: dict[str, list[Branch]] = {}
    for branch in shown:
        under.setdefault(branch.parent_session, []).append(branch)
    words = f"{formats.count(detail.sessions_below)} sessions under this one"
    if (more := detail.sessions_below - len(shown)) > 0:
        words += f", the nearest {len(shown)} listed; the figures cover the other {formats.count(more)} too"
    return TreeTold([_line(branch) for branch in _in_depth(under, detail.session)], words)


def _in_depth(under: dict[str, list[Branch]], root: str) -> Iterator[Branch]:
    """Parents before their children; a branch is told once, so that relations that run in a circle end."""
    waiting = under.pop(root, [])[::-1]
    while waiting:
        branch = waiting.pop()
        yield branch
        waiting += under.pop(branch.session, [])[::-1]


def _line(branch: Branch) -> BranchLine:
    return BranchLine(
        session=branch.session,
        href=f"/sessions/{quote(branch.session, safe='')}",
        indent=min(branch.generation - 1, INDENT_MAX),
        agent=branch.agent,
        steps=formats.count(branch.usages),
        failed=formats.count(branch.failed_steps) if branch.failed_steps else "",
        cost=UNPRICED if branch.cost_nano is None else formats.nano(branch.cost_nano),
    )
